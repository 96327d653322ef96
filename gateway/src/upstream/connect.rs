//! From a group of upstreams to a connection to one of them. Whatever fails here has sent nothing, so the next one is
//! tried.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::connection::UpstreamConnection;
use super::group::Group;
use super::pool::Pool;
use super::service::{Permit, Requester, Upstream};

/// How long a connection may take to come about.
const CONNECT: Duration = Duration::from_secs(3);

/// A connection to the upstream that was chosen, and the permit to use it.
#[derive(Debug)]
pub struct Reached {
    pub connection: UpstreamConnection,
    /// Whether it has carried another request before, so that the upstream may just be closing it.
    pub is_reused: bool,
    pub permit: Permit,
}

/// `pool`: where idle connections are; without one, a new one is made. `None`: nobody is ready, everybody is full, the
/// requester has its share, or nobody takes a connection.
pub async fn reach(
    group: &Group,
    pool: Option<&Pool>,
    requester: Requester,
    wait: Duration,
) -> Option<Reached> {
    let mut tried = Vec::new();
    while let Some(upstream) = group.choose(&tried).cloned() {
        if let Some(permit) = upstream.enter(requester) {
            if let Some(connection) = pool.and_then(|pool| pool.take(&upstream)) {
                return Some(Reached {
                    connection,
                    is_reused: true,
                    permit,
                });
            }
            if let Ok(connection) = connect(&upstream, wait).await {
                return Some(Reached {
                    connection,
                    is_reused: false,
                    permit,
                });
            }
        }
        tried.push(upstream);
    }
    None
}

/// A new connection.
///
/// # Errors
/// When none comes about, which is noted of the upstream.
pub async fn connect(upstream: &Arc<Upstream>, wait: Duration) -> io::Result<UpstreamConnection> {
    let connected = UpstreamConnection::connect(upstream, CONNECT.min(wait)).await;
    match &connected {
        Ok(_) => upstream.health.reachable(),
        Err(error) => {
            upstream.counts.unreachable.increment();
            let was_ready = upstream.health.is_ready();
            upstream
                .health
                .unreachable(error.kind() == io::ErrorKind::ConnectionRefused);
            if was_ready {
                log::warn!(upstream:% = upstream.url; "an upstream is away: {error}");
            }
        }
    }
    connected
}
