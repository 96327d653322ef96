//! One request on an HTTP/2 connection and its response. Requests come out as those of HTTP/1.1 do, and under the same
//! rules. What the client resets ends at once.

use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use actix_http::body::{BoxBody, MessageBody};
use actix_http::error::PayloadError;
use actix_http::header::{COOKIE, DATE, HOST, HeaderMap, HeaderName, HeaderValue};
use actix_http::{HttpMessage, Method, Payload, Request, Response, Uri, Version};
use bytes::{Bytes, BytesMut};
use futures_util::Stream;
use h2::server::SendResponse;
use h2::{Reason, RecvStream, SendStream};

use super::app_service::{BodyLength, ClientConnection, payload_error};
use super::connection::Wire;
use super::pace::Meter;
use super::response::Outline;
use crate::error::GatewayError;
use crate::http1::request_head::{self, MAX_FIELDS};
use crate::http1::write::is_of_the_connection;

const BROKEN: GatewayError = GatewayError::BadRequest("the body is broken or incomplete");

/// How the work for a stream ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Done,
    /// The client did not want it any more.
    Reset,
    /// Its response is torn, or taken too slowly.
    Torn,
}

/// Has one request handled, and writes the response.
pub async fn exchange(
    request: http_1::Request<RecvStream>,
    mut respond: SendResponse<Bytes>,
    client: ClientConnection,
    wire: Rc<Wire>,
) -> Outcome {
    let (parts, stream) = request.into_parts();
    let is_head = parts.method == http_1::Method::HEAD;
    let response = match to_request(&parts, stream, client) {
        Ok(request) => {
            let mut call = wire.app.call(request);
            let response = poll_fn(|cx| {
                if respond.poll_reset(cx).is_ready() {
                    return Poll::Ready(None);
                }
                call.as_mut().poll(cx).map(Some)
            });
            match response.await {
                Some(response) => response,
                None => return Outcome::Reset,
            }
        }
        Err(error) => wire.app.reject(error, client),
    };
    let mut body_of = Outline::of(&response, is_head);
    let head = to_head(&response, body_of, &wire.date.get());
    let mut body = response.into_body();
    if body_of.has_body && body_of.content_length == Some(0) {
        // Whoever makes the body learns that it was taken to its end.
        poll_fn(|cx| body.as_pin_mut().poll_next(cx)).await;
        body_of.has_body = false;
    }
    let Ok(stream) = respond.send_response(head, !body_of.has_body) else {
        return Outcome::Reset;
    };
    if !body_of.has_body {
        return Outcome::Done;
    }
    let mut writer = ResponseWriter {
        stream,
        piece: Bytes::new(),
        body: Some(body),
        remaining: body_of.content_length,
        meter: Meter::new(wire.deadlines().pace),
    };
    let outcome = poll_fn(|cx| writer.poll(cx)).await;
    if outcome == Outcome::Torn {
        writer.stream.send_reset(Reason::INTERNAL_ERROR);
    }
    outcome
}

/// A request's head without its headers.
#[derive(Debug)]
pub struct Http2Head {
    pub method: Method,
    pub target: Uri,
    pub body: BodyLength,
}

/// Reads a head as HTTP/1.1 would give it; its header fields are added to `headers`.
///
/// # Errors
/// What to answer instead.
pub fn read_head(
    parts: &http_1::request::Parts,
    is_end_of_stream: bool,
    headers: &mut HeaderMap,
) -> Result<Http2Head, GatewayError> {
    let method = request_head::check_method(parts.method.as_str().as_bytes())?;
    let target = parts.uri.path_and_query().map_or("/", |target| target.as_str());
    request_head::check_target(target.as_bytes())?;
    if parts.headers.len() > MAX_FIELDS {
        return Err(GatewayError::HeaderTooLarge);
    }
    let target = target
        .parse()
        .map_err(|_| GatewayError::BadRequest("bad character in the target"))?;
    let body = match copy_headers(&parts.headers, headers)? {
        // Source: RFC 9113 section 8.1.1. Whoever forwarded that length would wait for a body that never comes.
        Some(bytes) if bytes > 0 && is_end_of_stream => {
            return Err(GatewayError::BadRequest("a Content-Length without a body"));
        }
        Some(bytes) => BodyLength::Known(bytes),
        None if is_end_of_stream => BodyLength::None,
        None => BodyLength::Unknown,
    };
    headers.insert(HOST, host(parts)?);
    Ok(Http2Head { method, target, body })
}

