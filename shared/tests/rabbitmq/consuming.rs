//! Consuming: every delivery has one end, whatever breaks.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use lapin::BasicProperties;
use lapin::options::{BasicPublishOptions, QueueDeleteOptions};
use shared::queue::rabbitmq;
use shared::queue::{Consumer, Publisher};

use crate::broker::{Broker, LONG, SHORT, message, next, publish_patiently};
use crate::proxy::Proxy;

#[tokio::test]
async fn an_acknowledged_job_is_gone() {
    let Some(broker) = Broker::corner("an_acknowledged_job_is_gone").await else {
        return;
    };
    let mut consumer = broker.consumer(4);
    let status = consumer.status();
    let publisher = Publisher::RabbitMq(broker.publisher());
    publish_patiently(&publisher, "0f").await;
    let delivery = next(&mut consumer).await;
    assert_eq!(delivery.message(), &message("0f"));
    delivery.ack().await;
    // It also has a connection for retries and dead letters, which may come up later than the first delivery.
    let deadline = Instant::now() + Duration::from_secs(20);
    while let Err(reason) = status() {
        assert!(Instant::now() < deadline, "{reason}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    consumer.close().await;
    assert!(status().is_err());
    assert_eq!(broker.depth(&broker.options.topology.jobs).await, 0);
    broker.clean_up().await;
}

#[tokio::test]
async fn a_job_in_the_hands_of_a_dead_consumer_comes_again() {
    let Some(broker) = Broker::corner("a_job_in_the_hands_of_a_dead_consumer_comes_again").await else {
        return;
    };
    let proxy = Proxy::before(&broker.url).await;
    let url = broker.url_at(proxy.address);
    let mut first = Consumer::RabbitMq(rabbitmq::consumer_with(&url, 4, &broker.options).unwrap());
    let publisher = Publisher::RabbitMq(broker.publisher());
    publish_patiently(&publisher, "0f").await;
    let in_hand = next(&mut first).await;
    proxy.cut();
    let mut second = broker.consumer(4);
    let again = next(&mut second).await;
    assert_eq!(again.message().job_id, "0f");
    // The end of the first changes nothing any more: its connection is gone.
    in_hand.dead_letter("too late".to_owned()).await;
    again.ack().await;
    second.close().await;
    assert_eq!(broker.depth(&broker.options.topology.dead).await, 0);
    assert_eq!(broker.depth(&broker.options.topology.jobs).await, 0);
    drop(first);
    broker.clean_up().await;
}

#[tokio::test]
async fn a_consumer_subscribes_again_after_every_cut() {
    let Some(broker) = Broker::corner("a_consumer_subscribes_again_after_every_cut").await else {
        return;
    };
    let proxy = Proxy::before(&broker.url).await;
    let url = broker.url_at(proxy.address);
    let mut consumer = Consumer::RabbitMq(rabbitmq::consumer_with(&url, 8, &broker.options).unwrap());
    let publisher = Publisher::RabbitMq(broker.publisher());
    let expected: HashSet<String> = (0..100).map(|number| format!("{number}")).collect();
    let publishing = async {
        for id in &expected {
            publish_patiently(&publisher, id).await;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let cutting = async {
        for _ in 0..3 {
            tokio::time::sleep(Duration::from_millis(500)).await;
            proxy.cut_for(Duration::from_millis(100)).await;
        }
    };
    let consuming = async {
        let mut seen = HashSet::new();
        while seen != expected {
            let delivery = next(&mut consumer).await;
            seen.insert(delivery.message().job_id.clone());
            delivery.ack().await;
        }
    };
    tokio::join!(publishing, cutting, consuming);
    consumer.close().await;
    broker.clean_up().await;
}

#[tokio::test]
async fn a_consumer_survives_the_deletion_of_its_queue() {
    let Some(broker) = Broker::corner("a_consumer_survives_the_deletion_of_its_queue").await else {
        return;
    };
    let mut consumer = broker.consumer(4);
    let publisher = Publisher::RabbitMq(broker.publisher());
    publish_patiently(&publisher, "before").await;
    next(&mut consumer).await.ack().await;
    let delete = broker.channel.queue_delete(
        broker.options.topology.jobs.as_str().into(),
        QueueDeleteOptions::default(),
    );
    delete.await.unwrap();
    publish_patiently(&publisher, "after").await;
    let delivery = next(&mut consumer).await;
    assert_eq!(delivery.message().job_id, "after");
    delivery.ack().await;
    consumer.close().await;
    broker.clean_up().await;
}

#[tokio::test]
async fn a_retried_job_comes_back_after_its_delay_and_counts_its_attempts() {
    let Some(broker) =
        Broker::corner("a_retried_job_comes_back_after_its_delay_and_counts_its_attempts").await
    else {
        return;
    };
    let mut consumer = broker.consumer(4);
    let publisher = Publisher::RabbitMq(broker.publisher());
    publish_patiently(&publisher, "0f").await;
    for (attempts, delay) in [(0, SHORT), (1, LONG), (2, SHORT)] {
        let delivery = next(&mut consumer).await;
        assert_eq!(delivery.message().failed_attempts, attempts);
        assert_eq!(delivery.message().body, message("0f").body);
        let begun = Instant::now();
        delivery.retry(delay, "451 later".to_owned()).await;
        let again = next(&mut consumer).await;
        assert_eq!(again.message().failed_attempts, attempts + 1);
        let waited = begun.elapsed();
        let bounds = delay.mul_f32(0.9)..delay + Duration::from_secs(2);
        assert!(bounds.contains(&waited), "{waited:?} for {delay:?}");
        // Given back without an end: it comes again as it is.
        drop(again);
    }
    next(&mut consumer).await.ack().await;
    consumer.close().await;
    for queue in &broker.options.topology.retries {
        assert_eq!(broker.depth(&queue.name).await, 0);
    }
    broker.clean_up().await;
}

#[tokio::test]
async fn a_message_that_is_no_job_of_ours_is_delivered_and_can_be_put_away() {
    let Some(broker) =
        Broker::corner("a_message_that_is_no_job_of_ours_is_delivered_and_can_be_put_away").await
    else {
        return;
    };
    let mut consumer = broker.consumer(4);
    publish_patiently(&Publisher::RabbitMq(broker.publisher()), "good").await;
    next(&mut consumer).await.ack().await;
    let long = vec![b'x'; 100_000];
    for body in [b"".as_slice(), b"\xff\x00", &long] {
        let topology = &broker.options.topology;
        broker
            .channel
            .basic_publish(
                topology.exchange.as_str().into(),
                topology.jobs.as_str().into(),
                BasicPublishOptions::default(),
                body,
                BasicProperties::default(),
            )
            .await
            .unwrap()
            .await
            .unwrap();
        let delivery = next(&mut consumer).await;
        assert_eq!(
            (
                delivery.message().job_id.as_str(),
                delivery.message().body.as_slice()
            ),
            ("", body)
        );
        delivery.dead_letter("unreadable".to_owned()).await;
    }
    broker.until_depth(&broker.options.topology.dead, 3).await;
    consumer.close().await;
    broker.clean_up().await;
}

#[tokio::test]
async fn a_job_that_can_be_put_nowhere_stays_in_the_queue() {
    let Some(broker) = Broker::corner("a_job_that_can_be_put_nowhere_stays_in_the_queue").await else {
        return;
    };
    let mut consumer = broker.consumer(1);
    let publisher = Publisher::RabbitMq(broker.publisher());
    publish_patiently(&publisher, "0f").await;
    let delivery = next(&mut consumer).await;
    for queue in &broker.options.topology.retries {
        let delete = broker
            .channel
            .queue_delete(queue.name.as_str().into(), QueueDeleteOptions::default());
        delete.await.unwrap();
    }
    delivery.retry(SHORT, "451 later".to_owned()).await;
    let again = next(&mut consumer).await;
    assert_eq!(
        (again.message().job_id.as_str(), again.message().failed_attempts),
        ("0f", 0)
    );
    // The refusal made the connection anew, and with it the queue.
    again.retry(SHORT, "451 later".to_owned()).await;
    let third = next(&mut consumer).await;
    assert_eq!(third.message().failed_attempts, 1);
    third.ack().await;
    consumer.close().await;
    broker.clean_up().await;
}

#[tokio::test]
async fn two_consumers_share_the_work() {
    let Some(broker) = Broker::corner("two_consumers_share_the_work").await else {
        return;
    };
    let (mut first, mut second) = (broker.consumer(1), broker.consumer(1));
    let publisher = Publisher::RabbitMq(broker.publisher());
    for number in 0..10 {
        publish_patiently(&publisher, &format!("{number}")).await;
    }
    let take = async |consumer: &mut Consumer| {
        let mut count = 0;
        while let Ok(Some(delivery)) = tokio::time::timeout(Duration::from_secs(3), consumer.next()).await {
            tokio::time::sleep(Duration::from_millis(50)).await;
            delivery.ack().await;
            count += 1;
        }
        count
    };
    let (mine, yours) = tokio::join!(take(&mut first), take(&mut second));
    assert!(mine > 0 && yours > 0 && mine + yours == 10, "{mine} and {yours}");
    first.close().await;
    second.close().await;
    broker.clean_up().await;
}
