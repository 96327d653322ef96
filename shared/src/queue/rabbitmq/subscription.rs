//! Owns:      the consuming connection, and through it every delivery that is not acknowledged.
//! Receives:  the end (`Shutdown`).      Replies: deliveries, on a channel.
//! Bound:     the prefetch: the broker has no more than that many deliveries out.
//! On panic:  the channel of deliveries ends.      On stop: says good-bye; what is not acknowledged returns to the queue.

use std::sync::Arc;

use futures_util::StreamExt;
use lapin::options::{BasicAckOptions, BasicConsumeOptions, BasicNackOptions, BasicQosOptions};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Channel};
use std::time::Duration;
use tokio::sync::{mpsc, watch};

use super::Options;
use super::connection::OpenConnection;
use super::keeper::{Ended, Keeper, LinkState, Session, Signals};
use super::publisher::{describe, lost};
use super::url::BrokerUrl;
use crate::shutdown::{self, ShutdownTrigger};

/// Acknowledging is one small frame; a connection that does not take it is dead.
const ACK_LIMIT: Duration = Duration::from_secs(10);
/// A delivery that is given back at once would come again at once.
const GIVE_BACK_PAUSE: Duration = Duration::from_secs(1);

/// Deliveries of one queue, whatever happens to the connection in between.
#[derive(Debug)]
pub struct Subscription {
    deliveries: mpsc::UnboundedReceiver<Received>,
    state: watch::Receiver<LinkState>,
    trigger: ShutdownTrigger,
}

/// A message, and its acknowledgement.
#[derive(Debug)]
pub struct Received {
    pub properties: BasicProperties,
    pub body: Vec<u8>,
    pub acker: Acker,
}

impl Subscription {
    /// Starts the task. Must be called inside a tokio runtime.
    pub fn start(
        url: BrokerUrl,
        role: &'static str,
        queue: String,
        prefetch: u16,
        options: &Options,
    ) -> Self {
        let (sender, deliveries) = mpsc::unbounded_channel();
        let (trigger, shutdown) = shutdown::channel();
        let (keeper, state) = Keeper::new(url, role, Arc::new(options.topology.clone()), shutdown);
        let session = Consuming {
            queue,
            prefetch,
            deliveries: sender,
        };
        tokio::spawn(keeper.keep(session));
        Self {
            deliveries,
            state,
            trigger,
        }
    }

    /// The next delivery that can still be acknowledged; `None` after the end. Safe to cancel.
    pub async fn next(&mut self) -> Option<Received> {
        loop {
            let received = self.deliveries.recv().await?;
            // One of a lost connection comes again on the next; to work on both would be double work.
            if received.acker.is_usable() {
                return Some(received);
            }
        }
    }

    pub fn status(&self) -> Result<(), String> {
        describe(&self.state)
    }

    pub fn states(&self) -> watch::Receiver<LinkState> {
        self.state.clone()
    }

    pub async fn close(mut self) {
        self.trigger.trigger();
        self.deliveries.close();
        // What was not looked at returns to the queue with the connection.
        while let Some(mut received) = self.deliveries.recv().await {
            received.acker.forget();
        }
        // An error means that the task has ended.
        while self.state.changed().await.is_ok() {}
    }
}

struct Consuming {
    queue: String,
    prefetch: u16,
    deliveries: mpsc::UnboundedSender<Received>,
}

impl Session for Consuming {
    async fn run(&mut self, _: &OpenConnection, channel: Channel, signals: &mut Signals) -> Ended {
        let mut shutdown = signals.shutdown.clone();
        let mut consumer = match self.subscribe(&channel).await {
            Ok(consumer) => consumer,
            Err(error) => return Ended::Lost(format!("cannot read queue {}: {error}", self.queue)),
        };
        signals.up();
        loop {
            let delivery = tokio::select! {
                biased;
                () = shutdown.requested() => return Ended::Stopped,
                delivery = consumer.next() => delivery,
            };
            match delivery {
                Some(Ok(delivery)) => {
                    let received = Received {
                        properties: delivery.properties,
                        body: delivery.data,
                        acker: Acker(Some(delivery.acker)),
                    };
                    if self.deliveries.send(received).is_err() {
                        return Ended::Stopped;
                    }
                }
                Some(Err(error)) => return Ended::Lost(lost(&error)),
                // The queue was deleted, or its leader moved to another node.
                None => return Ended::Lost(format!("the broker ended the subscription to {}", self.queue)),
            }
        }
    }

    fn lost(&mut self, _: &str) {}
}

impl Consuming {
    async fn subscribe(&self, channel: &Channel) -> Result<lapin::Consumer, lapin::Error> {
        channel
            .basic_qos(self.prefetch, BasicQosOptions::default())
            .await?;
        channel
            .basic_consume(
                self.queue.as_str().into(),
                "".into(),
                BasicConsumeOptions::default(),
                FieldTable::default(),
            )
            .await
    }
}

/// The acknowledgement of one delivery. Dropped without one, the delivery goes back to the queue after a moment.
#[derive(Debug)]
pub struct Acker(Option<lapin::Acker>);

impl Acker {
    /// False when its connection is gone: the broker has the delivery again.
    pub fn is_usable(&self) -> bool {
        self.0.as_ref().is_some_and(lapin::Acker::usable)
    }

    pub async fn ack(mut self) {
        let Some(acker) = self.0.take() else { return };
        let acking = tokio::time::timeout(ACK_LIMIT, acker.ack(BasicAckOptions::default())).await;
        if !matches!(acking, Ok(Ok(true))) {
            log::debug!(
                "a delivery was not acknowledged, its connection is gone; the broker delivers it again"
            );
        }
    }

    /// Back to the queue, for whoever comes first.
    pub async fn give_back(mut self) {
        if let Some(acker) = self.0.take() {
            give_back(acker).await;
        }
    }

    /// Leaves it to the end of the connection.
    fn forget(&mut self) {
        self.0 = None;
    }
}

async fn give_back(acker: lapin::Acker) {
    let options = BasicNackOptions {
        requeue: true,
        multiple: false,
    };
    // It goes back with its connection otherwise.
    let _ = tokio::time::timeout(ACK_LIMIT, acker.nack(options)).await;
}

impl Drop for Acker {
    fn drop(&mut self) {
        let Some(acker) = self.0.take().filter(lapin::Acker::usable) else {
            return;
        };
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                tokio::time::sleep(GIVE_BACK_PAUSE).await;
                give_back(acker).await;
            });
        }
    }
}
