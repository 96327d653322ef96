//! One request on an HTTP/1.1 connection and its response. Reading and writing go on at the same time: a response may
//! begin, stream and end while the request's body is still arriving, and a client that is gone ends the work for it.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use actix_http::body::BoxBody;
use actix_http::header::CONNECTION;
use actix_http::{ConnectionType, HttpMessage, Method, Payload, Request, Response, StatusCode, Version};
use bytes::BytesMut;
use futures_util::future::LocalBoxFuture;
use tokio::io::AsyncWrite;
use tokio::time::{Instant, Sleep, sleep, timeout_at};

use super::app_service::{BodyLength, ClientConnection, Upgraded, WebSocketUpgrade};
use super::http1::{After, Connection};
use super::http1_body::Intake;
use super::http1_response::{Failure, ResponseWriter};
use super::response::Outline;
use super::stream::{self, ClientStream};
use crate::error::GatewayError;
use crate::http1::request_head::RequestHead;
use crate::http1::write::{self, ResponseLines};

const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";
/// A body that nobody wanted is read over for so much, and the connection goes on; beyond that it ends.
const READ_OVER_BYTES: u64 = 256 * 1024;
/// While the response is on its way, so much is read over, for clients that look for one only when all is sent.
const READ_BESIDE_BYTES: u64 = 16 * 1024 * 1024;
/// Further requests that arrive before the response is written are read ahead up to this.
const AHEAD_BYTES: usize = 16 * 1024;
/// How often a client whose input is not read at present is looked at.
const LOOK: Duration = Duration::from_secs(1);

/// What is under way on a connection.
struct Exchange<'a> {
    io: &'a mut ClientStream,
    input: &'a mut BytesMut,
    intake: Intake,
    /// What is left to write before the client sends the body.
    go_on: &'static [u8],
    look: Option<Pin<Box<Sleep>>>,
    is_client_gone: bool,
}

enum Read {
    /// The body's reader has something to do.
    News,
    Nothing,
    /// The client has closed its side, or the connection is broken.
    Gone,
}

/// Has one request handled, and writes the response.
pub async fn exchange(connection: &mut Connection, head: RequestHead, request: Request) -> After {
    let is_head = head.method == Method::HEAD;
    let is_http_11 = head.is_http_11;
    // No other upgrade is forwarded; the response must not look as if one had been taken.
    let keeps_alive = head.keeps_alive && !head.asks_upgrade;
    let mut exchange = Exchange {
        io: &mut connection.io,
        input: &mut connection.input,
        intake: Intake::new(head.body),
        go_on: if head.expects_continue { CONTINUE } else { b"" },
        look: None,
        is_client_gone: false,
    };
    let request = filled(request, head, connection.client, &exchange.intake);
    exchange
        .intake
        .feed(exchange.input, &Context::from_waker(Waker::noop()));
    let mut call = connection.wire.app.call(request);
    let Some(mut response) = poll_fn(|cx| exchange.poll_call(&mut call, cx)).await else {
        return After::Abort;
    };
    drop(call);
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        let upgraded = response.extensions_mut().remove::<Upgraded>();
        return match upgraded {
            Some(upgraded) => hand_over(connection, &response, upgraded).await,
            None => After::Abort,
        };
    }
    let keeps_alive = keeps_alive
        && !asks_to_close(&response)
        && !connection.wire.shutdown.is_requested()
        && exchange.can_go_on();
    let date = connection.wire.date.get();
    let mut after = exchange
        .respond(response, is_head, is_http_11, keeps_alive, &date)
        .await;
    if after == After::NextRequest && !exchange.intake.is_complete() {
        after = match exchange.read_over(connection.wire.deadlines().linger).await {
            true => After::NextRequest,
            false => After::CloseUnread,
        };
    }
    after
}

/// Answers what is no well-formed request.
pub async fn refuse(connection: &mut Connection, error: GatewayError) -> After {
    let response = connection.wire.app.reject(error, connection.client);
    let date = connection.wire.date.get();
    let mut exchange = Exchange {
        io: &mut connection.io,
        input: &mut connection.input,
        intake: Intake::broken(),
        go_on: b"",
        look: None,
        is_client_gone: false,
    };
    exchange.respond(response, false, true, false, &date).await
}

