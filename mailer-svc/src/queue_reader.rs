//! The background task that brings deliveries from the queue to the job consumer, until the end is asked for or the queue ends.

use std::sync::Arc;

use shared::actor::Address;
use shared::queue::Consumer;
use shared::shutdown::Shutdown;
use tokio::sync::Semaphore;

use crate::job_consumer::ConsumerMessage;

/// Has at most `max_in_hand` deliveries out at once.
pub async fn read_queue(
    mut queue: Consumer,
    jobs: Address<ConsumerMessage>,
    max_in_hand: usize,
    mut shutdown: Shutdown,
) {
    let permits = Arc::new(Semaphore::new(max_in_hand));
    loop {
        let next = async {
            let permit = permits.clone().acquire_owned().await.ok()?;
            Some((queue.next().await?, permit))
        };
        let next = tokio::select! {
            biased;
            () = shutdown.requested() => break,
            next = next => next,
        };
        let Some((delivery, permit)) = next else {
            log::info!("the queue of mail jobs has ended");
            break;
        };
        if jobs
            .send(ConsumerMessage::Deliver { delivery, permit })
            .await
            .is_err()
        {
            break;
        }
    }
    // The jobs in hand are acknowledged over the queue's connection: it is closed after the last of them. An error means
    // that nobody has any.
    let _ = jobs.ask(ConsumerMessage::Drain).await;
    queue.close().await;
}

#[cfg(test)]
mod tests {
    use shared::actor::{self, Inbox};
    use shared::queue::{Delivery, Message, PublishError, Publisher, in_process};
    use shared::shutdown::{self, ShutdownTrigger};
    use tokio::sync::OwnedSemaphorePermit;

    use super::*;

    /// A reader with the test in the consumer's place.
    fn start(max_in_hand: usize) -> (Publisher, Inbox<ConsumerMessage>, ShutdownTrigger) {
        let (publisher, queue) = in_process::channel();
        let (jobs, inbox) = actor::channel(1);
        let (trigger, shutdown) = shutdown::channel();
        tokio::spawn(read_queue(queue, jobs, max_in_hand, shutdown));
        (publisher, inbox, trigger)
    }

    fn publish(publisher: &Publisher, job_id: &str) -> tokio::task::JoinHandle<Result<(), PublishError>> {
        let (publisher, job_id) = (publisher.clone(), job_id.to_owned());
        tokio::spawn(async move {
            let message = Message {
                job_id,
                body: Vec::new(),
                failed_attempts: 0,
            };
            publisher.publish(message).await
        })
    }

    async fn delivered(inbox: &mut Inbox<ConsumerMessage>) -> (Delivery, OwnedSemaphorePermit) {
        match inbox.next().await {
            Some(ConsumerMessage::Deliver { delivery, permit }) => (delivery, permit),
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn a_delivery_is_not_taken_before_another_has_ended() {
        let (publisher, mut inbox, _trigger) = start(1);
        let first = publish(&publisher, "1");
        let (delivery, permit) = delivered(&mut inbox).await;
        let second = publish(&publisher, "2");
        tokio::task::yield_now().await;
        tokio::select! {
            biased;
            message = inbox.next() => panic!("{message:?}"),
            () = tokio::task::yield_now() => {}
        }
        delivery.ack().await;
        drop(permit);
        first.await.unwrap().unwrap();
        let (delivery, _permit) = delivered(&mut inbox).await;
        assert_eq!(delivery.message().job_id, "2");
        delivery.ack().await;
        second.await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn a_stop_drains_the_consumer_before_the_queue_is_closed() {
        let (publisher, mut inbox, trigger) = start(2);
        trigger.trigger();
        let Some(ConsumerMessage::Drain(reply)) = inbox.next().await else {
            panic!("no drain");
        };
        let waiting = publish(&publisher, "1");
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished(), "the queue is closed already");
        reply.send(());
        assert!(matches!(
            waiting.await.unwrap(),
            Err(PublishError::Unavailable(_))
        ));
        assert!(inbox.next().await.is_none(), "nothing is taken after the stop");
    }
}
