//! What exists on the broker: the only place where exchange and queues are spelled. Every service declares all of it
//! when it connects, which changes nothing when it is there already.
//!
//! ```text
//! publisher ──> mail (exchange) ──> mail.jobs ──> mailer-svc ──> mail.outcomes ──> identity-svc
//!                                       ^             ├──> mail.retry.10s, .1m, .10m, .1h (back to mail.jobs by themselves)
//!                                       └─────────────┘└─> mail.dead (for the operator)
//! ```
//!
//! All names begin with `mail`, so that a user of the broker needs no other permission than `^mail(\..*)?$` for
//! configure, write and read.

use std::time::Duration;

use lapin::options::{ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Channel, ErrorKind, ExchangeKind};

/// Delivery attempts after which the broker itself would give up. RabbitMQ 4 has 20, which a mailer that is killed
/// twenty times would reach; 3.10 has none and knows no word for "none" (-1 is refused). So: a number nobody reaches.
const DELIVERY_LIMIT: i32 = 1_000_000;
/// Outcomes are news: when nobody reads them the oldest go, so that they cannot fill a disk.
const OUTCOMES_KEPT: i32 = 100_000;
const OUTCOMES_AGE: Duration = Duration::from_secs(3 * 24 * 3600);

/// The names. [`Topology::default`] is what production uses; tests take others, so that they do not meet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topology {
    pub exchange: String,
    pub jobs: String,
    /// Shortest first.
    pub retries: Vec<RetryQueue>,
    pub dead: String,
    pub outcomes: String,
}

/// A queue where jobs wait for a fixed time, and then go back to `mail.jobs`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetryQueue {
    pub name: String,
    pub delay: Duration,
}

impl Default for Topology {
    fn default() -> Self {
        Self::named("mail", &[10, 60, 600, 3600].map(Duration::from_secs))
    }
}

/// Why the topology could not be declared.
#[derive(Debug, thiserror::Error)]
pub enum DeclareError {
    /// The broker has something of that name that is not what we need.
    #[error(
        "{what} exists with other arguments than Gatehouse declares ({detail}); \
         empty it, delete it, and it will be declared again"
    )]
    Different { what: String, detail: String },
    #[error("may not declare {what}: {detail}; the user needs configure, write and read on ^mail(\\..*)?$")]
    AccessRefused { what: String, detail: String },
    #[error("cannot declare {what}: {source}")]
    Failed { what: String, source: lapin::Error },
}

impl Topology {
    /// All names begin with `prefix`.
    pub fn named(prefix: &str, delays: &[Duration]) -> Self {
        let retry_queue = |delay: &Duration| RetryQueue {
            name: format!("{prefix}.retry.{}", short(*delay)),
            delay: *delay,
        };
        Self {
            exchange: prefix.to_owned(),
            jobs: format!("{prefix}.jobs"),
            retries: delays.iter().map(retry_queue).collect(),
            dead: format!("{prefix}.dead"),
            outcomes: format!("{prefix}.outcomes"),
        }
    }

    /// The retry queue whose delay is nearest to `after`.
    pub fn retry_queue(&self, after: Duration) -> Option<&RetryQueue> {
        self.retries
            .iter()
            .min_by_key(|queue| queue.delay.abs_diff(after))
    }

    /// Every queue with its arguments.
    pub fn queues(&self) -> Vec<(&str, FieldTable)> {
        let mut queues = vec![
            (self.jobs.as_str(), safe_queue()),
            (self.dead.as_str(), safe_queue()),
            (self.outcomes.as_str(), outcomes_queue()),
        ];
        for queue in &self.retries {
            queues.push((queue.name.as_str(), self.retry_arguments(queue.delay)));
        }
        queues
    }

    /// `at-least-once`: a job leaves the retry queue only when `mail.jobs` has it, whatever dies in between. It needs
    /// `reject-publish`, which is what we want anyway: a full queue refuses, and does not drop its oldest.
    fn retry_arguments(&self, delay: Duration) -> FieldTable {
        let mut arguments = safe_queue();
        arguments.insert(
            "x-message-ttl".into(),
            AMQPValue::LongLongInt(crate::clock::to_ms(delay)),
        );
        arguments.insert("x-dead-letter-exchange".into(), text(&self.exchange));
        arguments.insert("x-dead-letter-routing-key".into(), text(&self.jobs));
        arguments.insert("x-dead-letter-strategy".into(), text("at-least-once"));
        arguments
    }

