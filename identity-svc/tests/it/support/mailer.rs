//! Stands for mailer-svc at the other end of the in-process queue.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use shared::email_job::EmailJob;
use shared::queue::Consumer;

/// What it does with the mails it is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mailer {
    Takes,
    Refuses,
    /// Each mail's first attempt fails; the next is due in a minute.
    FailsOnce,
    /// It neither takes nor refuses.
    Sleeps,
}

impl Mailer {
    pub async fn run(self, mut consumer: Consumer, taken: Rc<RefCell<Vec<EmailJob>>>) {
        let mut asleep = Vec::new();
        while let Some(delivery) = consumer.next().await {
            let job = EmailJob::from_json(&delivery.message().body).unwrap();
            match self {
                Self::Refuses => delivery.dead_letter("550 no such user".to_owned()).await,
                Self::FailsOnce if delivery.message().failed_attempts == 0 => {
                    delivery
                        .retry(Duration::from_secs(60), "451 busy".to_owned())
                        .await;
                }
                Self::Sleeps => asleep.push(delivery),
                Self::Takes | Self::FailsOnce => {
                    taken.borrow_mut().push(job);
                    delivery.ack().await;
                }
            }
        }
    }
}
