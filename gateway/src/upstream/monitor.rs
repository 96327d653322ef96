//! Owns:      the probes of all upstreams.
//! Receives:  nothing; wakes once an interval, and reads the present table then.
//! Bound:     one probe of an upstream at a time, each with a deadline.
//! On panic:  health stays as it is, and requests go on changing it; the panic is logged.
//! On stop:   leaves off at once.

use std::sync::Arc;
use std::time::Duration;

use actix::{Actor, ActorContext, ActorFutureExt, AsyncContext, Context, WrapFuture};
use actix_http::Method;
use futures_util::future::join_all;
use shared::health::Part;
use shared::shutdown::Shutdown;
use tokio::time::timeout;

use super::connection::UpstreamConnection;
use super::group::Upstream;
use crate::gate::Shared;

/// An upstream that needs longer than this for so little is not one to send anybody to.
const PROBE_TIMEOUT: Duration = Duration::from_secs(2);

pub struct UpstreamMonitor {
    work: Option<Monitor>,
}

struct Monitor {
    shared: Arc<Shared>,
    interval: Duration,
    identity: Part,
    shutdown: Shutdown,
}

impl UpstreamMonitor {
    /// Starts it. `identity` says whether identity-svc can be reached.
    pub fn start(shared: Arc<Shared>, interval: Duration, identity: Part, shutdown: Shutdown) {
        let work = Some(Monitor {
            shared,
            interval,
            identity,
            shutdown,
        });
        Actor::start(Self { work });
    }
}

impl Actor for UpstreamMonitor {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        let Some(monitor) = self.work.take() else { return };
        let run = monitor.run().into_actor(self);
        context.spawn(run.map(|(), _, context| context.stop()));
    }
}

impl Monitor {
    async fn run(mut self) {
        while !self.shutdown.is_requested() {
            let upstreams = self.shared.routes.get().upstreams();
            tokio::select! {
                _ = join_all(upstreams.iter().map(probe)) => {}
                () = self.shutdown.requested() => return,
            }
            if self.shared.routes.get().identity().is_ready() {
                self.identity.set_ready();
            } else {
                self.identity.set_unready("identity-svc cannot be reached");
            }
            tokio::select! {
                () = tokio::time::sleep(self.interval) => {}
                () = self.shutdown.requested() => return,
            }
        }
    }
}

async fn probe(upstream: &Arc<Upstream>) {
    let was_ready = upstream.health.is_ready();
    let (outcome, is_refusing) = match timeout(PROBE_TIMEOUT, ask(upstream)).await {
        Ok(Ok(())) => (Ok(()), false),
        Ok(Err((cause, is_refusing))) => (Err(cause), is_refusing),
        Err(_) => (Err("no answer in time".to_owned()), false),
    };
    match outcome {
        Ok(()) if was_ready => {}
        Ok(()) => {
            match upstream.probe_path {
                Some(_) => upstream.health.answered(),
                None => upstream.health.reachable(),
            }
            if upstream.health.is_ready() {
                log::info!(upstream:% = upstream.url; "an upstream is back");
            }
        }
        Err(cause) => {
            upstream.health.unreachable(is_refusing);
            if was_ready {
                log::warn!(upstream:% = upstream.url; "an upstream is away: {cause}");
            }
        }
    }
}

/// Asks it for the path that tells of its health, or only for a connection.
async fn ask(upstream: &Upstream) -> Result<(), (String, bool)> {
    let mut connection = UpstreamConnection::connect(&upstream.url, PROBE_TIMEOUT)
        .await
        .map_err(|error| {
            (
                error.to_string(),
                error.kind() == std::io::ErrorKind::ConnectionRefused,
            )
        })?;
    let Some(path) = &upstream.probe_path else {
        return Ok(());
    };
    let other = |cause: String| (cause, false);
    let request = format!(
        "GET {path} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n\r\n",
        upstream.url.authority()
    );
    connection
        .send(request.as_bytes())
        .await
        .map_err(|error| other(error.to_string()))?;
    let head = connection
        .answer_head(&Method::GET)
        .await
        .map_err(|error| other(error.to_string()))?;
    if head.status.is_server_error() {
        return Err(other(format!("its health page says {}", head.status.as_u16())));
    }
    Ok(())
}