    /// Declares everything. A channel on which this failed is closed.
    ///
    /// # Errors
    /// See [`DeclareError`].
    pub async fn declare(&self, channel: &Channel) -> Result<(), DeclareError> {
        let exchange_options = ExchangeDeclareOptions {
            durable: true,
            ..ExchangeDeclareOptions::default()
        };
        channel
            .exchange_declare(
                self.exchange.as_str().into(),
                ExchangeKind::Direct,
                exchange_options,
                FieldTable::default(),
            )
            .await
            .map_err(|source| not_declared(format!("exchange {}", self.exchange), source))?;
        for (name, arguments) in self.queues() {
            channel
                .queue_declare(name.into(), QueueDeclareOptions::durable(), arguments)
                .await
                .map_err(|source| not_declared(format!("queue {name}"), source))?;
            channel
                .queue_bind(
                    name.into(),
                    self.exchange.as_str().into(),
                    name.into(),
                    QueueBindOptions::default(),
                    FieldTable::default(),
                )
                .await
                .map_err(|source| not_declared(format!("queue {name}"), source))?;
        }
        Ok(())
    }
}

/// A queue on several nodes' disks, where there are several, that never drops what it holds.
fn safe_queue() -> FieldTable {
    let mut arguments = quorum();
    arguments.insert("x-overflow".into(), text("reject-publish"));
    arguments
}

fn outcomes_queue() -> FieldTable {
    let mut arguments = quorum();
    let age = AMQPValue::LongLongInt(crate::clock::to_ms(OUTCOMES_AGE));
    arguments.insert("x-message-ttl".into(), age);
    arguments.insert("x-max-length".into(), AMQPValue::LongInt(OUTCOMES_KEPT));
    arguments.insert("x-overflow".into(), text("drop-head"));
    arguments
}

fn quorum() -> FieldTable {
    let mut arguments = FieldTable::default();
    arguments.insert("x-queue-type".into(), text("quorum"));
    arguments.insert("x-delivery-limit".into(), AMQPValue::LongInt(DELIVERY_LIMIT));
    arguments
}

fn text(value: &str) -> AMQPValue {
    AMQPValue::LongString(value.into())
}

fn not_declared(what: String, source: lapin::Error) -> DeclareError {
    /// AMQP reply codes. Source: AMQP 0-9-1 specification, section 1.2.
    const ACCESS_REFUSED: u16 = 403;
    const PRECONDITION_FAILED: u16 = 406;
    let ErrorKind::ProtocolError(error) = source.kind() else {
        return DeclareError::Failed { what, source };
    };
    let detail = error.get_message().to_string();
    match error.get_id() {
        PRECONDITION_FAILED => DeclareError::Different { what, detail },
        ACCESS_REFUSED => DeclareError::AccessRefused { what, detail },
        _ => DeclareError::Failed { what, source },
    }
}

/// `10s`, `1m`, `1h`; `250ms` in tests.
fn short(duration: Duration) -> String {
    let ms = duration.as_millis();
    let units = [(3_600_000, "h"), (60_000, "m"), (1000, "s")];
    let whole = units
        .iter()
        .find(|(unit, _)| ms >= *unit && ms.is_multiple_of(*unit));
    match whole {
        Some((unit, name)) => format!("{}{name}", ms / unit),
        None => format!("{ms}ms"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_are_those_that_operators_know() {
        let topology = Topology::default();
        let names: Vec<&str> = topology.queues().into_iter().map(|(name, _)| name).collect();
        let expected = [
            "mail.jobs",
            "mail.dead",
            "mail.outcomes",
            "mail.retry.10s",
            "mail.retry.1m",
            "mail.retry.10m",
            "mail.retry.1h",
        ];
        assert_eq!(
            (topology.exchange.as_str(), names.as_slice()),
            ("mail", expected.as_slice())
        );
    }

    #[test]
    fn a_wait_goes_to_the_nearest_delay() {
        let topology = Topology::default();
        for (seconds, name) in [
            (0, "10s"),
            (12, "10s"),
            (48, "1m"),
            (72, "1m"),
            (480, "10m"),
            (720, "10m"),
            (2880, "1h"),
            (4320, "1h"),
            (90_000, "1h"),
        ] {
            let queue = topology.retry_queue(Duration::from_secs(seconds)).unwrap();
            assert_eq!(queue.name, format!("mail.retry.{name}"), "{seconds}");
        }
    }
}
