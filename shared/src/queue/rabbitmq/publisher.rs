//! Owns:      the publishing connection and every message that is not yet confirmed.
//! Receives:  requests from [`Publisher::send`].      Replies: `Result<(), PublishError>`, when the broker has confirmed.
//! Bound:     1,024 requests waiting and 2,048 messages unconfirmed; beyond that `send` waits. Each has a deadline.
//! On panic:  every `send` fails with `Unavailable`.      On stop: takes no more, waits for the confirms, says good-bye.

use std::collections::{BTreeMap, HashSet};
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::stream::{FuturesUnordered, StreamExt};
use futures_util::{FutureExt, Stream};
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::{BasicProperties, Channel, Confirmation, Event};
use tokio::sync::{mpsc, oneshot, watch};

use super::Options;
use super::connection::OpenConnection;
use super::keeper::{Ended, Keeper, LinkState, Session, Signals};
use super::properties;
use super::url::BrokerUrl;
use crate::queue::PublishError;
use crate::queue::topology::Topology;
use crate::shutdown::{self, ShutdownTrigger};

const WAITING_MAX: usize = 1024;
const UNCONFIRMED_MAX: usize = 2048;
/// How often deadlines are looked at.
const TICK: Duration = Duration::from_millis(500);
/// A call that comes while the first connection is being made waits this long for it.
const START_LIMIT: Duration = Duration::from_secs(2);

/// A message for the exchange.
#[derive(Debug)]
pub struct Outgoing {
    pub routing_key: String,
    pub properties: BasicProperties,
    pub body: Vec<u8>,
}

struct PublishRequest {
    outgoing: Outgoing,
    reply: Reply,
}

type Reply = oneshot::Sender<Result<(), PublishError>>;

/// The handle. Cheap to clone; the connection ends with the last clone.
#[derive(Clone, Debug)]
pub struct Publisher(Arc<Handle>);

#[derive(Debug)]
struct Handle {
    requests: mpsc::Sender<PublishRequest>,
    state: watch::Receiver<LinkState>,
    trigger: ShutdownTrigger,
    jobs: String,
    limit: Duration,
}

impl Publisher {
    /// Starts the task. Must be called inside a tokio runtime.
    pub(super) fn start(url: BrokerUrl, role: &'static str, options: &Options) -> Self {
        let (requests, taken) = mpsc::channel(WAITING_MAX);
        let (trigger, shutdown) = shutdown::channel();
        let topology = Arc::new(options.topology.clone());
        let (keeper, state) = Keeper::new(url, role, topology.clone(), shutdown);
        let session = Publishing {
            requests: taken,
            confirm_limit: options.confirm_limit,
            topology,
        };
        tokio::spawn(keeper.keep(session));
        Self(Arc::new(Handle {
            requests,
            state,
            trigger,
            jobs: options.topology.jobs.clone(),
            // The session's own deadline comes first and says more.
            limit: options.confirm_limit.saturating_mul(2),
        }))
    }

    pub(in crate::queue) async fn publish(&self, message: crate::queue::Message) -> Result<(), PublishError> {
        let history = properties::History {
            failed_attempts: message.failed_attempts,
            ..properties::History::default()
        };
        self.send(Outgoing {
            routing_key: self.0.jobs.clone(),
            properties: history.write(properties::new(&message.job_id)),
            body: message.body,
        })
        .await
    }

    /// Resolves when the broker has the message on disk.
    pub(super) async fn send(&self, outgoing: Outgoing) -> Result<(), PublishError> {
        self.usable().await?;
        let (reply, replied) = oneshot::channel();
        let lost = || PublishError::Unavailable("the connection to the broker was lost".to_owned());
        let sending = async {
            let request = PublishRequest { outgoing, reply };
            self.0.requests.send(request).await.map_err(|_| lost())?;
            replied.await.map_err(|_| lost())?
        };
        match tokio::time::timeout(self.0.limit, sending).await {
            Ok(outcome) => outcome,
            Err(_) => Err(PublishError::Unavailable(
                "the broker did not confirm in time".to_owned(),
            )),
        }
    }

    /// Whether messages can be published now, or why not: one sentence.
    pub fn status(&self) -> Result<(), String> {
        describe(&self.0.state)
    }

    pub fn is_connected(&self) -> bool {
        self.status().is_ok()
    }

    /// Takes no more messages, waits for the confirms, and says good-bye. All clones are closed with it.
    pub async fn close(&self) {
        self.0.trigger.trigger();
        let mut state = self.0.state.clone();
        // An error means that the task has ended.
        while state.changed().await.is_ok() {}
    }

