//! A service with every fault that a gateway meets, and what it sees of its clients, to be waited for.
//!
//! The last part of the path chooses what it does with a request; every other path is answered at once, and a GET before
//! its body is read, as many services do:
//!
//! | path | |
//! |---|---|
//! | `early-413-close` | 413 without reading the body, then closes |
//! | `late-413-close` | the same after 64 KiB of the body |
//! | `early-413-keep` | 413, keeps the connection open and never reads the body |
//! | `early-403-drain` | 403, then reads the body and goes on |
//! | `hints-103` | 103 at once, the final response after the body |
//! | `informational-flood` | 103 without end |
//! | `duplex-echo` | 200 at once, and each piece of the body back while it comes |
//! | `silent` | reads the request and never answers |
//! | `never-reads` | reads the head only and never answers |
//! | `held` | answers when [`FaultUpstream::release`] says so |
//! | `events` | one event, then stays open |
//! | `drips` | a body of 200,000 bytes of which one comes at a time, each when it is released |
//! | `torn-length`, `torn-chunked`, `torn-close` | part of a body, then a reset when it is released |
//! | `wrong-both`, `wrong-lengths`, `wrong-chunk` | two framings, two lengths, a bad chunk |
//! | `health` | the status of [`FaultUpstream::set_health`] |
//! | `websocket` | 101, then everything back in brackets; stays open |
//! | `closes-when-idle` | a whole response, then closes although it said nothing of that |
//! | `closes-at-second` | answers the first request of a connection and closes at the second one, unanswered |
//! | `answers-then-resets` | a whole response, then a reset |
//! | `large` | 100 MB |

mod connection;

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::time::timeout;

use crate::support::PATIENCE;
use connection::Connection;

pub const LARGE_BODY_BYTES: usize = 100_000_000;

/// One request, as it was read.
#[derive(Clone, Debug, Default)]
pub struct Request {
    pub connection: usize,
    /// The first one on its connection is 1.
    pub number: usize,
    pub method: String,
    pub target: String,
    pub head: String,
    /// How much has come of it so far, and how it begins.
    pub body_bytes: usize,
    pub body: Vec<u8>,
    pub is_whole: bool,
    /// The whole response has been written.
    pub is_answered: bool,
    /// The gateway closed the connection before that.
    pub is_abandoned: bool,
}

impl Request {
    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    fn is_under_way(&self) -> bool {
        !self.is_answered && !self.is_abandoned
    }
}

/// What has happened so far.
#[derive(Clone, Debug, Default)]
pub struct Observed {
    pub connections: usize,
    pub requests: Vec<Request>,
    /// The most requests that were under way at the same time.
    pub most_under_way: usize,
    pub health_checks: usize,
}

impl Observed {
    /// Those whose target contains `text`.
    pub fn of<'a>(&'a self, text: &'a str) -> impl Iterator<Item = &'a Request> {
        self.requests
            .iter()
            .filter(move |request| request.target.contains(text))
    }

    pub fn count(&self, text: &str) -> usize {
        self.of(text).count()
    }

    pub fn under_way(&self) -> usize {
        self.requests
            .iter()
            .filter(|request| request.is_under_way())
            .count()
    }
}

#[derive(Clone)]
pub struct FaultUpstream {
    pub address: SocketAddr,
    observed: Arc<watch::Sender<Observed>>,
    released: Arc<Semaphore>,
    health: Arc<watch::Sender<u16>>,
}

impl FaultUpstream {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let upstream = Self {
            address: listener.local_addr().unwrap(),
            observed: Arc::new(watch::Sender::default()),
            released: Arc::new(Semaphore::new(0)),
            health: Arc::new(watch::Sender::new(200)),
        };
        let server = upstream.clone();
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                socket.set_nodelay(true).unwrap();
                let connection = Connection::new(server.clone(), socket);
                tokio::spawn(connection.serve());
            }
        });
        upstream
    }

    /// What has been seen so far.
    pub fn observed(&self) -> Observed {
        self.observed.borrow().clone()
    }

    /// Waits for something to be seen.
    pub async fn until(&self, what: &str, is_so: impl FnMut(&Observed) -> bool) -> Observed {
        let mut receiver = self.observed.subscribe();
        let seen = timeout(PATIENCE, receiver.wait_for(is_so)).await;
        let Ok(seen) = seen else {
            panic!("the upstream never saw {what}: {:#?}", self.observed())
        };
        seen.unwrap().clone()
    }

    /// Waits until a request whose target contains `text` has been read, head and body.
    pub async fn until_whole(&self, text: &str) -> Observed {
        self.until(text, |seen| seen.of(text).any(|request| request.is_whole))
            .await
    }

    /// Waits until the gateway has given up every request whose target contains `text`, of which there are `count`.
    pub async fn until_abandoned(&self, text: &str, count: usize) -> Observed {
        let what = format!("{count} abandoned requests of {text}");
        self.until(&what, |seen| {
            seen.of(text).filter(|request| request.is_abandoned).count() == count
        })
        .await
    }

    /// Lets so many `held` responses, bytes of `drips` or resets go.
    pub fn release(&self, count: usize) {
        self.released.add_permits(count);
    }

    pub fn set_health(&self, status: u16) {
        self.health.send_replace(status);
    }
}
