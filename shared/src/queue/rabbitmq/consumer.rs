//! The consuming half for mail jobs: deliveries of `mail.jobs`, and their three ends.
//!
//! Nothing leaves the queue before its next place is confirmed: a retry or a dead letter is published, with confirm, and only
//! then is the delivery acknowledged. A crash in between doubles a job, which its id makes harmless, and loses none.

use std::sync::Arc;
use std::time::Duration;

use lapin::BasicProperties;
use tokio::sync::watch;

use super::Options;
use super::keeper::LinkState;
use super::outcome_sender::OutcomeSender;
use super::properties::{self, History};
use super::publisher::{Outgoing, Publisher, describe};
use super::subscription::{Acker, Received, Subscription};
use super::url::BrokerUrl;
use crate::clock::{Clock, to_ms};
use crate::mail_outcome::MailResult;
use crate::queue::topology::Topology;
use crate::queue::{Message, PublishError};

/// A job that ends its mailer this often, or hangs it past the broker's acknowledgement timeout, is poison. Killed mailers and
/// restarted brokers count too, hence not a small number.
const DELIVERIES_MAX: i64 = 100;
/// Before a delivery is given back that could neither be retried nor dead-lettered: the broker is in trouble.
const TROUBLE_PAUSE: Duration = Duration::from_secs(10);

/// Reads `mail.jobs`. Has two connections: the broker stops reading from one that publishes when it is short of memory, and
/// acknowledgements must not wait for that.
#[derive(Debug)]
pub struct Consumer {
    subscription: Subscription,
    context: Arc<DeliveryContext>,
}

/// What every delivery needs for its end.
#[derive(Debug)]
struct DeliveryContext {
    publisher: Publisher,
    outcomes: OutcomeSender,
    topology: Topology,
    trouble_pause: Duration,
}

/// Whether mail jobs can be taken and sent on their way; to be asked by readiness.
#[derive(Clone, Debug)]
pub struct ConsumerStatus {
    subscription: watch::Receiver<LinkState>,
    publisher: Publisher,
}

impl ConsumerStatus {
    /// # Errors
    /// Why not; one sentence.
    pub fn check(&self) -> Result<(), String> {
        describe(&self.subscription)?;
        self.publisher.status()
    }

    pub fn is_connected(&self) -> bool {
        self.check().is_ok()
    }
}

impl Consumer {
    pub(super) fn start(url: BrokerUrl, prefetch: u16, options: &Options) -> Self {
        let publisher = Publisher::start(url.clone(), "retries and dead letters", options);
        let queue = options.topology.jobs.clone();
        let subscription = Subscription::start(url, "mail jobs", queue, prefetch, options);
        let outcomes = OutcomeSender::start(publisher.clone(), options.topology.outcomes.clone());
        let context = DeliveryContext {
            publisher,
            outcomes,
            topology: options.topology.clone(),
            trouble_pause: TROUBLE_PAUSE.min(options.confirm_limit),
        };
        Self {
            subscription,
            context: Arc::new(context),
        }
    }

    pub fn status(&self) -> ConsumerStatus {
        ConsumerStatus {
            subscription: self.subscription.states(),
            publisher: self.context.publisher.clone(),
        }
    }

    pub(in crate::queue) async fn next(&mut self) -> Option<Delivery> {
        loop {
            let received = self.subscription.next().await?;
            let deliveries = properties::earlier_deliveries(&received.properties);
            let delivery = Delivery::new(received, self.context.clone());
            if deliveries < DELIVERIES_MAX {
                return Some(delivery);
            }
            let job_id = delivery.message.job_id.clone();
            log::error!(job_id; "mail job dead-lettered: it was delivered {deliveries} times and never finished");
            // A task, so that cancelling `next` does not stop it half-way.
            tokio::spawn(delivery.dead_letter(format!("delivered {deliveries} times, never finished")));
        }
    }

    /// Says good-bye: unfinished deliveries return to the queue, outcomes and retries under way are confirmed first.
    pub(in crate::queue) async fn close(self) {
        self.subscription.close().await;
        self.context.outcomes.flush().await;
        self.context.publisher.close().await;
    }
}

/// One mail job. Dropped without an end, it goes back to the queue after a moment.
#[derive(Debug)]
pub struct Delivery {
    message: Message,
    properties: BasicProperties,
    acker: Acker,
    context: Arc<DeliveryContext>,
}

impl Delivery {
    fn new(received: Received, context: Arc<DeliveryContext>) -> Self {
        let Received {
            properties,
            body,
            acker,
        } = received;
        let message = Message {
            job_id: properties::message_id(&properties),
            body,
            failed_attempts: History::read(&properties).failed_attempts,
        };
        Self {
            message,
            properties,
            acker,
            context,
        }
    }

    pub(in crate::queue) fn message(&self) -> &Message {
        &self.message
    }

    pub(in crate::queue) async fn ack(self) {
        let attempts = self.message.failed_attempts.saturating_add(1);
        self.acker.ack().await;
        self.context
            .outcomes
            .send(&self.message.job_id, attempts, MailResult::Delivered);
    }

    pub(in crate::queue) async fn retry(self, after: Duration, reason: String) {
        let Some(queue) = self.context.topology.retry_queue(after) else {
            return self.acker.give_back().await;
        };
        let history = self.history_with(&reason);
        // The queue's delay is fixed; the jitter of `after` survives as far as it is below it.
        let expiration = to_ms(after.min(queue.delay)).to_string();
        let routing_key = queue.name.clone();
        let properties = history
            .write(properties::new(&self.message.job_id))
            .with_expiration(expiration.into());
        self.move_to(routing_key, properties).await;
    }

    pub(in crate::queue) async fn dead_letter(self, reason: String) {
        let history = History {
            dead_at_ms: Some(Clock::System.now_ms()),
            ..self.history_with(&reason)
        };
        let properties = history.write(properties::new(&self.message.job_id));
        let (context, job_id) = (self.context.clone(), self.message.job_id.clone());
        let routing_key = context.topology.dead.clone();
        if self.move_to(routing_key, properties).await {
            context
                .outcomes
                .send(&job_id, history.failed_attempts, MailResult::Dead { reason });
        }
    }

    fn history_with(&self, reason: &str) -> History {
        History::read(&self.properties).failed_again(Clock::System.now_ms(), reason)
    }

    /// Publishes the job to its next place, then acknowledges it here. False when it stays here.
    async fn move_to(self, routing_key: String, properties: BasicProperties) -> bool {
        if !self.acker.is_usable() {
            log::debug!(job_id = self.message.job_id; "the connection of a delivery is gone; the broker delivers it again");
            return false;
        }
        let outgoing = Outgoing {
            routing_key,
            properties,
            body: self.message.body,
        };
        match self.context.publisher.send(outgoing).await {
            Ok(()) => {
                self.acker.ack().await;
                true
            }
            Err(
                PublishError::Unavailable(reason)
                | PublishError::Retry { reason, .. }
                | PublishError::Dead { reason },
            ) => {
                log::warn!(job_id = self.message.job_id, reason; "a mail job could not be put aside and goes back to the queue");
                tokio::time::sleep(self.context.trouble_pause).await;
                self.acker.give_back().await;
                false
            }
        }
    }
}
