//! Owns:      the probes of all upstreams.
//! Receives:  nothing; wakes once an interval, and reads the present table then.
//! Bound:     one probe of an upstream at a time, each with a deadline.
//! On panic:  health stays as it is, and requests go on changing it; the panic is logged.
//! On stop:   leaves off at once.

use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix::{Actor, ActorContext, ActorFutureExt, AsyncContext, Context, WrapFuture};
use actix_http::{Method, StatusCode};
use bytes::BytesMut;
use futures_util::future::join_all;
use shared::health::Part;
use shared::shutdown::Shutdown;
use tokio::time::timeout;

use super::connection::UpstreamConnection;
use super::exchange::Exchange;
use super::group::Group;
use super::health::Probe;
use super::request_sender::Declared;
use super::response_reader::ResponseError;
use super::service::Upstream;

/// An upstream that needs longer than this for so little is not one to send anybody to.
const PROBE_TIMEOUT: Duration = Duration::from_secs(2);

pub struct UpstreamMonitor {
    work: Option<Monitor>,
}

/// What is watched at one time.
pub struct Watched {
    pub upstreams: Vec<Arc<Upstream>>,
    pub identity: Arc<Group>,
}

struct Monitor {
    watched: Rc<dyn Fn() -> Watched>,
    interval: Duration,
    identity: Part,
    shutdown: Shutdown,
}

impl UpstreamMonitor {
    /// Starts it. `watched` says what there is to watch, `identity` whether identity-svc can be reached.
    pub fn start(
        watched: impl Fn() -> Watched + 'static,
        interval: Duration,
        identity: Part,
        shutdown: Shutdown,
    ) {
        let work = Some(Monitor {
            watched: Rc::new(watched),
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
            let upstreams = (self.watched)().upstreams;
            tokio::select! {
                _ = join_all(upstreams.iter().map(probe)) => {}
                () = self.shutdown.requested() => return,
            }
            if (self.watched)().identity.is_ready() {
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
    let (probe, cause) = ask(upstream).await;
    upstream.health.probed(probe);
    match (was_ready, upstream.health.is_ready()) {
        (false, true) => log::info!(upstream:% = upstream.url; "an upstream is back"),
        (true, false) => log::warn!(upstream:% = upstream.url; "an upstream is away: {cause}"),
        (true, true) | (false, false) => {}
    }
}

/// Asks it for the path that tells of its health, or only for a connection.
async fn ask(upstream: &Arc<Upstream>) -> (Probe, String) {
    let connection = match UpstreamConnection::connect(upstream, PROBE_TIMEOUT).await {
        Ok(connection) => connection,
        Err(error) => {
            let is_refusing = error.kind() == io::ErrorKind::ConnectionRefused;
            return (Probe::Unreachable { is_refusing }, error.to_string());
        }
    };
    let Some(path) = &upstream.probe_path else {
        return (Probe::Reachable, String::new());
    };
    let host = upstream.url.authority();
    let head = format!("GET {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n");
    let mut head = BytesMut::from(head.as_bytes());
    upstream.write_internal_secret(&mut head);
    head.extend_from_slice(b"\r\n");
    let exchange = Exchange::new(connection, Method::GET, head, Declared::NoBody);
    match timeout(PROBE_TIMEOUT, status(exchange)).await {
        Ok(Ok(status)) if status.is_server_error() => {
            let cause = format!("its health page says {}", status.as_u16());
            (Probe::Unwilling, cause)
        }
        Ok(Ok(_)) => (Probe::Well, String::new()),
        Ok(Err(error)) => (Probe::Unwilling, error.to_string()),
        Err(_) => (Probe::Unwilling, "no answer in time".to_owned()),
    }
}

async fn status(mut exchange: Exchange) -> Result<StatusCode, ResponseError> {
    poll_fn(|cx| exchange.poll_write(cx)).await?;
    Ok(poll_fn(|cx| exchange.poll_head(cx)).await?.status)
}
