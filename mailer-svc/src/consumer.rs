//! Owns:      the consuming half of the queue.
//! Receives:  no messages: it takes deliveries until it is told to stop, or until the transport ends.
//! Bound:     as many jobs in hand as there are SMTP connections; the rest waits in the queue.
//! On panic:  the delivery goes back to the queue, the actor lives.      On stop: finishes the jobs in hand.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::{Actor, ActorContext, ActorFutureExt, AsyncContext, Context, WrapFuture};
use lettre::message::Mailbox;
use shared::clock::Clock;
use shared::email_job::EmailJob;
use shared::queue::{Consumer, Delivery};
use shared::random;
use shared::shutdown::Shutdown;
use tokio::sync::{Semaphore, watch};

use crate::message::{self, Undeliverable};
use crate::metrics::MailMetrics;
use crate::recent_jobs::{Known, RecentJobs};
use crate::render::Renderer;
use crate::retry::{self, Next};
use crate::sender::{SendError, Sender};

/// Ids of sent jobs that are remembered. A broker repeats what was not acknowledged within minutes, not days.
const REMEMBERED_JOBS: usize = 10_000;
/// When a job comes a second time while the first is being sent: long enough to know how that ended.
const DUPLICATE_WAIT: Duration = Duration::from_secs(10);

pub struct JobConsumer {
    consumer: Option<Consumer>,
    desk: Rc<Desk>,
    max_in_hand: usize,
    shutdown: Shutdown,
    /// Says `true`, or goes away, when the actor has ended.
    ended: watch::Sender<bool>,
}

/// What every job needs on its way out.
pub struct Desk {
    pub renderer: Renderer,
    pub sender: Sender,
    pub from: Mailbox,
    pub clock: Clock,
    pub metrics: MailMetrics,
    recent: RefCell<RecentJobs>,
}

impl Desk {
    pub fn new(
        renderer: Renderer,
        sender: Sender,
        from: Mailbox,
        clock: Clock,
        metrics: MailMetrics,
    ) -> Self {
        Self {
            renderer,
            sender,
            from,
            clock,
            metrics,
            recent: RefCell::new(RecentJobs::new(REMEMBERED_JOBS)),
        }
    }
}

impl JobConsumer {
    /// Starts taking jobs. The receiver tells when the actor has ended.
    pub fn start_with(
        consumer: Consumer,
        desk: Desk,
        max_in_hand: usize,
        shutdown: Shutdown,
    ) -> watch::Receiver<bool> {
        let (ended, has_ended) = watch::channel(false);
        let actor = Self {
            consumer: Some(consumer),
            desk: Rc::new(desk),
            max_in_hand,
            shutdown,
            ended,
        };
        actor.start();
        has_ended
    }
}

impl Actor for JobConsumer {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        let Some(consumer) = self.consumer.take() else {
            return ctx.stop();
        };
        let work = take_jobs(
            consumer,
            self.desk.clone(),
            self.max_in_hand,
            self.shutdown.clone(),
        );
        ctx.spawn(work.into_actor(self).map(|(), _, ctx| ctx.stop()));
    }

    fn stopped(&mut self, _: &mut Self::Context) {
        self.ended.send_replace(true);
    }
}

async fn take_jobs(mut consumer: Consumer, desk: Rc<Desk>, max_in_hand: usize, mut shutdown: Shutdown) {
    let in_hand = Arc::new(Semaphore::new(max_in_hand));
    loop {
        let Ok(permit) = in_hand.clone().acquire_owned().await else {
            break;
        };
        let delivery = tokio::select! {
            biased;
            () = shutdown.requested() => break,
            delivery = consumer.next() => delivery,
        };
        let Some(delivery) = delivery else {
            log::info!("the queue of mail jobs has ended");
            break;
        };
        let desk = desk.clone();
        // A task of its own, so that a panic ends this job and not the consumer.
        actix::spawn(async move {
            handle(&desk, delivery).await;
            drop(permit);
        });
    }
    // Every job in hand holds a permit.
    let all = u32::try_from(max_in_hand).unwrap_or(u32::MAX);
    let _ = in_hand.acquire_many(all).await;
    consumer.close().await;
}

