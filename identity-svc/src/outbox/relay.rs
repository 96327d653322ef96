//! Owns:      the way from the outbox to the queue; claimed rows until they are published or given back.
//! Receives:  nothing; wakes when a unit of work has added a job, when one falls due, and once a second.
//! Bound:     `RelaySettings::in_flight` jobs claimed and not yet confirmed.
//! On panic:  `done` resolves, the service reports it and the process ends.
//! On stop:   claims nothing more, waits for what is in flight, gives the rest back.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use actix::{Actor, ActorContext, ActorFutureExt, AsyncContext, Context, WrapFuture};
use futures_util::FutureExt;
use futures_util::stream::{FuturesUnordered, StreamExt};
use shared::clock::{Clock, to_ms};
use shared::queue::{Message, PublishError, Publisher};
use shared::shutdown::Shutdown;
use tokio::sync::oneshot;

use crate::db::messages::{
    ClaimOutboxBatch, ClaimedJob, FindNextDue, MarkDead, MarkPublished, MarkRetry, ReleaseClaims,
};
use crate::db::{Db, DbError};

/// How many jobs are taken at once, and for how long they are the relay's.
#[derive(Clone, Copy, Debug)]
pub struct RelaySettings {
    pub in_flight: usize,
    /// Longer than a publish may take. When it has passed, any relay may take the job.
    pub claim: Duration,
}

/// Looks at the table at least this often: another process may have written to it.
const POLL: Duration = Duration::from_secs(1);
const FIRST_BACKOFF: Duration = Duration::from_millis(500);
const LONGEST_BACKOFF: Duration = Duration::from_secs(15);

pub struct OutboxRelay {
    work: Option<Relay>,
    done: Option<oneshot::Sender<()>>,
}

impl OutboxRelay {
    /// Starts the relay; the receiver resolves when it has ended.
    pub fn start(
        db: Db,
        publisher: Publisher,
        clock: Clock,
        settings: RelaySettings,
        shutdown: Shutdown,
    ) -> oneshot::Receiver<()> {
        let (done, ended) = oneshot::channel();
        let in_flight = FuturesUnordered::new();
        let relay = Relay {
            db,
            publisher,
            clock,
            settings,
            shutdown,
            in_flight,
            backoff: None,
            failure_count: 0,
        };
        Actor::start(Self {
            work: Some(relay),
            done: Some(done),
        });
        ended
    }
}

impl Actor for OutboxRelay {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        let Some(relay) = self.work.take() else { return };
        context.spawn(relay.run().into_actor(self).map(|(), actor, context| {
            // Nobody may be waiting any more.
            let _ = actor.done.take().map(|done| done.send(()));
            context.stop();
        }));
    }
}

type Publishing = Pin<Box<dyn Future<Output = (ClaimedJob, Result<(), PublishError>)>>>;

struct Relay {
    db: Db,
    publisher: Publisher,
    clock: Clock,
    settings: RelaySettings,
    shutdown: Shutdown,
    in_flight: FuturesUnordered<Publishing>,
    /// Set while the queue or the database is away.
    backoff: Option<Duration>,
    /// Failures in a row.
    failure_count: u32,
}

impl Relay {
    async fn run(mut self) {
        while !self.shutdown.is_requested() {
            if let Err(error) = self.claim().await {
                self.back_off("cannot read the outbox", &error.to_string());
            }
            self.wait().await;
        }
        while let Some((job, outcome)) = self.in_flight.next().await {
            self.settle(job, outcome).await;
        }
    }

    /// Waits for work: a result, a new job, the poll, the end.
    async fn wait(&mut self) {
        let pause = self.backoff.unwrap_or(POLL);
        let db = self.db.clone();
        let has_room = self.in_flight.len() < self.settings.in_flight && self.backoff.is_none();
        tokio::select! {
            Some((job, outcome)) = self.in_flight.next(), if !self.in_flight.is_empty() => {
                self.settle(job, outcome).await;
            }
            () = db.outbox_changed().notified(), if has_room => {}
            () = tokio::time::sleep(pause) => self.backoff = None,
            () = self.shutdown.requested() => {}
        }
    }