/// The request as the application gets it.
fn filled(mut request: Request, head: RequestHead, client: ClientConnection, intake: &Intake) -> Request {
    let to = request.head_mut();
    to.method = head.method;
    to.uri = head.target;
    to.version = match head.is_http_11 {
        true => Version::HTTP_11,
        false => Version::HTTP_10,
    };
    to.peer_addr = Some((client.address, 0).into());
    if head.body != BodyLength::None {
        *request.payload() = Payload::Stream {
            payload: Box::pin(intake.stream()),
        };
    }
    let mut extensions = request.extensions_mut();
    extensions.insert(client);
    extensions.insert(head.body);
    if head.is_websocket {
        extensions.insert(WebSocketUpgrade);
    }
    drop(extensions);
    request
}

fn asks_to_close(response: &Response<BoxBody>) -> bool {
    let mut values = response.headers().get_all(CONNECTION);
    response.head().connection_type() == ConnectionType::Close
        || values.any(|value| value.as_bytes().eq_ignore_ascii_case(b"close"))
}

/// Both ends have agreed on another protocol: from here on the connection belongs to them.
async fn hand_over(connection: &mut Connection, response: &Response<BoxBody>, upgraded: Upgraded) -> After {
    let mut out = BytesMut::with_capacity(512);
    let lines = ResponseLines {
        date: &connection.wire.date.get(),
        content_length: None,
        is_chunked: false,
        connection: Some("upgrade"),
        is_websocket: true,
    };
    write::response_head(&mut out, response.head(), &lines);
    let client = connection.io.inner();
    if stream::write_all(client, &out).await.is_err() || stream::flush(client).await.is_err() {
        return After::Abort;
    }
    let input = std::mem::take(&mut connection.input);
    upgraded.run(client, &input).await;
    After::Close
}

