//! What became of a job comes back.

use std::time::Duration;

use shared::mail_outcome::MailResult;
use shared::queue::{OutcomeConsumer, Publisher, rabbitmq};

use crate::broker::{Broker, SHORT, next, publish_patiently};

#[tokio::test]
async fn every_end_of_a_job_is_told_and_a_retry_is_none() {
    let Some(broker) = Broker::corner("every_end_of_a_job_is_told_and_a_retry_is_none").await else {
        return;
    };
    let mut consumer = broker.consumer(4);
    let publisher = Publisher::RabbitMq(broker.publisher());
    publish_patiently(&publisher, "good").await;
    next(&mut consumer).await.ack().await;
    publish_patiently(&publisher, "bad").await;
    next(&mut consumer)
        .await
        .retry(SHORT, "451 later".to_owned())
        .await;
    next(&mut consumer).await.dead_letter("550 no".to_owned()).await;
    consumer.close().await;
    assert_eq!(broker.depth(&broker.options.topology.outcomes).await, 2);

    let mut outcomes = rabbitmq::outcome_consumer_with(&broker.secret_url(), 10, &broker.options).unwrap();
    let mut told = Vec::new();
    for _ in 0..2 {
        let delivery = tokio::time::timeout(Duration::from_secs(10), outcomes.next())
            .await
            .unwrap()
            .unwrap();
        let outcome = delivery.outcome();
        told.push((outcome.job_id.clone(), outcome.attempts, outcome.result.clone()));
        delivery.ack().await;
    }
    let dead = MailResult::Dead {
        reason: "550 no".to_owned(),
    };
    assert_eq!(
        told,
        [
            ("good".to_owned(), 1, MailResult::Delivered),
            ("bad".to_owned(), 2, dead)
        ]
    );
    if let OutcomeConsumer::RabbitMq(outcomes) = outcomes {
        outcomes.close().await;
    }
    assert_eq!(broker.depth(&broker.options.topology.outcomes).await, 0);
    broker.clean_up().await;
}
