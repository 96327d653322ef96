//! From a group of upstreams to a connection to one of them. Whatever fails here has sent nothing, so the next one is
//! tried; what fails later is never repeated.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::connection::UpstreamConnection;
use super::group::{Group, InFlight, Upstream};
use super::pool::Pool;

/// A connection to the upstream that was chosen, and its place there.
#[derive(Debug)]
pub struct Reached {
    pub upstream: Arc<Upstream>,
    pub connection: UpstreamConnection,
    pub place: InFlight,
}

/// `None`: nobody is ready, everybody is full, or nobody takes a connection.
pub async fn reach(group: &Group, pool: &Pool, timeout: Duration) -> Option<Reached> {
    let mut tried = Vec::new();
    while let Some(upstream) = group.choose(&tried).cloned() {
        if let Some(place) = upstream.enter() {
            match pool.get(&upstream, timeout).await {
                Ok(connection) => {
                    return Some(Reached {
                        upstream,
                        connection,
                        place,
                    });
                }
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
        }
        tried.push(upstream);
    }
    None
}
