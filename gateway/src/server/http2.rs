//! HTTP/2 from clients, over TLS. Requests come out as those of HTTP/1.1 do, and under the same rules.

use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use actix_http::{Method, StatusCode};
use bytes::{Bytes, BytesMut};
use futures_util::future::poll_fn;
use h2::server::{Builder, SendResponse};
use h2::{Reason, RecvStream, SendStream};
use shared::shutdown::Shutdown;
use tokio::time::{Instant, timeout};

use crate::error::GatewayError;
use crate::gate::{Client, Worker};
use crate::http1::request_head::{self, MAX_FIELDS, MAX_HEAD_BYTES};
use crate::message::{Answer, Body, Fields, Framing, Head};
use crate::proxy::request_body::Source;
use crate::server::stream::Stream;

const STREAMS: u32 = 100;
const WINDOW_BYTES: u32 = 256 * 1024;
/// A client that takes nothing of its answer for this long is cut.
const WRITE_STALL: Duration = Duration::from_secs(20);

/// Serves the connection until it ends.
pub async fn serve(io: Stream, client: Client, worker: Rc<Worker>, mut shutdown: Shutdown) {
    let deadlines = worker.shared.deadlines;
    let mut builder = Builder::new();
    builder
        .max_concurrent_streams(STREAMS)
        .max_header_list_size(u32::try_from(MAX_HEAD_BYTES).unwrap_or(u32::MAX))
        .initial_window_size(WINDOW_BYTES)
        .initial_connection_window_size(4 * WINDOW_BYTES)
        .max_send_buffer_size(64 * 1024);
    let handshake = timeout(deadlines.header, builder.handshake::<_, Bytes>(io)).await;
    let Ok(Ok(mut connection)) = handshake else { return };
    let under_way = Rc::new(());
    let mut is_stopping = false;
    let mut idle_until = Instant::now() + deadlines.keep_alive;
    loop {
        tokio::select! {
            accepted = connection.accept() => match accepted {
                Some(Ok((request, respond))) => {
                    let (worker, held) = (worker.clone(), under_way.clone());
                    tokio::task::spawn_local(async move {
                        exchange(request, respond, &worker, &client).await;
                        drop(held);
                    });
                    idle_until = Instant::now() + deadlines.keep_alive;
                }
                Some(Err(_)) | None => return,
            },
            () = shutdown.requested(), if !is_stopping => {
                is_stopping = true;
                connection.graceful_shutdown();
            }
            () = tokio::time::sleep_until(idle_until) => {
                if Rc::strong_count(&under_way) == 1 && !is_stopping {
                    is_stopping = true;
                    connection.graceful_shutdown();
                }
                idle_until = Instant::now() + deadlines.keep_alive;
            }
        }
    }
}

async fn exchange(
    request: http::Request<RecvStream>,
    mut respond: SendResponse<Bytes>,
    worker: &Worker,
    client: &Client,
) {
    let (parts, stream) = request.into_parts();
    let is_head = parts.method == Method::HEAD;
    let mut source = Http2Body(stream);
    let answer = match head(&parts, &source.0) {
        Ok(head) => worker.answer(head, &mut source, client).await,
        Err(error) => worker.refuse(error, client),
    };
    if write(&mut respond, answer, is_head, &worker.date())
        .await
        .is_err()
    {
        respond.send_reset(Reason::INTERNAL_ERROR);
    }
}

/// The same head as HTTP/1.1 would give, or why there is none.
fn head(parts: &http::request::Parts, body: &RecvStream) -> Result<Head, GatewayError> {
    let method = request_head::check_method(parts.method.as_str().as_bytes())?;
    let target = parts.uri.path_and_query().map_or("/", |target| target.as_str());
    request_head::check_target(target.as_bytes())?;
    if parts.headers.len() > MAX_FIELDS {
        return Err(GatewayError::HeaderTooLarge);
    }
    let mut fields = Fields::with_capacity(parts.headers.len() + 1);
    let mut cookies = BytesMut::new();
    for (name, value) in &parts.headers {
        let value = value.as_bytes();
        match name.as_str() {
            "host" => {}
            "expect" if value.eq_ignore_ascii_case(b"100-continue") => {}
            "expect" => return Err(GatewayError::ExpectationFailed),
            // Source: RFC 9113 section 8.2.3, what was split is put together for HTTP/1.1.
            "cookie" => {
                if !cookies.is_empty() {
                    cookies.extend_from_slice(b"; ");
                }
                cookies.extend_from_slice(value);
            }
            "authorization" | "content-type" | "content-length" if fields.has(name.as_str()) => {
                return Err(GatewayError::BadRequest("a field that may stand only once"));
            }
            name => fields.push(
                Bytes::copy_from_slice(name.as_bytes()),
                Bytes::copy_from_slice(value),
            ),
        }
    }
    if !cookies.is_empty() {
        fields.set("cookie", cookies.freeze());
    }
    fields.set("host", host(parts)?);
    let framing = match fields.get("content-length") {
        Some(value) => Framing::Length(
            request_head::parse_length(value).ok_or(GatewayError::BadRequest("bad Content-Length"))?,
        ),
        None if body.is_end_stream() => Framing::NoBody,
        None => Framing::Unknown,
    };
    Ok(Head {
        method,
        target: Bytes::copy_from_slice(target.as_bytes()),
        fields,
        framing,
        is_websocket: false,
    })
}

