//! How fast a backlog leaves: 20,000 jobs with 512 in flight, by the relay's `Publisher` and by bare lapin with the same
//! pipelining, in turn, on the broker of `TEST_AMQP_URL`.
//!
//! `TEST_AMQP_URL=amqp://... cargo bench -p shared --features rabbitmq --bench publish`

use std::time::Instant;

use futures_util::stream::{self, StreamExt};
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions, ExchangeDeleteOptions, QueueDeleteOptions};
use lapin::{BasicProperties, Channel, Confirmation, Connection, ConnectionProperties};
use shared::queue::rabbitmq::{self, Options};
use shared::queue::topology::Topology;
use shared::queue::{Message, Publisher};
use shared::random;
use shared::secret::Secret;

const JOBS: u32 = 20_000;
const IN_FLIGHT: usize = 512;
const ROUNDS: u32 = 3;

/// About as long as a job is.
fn body() -> Vec<u8> {
    vec![b'x'; 500]
}

#[expect(clippy::print_stdout, clippy::expect_used, reason = "a benchmark")]
#[tokio::main(flavor = "current_thread")]
async fn main() {
    let Some(url) = shared::env::Env::from_process().optional("TEST_AMQP_URL") else {
        println!("skipped, TEST_AMQP_URL is not set");
        return;
    };
    let topology = Topology::named(&format!("bench-{}", random::hex_128()), &[]);
    let options = Options {
        topology: topology.clone(),
        ..Options::default()
    };
    let publisher = rabbitmq::publisher_with(&Secret::new(url.clone()), &options).expect("a URL");
    let publisher = Publisher::RabbitMq(publisher);
    let connection = Connection::connect(&url, ConnectionProperties::default());
    let connection = connection.await.expect("a broker");
    let channel = connection.create_channel().await.expect("a channel");
    let select = channel.confirm_select(ConfirmSelectOptions::default());
    select.await.expect("confirms");
    publish(&publisher, 0).await;

    let (mut ours_total, mut bare_total) = (0.0, 0.0);
    for round in 1..=ROUNDS {
        let bare = rate(stream::iter(0..JOBS).map(|number| bare(&channel, &topology, number))).await;
        let ours = rate(stream::iter(0..JOBS).map(|number| publish(&publisher, number))).await;
        println!(
            "round {round}: bare lapin {bare:.0}/s, Publisher {ours:.0}/s, ratio {:.2}",
            ours / bare
        );
        ours_total += ours;
        bare_total += bare;
    }
    println!("ratio of all rounds: {:.2}", ours_total / bare_total);

    publisher.close().await;
    for (name, _) in topology.queues() {
        let delete = channel.queue_delete(name.into(), QueueDeleteOptions::default());
        delete.await.expect("deleted");
    }
    let delete = channel.exchange_delete(
        topology.exchange.as_str().into(),
        ExchangeDeleteOptions::default(),
    );
    delete.await.expect("deleted");
}

async fn rate<F: Future<Output = ()>>(jobs: impl stream::Stream<Item = F>) -> f64 {
    let begun = Instant::now();
    jobs.buffer_unordered(IN_FLIGHT).for_each(async |()| {}).await;
    f64::from(JOBS) / begun.elapsed().as_secs_f64()
}

#[expect(clippy::expect_used, reason = "a benchmark")]
async fn publish(publisher: &Publisher, number: u32) {
    let message = Message {
        job_id: format!("{number:032x}"),
        body: body(),
        failed_attempts: 0,
    };
    publisher.publish(message).await.expect("published");
}

#[expect(clippy::expect_used, reason = "a benchmark")]
async fn bare(channel: &Channel, topology: &Topology, number: u32) {
    let options = BasicPublishOptions {
        mandatory: true,
        immediate: false,
    };
    let properties = BasicProperties::default()
        .with_delivery_mode(2)
        .with_message_id(format!("{number:032x}").into());
    let body = body();
    let sent = channel.basic_publish(
        topology.exchange.as_str().into(),
        topology.jobs.as_str().into(),
        options,
        &body,
        properties,
    );
    let confirm = sent.await.expect("sent").await.expect("an answer");
    assert_eq!(confirm, Confirmation::Ack(None));
}
