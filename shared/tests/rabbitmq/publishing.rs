//! Publishing: confirmed or refused, never in doubt for long.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use lapin::options::{BasicGetOptions, QueueDeleteOptions};
use shared::queue::rabbitmq;
use shared::queue::{PublishError, Publisher};

use crate::broker::{Broker, message, publish_patiently};
use crate::proxy::Proxy;

fn is_unavailable(outcome: &Result<(), PublishError>) -> bool {
    matches!(outcome, Err(PublishError::Unavailable(_)))
}

#[tokio::test]
async fn a_published_job_is_persistent_and_bears_its_id() {
    let Some(broker) = Broker::corner("a_published_job_is_persistent_and_bears_its_id").await else {
        return;
    };
    let publisher = Publisher::RabbitMq(broker.publisher());
    publisher.publish(message("0f")).await.unwrap();
    assert_eq!(publisher.status(), Ok(()));
    let jobs = broker.options.topology.jobs.as_str();
    let got = broker
        .channel
        .basic_get(jobs.into(), BasicGetOptions::default())
        .await;
    let delivery = got.unwrap().unwrap().delivery;
    let properties = &delivery.properties;
    assert_eq!(properties.message_id().as_ref().unwrap().as_str(), "0f");
    assert_eq!(properties.delivery_mode(), &Some(2));
    assert_eq!(
        properties.content_type().as_ref().unwrap().as_str(),
        "application/json"
    );
    assert_eq!(properties.app_id().as_ref().unwrap().as_str(), "gatehouse");
    assert!(properties.timestamp().is_some());
    assert_eq!(delivery.data, message("0f").body);
    publisher.close().await;
    assert!(is_unavailable(&publisher.publish(message("1f")).await));
    broker.clean_up().await;
}

#[tokio::test]
async fn many_jobs_are_in_flight_at_once() {
    let Some(broker) = Broker::corner("many_jobs_are_in_flight_at_once").await else {
        return;
    };
    let publisher = Publisher::RabbitMq(broker.publisher());
    let jobs = (0..3000).map(|number| publisher.publish(message(&format!("{number:032x}"))));
    for outcome in join_all(jobs).await {
        outcome.unwrap();
    }
    broker.until_depth(&broker.options.topology.jobs, 3000).await;
    publisher.close().await;
    broker.clean_up().await;
}

#[tokio::test]
async fn a_job_without_a_queue_is_refused_and_the_queue_comes_back() {
    let Some(broker) = Broker::corner("a_job_without_a_queue_is_refused_and_the_queue_comes_back").await
    else {
        return;
    };
    let publisher = Publisher::RabbitMq(broker.publisher());
    publisher.publish(message("0f")).await.unwrap();
    let jobs = broker.options.topology.jobs.as_str();
    let delete = broker
        .channel
        .queue_delete(jobs.into(), QueueDeleteOptions::default());
    delete.await.unwrap();
    let outcomes = join_all((0..50).map(|number| publisher.publish(message(&format!("{number:02x}"))))).await;
    assert!(outcomes.iter().all(is_unavailable), "{outcomes:?}");
    publish_patiently(&publisher, "after").await;
    broker.until_depth(jobs, 1).await;
    publisher.close().await;
    broker.clean_up().await;
}

#[tokio::test]
async fn a_frozen_broker_is_left_at_the_deadline_and_found_again() {
    let Some(broker) = Broker::corner("a_frozen_broker_is_left_at_the_deadline_and_found_again").await else {
        return;
    };
    let proxy = Proxy::before(&broker.url).await;
    let publisher = rabbitmq::publisher_with(&broker.url_at(proxy.address), &broker.options).unwrap();
    let publisher = Publisher::RabbitMq(publisher);
    publisher.publish(message("before")).await.unwrap();
    proxy.freeze();
    let begun = Instant::now();
    let outcomes = join_all((0..20).map(|number| publisher.publish(message(&format!("{number}"))))).await;
    assert!(outcomes.iter().all(is_unavailable), "{outcomes:?}");
    assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());

    let begun = Instant::now();
    assert!(is_unavailable(&publisher.publish(message("meanwhile")).await));
    assert!(begun.elapsed() < Duration::from_millis(100), "it fails at once");
    proxy.forward();
    publish_patiently(&publisher, "after").await;
    publisher.close().await;
    broker.clean_up().await;
}

#[tokio::test]
async fn cut_connections_are_made_again_and_every_job_arrives() {
    let Some(broker) = Broker::corner("cut_connections_are_made_again_and_every_job_arrives").await else {
        return;
    };
    let proxy = Proxy::before(&broker.url).await;
    let publisher = rabbitmq::publisher_with(&broker.url_at(proxy.address), &broker.options).unwrap();
    let publisher = Publisher::RabbitMq(publisher);
    let cutting = async {
        for _ in 0..4 {
            tokio::time::sleep(Duration::from_millis(400)).await;
            proxy.cut_for(Duration::from_millis(200)).await;
        }
    };
    let publishing = async {
        for round in 0..20 {
            let ids: Vec<String> = (0..20).map(|number| format!("{round}-{number}")).collect();
            join_all(ids.iter().map(|id| publish_patiently(&publisher, id))).await;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::join!(cutting, publishing);
    assert!(broker.depth(&broker.options.topology.jobs).await >= 400);
    publisher.close().await;
    broker.clean_up().await;
}

#[tokio::test]
async fn closing_waits_for_the_confirms_of_what_it_has_taken() {
    let Some(broker) = Broker::corner("closing_waits_for_the_confirms_of_what_it_has_taken").await else {
        return;
    };
    let publisher = Publisher::RabbitMq(broker.publisher());
    publisher.publish(message("first")).await.unwrap();
    let publishing = join_all((0..500).map(|number| publisher.publish(message(&format!("{number}")))));
    let closing = async {
        tokio::time::sleep(Duration::from_millis(1)).await;
        publisher.close().await;
    };
    let (outcomes, ()) = tokio::join!(publishing, closing);
    let confirmed = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
    assert!(confirmed > 0);
    // Nothing is in doubt: what was not confirmed was not sent.
    let sent = u32::try_from(confirmed).unwrap() + 1;
    broker.until_depth(&broker.options.topology.jobs, sent).await;
    broker.clean_up().await;
}