    async fn usable(&self) -> Result<(), PublishError> {
        let mut state = self.0.state.clone();
        if *state.borrow() == LinkState::Starting {
            let decided = state.wait_for(|state| *state != LinkState::Starting);
            // What came of it is read below.
            let _ = tokio::time::timeout(START_LIMIT, decided).await;
        }
        self.status().map_err(PublishError::Unavailable)
    }
}

/// The sentence of a state.
pub(super) fn describe(state: &watch::Receiver<LinkState>) -> Result<(), String> {
    if state.has_changed().is_err() {
        return Err("the connection to the broker was given up".to_owned());
    }
    match &*state.borrow() {
        LinkState::Up => Ok(()),
        LinkState::Starting => Err("the connection to the broker is being made".to_owned()),
        LinkState::Down(reason) => Err(reason.clone()),
    }
}

/// The task's side: outlives connections.
struct Publishing {
    requests: mpsc::Receiver<PublishRequest>,
    confirm_limit: Duration,
    topology: Arc<Topology>,
}

type Confirming = Pin<Box<dyn Future<Output = (u64, lapin::Result<Confirmation>)> + Send>>;

/// Messages on one channel that the broker has not confirmed.
#[derive(Default)]
struct Unconfirmed {
    confirms: FuturesUnordered<Confirming>,
    /// By sequence number, so the oldest comes first.
    waiting: BTreeMap<u64, Pending>,
    last: u64,
}

struct Pending {
    since: Instant,
    message_id: String,
    reply: Reply,
}

impl Session for Publishing {
    async fn run(&mut self, open: &OpenConnection, channel: Channel, signals: &mut Signals) -> Ended {
        if let Err(error) = channel.confirm_select(ConfirmSelectOptions::default()).await {
            return Ended::Lost(format!("the broker gives no publisher confirms: {error}"));
        }
        signals.up();
        let mut unconfirmed = Unconfirmed::default();
        let ended = self
            .work(
                open.connection().events_listener(),
                &channel,
                signals,
                &mut unconfirmed,
            )
            .await;
        let reason = match &ended {
            Ended::Lost(reason) => reason.as_str(),
            Ended::Stopped => "stopped",
        };
        unconfirmed.give_up(reason);
        ended
    }

    fn lost(&mut self, reason: &str) {
        if reason == "stopped" {
            self.requests.close();
        }
        while let Ok(request) = self.requests.try_recv() {
            // A caller that no longer waits knows.
            let _ = request
                .reply
                .send(Err(PublishError::Unavailable(reason.to_owned())));
        }
    }
}

impl Publishing {
    async fn work(
        &mut self,
        events: impl Stream<Item = Event> + Send,
        channel: &Channel,
        signals: &mut Signals,
        unconfirmed: &mut Unconfirmed,
    ) -> Ended {
        let mut events = std::pin::pin!(events);
        let mut tick = tokio::time::interval(TICK);
        let mut shutdown = signals.shutdown.clone();
        loop {
            if shutdown.is_requested() {
                self.requests.close();
                if unconfirmed.waiting.is_empty() && self.requests.is_empty() {
                    return Ended::Stopped;
                }
            }
            let is_stopping = shutdown.is_requested();
            tokio::select! {
                Some((sequence, outcome)) = unconfirmed.confirms.next() => {
                    if let Err(reason) = unconfirmed.settle(channel, sequence, outcome) {
                        return Ended::Lost(reason);
                    }
                }
                Some(request) = self.requests.recv(), if unconfirmed.waiting.len() < UNCONFIRMED_MAX => {
                    unconfirmed.publish(channel, &self.topology.exchange, request);
                }
                Some(event) = events.next() => match event {
                    Event::ConnectionBlocked(why) => {
                        let reason = format!("the broker takes no messages at present: {why}");
                        signals.down(reason.clone());
                        unconfirmed.give_up(&reason);
                        self.lost(&reason);
                    }
                    Event::ConnectionUnblocked => signals.up(),
                    Event::Error(error) => return Ended::Lost(lost(&error)),
                    _ => {}
                },
                _ = tick.tick() => {
                    if unconfirmed.oldest_age() > self.confirm_limit {
                        let limit = self.confirm_limit.as_secs_f32();
                        return Ended::Lost(format!("the broker has confirmed nothing for {limit} s"));
                    }
                    if !channel.status().connected() {
                        return Ended::Lost("the connection to the broker was lost".to_owned());
                    }
                }
                () = shutdown.requested(), if !is_stopping => {}
            }
        }
    }
}

