//! A client's connection from the moment it is taken: who it is, TLS or not, which HTTP.

use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use shared::clock::Clock;
use shared::metrics::{Counter, Gauge};
use shared::shutdown::Shutdown;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use super::address_limit::AddressLimit;
use super::app_service::{AppService, ClientConnection};
use super::date::DateLine;
use super::pace::Pace;
use super::stream::{self, ClientStream, Stream};
use super::{http1, http2, proxy_protocol, tls};
use crate::client_address::TrustedProxies;

/// The times of one connection.
#[derive(Clone, Copy, Debug)]
pub struct Deadlines {
    /// For a head, from its first byte; for the first one from the moment of the connection.
    pub header: Duration,
    /// From a response to the next request's first byte.
    pub keep_alive: Duration,
    /// After a response that leaves input unread: how long the connection waits for each further piece of it, so that
    /// the client sees the response and not a reset. Source: RFC 9112 section 9.6.
    pub linger: Duration,
    /// From the last word to an HTTP/2 client to the end of the connection.
    pub goodbye: Duration,
    /// How slowly a response may be taken.
    pub pace: Pace,
}

impl Deadlines {
    pub fn new(header: Duration, keep_alive: Duration) -> Self {
        Self {
            header,
            keep_alive,
            linger: Duration::from_secs(5),
            goodbye: Duration::from_secs(2),
            pace: Pace::default(),
        }
    }
}

/// How connections are taken. Clones share their counts.
#[derive(Clone)]
pub struct Entrance {
    pub tls: Option<TlsAcceptor>,
    /// Whether the trusted proxies begin each connection with a PROXY header.
    pub proxy_protocol: bool,
    pub trusted_proxies: TrustedProxies,
    pub deadlines: Deadlines,
    /// Connections of one client; the trusted proxies themselves may have as many as they like.
    pub per_address: AddressLimit,
    /// Connections that are open.
    pub connections: Arc<Gauge>,
    /// Connections closed at once because their client has too many.
    pub refused: Arc<Counter>,
    pub clock: Clock,
}

/// What the connections of one worker share.
pub struct Wire {
    pub entrance: Entrance,
    pub app: AppService,
    pub date: DateLine,
    pub shutdown: Shutdown,
}

impl Wire {
    pub fn new(entrance: Entrance, app: AppService, shutdown: Shutdown) -> Rc<Self> {
        Rc::new(Self {
            date: DateLine::new(entrance.clock.clone()),
            entrance,
            app,
            shutdown,
        })
    }

    pub fn deadlines(&self) -> &Deadlines {
        &self.entrance.deadlines
    }
}

/// Serves a connection until it ends.
pub async fn serve(mut socket: TcpStream, wire: Rc<Wire>) {
    let entrance = &wire.entrance;
    let _counted = Counted::new(entrance.connections.clone());
    let peer = socket
        .peer_addr()
        .map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.ip());
    if stream::prepare(&socket).is_err() {
        return;
    }
    let mut client = ClientConnection {
        address: peer.to_canonical(),
        is_tls: entrance.tls.is_some(),
    };
    if entrance.proxy_protocol && entrance.trusted_proxies.contains(client.address) {
        match Box::pin(named_client(&mut socket, entrance.deadlines.header)).await {
            Ok(Some(address)) => client.address = address.to_canonical(),
            Ok(None) => {}
            Err(error) => {
                log::debug!(peer:% = peer; "refused a connection of a proxy: {error}");
                return;
            }
        }
    }
    let is_limited = entrance.per_address.is_on() && !entrance.trusted_proxies.contains(client.address);
    let place = is_limited.then(|| entrance.per_address.enter(client.address));
    if matches!(place, Some(None)) {
        entrance.refused.increment();
        log::debug!(client:% = client.address; "refused a connection: its client has too many");
        return;
    }
    let (stream, is_http2) = match &entrance.tls {
        None => (Stream::Plain(socket), false),
        Some(acceptor) => {
            let handshake = timeout(entrance.deadlines.header, acceptor.accept(socket));
            let Ok(Ok(stream)) = Box::pin(handshake).await else {
                return;
            };
            let is_http2 = tls::is_http2(&stream);
            (Stream::Tls(Box::new(stream)), is_http2)
        }
    };
    let stream = ClientStream::new(stream, entrance.deadlines.pace);
    if is_http2 {
        Box::pin(http2::serve(stream, client, wire.clone())).await;
    } else {
        http1::serve(stream, client, wire.clone()).await;
    }
}

/// Whom a proxy speaks for.
async fn named_client(socket: &mut TcpStream, wait: Duration) -> io::Result<Option<IpAddr>> {
    timeout(wait, proxy_protocol::read(socket)).await?
}

/// One of the open connections, for the metrics.
struct Counted(Arc<Gauge>);

impl Counted {
    fn new(gauge: Arc<Gauge>) -> Self {
        gauge.add(1);
        Self(gauge)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.add(-1);
    }
}
