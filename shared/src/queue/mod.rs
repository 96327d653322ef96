//! The way of mail jobs from identity-svc's outbox to mailer-svc: two halves, each an enum over the transports.
//!
//! | URL | transport | retries wait in |
//! |---|---|---|
//! | `memory:` | a bounded channel in this process | the outbox |
//! | `amqp:`, `amqps:` | RabbitMQ | delay queues of the broker |

pub mod in_process;
mod outcomes;
#[cfg(feature = "rabbitmq")]
pub mod rabbitmq;
#[cfg(feature = "rabbitmq")]
pub mod topology;

pub use outcomes::{OutcomeConsumer, OutcomeDelivery};

use std::fmt;
use std::time::Duration;

/// A mail job on its way. `body` is an `EmailJob` as JSON; the transports do not look into it.
#[derive(Clone, PartialEq, Eq)]
pub struct Message {
    /// The job's id; becomes the AMQP `message_id`.
    pub job_id: String,
    pub body: Vec<u8>,
    /// How many deliveries of this job have failed before.
    pub failed_attempts: u32,
}

impl fmt::Debug for Message {
    /// Without the body, which holds a link with a one-time secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message")
            .field("job_id", &self.job_id)
            .field("failed_attempts", &self.failed_attempts)
            .finish_non_exhaustive()
    }
}

/// Why a job was not taken. The outbox keeps its row in every case but `Dead`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PublishError {
    /// The transport is away, or gave no confirm in time: it may have the job or not, so it is sent again.
    #[error("{0}")]
    Unavailable(String),
    /// The consumer could not do it now (in-process only: RabbitMQ keeps such jobs itself).
    #[error("{reason}")]
    Retry { after: Duration, reason: String },
    /// The consumer will never be able to do it (in-process only: RabbitMQ has a dead-letter queue).
    #[error("{reason}")]
    Dead { reason: String },
}

/// The half that the outbox relay holds. Cheap to clone; many publishes may be in flight at once.
#[derive(Clone, Debug)]
pub enum Publisher {
    InProcess(in_process::Publisher),
    #[cfg(feature = "rabbitmq")]
    RabbitMq(rabbitmq::Publisher),
}

impl Publisher {
    /// Resolves when the job is safe: when the broker confirmed it, or the in-process consumer acknowledged it.
    ///
    /// # Errors
    /// See [`PublishError`].
    pub async fn publish(&self, message: Message) -> Result<(), PublishError> {
        match self {
            Self::InProcess(publisher) => publisher.publish(message).await,
            #[cfg(feature = "rabbitmq")]
            Self::RabbitMq(publisher) => publisher.publish(message).await,
        }
    }

    /// Whether a job can be published now; for readiness.
    ///
    /// # Errors
    /// Why not; one sentence.
    pub fn status(&self) -> Result<(), String> {
        match self {
            Self::InProcess(_) => Ok(()),
            #[cfg(feature = "rabbitmq")]
            Self::RabbitMq(publisher) => publisher.status(),
        }
    }

    /// Waits for the confirms of what is under way, and says good-bye. To be called when nothing is published any more.
    #[cfg_attr(
        not(feature = "rabbitmq"),
        expect(clippy::unused_async, reason = "only a broker is waited for")
    )]
    pub async fn close(&self) {
        match self {
            // The consuming half ends when the last publisher is dropped.
            Self::InProcess(_) => {}
            #[cfg(feature = "rabbitmq")]
            Self::RabbitMq(publisher) => publisher.close().await,
        }
    }
}

/// A question that can be asked at any time.
pub type Status = Box<dyn Fn() -> Result<(), String> + Send + Sync>;

/// The half that mailer-svc's `JobConsumer` holds.
#[derive(Debug)]
pub enum Consumer {
    InProcess(in_process::Consumer),
    #[cfg(feature = "rabbitmq")]
    RabbitMq(rabbitmq::Consumer),
}

impl Consumer {
    /// The next job; `None` when the transport has ended for good (its publishers are gone). Safe to cancel: no job is lost.
    pub async fn next(&mut self) -> Option<Delivery> {
        match self {
            Self::InProcess(consumer) => consumer.next().await.map(Delivery::InProcess),
            #[cfg(feature = "rabbitmq")]
            Self::RabbitMq(consumer) => {
                let delivery = consumer.next().await?;
                Some(Delivery::RabbitMq(Box::new(delivery)))
            }
        }
    }

    /// What readiness asks: whether jobs can be taken now, or why not, in one sentence. Outlives the consumer.
    pub fn status(&self) -> Status {
        match self {
            Self::InProcess(_) => Box::new(|| Ok(())),
            #[cfg(feature = "rabbitmq")]
            Self::RabbitMq(consumer) => {
                let status = consumer.status();
                Box::new(move || status.check())
            }
        }
    }

    /// Takes no more jobs and says good-bye. To be called when every delivery has had its end.
    #[cfg_attr(
        not(feature = "rabbitmq"),
        expect(clippy::unused_async, reason = "only a broker is waited for")
    )]
    pub async fn close(self) {
        match self {
            Self::InProcess(_) => {}
            #[cfg(feature = "rabbitmq")]
            Self::RabbitMq(consumer) => consumer.close().await,
        }
    }
}

/// One job in the consumer's hands. Exactly one of its three ends must be called; dropping it means "again, soon".
#[derive(Debug)]
pub enum Delivery {
    InProcess(in_process::Delivery),
    #[cfg(feature = "rabbitmq")]
    RabbitMq(Box<rabbitmq::Delivery>),
}

impl Delivery {
    pub fn message(&self) -> &Message {
        match self {
            Self::InProcess(delivery) => delivery.message(),
            #[cfg(feature = "rabbitmq")]
            Self::RabbitMq(delivery) => delivery.message(),
        }
    }

    /// The mail was taken by its SMTP server (or need not be sent).
    #[cfg_attr(
        not(feature = "rabbitmq"),
        expect(clippy::unused_async, reason = "only a broker is waited for")
    )]
    pub async fn ack(self) {
        match self {
            Self::InProcess(delivery) => delivery.finish(Ok(())),
            #[cfg(feature = "rabbitmq")]
            Self::RabbitMq(delivery) => delivery.ack().await,
        }
    }

    /// Not now; deliver again after about `after`.
    #[cfg_attr(
        not(feature = "rabbitmq"),
        expect(clippy::unused_async, reason = "only a broker is waited for")
    )]
    pub async fn retry(self, after: Duration, reason: String) {
        match self {
            Self::InProcess(delivery) => delivery.finish(Err(PublishError::Retry { after, reason })),
            #[cfg(feature = "rabbitmq")]
            Self::RabbitMq(delivery) => delivery.retry(after, reason).await,
        }
    }

    /// Never; keep it for the operator, with the reason.
    #[cfg_attr(
        not(feature = "rabbitmq"),
        expect(clippy::unused_async, reason = "only a broker is waited for")
    )]
    pub async fn dead_letter(self, reason: String) {
        match self {
            Self::InProcess(delivery) => delivery.finish(Err(PublishError::Dead { reason })),
            #[cfg(feature = "rabbitmq")]
            Self::RabbitMq(delivery) => delivery.dead_letter(reason).await,
        }
    }
}
