//! What is said when the broker is away, or will not have us.

use std::time::Duration;

use lapin::options::{QueueDeclareOptions, QueueDeleteOptions};
use lapin::types::FieldTable;
use shared::queue::Publisher;
use shared::queue::rabbitmq::{self, Options};
use shared::secret::Secret;

use crate::broker::{Broker, publish_patiently};

async fn said(url: Secret<String>, options: &Options) -> String {
    let publisher = rabbitmq::publisher_with(&url, options).unwrap();
    for _ in 0..300 {
        match publisher.status() {
            Err(reason) if !reason.contains("is being made") => return reason,
            _ => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
    panic!("nothing is said");
}

#[tokio::test]
async fn a_broker_that_is_not_there_is_named() {
    let url = |text: &str| Secret::new(text.to_owned());
    let options = Options::default();
    let refused = said(url("amqp://ann:hush@127.0.0.1:1/vhost"), &options).await;
    assert_eq!(
        refused,
        "cannot reach the broker at amqp://ann@127.0.0.1:1, virtual host vhost: Connection refused (os error 111)"
    );
    let unknown = said(url("amqp://ann:hush@no-such-host.invalid/"), &options).await;
    assert!(
        unknown.starts_with("cannot reach the broker at amqp://ann@no-such-host.invalid:5672"),
        "{unknown}"
    );
    assert!(!unknown.contains("hush"));
}

#[tokio::test]
async fn what_is_no_broker_is_named() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { while listener.accept().await.is_ok() {} });
    let reason = said(Secret::new(format!("amqp://{address}")), &Options::default()).await;
    assert!(reason.contains("is it an AMQP port"), "{reason}");
    let reason = said(Secret::new(format!("amqps://{address}")), &Options::default()).await;
    assert!(
        reason.starts_with("cannot reach the broker at amqps://"),
        "{reason}"
    );
}

#[tokio::test]
async fn a_wrong_password_and_an_unknown_virtual_host_are_told_apart() {
    let Some(broker) = Broker::corner("a_wrong_password_and_an_unknown_virtual_host_are_told_apart").await
    else {
        return;
    };
    let (before, rest) = broker.url.split_once("://").unwrap();
    let (authority, _) = rest.split_once('/').unwrap_or((rest, ""));
    let (user_info, host) = authority.rsplit_once('@').unwrap_or(("guest:guest", authority));
    let user = user_info.split(':').next().unwrap();

    let wrong = Secret::new(format!("{before}://{user}:not-it@{host}/"));
    let reason = said(wrong, &broker.options).await;
    assert!(
        reason.contains("refuses user or password (ACCESS_REFUSED") && !reason.contains("not-it"),
        "{reason}"
    );
    let unknown = Secret::new(format!("{before}://{user_info}@{host}/no-such-vhost"));
    let reason = said(unknown, &broker.options).await;
    assert!(reason.contains("has no such virtual host"), "{reason}");
}

#[tokio::test]
async fn a_queue_that_was_declared_differently_is_named_and_waited_for() {
    let Some(broker) = Broker::corner("a_queue_that_was_declared_differently_is_named_and_waited_for").await
    else {
        return;
    };
    let dead = broker.options.topology.dead.as_str();
    let declare =
        broker
            .channel
            .queue_declare(dead.into(), QueueDeclareOptions::durable(), FieldTable::default());
    declare.await.unwrap();
    let publisher = broker.publisher();
    let reason = said(broker.secret_url(), &broker.options).await;
    assert!(
        reason.contains(&format!(
            "queue {dead} exists with other arguments than Gatehouse declares"
        )) && reason.contains("PRECONDITION_FAILED - inequivalent arg")
            && reason.ends_with("empty it, delete it, and it will be declared again"),
        "{reason}"
    );
    let delete = broker
        .channel
        .queue_delete(dead.into(), QueueDeleteOptions::default());
    delete.await.unwrap();
    let publisher = Publisher::RabbitMq(publisher);
    publish_patiently(&publisher, "0f").await;
    publisher.close().await;
    broker.clean_up().await;
}
