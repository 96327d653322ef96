//! Owns:      the queue of outcomes, on its way into the outbox table.
//! Receives:  nothing; reads what mailer-svc tells of its jobs.
//! Bound:     `BATCH` outcomes in hand; what is not acknowledged comes again.
//! On panic:  `done` resolves, the service reports it and the process ends.
//! On stop:   at once; an outcome that is not written down is not acknowledged.

use std::time::Duration;

use actix::{Actor, ActorContext, ActorFutureExt, AsyncContext, Context, WrapFuture};
use futures_util::FutureExt;
use shared::queue::{OutcomeConsumer, OutcomeDelivery};
use shared::shutdown::Shutdown;
use tokio::sync::oneshot;

use crate::db::Db;
use crate::db::messages::RecordOutcomes;

/// Written in one transaction.
const BATCH: usize = 100;
const RETRY: Duration = Duration::from_secs(2);

pub struct OutcomeRecorder {
    work: Option<Work>,
    done: Option<oneshot::Sender<()>>,
}

struct Work {
    db: Db,
    outcomes: OutcomeConsumer,
    shutdown: Shutdown,
}

impl OutcomeRecorder {
    /// Starts the recorder; the receiver resolves when it has ended.
    pub fn start(db: Db, outcomes: OutcomeConsumer, shutdown: Shutdown) -> oneshot::Receiver<()> {
        let (done, ended) = oneshot::channel();
        let work = Work {
            db,
            outcomes,
            shutdown,
        };
        Actor::start(Self {
            work: Some(work),
            done: Some(done),
        });
        ended
    }
}

impl Actor for OutcomeRecorder {
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
        loop {
            let first = tokio::select! {
                delivery = self.outcomes.next() => delivery,
                () = self.shutdown.requested() => return,
            };
            let Some(first) = first else { return };
            let mut deliveries = vec![first];
            while deliveries.len() < BATCH
                && let Some(Some(delivery)) = self.outcomes.next().now_or_never()
            {
                deliveries.push(delivery);
            }
            if !self.record(deliveries).await {
                return;
            }
        }
    }

    /// Writes outcomes down, however long the database is away; `false` at a stop.
    async fn record(&mut self, deliveries: Vec<OutcomeDelivery>) -> bool {
        let outcomes: Vec<_> = deliveries
            .iter()
            .map(|delivery| delivery.outcome().clone())
            .collect();
        let mut has_warned = false;
        loop {
            let message = RecordOutcomes {
                outcomes: outcomes.clone(),
            };
            match self.db.call(message).await {
                Ok(_) => break,
                Err(error) if !has_warned => {
                    log::warn!("cannot write down what became of mails, trying again: {error}");
                    has_warned = true;
                }
                Err(_) => {}
            }
            tokio::select! {
                () = tokio::time::sleep(RETRY) => {}
                () = self.shutdown.requested() => return false,
            }
        }
        for delivery in deliveries {
            delivery.ack().await;
        }
        true
    }
}
