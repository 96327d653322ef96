//! The way back: what became of mail jobs, as identity-svc reads it. In-process transports need none of it: there
//! `Publisher::publish` tells the outcome itself.

use tokio::sync::{mpsc, oneshot};

#[cfg(feature = "rabbitmq")]
use super::rabbitmq;
use crate::mail_outcome::MailOutcome;

/// The half that identity-svc holds.
#[derive(Debug)]
pub enum OutcomeConsumer {
    /// A channel in this process, for tests.
    InProcess(mpsc::Receiver<OutcomeDelivery>),
    #[cfg(feature = "rabbitmq")]
    RabbitMq(rabbitmq::OutcomeConsumer),
}

impl OutcomeConsumer {
    /// The next outcome; `None` when the transport has ended for good. Safe to cancel: nothing is lost.
    pub async fn next(&mut self) -> Option<OutcomeDelivery> {
        match self {
            Self::InProcess(receiver) => receiver.recv().await,
            #[cfg(feature = "rabbitmq")]
            Self::RabbitMq(consumer) => consumer.next().await,
        }
    }
}

/// One outcome in identity-svc's hands. Dropping it without [`OutcomeDelivery::ack`] means "again".
#[derive(Debug)]
pub struct OutcomeDelivery {
    outcome: MailOutcome,
    ends: Ends,
}

#[derive(Debug)]
enum Ends {
    InProcess(oneshot::Sender<()>),
    #[cfg(feature = "rabbitmq")]
    RabbitMq(rabbitmq::Acker),
}

impl OutcomeDelivery {
    /// For tests: an outcome, and what resolves when it is acknowledged.
    pub fn in_process(outcome: MailOutcome) -> (Self, oneshot::Receiver<()>) {
        let (acker, acknowledged) = oneshot::channel();
        let ends = Ends::InProcess(acker);
        (Self { outcome, ends }, acknowledged)
    }

    #[cfg(feature = "rabbitmq")]
    pub(super) fn rabbitmq(outcome: MailOutcome, acker: rabbitmq::Acker) -> Self {
        let ends = Ends::RabbitMq(acker);
        Self { outcome, ends }
    }

    pub fn outcome(&self) -> &MailOutcome {
        &self.outcome
    }

    /// The outcome is written down.
    #[cfg_attr(
        not(feature = "rabbitmq"),
        expect(clippy::unused_async, reason = "a broker answers, the channel does not")
    )]
    pub async fn ack(self) {
        match self.ends {
            // A test that no longer waits need not know.
            Ends::InProcess(acker) => drop(acker.send(())),
            #[cfg(feature = "rabbitmq")]
            Ends::RabbitMq(acker) => acker.ack().await,
        }
    }
}