/// The authority, which a `Host` beside it may only repeat.
fn host(parts: &http::request::Parts) -> Result<Bytes, GatewayError> {
    let mut sent = parts.headers.get_all("host").iter();
    let authority = parts.uri.authority().map(http::uri::Authority::as_str);
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
    Ok(Bytes::copy_from_slice(host))
}

struct Http2Body(RecvStream);

impl Source for Http2Body {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, GatewayError>> {
        const BROKEN: GatewayError = GatewayError::BadRequest("the body is broken or incomplete");
        match ready!(self.0.poll_data(cx)) {
            Some(Ok(piece)) => {
                let released = self.0.flow_control().release_capacity(piece.len());
                Poll::Ready(released.map(|()| Some(piece)).map_err(|_| BROKEN))
            }
            Some(Err(_)) => Poll::Ready(Err(BROKEN)),
            None => Poll::Ready(Ok(None)),
        }
    }
}

/// Why an answer was not written to its end. There is nobody to tell.
#[derive(Debug)]
struct Torn;

impl From<h2::Error> for Torn {
    fn from(_: h2::Error) -> Self {
        Self
    }
}

async fn write(
    respond: &mut SendResponse<Bytes>,
    answer: Answer,
    is_head: bool,
    date: &Bytes,
) -> Result<(), Torn> {
    let mut response = http::Response::new(());
    *response.status_mut() = answer.status;
    let mut add = |name: &[u8], value: &[u8]| {
        let name = http::HeaderName::from_bytes(name);
        if let (Ok(name), Ok(value)) = (name, http::HeaderValue::from_bytes(value)) {
            response.headers_mut().append(name, value);
        }
    };
    for field in answer.fields.iter() {
        add(&field.name, &field.value);
    }
    if !answer.fields.has("date") {
        add(b"date", date);
    }
    let length = match &answer.body {
        Body::None | Body::Tunnel(_) => None,
        Body::HeadOf(length) => *length,
        Body::Whole(bytes) => u64::try_from(bytes.len()).ok(),
        Body::Upstream(body) => body.length(),
    };
    if let Some(length) = length {
        add(b"content-length", length.to_string().as_bytes());
    }
    let is_over = is_head
        || matches!(&answer.body, Body::None | Body::HeadOf(_) | Body::Tunnel(_))
        || matches!(&answer.body, Body::Whole(bytes) if bytes.is_empty())
        || answer.status == StatusCode::NO_CONTENT;
    let mut stream = respond.send_response(response, is_over)?;
    match answer.body {
        _ if is_over => {}
        Body::Whole(bytes) => send(&mut stream, bytes, true).await?,
        Body::Upstream(mut body) => {
            while let Some(piece) = body.next().await.map_err(|cause| {
                log::warn!("an upstream's answer is torn: {cause}");
                Torn
            })? {
                send(&mut stream, piece, false).await?;
            }
            stream.send_data(Bytes::new(), true)?;
        }
        Body::None | Body::HeadOf(_) | Body::Tunnel(_) => {}
    }
    Ok(())
}

/// Sends as much at a time as the client takes.
async fn send(stream: &mut SendStream<Bytes>, mut piece: Bytes, is_last: bool) -> Result<(), Torn> {
    while !piece.is_empty() {
        stream.reserve_capacity(piece.len());
        let capacity = timeout(WRITE_STALL, poll_fn(|cx| stream.poll_capacity(cx))).await;
        let capacity = capacity.map_err(|_| Torn)?.ok_or(Torn)??;
        let part = piece.split_to(capacity.min(piece.len()));
        let is_end = is_last && piece.is_empty();
        stream.send_data(part, is_end)?;
    }
    Ok(())
}
