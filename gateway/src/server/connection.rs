//! A client's connection from the moment it is taken: who it is, TLS or not, which HTTP.

use std::net::{IpAddr, Ipv4Addr};
use std::rc::Rc;
use std::sync::Arc;

use shared::shutdown::Shutdown;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use super::{http1, http2, proxy_protocol, tls};
use crate::gate::{Client, Worker};
use crate::server::stream::Stream;

/// How connections are taken.
#[derive(Clone)]
pub struct Entrance {
    pub tls: Option<TlsAcceptor>,
    pub proxy_protocol: bool,
    pub connections: Arc<shared::metrics::Gauge>,
}

/// Serves a connection until it ends.
pub async fn serve(mut socket: TcpStream, entrance: &Entrance, worker: Rc<Worker>, shutdown: Shutdown) {
    let _counted = Counted::new(entrance.connections.clone());
    let peer = socket
        .peer_addr()
        .map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.ip());
    if socket.set_nodelay(true).is_err() {
        return;
    }
    let mut client = Client {
        address: peer.to_canonical(),
        is_tls: entrance.tls.is_some(),
    };
    let wait = worker.shared.deadlines.header;
    if entrance.proxy_protocol && worker.shared.trusted_proxies.contains(client.address) {
        match timeout(wait, proxy_protocol::read(&mut socket)).await {
            Ok(Ok(Some(address))) => client.address = address.to_canonical(),
            Ok(Ok(None)) => {}
            Ok(Err(error)) => {
                log::debug!(peer:% = peer; "refused a connection of a proxy: {error}");
                return;
            }
            Err(_) => return,
        }
    }
    let Some(acceptor) = &entrance.tls else {
        return http1::serve(Stream::Plain(socket), client, worker, shutdown).await;
    };
    let handshake = Box::pin(timeout(wait, acceptor.accept(socket)));
    let Ok(Ok(stream)) = handshake.await else { return };
    let is_http2 = tls::is_http2(&stream);
    let stream = Stream::Tls(Box::new(stream));
    if is_http2 {
        Box::pin(http2::serve(stream, client, worker, shutdown)).await;
    } else {
        http1::serve(stream, client, worker, shutdown).await;
    }
}

/// One of the open connections, for the metrics.
struct Counted(Arc<shared::metrics::Gauge>);

impl Counted {
    fn new(gauge: Arc<shared::metrics::Gauge>) -> Self {
        gauge.add(1);
        Self(gauge)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.add(-1);
    }
}
