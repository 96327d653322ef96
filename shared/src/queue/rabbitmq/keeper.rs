//! Owns:      one connection to the broker, and its return: what the publishing and the consuming task have in common.
//! Receives:  the end (`Shutdown`).      Replies: [`LinkState`], as shared state.
//! Bound:     one attempt at a time, the next after 0.1 to 5 s, with jitter.
//! On panic:  the task ends; its handles say so.      On stop: the session ends as it sees fit, then says good-bye.

use std::sync::Arc;
use std::time::{Duration, Instant};

use lapin::Channel;
use tokio::sync::watch;

use super::connection::{ConnectError, OpenConnection};
use super::url::BrokerUrl;
use crate::backoff::Backoff;
use crate::queue::topology::Topology;
use crate::shutdown::Shutdown;

const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_millis(2_500);
/// A connection that lasted this long was a good one: the backoff begins anew.
const GOOD_AGE: Duration = Duration::from_secs(5);

/// Whether there is a usable connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LinkState {
    /// The first attempt is under way.
    Starting,
    Up,
    /// Why not; one sentence.
    Down(String),
}

impl LinkState {
    pub fn is_up(&self) -> bool {
        *self == Self::Up
    }
}

/// How a session ended.
pub enum Ended {
    Stopped,
    Lost(String),
}

/// What is done with a connection while it lasts.
pub trait Session: Send {
    /// Works until the connection is of no more use, or until the end is asked for. Says [`Signals::up`] when all is set up.
    fn run(
        &mut self,
        open: &OpenConnection,
        channel: Channel,
        signals: &mut Signals,
    ) -> impl Future<Output = Ended> + Send;

    /// The connection is lost.
    fn lost(&mut self, reason: &str);
}

/// What a session hears and says.
pub struct Signals {
    pub shutdown: Shutdown,
    /// What the connection is for, in log lines.
    role: &'static str,
    broker: String,
    state: watch::Sender<LinkState>,
}

impl Signals {
    pub fn up(&self) {
        if !self.state.borrow().is_up() {
            log::info!("{}: connected to the broker at {}", self.role, self.broker);
            self.state.send_replace(LinkState::Up);
        }
    }

    /// Says so once, not at every attempt.
    pub fn down(&self, reason: String) {
        let next = LinkState::Down(reason);
        if *self.state.borrow() != next {
            if let LinkState::Down(reason) = &next {
                log::warn!("{}: {reason}", self.role);
            }
            self.state.send_replace(next);
        }
    }
}

pub struct Keeper {
    url: BrokerUrl,
    topology: Arc<Topology>,
    signals: Signals,
}

impl Keeper {
    pub fn new(
        url: BrokerUrl,
        role: &'static str,
        topology: Arc<Topology>,
        shutdown: Shutdown,
    ) -> (Self, watch::Receiver<LinkState>) {
        let (state, states) = watch::channel(LinkState::Starting);
        let signals = Signals {
            shutdown,
            role,
            broker: url.shown().to_owned(),
            state,
        };
        let keeper = Self {
            url,
            topology,
            signals,
        };
        (keeper, states)
    }

    /// Opens the connection, runs `session` on it, and again, until the end is asked for.
    pub async fn keep(mut self, mut session: impl Session) {
        let mut backoff = Backoff::new(FIRST_WAIT, LONGEST_WAIT);
        let mut shutdown = self.signals.shutdown.clone();
        loop {
            let opened = tokio::select! {
                biased;
                () = shutdown.requested() => break,
                opened = self.open() => opened,
            };
            let reason = match opened {
                Ok((open, channel)) => {
                    let begun = Instant::now();
                    match session.run(&open, channel, &mut self.signals).await {
                        Ended::Stopped => {
                            open.close().await;
                            break;
                        }
                        Ended::Lost(reason) => {
                            if begun.elapsed() >= GOOD_AGE {
                                backoff.reset();
                            }
                            reason
                        }
                    }
                }
                Err(error) => error.to_string(),
            };
            self.signals.down(reason.clone());
            session.lost(&reason);
            tokio::select! {
                () = shutdown.requested() => break,
                () = tokio::time::sleep(backoff.wait()) => {}
            }
        }
        session.lost("stopped");
        self.signals
            .state
            .send_replace(LinkState::Down("stopped".to_owned()));
    }

    async fn open(&self) -> Result<(OpenConnection, Channel), ConnectError> {
        let name = format!("gatehouse: {}", self.signals.role);
        let open = OpenConnection::connect(&self.url, &name).await?;
        let channel = open.prepared_channel(&self.url, &self.topology).await?;
        Ok((open, channel))
    }
}
