//! A corner of the broker for one test.

use std::time::Duration;

use lapin::options::{QueueDeclareOptions, QueueDeleteOptions};
use lapin::types::FieldTable;
use lapin::{Channel, Connection, ConnectionProperties};
use shared::queue::rabbitmq::{self, Options};
use shared::queue::topology::Topology;
use shared::queue::{Consumer, Delivery, Message, Publisher};
use shared::random;
use shared::secret::Secret;

/// What the retry queues of tests wait.
pub const SHORT: Duration = Duration::from_millis(300);
pub const LONG: Duration = Duration::from_millis(1500);

/// Names of its own, and a bare connection to look at them.
pub struct Broker {
    pub url: String,
    pub options: Options,
    pub channel: Channel,
    _connection: Connection,
}

impl Broker {
    /// `None` when there is no broker to test against, which is printed.
    pub async fn corner(test: &str) -> Option<Self> {
        let Some(url) = shared::env::Env::from_process().optional("TEST_AMQP_URL") else {
            println!("skipped, TEST_AMQP_URL is not set: {test}");
            return None;
        };
        let connection = Connection::connect(&url, ConnectionProperties::default())
            .await
            .expect("TEST_AMQP_URL names a broker");
        let channel = connection.create_channel().await.unwrap();
        let options = Options {
            topology: Topology::named(&format!("test-{}", random::hex_128()), &[SHORT, LONG]),
            confirm_limit: Duration::from_secs(2),
        };
        Some(Self {
            url,
            options,
            channel,
            _connection: connection,
        })
    }

    pub fn secret_url(&self) -> Secret<String> {
        Secret::new(self.url.clone())
    }

    /// The same broker at another address.
    pub fn url_at(&self, address: std::net::SocketAddr) -> Secret<String> {
        let (scheme, rest) = self.url.split_once("://").unwrap();
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let user = authority
            .rsplit_once('@')
            .map_or(String::new(), |(user, _)| format!("{user}@"));
        Secret::new(format!("{scheme}://{user}{address}/{path}"))
    }

    pub fn publisher(&self) -> rabbitmq::Publisher {
        rabbitmq::publisher_with(&self.secret_url(), &self.options).unwrap()
    }

    pub fn consumer(&self, prefetch: u16) -> Consumer {
        Consumer::RabbitMq(rabbitmq::consumer_with(&self.secret_url(), prefetch, &self.options).unwrap())
    }

    pub async fn depth(&self, queue: &str) -> u32 {
        let passive = QueueDeclareOptions::durable().passive();
        let declared = self
            .channel
            .queue_declare(queue.into(), passive, FieldTable::default());
        declared.await.unwrap().message_count()
    }

    /// Waits until `queue` holds `count` messages that nobody has in hand.
    pub async fn until_depth(&self, queue: &str, count: u32) {
        for _ in 0..200 {
            if self.depth(queue).await == count {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("{queue} holds {}, not {count}", self.depth(queue).await);
    }

    pub async fn clean_up(self) {
        for (name, _) in self.options.topology.queues() {
            self.channel
                .queue_delete(name.into(), QueueDeleteOptions::default())
                .await
                .unwrap();
        }
        self.channel
            .exchange_delete(
                self.options.topology.exchange.as_str().into(),
                lapin::options::ExchangeDeleteOptions::default(),
            )
            .await
            .unwrap();
    }
}

pub fn message(job_id: &str) -> Message {
    Message {
        job_id: job_id.to_owned(),
        body: format!("{{\"job\": \"{job_id}\"}}").into_bytes(),
        failed_attempts: 0,
    }
}

/// Publishes until it works, as the relay does.
pub async fn publish_patiently(publisher: &Publisher, job_id: &str) {
    let trying = async {
        while let Err(error) = publisher.publish(message(job_id)).await {
            println!("{job_id}: {error}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), trying)
        .await
        .expect("published in time");
}

pub async fn next(consumer: &mut Consumer) -> Delivery {
    let delivery = tokio::time::timeout(Duration::from_secs(30), consumer.next()).await;
    delivery
        .expect("a delivery in time")
        .expect("the transport lives")
}