/// The same request as HTTP/1.1 would give, or why there is none.
fn to_request(
    parts: &http_1::request::Parts,
    stream: RecvStream,
    client: ClientConnection,
) -> Result<Request, GatewayError> {
    let mut request: Request = Request::new();
    let to = request.head_mut();
    let head = read_head(parts, stream.is_end_stream(), &mut to.headers)?;
    to.method = head.method;
    to.uri = head.target;
    to.version = Version::HTTP_2;
    to.peer_addr = Some((client.address, 0).into());
    if head.body != BodyLength::None {
        let remaining = match head.body {
            BodyLength::Known(bytes) => Some(bytes),
            BodyLength::None | BodyLength::Unknown => None,
        };
        *request.payload() = Payload::Stream {
            payload: Box::pin(Http2Body { stream, remaining }),
        };
    }
    request.extensions_mut().insert(client);
    request.extensions_mut().insert(head.body);
    Ok(request)
}

/// Copies what HTTP/1.1 would let pass, and returns the length that the client says its body has.
fn copy_headers(from: &http_1::HeaderMap, to: &mut HeaderMap) -> Result<Option<u64>, GatewayError> {
    let mut cookies = BytesMut::new();
    let mut length = None;
    for (name, value) in from {
        let bytes = value.as_bytes();
        match name.as_str() {
            "host" => continue,
            "expect" if bytes.eq_ignore_ascii_case(b"100-continue") => continue,
            "expect" => return Err(GatewayError::ExpectationFailed),
            "connection" | "keep-alive" | "proxy-connection" | "transfer-encoding" | "upgrade" => {
                return Err(GatewayError::BadRequest("a field that HTTP/2 does not have"));
            }
            // Source: RFC 9113 section 8.2.3, what was split is put together for HTTP/1.1.
            "cookie" => {
                if !cookies.is_empty() {
                    cookies.extend_from_slice(b"; ");
                }
                cookies.extend_from_slice(bytes);
                continue;
            }
            "authorization" | "content-type" | "content-length" if to.contains_key(name.as_str()) => {
                return Err(GatewayError::BadRequest("a field that may stand only once"));
            }
            "content-length" => {
                let bytes = request_head::parse_length(bytes);
                length = Some(bytes.ok_or(GatewayError::BadRequest("bad Content-Length"))?);
            }
            _ => {}
        }
        to.append(header_name(name.as_str().as_bytes())?, header_value(bytes)?);
    }
    if !cookies.is_empty() {
        to.insert(COOKIE, header_value(&cookies)?);
    }
    Ok(length)
}

fn header_name(name: &[u8]) -> Result<HeaderName, GatewayError> {
    HeaderName::from_bytes(name).map_err(|_| GatewayError::BadRequest("bad header name"))
}

fn header_value(value: &[u8]) -> Result<HeaderValue, GatewayError> {
    HeaderValue::from_bytes(value).map_err(|_| GatewayError::BadRequest("bad character in a header value"))
}

/// The authority, which a `Host` beside it may only repeat.
fn host(parts: &http_1::request::Parts) -> Result<HeaderValue, GatewayError> {
    let mut sent = parts.headers.get_all("host").iter();
    let authority = parts.uri.authority().map(http_1::uri::Authority::as_str);
    let host = match (authority, sent.next(), sent.next()) {
        (Some(authority), None, None) => authority.as_bytes(),
        (Some(authority), Some(host), None) if authority.as_bytes() == host.as_bytes() => host.as_bytes(),
        (None, Some(host), None) => host.as_bytes(),
        (None, None, None) => return Err(GatewayError::BadRequest("no Host")),
        _ => return Err(GatewayError::BadRequest("more than one Host")),
    };
    if !request_head::is_host(host) {
        return Err(GatewayError::BadRequest("bad Host"));
    }
    header_value(host)
}

/// A request's body. It ends as its length said, or with an error, never short.
struct Http2Body {
    stream: RecvStream,
    remaining: Option<u64>,
}

impl Stream for Http2Body {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        let broken = || Poll::Ready(Some(Err(payload_error(BROKEN))));
        match ready!(this.stream.poll_data(cx)) {
            Some(Ok(piece)) => {
                let bytes = u64::try_from(piece.len()).unwrap_or(u64::MAX);
                if let Some(remaining) = this.remaining {
                    let Some(remaining) = remaining.checked_sub(bytes) else {
                        return broken();
                    };
                    this.remaining = Some(remaining);
                }
                if this.stream.flow_control().release_capacity(piece.len()).is_err() {
                    return broken();
                }
                Poll::Ready(Some(Ok(piece)))
            }
            Some(Err(_)) => broken(),
            None if this.remaining.is_some_and(|bytes| bytes > 0) => broken(),
            None => Poll::Ready(None),
        }
    }
}

