//! The transport of embedded mode: a bounded channel. `publish` resolves only when the consumer has acknowledged, so
//! the outbox row of a job stays until its mail is out, and a restart loses nothing.

use tokio::sync::{mpsc, oneshot};

use super::{Message, PublishError};

/// Jobs between the relay's hand and the consumer's; beyond it `publish` waits.
const CAPACITY: usize = 64;

#[derive(Clone, Debug)]
pub struct Publisher(mpsc::Sender<Delivery>);

#[derive(Debug)]
pub struct Consumer(mpsc::Receiver<Delivery>);

#[derive(Debug)]
pub struct Delivery {
    message: Message,
    outcome: oneshot::Sender<Result<(), PublishError>>,
}

/// Both halves of one in-process queue.
pub fn channel() -> (super::Publisher, super::Consumer) {
    let (sender, receiver) = mpsc::channel(CAPACITY);
    (
        super::Publisher::InProcess(Publisher(sender)),
        super::Consumer::InProcess(Consumer(receiver)),
    )
}

impl Publisher {
    pub(super) async fn publish(&self, message: Message) -> Result<(), PublishError> {
        let (outcome, acknowledged) = oneshot::channel();
        let gone = || PublishError::Unavailable("the mailer has stopped".to_owned());
        self.0
            .send(Delivery { message, outcome })
            .await
            .map_err(|_| gone())?;
        acknowledged.await.map_err(|_| gone())?
    }
}

impl Consumer {
    pub(super) async fn next(&mut self) -> Option<Delivery> {
        self.0.recv().await
    }
}

impl Delivery {
    pub(super) fn message(&self) -> &Message {
        &self.message
    }

    pub(super) fn finish(self, outcome: Result<(), PublishError>) {
        // A publisher that no longer waits keeps its outbox row and sends the job again.
        let _ = self.outcome.send(outcome);
    }
}
