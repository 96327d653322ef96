//! The transport of separate processes: quorum queues of RabbitMQ 3.10 to 4.x. Names and arguments: `topology.rs`.
//!
//! Constructors check the URL and start a task; they never wait for the broker. A broker that is away, or that refuses, is
//! said once in the log and asked again with growing pauses: it delays nothing but mails.

mod connection;
mod consumer;
pub mod dead_letters;
mod keeper;
mod outcome_consumer;
mod outcome_sender;
mod properties;
mod publisher;
mod subscription;
mod url;

use std::time::Duration;

pub use connection::ConnectError;
pub use consumer::{Consumer, ConsumerStatus, Delivery};
pub use outcome_consumer::OutcomeConsumer;
pub use publisher::Publisher;
pub use subscription::Acker;
pub use url::{BrokerUrl, UrlError};

use super::topology::Topology;
use crate::secret::Secret;
use subscription::Subscription;

/// What tests set otherwise than production.
#[derive(Clone, Debug)]
pub struct Options {
    pub topology: Topology,
    /// A broker that confirms nothing for this long is taken for dead, and its connection is made anew. A frozen one still
    /// accepts connections and takes what is sent.
    pub confirm_limit: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            topology: Topology::default(),
            confirm_limit: Duration::from_secs(10),
        }
    }
}

/// The publishing half for mail jobs. Keep the inner [`Publisher`] (it is cheap to clone) to ask for its `status()` and to
/// `close()` it.
///
/// # Errors
/// When the URL names no broker.
pub fn publisher(url: &Secret<String>) -> Result<Publisher, UrlError> {
    publisher_with(url, &Options::default())
}

/// # Errors
/// When the URL names no broker.
pub fn publisher_with(url: &Secret<String>, options: &Options) -> Result<Publisher, UrlError> {
    Ok(Publisher::start(BrokerUrl::parse(url)?, "mail jobs", options))
}

/// The consuming half for mail jobs: at most `prefetch` of them are in its hands.
///
/// # Errors
/// When the URL names no broker.
pub fn consumer(url: &Secret<String>, prefetch: u16) -> Result<Consumer, UrlError> {
    consumer_with(url, prefetch, &Options::default())
}

/// # Errors
/// When the URL names no broker.
pub fn consumer_with(url: &Secret<String>, prefetch: u16, options: &Options) -> Result<Consumer, UrlError> {
    Ok(Consumer::start(BrokerUrl::parse(url)?, prefetch, options))
}

/// The reading half for outcomes.
///
/// # Errors
/// When the URL names no broker.
pub fn outcome_consumer(url: &Secret<String>, prefetch: u16) -> Result<super::OutcomeConsumer, UrlError> {
    outcome_consumer_with(url, prefetch, &Options::default())
}

/// # Errors
/// When the URL names no broker.
pub fn outcome_consumer_with(
    url: &Secret<String>,
    prefetch: u16,
    options: &Options,
) -> Result<super::OutcomeConsumer, UrlError> {
    let queue = options.topology.outcomes.clone();
    let subscription = Subscription::start(BrokerUrl::parse(url)?, "mail outcomes", queue, prefetch, options);
    Ok(super::OutcomeConsumer::RabbitMq(OutcomeConsumer(subscription)))
}
