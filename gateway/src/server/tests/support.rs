//! A server with a toy application, and clients that say exactly what a test tells them to.

use std::cell::Cell;
use std::future::{Future, pending};
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use actix_http::body::{BodyStream, BoxBody};
use actix_http::error::PayloadError;
use actix_http::{Payload, Request, Response, StatusCode};
use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use shared::clock::Clock;
use shared::metrics::Registry;
use shared::shutdown::{self, ShutdownTrigger};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::Notify;
use tokio::time::timeout;

use crate::client_address::TrustedProxies;
use crate::server::address_limit::AddressLimit;
use crate::server::app_service::{AppService, ClientConnection};
use crate::server::connection::{self, Deadlines, Entrance, Wire};
use crate::server::http2;
use crate::server::stream::{self, ClientStream, Stream as Socket};

/// Longer than anything that a test waits for.
const LONG: Duration = Duration::from_secs(20);

/// A server, until it is dropped.
pub struct Server {
    pub address: SocketAddr,
    pub shutdown: ShutdownTrigger,
    pub metrics: Registry,
    pub wire: Rc<Wire>,
}

/// What a test may want to be different.
#[derive(Clone, Copy)]
pub struct Setup {
    pub deadlines: Deadlines,
    pub per_address: usize,
    pub trusted_proxies: &'static str,
    /// HTTP/2 from the first byte, without TLS.
    pub is_http2: bool,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            deadlines: Deadlines::new(LONG, LONG),
            per_address: 0,
            trusted_proxies: "",
            is_http2: false,
        }
    }
}

/// Serves with the application `handle`.
pub fn serve<Handled>(setup: Setup, handle: impl Fn(Request) -> Handled + 'static) -> Server
where
    Handled: Future<Output = Response<BoxBody>> + 'static,
{
    let app = AppService::new(
        move |request| Box::pin(handle(request)),
        |error, _| Response::with_body(error.status(), BoxBody::new(error.to_string())),
    );
    let (trigger, signal) = shutdown::channel();
    let metrics = Registry::default();
    let entrance = Entrance {
        tls: None,
        proxy_protocol: false,
        trusted_proxies: setup.trusted_proxies.parse::<TrustedProxies>().unwrap(),
        deadlines: setup.deadlines,
        per_address: AddressLimit::new(setup.per_address),
        connections: Arc::new(metrics.gauge("connections", "Open.", &[])),
        refused: Arc::new(metrics.counter("refused_total", "Refused.", &[])),
        clock: Clock::fixed(784_111_777_000),
    };
    let wire = Wire::new(entrance, app, signal);
    let shared = wire.clone();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    listener.set_nonblocking(true).unwrap();
    let listener = tokio::net::TcpListener::from_std(listener).unwrap();
    tokio::task::spawn_local(async move {
        while let Ok((socket, peer)) = listener.accept().await {
            let wire = shared.clone();
            tokio::task::spawn_local(async move {
                if setup.is_http2 {
                    stream::prepare(&socket).unwrap();
                    let pace = wire.deadlines().pace;
                    let client = ClientConnection {
                        address: peer.ip(),
                        is_tls: true,
                    };
                    http2::serve(ClientStream::new(Socket::Plain(socket), pace), client, wire).await;
                } else {
                    connection::serve(socket, wire).await;
                }
            });
        }
    });
    Server {
        address,
        shutdown: trigger,
        metrics,
        wire,
    }
}

pub fn ok(body: impl Into<Bytes>) -> Response<BoxBody> {
    Response::with_body(StatusCode::OK, BoxBody::new(body.into()))
}

pub fn streamed(pieces: impl Stream<Item = Result<Bytes, PayloadError>> + 'static) -> Response<BoxBody> {
    let pieces: Pin<Box<dyn Stream<Item = _>>> = Box::pin(pieces);
    Response::with_body(StatusCode::OK, BoxBody::new(BodyStream::new(pieces)))
}

/// Reads a payload; an error ends it.
pub async fn read(mut payload: Payload) -> Result<Vec<u8>, PayloadError> {
    let mut whole = Vec::new();
    while let Some(piece) = payload.next().await {
        whole.extend_from_slice(&piece?);
    }
    Ok(whole)
}

/// Waits for what must happen.
pub async fn soon<T>(event: impl Future<Output = T>) -> T {
    timeout(LONG, event).await.expect("it does not happen")
}

/// Counts how much work is under way, and tells when some of it begins and ends.
#[derive(Clone, Default)]
pub struct Work(Rc<WorkState>);

#[derive(Default)]
struct WorkState {
    now: Cell<usize>,
    most: Cell<usize>,
    begun: Cell<usize>,
    changed: Notify,
}

/// A piece of work; it ends when this is dropped.
pub struct Working(Work);

impl Work {
    pub fn begin(&self) -> Working {
        let state = &self.0;
        state.now.set(state.now.get() + 1);
        state.begun.set(state.begun.get() + 1);
        state.most.set(state.most.get().max(state.now.get()));
        state.changed.notify_waiters();
        Working(self.clone())
    }

    pub fn now(&self) -> usize {
        self.0.now.get()
    }

    pub fn most(&self) -> usize {
        self.0.most.get()
    }

    pub fn begun(&self) -> usize {
        self.0.begun.get()
    }

    pub async fn until(&self, is_so: impl Fn(&Self) -> bool) {
        soon(async {
            loop {
                let changed = self.0.changed.notified();
                if is_so(self) {
                    return;
                }
                changed.await;
            }
        })
        .await;
    }
}

impl Drop for Working {
    fn drop(&mut self) {
        let state = &self.0.0;
        state.now.set(state.now.get() - 1);
        state.changed.notify_waiters();
    }
}

/// A body that never ends, and gives something whenever it is asked, or nothing at all.
pub struct Endless {
    pub piece: Option<Bytes>,
    pub _working: Working,
}

impl Stream for Endless {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.piece
            .clone()
            .map_or(Poll::Pending, |piece| Poll::Ready(Some(Ok(piece))))
    }
}

