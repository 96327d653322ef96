//! Idle connections to upstreams; every worker has its own.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::time::{Duration, Instant};

use super::connection::UpstreamConnection;
use super::exchange::ReusableConnection;
use super::service::Upstream;

/// Below what servers keep idle connections for (5 s is the shortest common default), so that the gateway is the one
/// that closes them.
const IDLE: Duration = Duration::from_secs(4);
/// Idle connections to one upstream that are kept.
const KEPT: usize = 256;

/// By upstream; the connection that was used last is used next.
#[derive(Debug, Default)]
pub struct Pool(RefCell<HashMap<u64, Vec<Idle>>>);

#[derive(Debug)]
struct Idle {
    since: Instant,
    connection: ReusableConnection,
}

impl Pool {
    /// The idle connection that was used last, if there is one that is still open.
    pub fn take(&self, upstream: &Upstream) -> Option<UpstreamConnection> {
        let mut all = self.0.borrow_mut();
        let idle = all.get_mut(&upstream.id)?;
        while let Some(Idle {
            since,
            mut connection,
        }) = idle.pop()
        {
            if since.elapsed() < IDLE && connection.is_alive() {
                return Some(connection.into_inner());
            }
        }
        None
    }

    /// Keeps a connection that is proven to be free for another request.
    pub fn put(&self, upstream: &Upstream, connection: ReusableConnection) {
        let mut all = self.0.borrow_mut();
        let idle = all.entry(upstream.id).or_default();
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
                pool.0.borrow_mut().retain(|_, idle| {
                    idle.retain(|it| it.since.elapsed() < IDLE);
                    !idle.is_empty()
                });
            }
        });
    }
}
