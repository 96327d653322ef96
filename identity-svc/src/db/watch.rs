//! Owns:      the knowledge whether the database can be used: it is reachable and its tables have the right form.
//! Receives:  nothing; asks every two seconds and publishes the answer as shared state.
//! Bound:     one question at a time.
//! On panic:  `done` resolves, the service reports it and the process ends.
//! On stop:   at once.

use std::time::Duration;

use actix::{Actor, ActorContext, ActorFutureExt, AsyncContext, Context, WrapFuture};
use shared::shutdown::Shutdown;
use tokio::sync::{oneshot, watch};

use super::messages::CheckDatabase;
use super::url::{DatabaseUrl, OpenError};
use super::{Db, DbError};

const EVERY: Duration = Duration::from_secs(2);

/// `Ok`, or why it cannot be used now.
pub type DatabaseState = Result<(), String>;

pub struct DatabaseWatch {
    work: Option<Work>,
    done: Option<oneshot::Sender<Option<OpenError>>>,
}

struct Work {
    db: Db,
    url: DatabaseUrl,
    /// Whether the tables were found right since the start.
    is_prepared: bool,
    state: watch::Sender<DatabaseState>,
    shutdown: Shutdown,
}

impl DatabaseWatch {
    /// Starts watching. `found` is what the start found: `Ok`, or that the database is away. The second receiver
    /// resolves when the watch has ended: with an error when only the operator can help, so that the process should end.
    pub fn start(
        db: Db,
        url: DatabaseUrl,
        found: DatabaseState,
        shutdown: Shutdown,
    ) -> (
        watch::Receiver<DatabaseState>,
        oneshot::Receiver<Option<OpenError>>,
    ) {
        let (done, ended) = oneshot::channel();
        let is_prepared = found.is_ok();
        let (state, states) = watch::channel(found);
        let work = Work {
            db,
            url,
            is_prepared,
            state,
            shutdown,
        };
        Actor::start(Self {
            work: Some(work),
            done: Some(done),
        });
        (states, ended)
    }
}

impl Actor for DatabaseWatch {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        let Some(work) = self.work.take() else { return };
        context.spawn(work.run().into_actor(self).map(|error, actor, context| {
            // Nobody may be waiting any more.
            let _ = actor.done.take().map(|done| done.send(error));
            context.stop();
        }));
    }
}

impl Work {
    async fn run(mut self) -> Option<OpenError> {
        loop {
            let mut shutdown = self.shutdown.clone();
            let looked = tokio::select! {
                looked = self.look() => looked,
                () = shutdown.requested() => return None,
            };
            if let Err(error) = looked {
                return Some(error);
            }
            tokio::select! {
                () = tokio::time::sleep(EVERY) => {}
                () = shutdown.requested() => return None,
            }
        }
    }

    /// # Errors
    /// When only the operator can help.
    async fn look(&mut self) -> Result<(), OpenError> {
        if !self.is_prepared {
            let url = self.url.clone();
            match tokio::task::spawn_blocking(move || url.prepare()).await {
                Ok(Ok(())) => self.is_prepared = true,
                Ok(Err(OpenError::Unreachable { reason, .. })) => {
                    self.publish(Err(reason));
                    return Ok(());
                }
                Ok(Err(error)) => return Err(error),
                Err(panic) => {
                    self.publish(Err(panic.to_string()));
                    return Ok(());
                }
            }
        }
        let state = self.db.call(CheckDatabase).await;
        self.publish(state.map_err(|error: DbError| error.to_string()));
        Ok(())
    }

    /// One log line for each change.
    fn publish(&self, state: DatabaseState) {
        let was_good = self.state.borrow().is_ok();
        match &state {
            Ok(()) if !was_good => log::info!("the database can be used again"),
            Err(reason) if was_good => log::warn!("not ready: {reason}"),
            _ => {}
        }
        // What it was before does not matter any more.
        let _ = self.state.send_replace(state);
    }
}
