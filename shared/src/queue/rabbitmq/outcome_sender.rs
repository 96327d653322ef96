//! Tells what became of mail jobs, to whom it may concern: with confirm and a few repeats, but no mail ever waits for it.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;

use super::properties;
use super::publisher::{Outgoing, Publisher};
use crate::clock::Clock;
use crate::mail_outcome::{MailOutcome, MailResult, SCHEMA};

/// Outcomes under way; beyond it they are dropped.
const UNDER_WAY_MAX: u32 = 256;
const TRIES: u32 = 5;
const PAUSE: Duration = Duration::from_secs(2);
/// How long a stop waits for outcomes.
const FLUSH_LIMIT: Duration = Duration::from_secs(5);

#[derive(Clone, Debug)]
pub struct OutcomeSender {
    publisher: Publisher,
    queue: Arc<str>,
    permits: Arc<Semaphore>,
}

impl OutcomeSender {
    pub fn start(publisher: Publisher, queue: String) -> Self {
        let permits = usize::try_from(UNDER_WAY_MAX).unwrap_or(Semaphore::MAX_PERMITS);
        Self {
            publisher,
            queue: queue.into(),
            permits: Arc::new(Semaphore::new(permits)),
        }
    }

    /// Returns at once. A job without an id has nobody who asks for it.
    pub fn send(&self, job_id: &str, attempts: u32, result: MailResult) {
        if job_id.is_empty() {
            return;
        }
        let outcome = MailOutcome {
            schema: SCHEMA,
            job_id: job_id.to_owned(),
            at_ms: Clock::System.now_ms(),
            attempts,
            result,
        };
        let (Ok(permit), Ok(body)) = (self.permits.clone().try_acquire_owned(), outcome.to_json()) else {
            log::debug!(job_id; "too many outcomes are under way; this one is not told");
            return;
        };
        let sender = self.clone();
        tokio::spawn(async move {
            sender.publish(&outcome.job_id, body).await;
            drop(permit);
        });
    }

    async fn publish(&self, job_id: &str, body: String) {
        for _ in 0..TRIES {
            let outgoing = Outgoing {
                routing_key: self.queue.as_ref().to_owned(),
                properties: properties::new(job_id),
                body: body.clone().into_bytes(),
            };
            match self.publisher.send(outgoing).await {
                Ok(()) => return,
                Err(error) => log::debug!(job_id; "the outcome of a mail job could not be told: {error}"),
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    pub async fn flush(&self) {
        // Every outcome under way holds a permit; none will come after this.
        let _ = tokio::time::timeout(FLUSH_LIMIT, self.permits.acquire_many(UNDER_WAY_MAX)).await;
    }
}