fn to_head(response: &Response<BoxBody>, body: Outline, date: &[u8]) -> http_1::Response<()> {
    let mut head = http_1::Response::new(());
    if let Ok(status) = http_1::StatusCode::from_u16(response.status().as_u16()) {
        *head.status_mut() = status;
    }
    let mut add = |name: &[u8], value: &[u8]| {
        let name = http_1::HeaderName::from_bytes(name);
        if let (Ok(name), Ok(value)) = (name, http_1::HeaderValue::from_bytes(value)) {
            head.headers_mut().append(name, value);
        }
    };
    for (name, value) in response.headers() {
        if !is_of_the_connection(name) {
            add(name.as_str().as_bytes(), value.as_bytes());
        }
    }
    if !response.headers().contains_key(DATE) {
        add(b"date", date);
    }
    if let Some(length) = body.content_length {
        add(b"content-length", itoa::Buffer::new().format(length).as_bytes());
    }
    head
}

/// Writes a response's body, no faster than the client takes it.
struct ResponseWriter {
    stream: SendStream<Bytes>,
    piece: Bytes,
    body: Option<BoxBody>,
    /// What the body must still give, when that was said.
    remaining: Option<u64>,
    meter: Meter,
}

impl ResponseWriter {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Outcome> {
        if self.stream.poll_reset(cx).is_ready() {
            return Poll::Ready(Outcome::Reset);
        }
        loop {
            if self.piece.is_empty() {
                match self.poll_body(cx) {
                    Ok(Poll::Ready(())) => {}
                    Ok(Poll::Pending) => return Poll::Pending,
                    Err(outcome) => return Poll::Ready(outcome),
                }
            }
            // Once all that was said has come, its last piece can say so.
            if self.remaining == Some(0)
                && let Err(outcome) = self.poll_body(cx)
            {
                return Poll::Ready(outcome);
            }
            if self.piece.is_empty() && self.body.is_some() {
                continue;
            }
            if ready!(self.poll_send(cx)).is_err() {
                return Poll::Ready(Outcome::Torn);
            }
            if self.piece.is_empty() && self.body.is_none() {
                return Poll::Ready(Outcome::Done);
            }
        }
    }

    /// Takes the next piece of the body, or its end.
    fn poll_body(&mut self, cx: &mut Context<'_>) -> Result<Poll<()>, Outcome> {
        let Some(body) = &mut self.body else {
            return Ok(Poll::Ready(()));
        };
        match body.as_pin_mut().poll_next(cx) {
            Poll::Ready(Some(Ok(piece))) => {
                let bytes = u64::try_from(piece.len()).unwrap_or(u64::MAX);
                if let Some(remaining) = &mut self.remaining {
                    *remaining = remaining.checked_sub(bytes).ok_or_else(|| {
                        log::error!("a response is longer than it said");
                        Outcome::Torn
                    })?;
                }
                if !piece.is_empty() {
                    self.piece = piece;
                }
                Ok(Poll::Ready(()))
            }
            Poll::Ready(Some(Err(cause))) => {
                log::debug!("a response is torn: {cause}");
                Err(Outcome::Torn)
            }
            Poll::Ready(None) if self.remaining.is_some_and(|bytes| bytes > 0) => {
                log::debug!("a response is shorter than it said");
                Err(Outcome::Torn)
            }
            Poll::Ready(None) => {
                self.body = None;
                Ok(Poll::Ready(()))
            }
            Poll::Pending => Ok(Poll::Pending),
        }
    }

    /// Sends the present piece, and with its last byte the end of the body when that is known.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ()>> {
        if self.piece.is_empty() {
            let sent = self.stream.send_data(Bytes::new(), true);
            return Poll::Ready(sent.map_err(|_| ()));
        }
        while !self.piece.is_empty() {
            self.stream.reserve_capacity(self.piece.len());
            let mut capacity = self.stream.capacity();
            if capacity == 0 {
                match self.stream.poll_capacity(cx) {
                    Poll::Ready(Some(Ok(bytes))) => capacity = bytes,
                    Poll::Ready(Some(Err(_)) | None) => return Poll::Ready(Err(())),
                    Poll::Pending => {
                        ready!(self.meter.poll_too_slow(cx));
                        return Poll::Ready(Err(()));
                    }
                }
            }
            let part = self.piece.split_to(capacity.min(self.piece.len()));
            self.meter.advanced(part.len());
            let is_end = self.piece.is_empty() && self.body.is_none();
            if self.stream.send_data(part, is_end).is_err() {
                return Poll::Ready(Err(()));
            }
        }
        Poll::Ready(Ok(()))
    }
}
