//! What the wire and the application agree on: how a request is handed over, and what travels with it.

use std::io;
use std::net::IpAddr;
use std::rc::Rc;

use actix_http::body::BoxBody;
use actix_http::error::PayloadError;
use actix_http::{Request, Response};
use futures_util::future::LocalBoxFuture;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::error::GatewayError;
pub use crate::http1::request_head::BodyLength;

type Call = dyn Fn(Request) -> LocalBoxFuture<'static, Response<BoxBody>>;
type Reject = dyn Fn(GatewayError, ClientConnection) -> Response<BoxBody>;

/// One worker's application, as the wire sees it.
///
/// - A request carries [`ClientConnection`] and [`BodyLength`] in its extensions, and [`WebSocketUpgrade`] when the
///   client asks for one; its payload yields [`GatewayError`]s as [`payload_error`] wraps them.
/// - The wire drops the future, or the response's body, when the client is gone: what works for the request ends then.
/// - A 101 has [`Upgraded`] in its extensions.
/// - A body that the response does not need may be left unread: the wire reads it over, or closes the connection.
#[derive(Clone)]
pub struct AppService {
    call: Rc<Call>,
    reject: Rc<Reject>,
}

impl AppService {
    pub fn new(
        call: impl Fn(Request) -> LocalBoxFuture<'static, Response<BoxBody>> + 'static,
        reject: impl Fn(GatewayError, ClientConnection) -> Response<BoxBody> + 'static,
    ) -> Self {
        Self {
            call: Rc::new(call),
            reject: Rc::new(reject),
        }
    }

    /// Has a well-formed request handled.
    pub fn call(&self, request: Request) -> LocalBoxFuture<'static, Response<BoxBody>> {
        (self.call)(request)
    }

    /// The response to what is no well-formed request, logged and counted like any other.
    pub fn reject(&self, error: GatewayError, client: ClientConnection) -> Response<BoxBody> {
        (self.reject)(error, client)
    }
}

/// Who is at the other end of a connection: the peer, or whom the PROXY protocol names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientConnection {
    pub address: IpAddr,
    pub is_tls: bool,
}

/// Marks a request that asks for an upgrade to WebSocket (HTTP/1.1).
#[derive(Clone, Copy, Debug)]
pub struct WebSocketUpgrade;

/// A connection as bytes.
pub trait ByteStream: AsyncRead + AsyncWrite + Unpin {}

impl<Io: AsyncRead + AsyncWrite + Unpin> ByteStream for Io {}

type Run = dyn for<'a> FnOnce(&'a mut (dyn ByteStream + 'a), &'a [u8]) -> LocalBoxFuture<'a, ()>;

/// What a client's connection belongs to after a 101; in the extensions of that response.
pub struct Upgraded(Box<Run>);

impl Upgraded {
    pub fn new(
        run: impl for<'a> FnOnce(&'a mut (dyn ByteStream + 'a), &'a [u8]) -> LocalBoxFuture<'a, ()> + 'static,
    ) -> Self {
        Self(Box::new(run))
    }

    /// Has the connection until its end. `early` is what the client has sent already.
    pub async fn run(self, client: &mut (dyn ByteStream + '_), early: &[u8]) {
        (self.0)(client, early).await;
    }
}

/// Wraps what is wrong with a body, so that a payload can yield it.
pub fn payload_error(error: GatewayError) -> PayloadError {
    PayloadError::Io(io::Error::other(error))
}

/// What [`payload_error`] wrapped; any other error of a payload means that the body is broken.
pub fn gateway_error(error: &PayloadError) -> GatewayError {
    if let PayloadError::Io(error) = error
        && let Some(inner) = error.get_ref().and_then(|inner| inner.downcast_ref())
    {
        return *inner;
    }
    GatewayError::BadRequest("the body is broken or incomplete")
}
