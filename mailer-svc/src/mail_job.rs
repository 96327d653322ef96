//! One mail job from its delivery to its end: acknowledged, tried again later, or dead-lettered.

use std::cell::RefCell;
use std::time::{Duration, Instant};

use lettre::message::Mailbox;
use shared::clock::Clock;
use shared::email_job::EmailJob;
use shared::logging::{self, LogContext};
use shared::queue::Delivery;
use shared::random;

use crate::metrics::MailMetrics;
use crate::outgoing_mail::{self, Undeliverable};
use crate::recent_jobs::{Known, RecentJobs};
use crate::render::Renderer;
use crate::retry::{self, Next};
use crate::send_error::SendError;
use crate::sender::Sender;

/// Ids of sent jobs that are remembered. A broker repeats what was not acknowledged within minutes, not days.
const REMEMBERED_JOBS: usize = 10_000;
/// When a job comes a second time while the first is being sent: long enough to know how that ended.
const DUPLICATE_WAIT: Duration = Duration::from_secs(10);

/// What every job needs on its way out.
pub struct JobContext {
    pub renderer: Renderer,
    pub sender: Sender,
    pub from: Mailbox,
    pub clock: Clock,
    pub metrics: MailMetrics,
    recent: RefCell<RecentJobs>,
}

impl JobContext {
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

/// Brings a delivery to its end.
pub async fn work(context: &JobContext, delivery: Delivery) {
    let job = match EmailJob::from_json(&delivery.message().body) {
        Ok(job) => job,
        Err(error) => {
            let reason = error.to_string();
            let job_id = delivery.message().job_id.clone();
            log::error!(job_id, reason; "mail job dead-lettered: it cannot be read");
            context.metrics.dead.increment();
            return delivery.dead_letter(reason).await;
        }
    };
    let ids = LogContext::of_job(&job.job_id, &job.request_id);
    logging::with_context(ids, work_on(context, &job, delivery)).await;
}

async fn work_on(context: &JobContext, job: &EmailJob, delivery: Delivery) {
    let begun = Instant::now();
    let failed_attempts = delivery.message().failed_attempts;
    if let Err(error) = outgoing_mail::check(job) {
        return dead_letter(context, job, delivery, error.to_string()).await;
    }
    let known = context.recent.borrow_mut().begin(&job.job_id);
    match known {
        Known::New => {}
        Known::Sent => {
            log::info!("mail job came again and was dropped: its mail is sent");
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
        context,
        job_id: &job.job_id,
        was_sent: false,
    };
    let outcome = send(context, job).await;
    in_hand.was_sent = outcome.is_ok();
    drop(in_hand);

    match outcome {
        Ok(()) => {
            log::info!(
                mail = job.mail.template(),
                attempt = u64::from(failed_attempts) + 1,
                duration_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
                "mail sent"
            );
            context.metrics.sent.increment();
            context.metrics.duration.observe(begun.elapsed());
            delivery.ack().await;
        }
        Err(NotSent::Dead(reason)) => dead_letter(context, job, delivery, reason).await,
        Err(NotSent::Later(error)) => retry_later(context, job, delivery, &error).await,
    }
}

/// Ends what `begin` began, also when sending panics.
struct InHand<'a> {
    context: &'a JobContext,
    job_id: &'a str,
    was_sent: bool,
}

impl Drop for InHand<'_> {
    fn drop(&mut self) {
        self.context
            .recent
            .borrow_mut()
            .finish(self.job_id, self.was_sent);
    }
}

enum NotSent {
    Dead(String),
    Later(SendError),
}

async fn send(context: &JobContext, job: &EmailJob) -> Result<(), NotSent> {
    if link_life(context, job).is_zero() {
        return Err(NotSent::Dead(
            "its link has expired before it could be sent".to_owned(),
        ));
    }
    let not_built = |error: Undeliverable| NotSent::Dead(error.to_string());
    let rendered = context
        .renderer
        .render(&job.mail)
        .map_err(|error| NotSent::Dead(error.to_string()))?;
    let mail =
        outgoing_mail::compose(job, rendered, &context.from, context.clock.now_ms()).map_err(not_built)?;
    context.sender.send(mail).await.map_err(|error| match error {
        SendError::Rejected(reason) => NotSent::Dead(reason),
        error => NotSent::Later(error),
    })
}

async fn retry_later(context: &JobContext, job: &EmailJob, delivery: Delivery, error: &SendError) {
    let failed_attempts = delivery.message().failed_attempts;
    let age = since(job.created_at_ms, context.clock.now_ms());
    let chance = random::below(u64::MAX);
    match retry::after_failure(failed_attempts, age, link_life(context, job), chance) {
        Next::Again { after } => {
            context.metrics.retried.increment();
            let level = match error {
                SendError::Misconfigured(_) => log::Level::Error,
                SendError::Later(_) | SendError::Rejected(_) => log::Level::Warn,
            };
            log::log!(
                level,
                mail = job.mail.template(),
                attempt = u64::from(failed_attempts) + 1, retry_after_seconds = after.as_secs(),
                reason = error.to_string();
                "mail not sent, will be tried again"
            );
            delivery.retry(after, error.to_string()).await;
        }
        Next::GiveUp { because } => {
            dead_letter(context, job, delivery, format!("{because}: {error}")).await;
        }
    }
}

async fn dead_letter(context: &JobContext, job: &EmailJob, delivery: Delivery, reason: String) {
    context.metrics.dead.increment();
    log::error!(
        mail = job.mail.template(), attempt = u64::from(delivery.message().failed_attempts) + 1, reason;
        "mail job dead-lettered"
    );
    delivery.dead_letter(reason).await;
}

/// For how long a mail without a one-time link is tried.
const NOTICE_SECONDS: u64 = 3 * 86_400;

/// What is left of the life of the job's link. A notice is worth reading for three days.
fn link_life(context: &JobContext, job: &EmailJob) -> Duration {
    let life = Duration::from_secs(job.mail.arguments().valid_seconds.unwrap_or(NOTICE_SECONDS));
    life.saturating_sub(since(job.created_at_ms, context.clock.now_ms()))
}

fn since(earlier_ms: i64, now_ms: i64) -> Duration {
    Duration::from_millis(u64::try_from(now_ms.saturating_sub(earlier_ms)).unwrap_or(0))
}
