//! Owns:      the mail jobs in hand, each a task of its own.
//! Receives:  `Deliver` from the queue's reader; `Drain`.      Replies: to `Drain`, when no job is in hand.
//! Bound:     the permits that come with the deliveries; the rest waits in the queue.
//! On panic:  a job's ends that job alone, and its delivery goes back to the queue; the actor goes on.
//! On stop:   finishes the jobs in hand.

use std::rc::Rc;

use shared::actor::{Actor, Inbox, OnPanic, Reply};
use shared::queue::Delivery;
use tokio::sync::OwnedSemaphorePermit;
use tokio::task::{JoinError, JoinSet};

use crate::mail_job::{self, JobContext};

/// What is sent to a [`JobConsumer`].
#[derive(Debug)]
pub enum ConsumerMessage {
    /// A job; the permit is free again when it has ended.
    Deliver {
        delivery: Delivery,
        permit: OwnedSemaphorePermit,
    },
    /// Replies when the jobs that came before have ended.
    Drain(Reply<()>),
}

pub struct JobConsumer {
    context: Rc<JobContext>,
    in_hand: JoinSet<()>,
}

impl JobConsumer {
    pub fn new(context: JobContext) -> Self {
        Self {
            context: Rc::new(context),
            in_hand: JoinSet::new(),
        }
    }

    fn begin(&mut self, delivery: Delivery, permit: OwnedSemaphorePermit) {
        let context = self.context.clone();
        self.in_hand.spawn_local(async move {
            mail_job::work(&context, delivery).await;
            drop(permit);
        });
    }
}

impl Actor for JobConsumer {
    type Message = ConsumerMessage;
    const NAME: &'static str = "job consumer";
    const CAPACITY: usize = 1;
    const ON_PANIC: OnPanic = OnPanic::Restart;

    async fn run(&mut self, inbox: &mut Inbox<ConsumerMessage>) {
        loop {
            let message = tokio::select! {
                Some(ended) = self.in_hand.join_next() => {
                    tell_panic(ended);
                    continue;
                }
                message = inbox.next() => message,
            };
            match message {
                Some(ConsumerMessage::Deliver { delivery, permit }) => self.begin(delivery, permit),
                Some(ConsumerMessage::Drain(reply)) => {
                    while let Some(ended) = self.in_hand.join_next().await {
                        tell_panic(ended);
                    }
                    reply.send(());
                }
                None => return,
            }
        }
    }
}

fn tell_panic(ended: Result<(), JoinError>) {
    if let Err(error) = ended {
        log::error!(error:%; "a mail job has panicked and goes back to the queue");
    }
}
