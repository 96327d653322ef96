//! Owns:      the way from the outbox to the queue; claimed rows until they are published or given back.
//! Receives:  nothing; wakes when a unit of work has added a job, when one falls due, and once a second.
//! Bound:     `RelaySettings::in_flight` jobs published and not yet confirmed, as many confirmed and not yet marked; and
//!            `claimed_ahead` that wait for their turn.
//! On panic:  `done` resolves, the service reports it and the process ends.
//! On stop:   claims nothing more, waits a little for what is in flight, gives the rest back.

use std::collections::{HashSet, VecDeque};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use actix::{Actor, ActorContext, ActorFutureExt, AsyncContext, Context, WrapFuture};
use shared::backoff::Backoff;
use shared::clock::{Clock, to_ms};
use shared::queue::{Message, PublishError, Publisher};
use shared::shutdown::Shutdown;
use tokio::sync::oneshot;
use tokio::task::{JoinError, JoinSet};
use tokio::time::Instant;

use super::bookkeeping::{Ended, NotSent, release, write_down};
use super::metrics::RelayMetrics;
use crate::db::messages::{ClaimOutboxBatch, ClaimedJob, HasDueJob};
use crate::db::{Db, DbError};
use crate::encryption::{Encryption, EncryptionError, Place};

/// How many jobs are taken at once, and for how long they are the relay's.
#[derive(Clone, Copy, Debug)]
pub struct RelaySettings {
    pub in_flight: usize,
    /// Claimed while the others are in flight, so that the broker never waits for a claim and claims are large.
    pub claimed_ahead: usize,
    /// Longer than a publish may take. When it has passed, any relay may take the job.
    pub claim: Duration,
    /// The queue is in-process: it takes a job when its mail is out.
    pub takes_when_delivered: bool,
}

/// Looks at the table at least this often: another process may have written to it.
const POLL: Duration = Duration::from_secs(1);
const FIRST_WAIT: Duration = Duration::from_millis(400);
const LONGEST_WAIT: Duration = Duration::from_secs(8);
/// How long a stop waits for what is in flight.
const DRAIN: Duration = Duration::from_secs(10);

/// How many reasons for jobs that cannot be decrypted are remembered.
const MOST_REASONS: usize = 100;

pub struct OutboxRelay {
    work: Option<Relay>,
    done: Option<oneshot::Sender<()>>,
}