/// Works until it is dropped.
pub async fn forever(working: Working) -> Response<BoxBody> {
    let _working = working;
    pending().await
}

/// A client's side of a connection.
pub struct Client {
    pub socket: TcpStream,
    input: Vec<u8>,
}

impl Client {
    pub async fn connect(server: &Server) -> Self {
        let socket = TcpStream::connect(server.address).await.unwrap();
        socket.set_nodelay(true).unwrap();
        Self {
            socket,
            input: Vec::new(),
        }
    }

    /// One that has room for little.
    pub async fn narrow(server: &Server) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        Self {
            socket: socket.connect(server.address).await.unwrap(),
            input: Vec::new(),
        }
    }

    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.socket.write_all(bytes.as_ref()).await.unwrap();
    }

    /// Reads more; `false` at the end.
    async fn more(&mut self) -> std::io::Result<bool> {
        let mut space = vec![0; 65536];
        let bytes = soon(self.socket.read(&mut space)).await?;
        self.input.extend_from_slice(&space[..bytes]);
        Ok(bytes > 0)
    }

    /// What comes until `end`, which is included.
    pub async fn until(&mut self, end: &str) -> String {
        loop {
            let found = self
                .input
                .windows(end.len())
                .position(|part| part == end.as_bytes());
            if let Some(position) = found {
                let rest = self.input.split_off(position + end.len());
                let text = std::mem::replace(&mut self.input, rest);
                return String::from_utf8(text).unwrap();
            }
            assert!(self.more().await.unwrap(), "it ends after {:?}", self.text());
        }
    }

    /// Exactly so many bytes.
    pub async fn exactly(&mut self, bytes: usize) -> Vec<u8> {
        self.exactly_or_end(bytes).await.expect("it ends before")
    }

    /// As [`Client::exactly`]; `None` when the connection is over before.
    pub async fn exactly_or_end(&mut self, bytes: usize) -> Option<Vec<u8>> {
        while self.input.len() < bytes {
            if !self.more().await.unwrap_or(false) {
                return None;
            }
        }
        let rest = self.input.split_off(bytes);
        Some(std::mem::replace(&mut self.input, rest))
    }

    /// Sends unless the connection is over.
    pub async fn try_send(&mut self, bytes: &[u8]) -> bool {
        self.socket.write_all(bytes).await.is_ok()
    }

    /// Everything until the end of the connection, and how that ends.
    pub async fn rest(&mut self) -> (String, std::io::Result<()>) {
        let end = loop {
            match self.more().await {
                Ok(true) => {}
                Ok(false) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        (self.text(), end)
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.input).into_owned()
    }

    /// Closes the connection, in order or by a reset.
    pub fn leave(self, resets: bool) {
        if resets {
            self.socket.set_zero_linger().unwrap();
        }
    }
}