impl Exchange<'_> {
    /// Has the application work on the request. `None`: the client is gone.
    fn poll_call(
        &mut self,
        call: &mut LocalBoxFuture<'static, Response<BoxBody>>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Response<BoxBody>>> {
        loop {
            if let Poll::Ready(response) = call.as_mut().poll(cx) {
                return Poll::Ready(Some(response));
            }
            match self.poll_go_on(cx) {
                Read::Gone => return Poll::Ready(None),
                Read::News | Read::Nothing => {}
            }
            match self.poll_read(cx) {
                Read::News => {}
                Read::Nothing => return Poll::Pending,
                Read::Gone => return Poll::Ready(None),
            }
        }
    }

    /// Tells the client to send the body, once somebody wants it.
    fn poll_go_on(&mut self, cx: &mut Context<'_>) -> Read {
        if self.go_on.is_empty() || !self.intake.is_wanted() {
            return Read::Nothing;
        }
        if self.intake.has_begun() && self.go_on.len() == CONTINUE.len() {
            self.go_on = b"";
        }
        while !self.go_on.is_empty() {
            match Pin::new(&mut *self.io).poll_write(cx, self.go_on) {
                Poll::Ready(Ok(bytes)) if bytes > 0 => {
                    self.go_on = self.go_on.get(bytes..).unwrap_or_default();
                }
                Poll::Ready(_) => return Read::Gone,
                Poll::Pending => return Read::Nothing,
            }
        }
        match Pin::new(&mut *self.io).poll_flush(cx) {
            Poll::Ready(Err(_)) => Read::Gone,
            Poll::Ready(Ok(())) | Poll::Pending => Read::Nothing,
        }
    }

    /// Reads what somebody waits for, or else watches whether the client is still there.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Read {
        loop {
            if self.is_client_gone {
                return Read::Nothing;
            }
            let reads = match self.intake.is_complete() {
                true => self.input.len() < AHEAD_BYTES,
                false => self.intake.takes_input(cx) && self.intake.unwanted_bytes() < READ_BESIDE_BYTES,
            };
            if !reads {
                return self.poll_look(cx);
            }
            match stream::poll_fill(self.io, self.input, cx) {
                Poll::Ready(Ok(bytes)) if bytes > 0 => {
                    if self.intake.feed(self.input, cx) {
                        return Read::News;
                    }
                }
                Poll::Ready(_) => return Read::Gone,
                Poll::Pending => return Read::Nothing,
            }
        }
    }

    /// Looks now and then whether the client is there, while its input is not read.
    fn poll_look(&mut self, cx: &mut Context<'_>) -> Read {
        loop {
            let look = self.look.get_or_insert_with(|| Box::pin(sleep(LOOK)));
            if look.as_mut().poll(cx).is_pending() {
                return Read::Nothing;
            }
            if self.io.is_closed_by_client() {
                return Read::Gone;
            }
            self.look = None;
        }
    }

    /// Whether a further request can follow, as far as this one's body is concerned.
    fn can_go_on(&self) -> bool {
        let intake = &self.intake;
        if intake.is_complete() {
            return true;
        }
        let is_waited_for = self.go_on.len() == CONTINUE.len();
        let is_short = intake.remaining().is_none_or(|bytes| bytes <= READ_OVER_BYTES);
        !intake.is_broken() && !is_waited_for && (is_short || !intake.is_dropped())
    }

    async fn respond(
        &mut self,
        response: Response<BoxBody>,
        is_head: bool,
        is_http_11: bool,
        keeps_alive: bool,
        date: &[u8],
    ) -> After {
        let outline = Outline::of(&response, is_head);
        let is_chunked = outline.has_body && outline.content_length.is_none() && is_http_11;
        let ends_by_close = outline.has_body && outline.content_length.is_none() && !is_http_11;
        let keeps_alive = keeps_alive && !ends_by_close;
        let mut out = BytesMut::with_capacity(1024);
        if self.go_on.len() < CONTINUE.len() {
            out.extend_from_slice(self.go_on);
        }
        let lines = ResponseLines {
            date,
            content_length: outline.content_length,
            is_chunked,
            connection: (!keeps_alive).then_some("close"),
            is_websocket: false,
        };
        write::response_head(&mut out, response.head(), &lines);
        let body = outline.has_body.then(|| response.into_body());
        let mut writer = ResponseWriter::new(out, body, outline.content_length, is_chunked);
        let written = poll_fn(|cx| self.poll_respond(&mut writer, cx)).await;
        drop(writer);
        match written {
            Ok(()) if self.is_client_gone => After::Close,
            Ok(()) if keeps_alive => After::NextRequest,
            Ok(()) if self.intake.is_complete() => After::Close,
            Ok(()) => After::CloseUnread,
            Err(Failure::Torn) if ends_by_close => After::Reset,
            Err(Failure::Torn | Failure::Gone) => After::Abort,
        }
    }

    fn poll_respond(
        &mut self,
        writer: &mut ResponseWriter,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Failure>> {
        loop {
            let waits_for_body = writer.fill(cx).is_pending();
            let written = writer.poll_write(self.io, cx).map_err(|_| Failure::Gone)?;
            if let (Poll::Ready(()), Some(end)) = (written, writer.is_done()) {
                return Poll::Ready(end);
            }
            // Whoever makes the response may wait for more of the request.
            match self.poll_read(cx) {
                Read::News => continue,
                Read::Nothing => {}
                // What is whole already is sent all the same.
                Read::Gone if writer.has_whole_body() => self.is_client_gone = true,
                Read::Gone => return Poll::Ready(Err(Failure::Gone)),
            }
            if written.is_pending() || waits_for_body {
                return Poll::Pending;
            }
        }
    }

    /// Reads the rest of a body that nobody wanted. Returns whether it came to its end in time and within the bound.
    async fn read_over(&mut self, pause: Duration) -> bool {
        self.intake.give_up();
        let until = Instant::now() + pause;
        loop {
            let cx = Context::from_waker(Waker::noop());
            self.intake.feed(self.input, &cx);
            if self.intake.is_complete() {
                return true;
            }
            if self.intake.is_broken() || self.intake.unwanted_bytes() > READ_OVER_BYTES {
                return false;
            }
            let fill = poll_fn(|cx| stream::poll_fill(self.io, self.input, cx));
            match timeout_at(until, fill).await {
                Ok(Ok(bytes)) if bytes > 0 => {}
                _ => return false,
            }
        }
    }
}