async fn handle(desk: &Desk, delivery: Delivery) {
    let begun = Instant::now();
    let failed_attempts = delivery.message().failed_attempts;
    let job = match EmailJob::from_json(&delivery.message().body) {
        Ok(job) => job,
        Err(error) => {
            let reason = error.to_string();
            let job_id = delivery.message().job_id.clone();
            log::warn!(job_id, reason; "mail job dead-lettered: it cannot be read");
            desk.metrics.dead.increment();
            return delivery.dead_letter(reason).await;
        }
    };
    if let Err(error) = message::check(&job) {
        desk.metrics.dead.increment();
        return dead_letter(&job, failed_attempts, delivery, error.to_string()).await;
    }
    let known = desk.recent.borrow_mut().begin(&job.job_id);
    match known {
        Known::New => {}
        Known::Sent => {
            log::info!(job_id = job.job_id, request_id = job.request_id; "mail job came again and was dropped: its mail is sent");
            return delivery.ack().await;
        }
        Known::InHand => {
            return delivery
                .retry(
                    DUPLICATE_WAIT,
                    "another delivery of this job is in hand".to_owned(),
                )
                .await;
        }
    }

    let mut in_hand = InHand {
        desk,
        job_id: &job.job_id,
        was_sent: false,
    };
    let outcome = send(desk, &job).await;
    in_hand.was_sent = outcome.is_ok();
    drop(in_hand);

    match outcome {
        Ok(()) => {
            log::info!(
                job_id = job.job_id, request_id = job.request_id, mail = job.mail.template(),
                attempt = u64::from(failed_attempts) + 1,
                duration_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
                "mail sent"
            );
            desk.metrics.sent.increment();
            desk.metrics.duration.observe(begun.elapsed());
            delivery.ack().await;
        }
        Err(NotSent::Dead(reason)) => {
            desk.metrics.dead.increment();
            dead_letter(&job, failed_attempts, delivery, reason).await;
        }
        Err(NotSent::Later(error)) => retry_later(desk, &job, failed_attempts, delivery, &error).await,
    }
}

/// Ends what `begin` began, also when sending panics.
struct InHand<'a> {
    desk: &'a Desk,
    job_id: &'a str,
    was_sent: bool,
}

impl Drop for InHand<'_> {
    fn drop(&mut self) {
        self.desk.recent.borrow_mut().finish(self.job_id, self.was_sent);
    }
}

enum NotSent {
    Dead(String),
    Later(SendError),
}

async fn send(desk: &Desk, job: &EmailJob) -> Result<(), NotSent> {
    if link_life(desk, job).is_zero() {
        return Err(NotSent::Dead(
            "its link has expired before it could be sent".to_owned(),
        ));
    }
    let not_built = |error: Undeliverable| NotSent::Dead(error.to_string());
    let rendered = desk
        .renderer
        .render(&job.mail)
        .map_err(|error| NotSent::Dead(error.to_string()))?;
    let mail = message::compose(job, rendered, &desk.from, desk.clock.now_ms()).map_err(not_built)?;
    desk.sender.send(mail).await.map_err(|error| match error {
        SendError::Refused(reason) => NotSent::Dead(reason),
        error => NotSent::Later(error),
    })
}

async fn retry_later(
    desk: &Desk,
    job: &EmailJob,
    failed_attempts: u32,
    delivery: Delivery,
    error: &SendError,
) {
    let age = since(job.created_at_ms, desk.clock.now_ms());
    let chance = random::below(u64::MAX);
    match retry::after_failure(failed_attempts, age, link_life(desk, job), chance) {
        Next::Again { after } => {
            desk.metrics.retried.increment();
            let level = match error {
                SendError::Misconfigured(_) => log::Level::Error,
                SendError::Later(_) | SendError::Refused(_) => log::Level::Warn,
            };
            log::log!(
                level,
                job_id = job.job_id, request_id = job.request_id, mail = job.mail.template(),
                attempt = u64::from(failed_attempts) + 1, retry_after_seconds = after.as_secs(),
                reason = error.to_string();
                "mail not sent, will be tried again"
            );
            delivery.retry(after, error.to_string()).await;
        }
        Next::GiveUp { because } => {
            desk.metrics.dead.increment();
            dead_letter(job, failed_attempts, delivery, format!("{because}: {error}")).await;
        }
    }
}

async fn dead_letter(job: &EmailJob, failed_attempts: u32, delivery: Delivery, reason: String) {
    log::warn!(
        job_id = job.job_id, request_id = job.request_id, mail = job.mail.template(),
        attempt = u64::from(failed_attempts) + 1, reason;
        "mail job dead-lettered"
    );
    delivery.dead_letter(reason).await;
}

/// For how long a mail without a one-time link is tried.
const NOTICE_SECONDS: u64 = 3 * 86_400;

/// What is left of the life of the job's link. A notice is worth reading for three days.
fn link_life(desk: &Desk, job: &EmailJob) -> Duration {
    let life = Duration::from_secs(job.mail.facts().valid_seconds.unwrap_or(NOTICE_SECONDS));
    life.saturating_sub(since(job.created_at_ms, desk.clock.now_ms()))
}

fn since(earlier_ms: i64, now_ms: i64) -> Duration {
    Duration::from_millis(u64::try_from(now_ms.saturating_sub(earlier_ms)).unwrap_or(0))
}
