//! Idle connections to upstreams; every worker has its own.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::BytesMut;

use super::connection::UpstreamConnection;
use super::group::Upstream;
use super::url::UpstreamUrl;

/// Below what servers keep idle connections for (5 s is the shortest common default), so that the gateway is the one
/// that closes them: a request sent into a connection that the other side is just closing cannot be repeated.
const IDLE: Duration = Duration::from_secs(4);
/// Idle connections to one upstream that are kept.
const KEPT: usize = 256;
/// How long a connection may take to come about.
const CONNECT: Duration = Duration::from_secs(3);

#[derive(Debug, Default)]
pub struct Pool(RefCell<HashMap<UpstreamUrl, Vec<Idle>>>);

#[derive(Debug)]
struct Idle {
    since: Instant,
    connection: UpstreamConnection,
}

impl Pool {
    /// A connection that was used last, or else a new one.
    ///
    /// # Errors
    /// When none can be made. Nothing was sent then.
    pub async fn get(&self, upstream: &Upstream, timeout: Duration) -> io::Result<UpstreamConnection> {
        match self.take(upstream) {
            Some(connection) => Ok(connection),
            None => UpstreamConnection::connect(&upstream.url, CONNECT.min(timeout)).await,
        }
    }

    fn take(&self, upstream: &Upstream) -> Option<UpstreamConnection> {
        let mut all = self.0.borrow_mut();
        let idle = all.get_mut(&upstream.url)?;
        while let Some(Idle { since, connection }) = idle.pop() {
            if since.elapsed() < IDLE && connection.is_alive() {
                return Some(connection);
            }
        }
        None
    }

    /// Keeps a connection whose answer was read to its end.
    pub fn put(&self, upstream: &Arc<Upstream>, mut connection: UpstreamConnection) {
        if !connection.input.is_empty() {
            return;
        }
        connection.input = BytesMut::new();
        let mut all = self.0.borrow_mut();
        if !all.contains_key(&upstream.url) {
            all.insert(upstream.url.clone(), Vec::new());
        }
        let Some(idle) = all.get_mut(&upstream.url) else {
            return;
        };
        if idle.len() < KEPT {
            let since = Instant::now();
            idle.push(Idle { since, connection });
        }
    }

    /// Closes what nobody used for a while, for as long as the pool lives.
    pub fn sweep(self: &Rc<Self>) {
        let pool = Rc::downgrade(self);
        tokio::task::spawn_local(async move {
            loop {
                tokio::time::sleep(IDLE / 2).await;
                let Some(pool) = pool.upgrade() else { return };
                for idle in pool.0.borrow_mut().values_mut() {
                    idle.retain(|it| it.since.elapsed() < IDLE);
                }
            }
        });
    }
}
