//! Owns:      cleaning up: expired sessions and secrets, old outbox rows; and taking up changed files of keys.
//! Receives:  nothing; wakes by a timer.
//! Bound:     `BATCH` rows of each table at a time.
//! On panic:  `done` resolves, the service reports it and the process ends.
//! On stop:   at once; a batch under way is one transaction.

use std::time::Duration;

use actix::{Actor, ActorContext, ActorFutureExt, AsyncContext, Context, WrapFuture};
use shared::clock::Clock;
use shared::internal_secret::InternalSecret;
use shared::shutdown::Shutdown;
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::db::Db;
use crate::db::messages::DeleteExpired;
use crate::encryption::Encryption;
use crate::tokens::Tokens;

const BATCH: i64 = 500;
const KEYS_EVERY: Duration = Duration::from_secs(5);
const CLEAN_EVERY: Duration = Duration::from_secs(60);

pub struct Janitor {
    work: Option<Work>,
    done: Option<oneshot::Sender<()>>,
}

struct Work {
    db: Db,
    keys: Keys,
    clock: Clock,
    shutdown: Shutdown,
}

/// What is read from files that may change.
pub struct Keys {
    pub tokens: Tokens,
    pub encryption: Encryption,
    pub internal_secret: Option<InternalSecret>,
}

impl Janitor {
    /// Starts the janitor; the receiver resolves when it has ended.
    pub fn start(db: Db, keys: Keys, clock: Clock, shutdown: Shutdown) -> oneshot::Receiver<()> {
        let (done, ended) = oneshot::channel();
        let work = Work {
            db,
            keys,
            clock,
            shutdown,
        };
        Actor::start(Self {
            work: Some(work),
            done: Some(done),
        });
        ended
    }
}

impl Actor for Janitor {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        let Some(work) = self.work.take() else { return };
        context.spawn(work.run().into_actor(self).map(|(), actor, context| {
            // Nobody may be waiting any more.
            let _ = actor.done.take().map(|done| done.send(()));
            context.stop();
        }));
    }
}

impl Work {
    async fn run(mut self) {
        let mut clean_at = Instant::now() + CLEAN_EVERY;
        loop {
            tokio::select! {
                () = tokio::time::sleep(KEYS_EVERY) => {}
                () = self.shutdown.requested() => return,
            }
            self.take_up_keys();
            if Instant::now() >= clean_at {
                self.clean().await;
                clean_at = Instant::now() + CLEAN_EVERY;
            }
        }
    }

    fn take_up_keys(&self) {
        match self.keys.tokens.reload(self.clock.now_ms()) {
            Ok(true) => log::info!("took up the changed keys file"),
            Ok(false) => {}
            Err(error) => log::error!("keep the keys that are loaded: {error}"),
        }
        match self.keys.encryption.reload() {
            Ok(true) => log::info!("took up the changed file of encryption keys"),
            Ok(false) => {}
            Err(error) => log::error!("keep the encryption keys that are loaded: {error}"),
        }
        match self.keys.internal_secret.as_ref().map(InternalSecret::reload) {
            Some(Ok(true)) => log::info!("took up the changed internal secret"),
            Some(Ok(false)) | None => {}
            Some(Err(error)) => log::error!("keep the internal secret that is loaded: {error}"),
        }
    }

    /// Batch after batch until nothing is left; others get their turn in between.
    async fn clean(&self) {
        loop {
            match self
                .db
                .call(DeleteExpired {
                    limit: BATCH,
                    now_ms: self.clock.now_ms(),
                })
                .await
            {
                Ok(deleted) => {
                    if deleted.total() > 0 {
                        log::debug!("deleted {deleted:?}");
                    }
                    if i64::try_from(deleted.largest()).unwrap_or(0) < BATCH || self.shutdown.is_requested() {
                        return;
                    }
                }
                Err(error) => {
                    log::warn!("cannot clean up, trying again later: {error}");
                    return;
                }
            }
        }
    }
}
