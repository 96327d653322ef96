//! The operator's view of `mail.dead`: one letter after the other, each kept, sent again or removed.

use std::time::Duration;

use lapin::options::{
    BasicAckOptions, BasicGetOptions, BasicPublishOptions, ConfirmSelectOptions, QueueDeclareOptions,
};
use lapin::types::FieldTable;
use lapin::{Channel, Confirmation};

use super::Options;
use super::connection::{ConnectError, OpenConnection};
use super::properties::{self, History};
use super::url::{BrokerUrl, UrlError};
use crate::queue::topology::Topology;
use crate::secret::Secret;

/// For each step of the conversation.
const LIMIT: Duration = Duration::from_secs(10);

/// Why dead letters cannot be worked on.
#[derive(Debug, thiserror::Error)]
pub enum DeadLetterError {
    #[error(transparent)]
    Url(#[from] UrlError),
    #[error(transparent)]
    Connect(#[from] ConnectError),
    #[error("the broker broke off: {0}")]
    Lost(#[from] lapin::Error),
    #[error("the broker does not answer within {} s", LIMIT.as_secs())]
    Silent,
    #[error("the broker did not take job {0} back; its letter stays where it is")]
    NotTaken(String),
}

/// An open view. Every letter seen stays with it, invisible to others, until it is closed; then it is back in its place.
#[derive(Debug)]
pub struct DeadLetters {
    open: OpenConnection,
    channel: Channel,
    topology: Topology,
    left: u32,
}

/// A job that was given up.
#[derive(Debug)]
pub struct DeadLetter {
    /// Empty when the message had none.
    pub job_id: String,
    pub reason: String,
    pub attempts: u32,
    /// Unix time in milliseconds.
    pub dead_at_ms: Option<i64>,
    /// An `EmailJob` as JSON, if it is one.
    pub body: Vec<u8>,
    delivery_tag: u64,
}

impl DeadLetters {
    /// # Errors
    /// See [`DeadLetterError`].
    pub async fn open(url: &Secret<String>, options: &Options) -> Result<Self, DeadLetterError> {
        let url = BrokerUrl::parse(url)?;
        let topology = options.topology.clone();
        let open = OpenConnection::connect(&url, "gatehouse: dead letters").await?;
        let channel = open.prepared_channel(&url, &topology).await?;
        in_time(channel.confirm_select(ConfirmSelectOptions::default())).await?;
        let passive = QueueDeclareOptions::durable().passive();
        let declared = channel.queue_declare(topology.dead.as_str().into(), passive, FieldTable::default());
        let left = in_time(declared).await?.message_count();
        Ok(Self {
            open,
            channel,
            topology,
            left,
        })
    }

    /// The next letter, oldest first. Ends with those that were there when the view was opened, so that a replayed job that
    /// dies again is not met twice.
    ///
    /// # Errors
    /// See [`DeadLetterError`].
    pub async fn next(&mut self) -> Result<Option<DeadLetter>, DeadLetterError> {
        if self.left == 0 {
            return Ok(None);
        }
        let get = self
            .channel
            .basic_get(self.topology.dead.as_str().into(), BasicGetOptions::default());
        let Some(message) = in_time(get).await? else {
            self.left = 0;
            return Ok(None);
        };
        self.left = self.left.saturating_sub(1);
        let delivery = message.delivery;
        let history = History::read(&delivery.properties);
        Ok(Some(DeadLetter {
            job_id: properties::message_id(&delivery.properties),
            reason: history.reason.unwrap_or_default(),
            attempts: history.failed_attempts,
            dead_at_ms: history.dead_at_ms,
            body: delivery.data,
            delivery_tag: delivery.delivery_tag,
        }))
    }

    /// Sends the job again, its attempts counted from nought, and removes the letter once the broker has confirmed the job.
    ///
    /// # Errors
    /// See [`DeadLetterError`].
    pub async fn replay(&self, letter: &DeadLetter) -> Result<(), DeadLetterError> {
        let options = BasicPublishOptions {
            mandatory: true,
            immediate: false,
        };
        let publish = async {
            let sent = self.channel.basic_publish(
                self.topology.exchange.as_str().into(),
                self.topology.jobs.as_str().into(),
                options,
                &letter.body,
                properties::new(&letter.job_id),
            );
            sent.await?.await
        };
        match in_time(publish).await? {
            Confirmation::Ack(None) => self.remove(letter).await,
            _ => Err(DeadLetterError::NotTaken(letter.job_id.clone())),
        }
    }

    /// Removes the letter for good.
    ///
    /// # Errors
    /// See [`DeadLetterError`].
    pub async fn remove(&self, letter: &DeadLetter) -> Result<(), DeadLetterError> {
        in_time(
            self.channel
                .basic_ack(letter.delivery_tag, BasicAckOptions::default()),
        )
        .await
    }

    /// Puts every letter that was neither replayed nor removed back in its place.
    pub async fn close(self) {
        // It goes back with the connection otherwise. Closing the channel waits until the broker has the removals.
        let _ = in_time(self.channel.close(200, "done".into())).await;
        self.open.close().await;
    }
}

async fn in_time<T>(step: impl Future<Output = Result<T, lapin::Error>>) -> Result<T, DeadLetterError> {
    let outcome = tokio::time::timeout(LIMIT, step).await;
    outcome
        .map_err(|_| DeadLetterError::Silent)?
        .map_err(DeadLetterError::Lost)
}
