//! The operator's work on dead letters.

use shared::queue::Publisher;
use shared::queue::rabbitmq::dead_letters::DeadLetters;

use crate::broker::{Broker, message, next, publish_patiently};

#[tokio::test]
async fn dead_letters_are_listed_replayed_and_removed() {
    let Some(broker) = Broker::corner("dead_letters_are_listed_replayed_and_removed").await else {
        return;
    };
    let mut consumer = broker.consumer(4);
    let publisher = Publisher::RabbitMq(broker.publisher());
    for id in ["a", "b", "c"] {
        publish_patiently(&publisher, id).await;
        next(&mut consumer).await.dead_letter(format!("550 {id}")).await;
    }
    for _ in 0..2 {
        // Looking changes nothing.
        let mut letters = DeadLetters::open(&broker.secret_url(), &broker.options)
            .await
            .unwrap();
        let mut seen = Vec::new();
        while let Some(letter) = letters.next().await.unwrap() {
            assert!(letter.dead_at_ms.is_some());
            assert_eq!(letter.body, message(&letter.job_id).body);
            seen.push((letter.job_id, letter.reason, letter.attempts));
        }
        seen.sort();
        let expected = ["a", "b", "c"].map(|id| (id.to_owned(), format!("550 {id}"), 1));
        assert_eq!(seen, expected);
        letters.close().await;
        broker.until_depth(&broker.options.topology.dead, 3).await;
    }

    let mut letters = DeadLetters::open(&broker.secret_url(), &broker.options)
        .await
        .unwrap();
    while let Some(letter) = letters.next().await.unwrap() {
        match letter.job_id.as_str() {
            "a" => letters.replay(&letter).await.unwrap(),
            "b" => letters.remove(&letter).await.unwrap(),
            _ => {}
        }
    }
    letters.close().await;
    let replayed = next(&mut consumer).await;
    assert_eq!(replayed.message(), &message("a"));
    replayed.ack().await;
    broker.until_depth(&broker.options.topology.dead, 1).await;
    consumer.close().await;
    broker.clean_up().await;
}
