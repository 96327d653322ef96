//! Connections to upstreams, against a service on a loopback socket that does exactly what a test says.

mod exchange;
mod own_request;
mod pool;
mod tls;

use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

use actix_http::Method;
use bytes::BytesMut;
use shared::metrics::Registry;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::{Declared, Exchange, Upstream, UpstreamConnection};

const PATIENCE: Duration = Duration::from_secs(20);

/// An upstream, and where its connections arrive.
struct Service {
    upstream: Arc<Upstream>,
    listener: TcpListener,
}

impl Service {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = listener.local_addr().unwrap().try_into().unwrap();
        let upstream = Upstream::new(url, None, None, 10, &Registry::default());
        Self { upstream, listener }
    }

    /// A connection, and its other end.
    async fn connection(&self) -> (UpstreamConnection, TcpStream) {
        let connect = UpstreamConnection::connect(&self.upstream, PATIENCE);
        let (connection, accepted) = tokio::join!(connect, self.listener.accept());
        (connection.unwrap(), accepted.unwrap().0)
    }
}

fn begin(connection: UpstreamConnection, method: Method, declared: Declared) -> Exchange {
    let head = BytesMut::from(&b"HEAD\r\n\r\n"[..]);
    Exchange::new(connection, method, head, declared)
}

async fn write(exchange: &mut Exchange) {
    poll_fn(|cx| exchange.poll_write(cx)).await.unwrap();
}

/// Reads until `text` has come.
async fn expect(socket: &mut TcpStream, text: &str) {
    let mut seen = vec![0; text.len()];
    socket.read_exact(&mut seen).await.unwrap();
    assert_eq!(String::from_utf8_lossy(&seen), text);
}

async fn say(socket: &mut TcpStream, text: &str) {
    socket.write_all(text.as_bytes()).await.unwrap();
}

/// The status and the body of the response.
async fn response(exchange: &mut Exchange) -> (u16, String) {
    let head = poll_fn(|cx| exchange.poll_head(cx)).await.unwrap();
    let mut body = Vec::new();
    while let Some(piece) = poll_fn(|cx| exchange.poll_body(cx)).await.unwrap() {
        body.extend_from_slice(&piece);
    }
    (head.status.as_u16(), String::from_utf8(body).unwrap())
}
