//! The reading half of `mail.outcomes`.

use super::subscription::Subscription;
use crate::mail_outcome::MailOutcome;
use crate::queue::OutcomeDelivery;

#[derive(Debug)]
pub struct OutcomeConsumer(pub(super) Subscription);

impl OutcomeConsumer {
    pub(in crate::queue) async fn next(&mut self) -> Option<OutcomeDelivery> {
        loop {
            let received = self.0.next().await?;
            match MailOutcome::from_json(&received.body) {
                Ok(outcome) => return Some(OutcomeDelivery::rabbitmq(outcome, received.acker)),
                Err(error) => {
                    // News, not work: what cannot be read is of no use to anybody later.
                    log::warn!("a mail outcome was dropped: {error}");
                    tokio::spawn(received.acker.ack());
                }
            }
        }
    }

    /// # Errors
    /// Why outcomes cannot be read at present; one sentence.
    pub fn status(&self) -> Result<(), String> {
        self.0.status()
    }

    pub async fn close(self) {
        self.0.close().await;
    }
}