    /// Takes due jobs and begins to publish them.
    async fn claim(&mut self) -> Result<(), DbError> {
        let room = self.settings.in_flight.saturating_sub(self.in_flight.len());
        if room == 0 || self.backoff.is_some() {
            return Ok(());
        }
        let now_ms = self.clock.now_ms();
        // A look costs nothing; a claim takes SQLite's write lock.
        if self
            .db
            .call(FindNextDue)
            .await?
            .is_none_or(|due_at_ms| due_at_ms > now_ms)
        {
            return Ok(());
        }
        let claim = ClaimOutboxBatch {
            limit: i64::try_from(room).unwrap_or(i64::MAX),
            now_ms,
            claimed_until_ms: now_ms.saturating_add(to_ms(self.settings.claim)),
        };
        for job in self.db.call(claim).await? {
            let publisher = self.publisher.clone();
            self.in_flight.push(Box::pin(async move {
                let message = Message {
                    job_id: job.job_id.clone(),
                    body: job.payload.clone().into_bytes(),
                    failed_attempts: u32::try_from(job.failed_attempts).unwrap_or(0),
                };
                let outcome = publisher.publish(message).await;
                (job, outcome)
            }));
        }
        Ok(())
    }

    /// Writes down what became of a job, and of all others that are ready by now.
    async fn settle(&mut self, job: ClaimedJob, outcome: Result<(), PublishError>) {
        let mut finished = vec![(job, outcome)];
        while let Some(Some(next)) = self.in_flight.next().now_or_never() {
            finished.push(next);
        }
        if let Err(error) = self.write_down(finished).await {
            // The claims end by themselves; the jobs are sent again then.
            self.back_off("cannot write to the outbox", &error.to_string());
        }
    }

    async fn write_down(
        &mut self,
        finished: Vec<(ClaimedJob, Result<(), PublishError>)>,
    ) -> Result<(), DbError> {
        let now_ms = self.clock.now_ms();
        let (mut published, mut released) = (Vec::new(), Vec::new());
        for (job, outcome) in finished {
            match outcome {
                Ok(()) => published.push(job.id),
                Err(PublishError::Unavailable(reason)) => {
                    released.push(job.id);
                    self.back_off("cannot publish mail jobs", &reason);
                }
                Err(PublishError::Retry { after, reason }) => {
                    let due_at_ms = now_ms.saturating_add(to_ms(after));
                    self.db
                        .call(MarkRetry {
                            id: job.id,
                            due_at_ms,
                            reason,
                        })
                        .await?;
                }
                Err(PublishError::Dead { reason }) => {
                    log::error!(job_id = job.job_id.as_str(); "a mail was given up: {reason}");
                    self.db
                        .call(MarkDead {
                            id: job.id,
                            reason,
                            now_ms,
                        })
                        .await?;
                }
            }
        }
        if !published.is_empty() {
            self.failure_count = 0;
            self.db
                .call(MarkPublished {
                    ids: published,
                    now_ms,
                })
                .await?;
        }
        if !released.is_empty() {
            self.db
                .call(ReleaseClaims {
                    ids: released,
                    due_at_ms: now_ms,
                })
                .await?;
        }
        Ok(())
    }

    fn back_off(&mut self, what: &str, reason: &str) {
        if self.backoff.is_some() {
            return;
        }
        let jitter = Duration::from_millis(shared::random::below(250));
        let doubled = FIRST_BACKOFF.saturating_mul(2_u32.saturating_pow(self.failure_count));
        let next = doubled.min(LONGEST_BACKOFF) + jitter;
        self.failure_count = self.failure_count.saturating_add(1);
        log::warn!("{what}, trying again in {} ms: {reason}", next.as_millis());
        self.backoff = Some(next);
    }
}