impl OutboxRelay {
    /// Starts the relay; the receiver resolves when it has ended.
    pub fn start(
        db: Db,
        publisher: Publisher,
        encryption: Encryption,
        clock: Clock,
        settings: RelaySettings,
        metrics: Arc<RelayMetrics>,
        shutdown: Shutdown,
    ) -> oneshot::Receiver<()> {
        let (done, ended) = oneshot::channel();
        let relay = Relay {
            db,
            publisher,
            encryption,
            clock,
            settings,
            metrics,
            shutdown,
            claiming: None,
            claimed_ahead: VecDeque::new(),
            in_flight: JoinSet::new(),
            claimed: HashSet::new(),
            ended: Vec::new(),
            marking: None,
            look: Some(Look::First),
            wake_at: Instant::now() + POLL,
            is_backing_off: false,
            is_database_away: false,
            has_failed: false,
            backoff: Backoff::new(FIRST_WAIT, LONGEST_WAIT),
            unreadable: HashSet::new(),
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

/// Why the table may have due jobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Look {
    /// Time has passed: look before claiming, since a claim takes SQLite's write lock.
    First,
    /// Somebody has said so, or the last claim was full.
    Claim,
}

type Working<T> = Pin<Box<dyn Future<Output = T>>>;

/// What was to be marked, and whether it was.
type Marked = (Vec<Ended>, Result<(), DbError>);

struct Claim {
    jobs: Vec<ClaimedJob>,
    /// There may be more.
    is_full: bool,
}

/// Claiming, publishing and marking go on side by side, so that the broker never waits for the database.
struct Relay {
    db: Db,
    publisher: Publisher,
    encryption: Encryption,
    clock: Clock,
    settings: RelaySettings,
    metrics: Arc<RelayMetrics>,
    shutdown: Shutdown,
    claiming: Option<Working<Result<Claim, DbError>>>,
    /// Claimed, and not yet published.
    claimed_ahead: VecDeque<ClaimedJob>,
    in_flight: JoinSet<Ended>,
    /// The ids of what is in flight.
    claimed: HashSet<i64>,
    /// Confirmed or failed, and not yet being marked.
    ended: Vec<Ended>,
    marking: Option<Working<Marked>>,
    look: Option<Look>,
    /// The next poll, or the end of a back-off.
    wake_at: Instant,
    is_backing_off: bool,
    /// Nothing is marked until the end of the back-off.
    is_database_away: bool,
    /// Since the last job that was taken.
    has_failed: bool,
    backoff: Backoff,
    /// What was said already of jobs that cannot be decrypted.
    unreadable: HashSet<EncryptionError>,
}

impl Relay {
    async fn run(mut self) {
        while !self.shutdown.is_requested() {
            self.begin_claim();
            self.publish_claimed();
            self.begin_marking();
            self.wait().await;
        }
        self.finish().await;
    }

    /// Waits for one thing to happen.
    async fn wait(&mut self) {
        let db = self.db.clone();
        tokio::select! {
            claim = next(&mut self.claiming) => self.keep(claim),
            (ended, marked) = next(&mut self.marking) => {
                if let Err(error) = marked {
                    // Kept, and written down later: otherwise they would be sent again when their claims end.
                    self.ended.extend(ended);
                    self.is_database_away = true;
                    self.back_off("cannot write to the outbox", &error.to_string());
                }
            }
            Some(ended) = self.in_flight.join_next() => {
                self.take(ended);
                while let Some(ended) = self.in_flight.try_join_next() {
                    self.take(ended);
                }
            }
            () = db.outbox_changed().notified() => self.look = Some(Look::Claim),
            () = tokio::time::sleep_until(self.wake_at) => {
                self.is_backing_off = false;
                self.is_database_away = false;
                self.look.get_or_insert(Look::First);
                self.wake_at = Instant::now() + POLL;
            }
            () = self.shutdown.requested() => {}
        }
    }

    /// Begins to claim when there is something to claim and enough room: many small claims cost more than they bring.
    fn begin_claim(&mut self) {
        let RelaySettings {
            in_flight: limit,
            claimed_ahead: ahead,
            ..
        } = self.settings;
        let taken = self.in_flight.len() + self.claimed_ahead.len();
        let room = (limit + ahead).saturating_sub(taken);
        let has_room = taken == 0 || room >= ahead.max(limit.div_ceil(4));
        if self.claiming.is_some() || self.is_backing_off || !has_room || self.ended.len() >= limit {
            return;
        }
        if let Some(look) = self.look.take() {
            let now_ms = self.clock.now_ms();
            let message = ClaimOutboxBatch {
                limit: i64::try_from(room).unwrap_or(i64::MAX),
                now_ms,
                claimed_until_ms: now_ms.saturating_add(to_ms(self.settings.claim)),
            };
            self.claiming = Some(Box::pin(claim(self.db.clone(), message, look)));
        }
    }

    fn begin_marking(&mut self) {
        if self.marking.is_some() || self.is_database_away || self.ended.is_empty() {
            return;
        }
        let (db, ended) = (self.db.clone(), std::mem::take(&mut self.ended));
        let (is_delivered, now_ms) = (self.settings.takes_when_delivered, self.clock.now_ms());
        self.marking = Some(Box::pin(async move {
            let marked = write_down(&db, &ended, is_delivered, now_ms).await;
            (ended, marked)
        }));
    }

    fn keep(&mut self, claim: Result<Claim, DbError>) {
        let claim = match claim {
            Ok(claim) => claim,
            Err(error) => {
                self.look = Some(Look::Claim);
                self.back_off("cannot read the outbox", &error.to_string());
                return;
            }
        };
        if claim.is_full {
            self.look = Some(Look::Claim);
        }
        self.claimed_ahead.extend(claim.jobs);
    }

    fn publish_claimed(&mut self) {
        while self.in_flight.len() < self.settings.in_flight
            && let Some(job) = self.claimed_ahead.pop_front()
        {
            let place = Place::outbox_payload(&job.job_id);
            let body = match self.encryption.decrypt(place, &job.payload) {
                Ok(body) => body,
                Err(error) => {
                    self.set_aside(job, error);
                    continue;
                }
            };
            self.claimed.insert(job.id);
            self.metrics.count_published();
            let publisher = self.publisher.clone();
            self.in_flight.spawn_local(async move {
                let message = Message {
                    job_id: job.job_id.clone(),
                    body: body.into_bytes(),
                    failed_attempts: u32::try_from(job.failed_attempts).unwrap_or(0),
                };
                let outcome = publisher.publish(message).await.map_err(NotSent::Queue);
                Ended { job, outcome }
            });
        }
    }

    /// Keeps a job that cannot be decrypted, for when its key is there again. One log line for each reason, however many
    /// jobs there are.
    fn set_aside(&mut self, job: ClaimedJob, error: EncryptionError) {
        self.metrics.count_unreadable();
        let reason = error.to_string();
        if self.unreadable.len() < MOST_REASONS && self.unreadable.insert(error) {
            log::error!(job_id = job.job_id.as_str(); "a mail job is kept and not sent: {reason}");
        }
        let outcome = Err(NotSent::Unreadable { reason });
        self.ended.push(Ended { job, outcome });
    }

    fn take(&mut self, ended: Result<Ended, JoinError>) {
        let ended = match ended {
            Ok(ended) => ended,
            // Its claim ends by itself.
            Err(error) => return log::error!("a publish has panicked: {error}"),
        };
        self.claimed.remove(&ended.job.id);
        self.metrics.count_end(ended.outcome.is_ok());
        match &ended.outcome {
            Ok(()) => {
                if self.has_failed {
                    log::info!("mail jobs leave again");
                    self.has_failed = false;
                    self.backoff.reset();
                }
            }
            Err(NotSent::Queue(PublishError::Unavailable(reason))) => {
                self.look = Some(Look::Claim);
                self.back_off("cannot publish mail jobs", &reason.clone());
            }
            Err(_) => {}
        }
        self.ended.push(ended);
    }

    fn back_off(&mut self, what: &str, reason: &str) {
        if self.is_backing_off {
            return;
        }
        let pause = self.backoff.wait();
        self.has_failed = true;
        log::warn!("{what}, trying again in {} ms: {reason}", pause.as_millis());
        self.is_backing_off = true;
        // Their claims might end before it does, and another relay would have taken them.
        let unused = std::mem::take(&mut self.claimed_ahead);
        self.ended.extend(unused.into_iter().map(|job| Ended {
            job,
            outcome: Err(NotSent::Queue(PublishError::Unavailable(String::new()))),
        }));
        self.wake_at = Instant::now() + pause;
    }

    /// Waits for what is in flight, not for long, and gives everything else back.
    async fn finish(mut self) {
        let mut unused: Vec<i64> = self.claimed_ahead.iter().map(|job| job.id).collect();
        if let Some(claiming) = self.claiming.take()
            && let Ok(claim) = claiming.await
        {
            unused.extend(claim.jobs.iter().map(|job| job.id));
        }
        let deadline = Instant::now() + DRAIN;
        while let Ok(Some(ended)) = tokio::time::timeout_at(deadline, self.in_flight.join_next()).await {
            self.take(ended);
        }
        self.in_flight.abort_all();
        unused.extend(self.claimed.iter());
        let now_ms = self.clock.now_ms();
        let outcome = async {
            if let Some(marking) = self.marking.take()
                && let (ended, Err(_)) = marking.await
            {
                self.ended.extend(ended);
            }
            write_down(&self.db, &self.ended, self.settings.takes_when_delivered, now_ms).await?;
            release(&self.db, unused, now_ms).await
        };
        if let Err(error) = outcome.await {
            log::warn!("cannot give claimed mail jobs back, they wait for the end of their claims: {error}");
        }
    }
}

async fn claim(db: Db, message: ClaimOutboxBatch, look: Look) -> Result<Claim, DbError> {
    let nothing = Claim {
        jobs: Vec::new(),
        is_full: false,
    };
    if look == Look::First {
        let now_ms = message.now_ms;
        if !db.call(HasDueJob { now_ms }).await? {
            return Ok(nothing);
        }
    }
    let limit = usize::try_from(message.limit).unwrap_or(usize::MAX);
    let jobs = db.call(message).await?;
    let is_full = jobs.len() >= limit;
    Ok(Claim { jobs, is_full })
}

/// The result of work under way; never, when there is none. Safe to cancel.
async fn next<T>(work: &mut Option<Working<T>>) -> T {
    let Some(under_way) = work else {
        return std::future::pending().await;
    };
    let result = under_way.await;
    *work = None;
    result
}
