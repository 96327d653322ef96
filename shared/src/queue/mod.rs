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
}

impl Publisher {
    /// Resolves when the job is safe: when the broker confirmed it, or the in-process consumer acknowledged it.
    ///
    /// # Errors
    /// See [`PublishError`].
    pub async fn publish(&self, message: Message) -> Result<(), PublishError> {
        match self {
            Self::InProcess(publisher) => publisher.publish(message).await,
        }
    }
}

/// The half that mailer-svc's `JobConsumer` holds.
#[derive(Debug)]
pub enum Consumer {
    InProcess(in_process::Consumer),
}

impl Consumer {
    /// The next job; `None` when the transport has ended for good (its publishers are gone).
    pub async fn next(&mut self) -> Option<Delivery> {
        match self {
            Self::InProcess(consumer) => consumer.next().await.map(Delivery::InProcess),
        }
    }
}

/// One job in the consumer's hands. Exactly one of its three ends must be called; dropping it means "again, soon".
#[derive(Debug)]
pub enum Delivery {
    InProcess(in_process::Delivery),
}

impl Delivery {
    pub fn message(&self) -> &Message {
        match self {
            Self::InProcess(delivery) => delivery.message(),
        }
    }

    /// The mail was taken by its SMTP server (or need not be sent).
    #[expect(clippy::unused_async, reason = "a broker answers, the channel does not")]
    pub async fn ack(self) {
        match self {
            Self::InProcess(delivery) => delivery.finish(Ok(())),
        }
    }

    /// Not now; deliver again after about `after`.
    #[expect(clippy::unused_async, reason = "a broker answers, the channel does not")]
    pub async fn retry(self, after: Duration, reason: String) {
        match self {
            Self::InProcess(delivery) => delivery.finish(Err(PublishError::Retry { after, reason })),
        }
    }

    /// Never; keep it for the operator, with the reason.
    #[expect(clippy::unused_async, reason = "a broker answers, the channel does not")]
    pub async fn dead_letter(self, reason: String) {
        match self {
            Self::InProcess(delivery) => delivery.finish(Err(PublishError::Dead { reason })),
        }
    }
}