pub(super) fn lost(error: &lapin::Error) -> String {
    format!("the connection to the broker was lost: {error}")
}

impl Unconfirmed {
    fn publish(&mut self, channel: &Channel, exchange: &str, request: PublishRequest) {
        if request.reply.is_closed() {
            return; // Its caller gave up while it waited here.
        }
        self.last = self.last.saturating_add(1);
        let sequence = self.last;
        let pending = Pending {
            since: Instant::now(),
            message_id: properties::message_id(&request.outgoing.properties),
            reply: request.reply,
        };
        self.waiting.insert(sequence, pending);
        let (channel, exchange) = (channel.clone(), exchange.to_owned());
        let Outgoing {
            routing_key,
            properties,
            body,
        } = request.outgoing;
        self.confirms.push(Box::pin(async move {
            let options = BasicPublishOptions {
                mandatory: true,
                immediate: false,
            };
            let sent = channel.basic_publish(exchange.into(), routing_key.into(), options, &body, properties);
            let confirmed = match sent.await {
                Ok(confirm) => confirm.await,
                Err(error) => Err(error),
            };
            (sequence, confirmed)
        }));
    }

    /// Replies to a confirm, and all others that are there by now.
    ///
    /// The client library hands a returned (unroutable) message to whichever confirm it resolves next, and one `ack` frame
    /// may confirm many: so none of them is believed before all of them have been looked at.
    ///
    /// # Errors
    /// When the channel is of no more use. A returned message means that a queue is gone: a new connection declares it again.
    fn settle(
        &mut self,
        channel: &Channel,
        sequence: u64,
        outcome: lapin::Result<Confirmation>,
    ) -> Result<(), String> {
        let mut ready = vec![(sequence, outcome)];
        self.take_ready(&mut ready);
        // Takes the lock that the library holds while it resolves the confirms of one frame: after this all of them are there.
        let _ = channel.wait_for_confirms().now_or_never();
        self.take_ready(&mut ready);

        let mut returned = HashSet::new();
        let mut failure = None;
        let mut acked = Vec::new();
        for (sequence, outcome) in ready {
            match outcome {
                Ok(Confirmation::Ack(message)) => {
                    returned
                        .extend(message.map(|message| properties::message_id(&message.delivery.properties)));
                    acked.push(sequence);
                }
                Ok(Confirmation::Nack(message)) => {
                    returned
                        .extend(message.map(|message| properties::message_id(&message.delivery.properties)));
                    self.reply(
                        sequence,
                        Err("the broker refused the message: the queue is full or has no leader"),
                    );
                }
                Ok(Confirmation::NotRequested) => failure = Some("the broker gives no confirms".to_owned()),
                Err(error) => failure = Some(lost(&error)),
            }
        }
        let unroutable =
            "the broker has no queue for the message: it was deleted, and will be declared again";
        for sequence in acked {
            let pending = self.waiting.get(&sequence);
            let is_returned = pending.is_some_and(|pending| returned.contains(&pending.message_id));
            self.reply(sequence, if is_returned { Err(unroutable) } else { Ok(()) });
        }
        if !returned.is_empty() {
            failure = Some(unroutable.to_owned());
        }
        failure.map_or(Ok(()), Err)
    }

    fn take_ready(&mut self, ready: &mut Vec<(u64, lapin::Result<Confirmation>)>) {
        while let Some(Some(next)) = self.confirms.next().now_or_never() {
            ready.push(next);
        }
    }

    fn reply(&mut self, sequence: u64, outcome: Result<(), &str>) {
        if let Some(pending) = self.waiting.remove(&sequence) {
            let outcome = outcome.map_err(|reason| PublishError::Unavailable(reason.to_owned()));
            // A caller that no longer waits sends again, which its job id makes harmless.
            let _ = pending.reply.send(outcome);
        }
    }

    /// Nothing more will be heard of them.
    fn give_up(&mut self, reason: &str) {
        for (_, pending) in std::mem::take(&mut self.waiting) {
            let _ = pending
                .reply
                .send(Err(PublishError::Unavailable(reason.to_owned())));
        }
    }

    fn oldest_age(&self) -> Duration {
        let oldest = self.waiting.first_key_value();
        oldest.map_or(Duration::ZERO, |(_, pending)| pending.since.elapsed())
    }
}
