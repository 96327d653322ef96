//! Forwards one request and brings back the answer.

use std::cell::Cell;
use std::error::Error;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use actix_http::body::{self, BodySize, BodyStream, BoxBody, MessageBody, SizedStream};
use actix_http::{Method, Request, Response, StatusCode, header};
use awc::{Client, ClientResponse};
use bytes::{Bytes, BytesMut};
use futures_util::{Stream, StreamExt, ready};
use shared::request_id::RequestId;
use tokio::time::{Sleep, timeout};

use crate::error::GatewayError;
use crate::headers::{self, Origin};
use crate::rate_limit::{self, RateLimit};
use crate::request_body::BodyLimits;
use crate::routes::Route;
use crate::upstream::{self, MAX_IN_FLIGHT};

/// An answer of up to this size is complete before the client sees its beginning, so that a broken one is an error
/// and not a torn page.
const WHOLE_ANSWER_BYTES: u64 = 64 * 1024;

/// One worker's way to the upstreams.
pub struct Proxy {
    client: Client,
    timeout: Duration,
    body_limits: BodyLimits,
    in_flight: Cell<usize>,
}

impl Proxy {
    pub fn new(timeout: Duration, body_limits: BodyLimits) -> Self {
        Self {
            client: upstream::client(timeout),
            timeout,
            body_limits,
            in_flight: Cell::new(0),
        }
    }

    /// Reads a request that has no route to its end, so that the connection can go on with the next one.
    ///
    /// # Errors
    /// Always: 404, or what is wrong with the body.
    pub async fn no_route(&self, request: Request) -> Result<Response<BoxBody>, GatewayError> {
        let (head, payload) = request.into_parts();
        self.body_limits.read(&head, payload).await?;
        Err(GatewayError::NotFound)
    }

    /// # Errors
    /// What is wrong with the request's body, or with the upstream.
    pub async fn forward(
        &self,
        route: &Route,
        request: Request,
        origin: &Origin,
        id: &RequestId,
        rate_limit: &RateLimit,
    ) -> Result<Response<BoxBody>, GatewayError> {
        let (head, payload) = request.into_parts();
        let uri = route.upstream.join(head.uri.path_and_query())?;
        let body = self.body_limits.read(&head, payload).await?;
        let _in_flight = InFlight::enter(&self.in_flight)?;
        let is_limited = route.is_identity && rate_limit::is_limited(head.uri.path());
        let throttle_wait = if is_limited {
            rate_limit.charge(origin.address)
        } else {
            None
        };

        let mut outgoing = self.client.request(head.method.clone(), uri).no_decompress();
        if head.method == Method::HEAD {
            // A service that wrongly sends a body here would have it taken for the next answer on the connection.
            outgoing = outgoing.force_close();
        }
        *outgoing.headers_mut() = headers::to_upstream(&head, origin, id, throttle_wait);
        let sent = match body.bytes.clone() {
            Some(bytes) => outgoing.send_body(bytes),
            None => outgoing.send_body(body::None::new()),
        };
        // Never repeated: a request that left may have been acted on, and one that could not leave finds nobody now.
        let answer = match sent.await {
            Ok(answer) => self.answer(&head.method, answer).await,
            Err(error) => Err(upstream::failure(&error).because(&error)),
        };
        answer.map_err(|failure| {
            let told = if route.is_identity { GatewayError::Unavailable } else { failure.told };
            log::warn!(upstream:% = route.upstream, request_id:% = id, status = told.status().as_u16(); "no answer from an upstream: {}", failure.cause);
            told
        })
    }

    async fn answer(
        &self,
        method: &Method,
        mut answer: ClientResponse,
    ) -> Result<Response<BoxBody>, Failure> {
        let status = answer.status();
        if status.is_informational() {
            return Err(GatewayError::BadGateway.because(&format!("final answer with status {status}")));
        }
        let length = answer.headers().get(header::CONTENT_LENGTH);
        let length = length
            .and_then(|value| value.to_str().ok())
            .and_then(|text| text.parse::<u64>().ok());
        let headers = headers::from_upstream(answer.headers());
        let body = if matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED) {
            BoxBody::new(body::None::new())
        } else if *method == Method::HEAD {
            length.map_or_else(
                || BoxBody::new(body::None::new()),
                |length| BoxBody::new(NoBodyOf(length)),
            )
        } else {
            match length {
                Some(length) if length <= WHOLE_ANSWER_BYTES => {
                    BoxBody::new(self.whole(&mut answer, length).await?)
                }
                Some(length) => BoxBody::new(SizedStream::new(length, PacedBody::new(answer, self.timeout))),
                None => BoxBody::new(BodyStream::new(PacedBody::new(answer, self.timeout))),
            }
        };
        let mut response = Response::with_body(status, body);
        *response.headers_mut() = headers;
        Ok(response)
    }

    async fn whole(&self, answer: &mut ClientResponse, length: u64) -> Result<Bytes, Failure> {
        let collect = async {
            let mut whole = BytesMut::new();
            while let Some(piece) = answer.next().await {
                whole.extend_from_slice(&piece.map_err(|error| GatewayError::BadGateway.because(&error))?);
            }
            Ok(whole.freeze())
        };
        let whole = timeout(self.timeout, collect)
            .await
            .map_err(|error| GatewayError::GatewayTimeout.because(&error))??;
        if u64::try_from(whole.len()) == Ok(length) {
            Ok(whole)
        } else {
            Err(GatewayError::BadGateway.because(&format!("{} of {length} bytes arrived", whole.len())))
        }
    }
}

/// A failure of an upstream: what clients are told, and what the log says.
struct Failure {
    told: GatewayError,
    cause: String,
}

impl GatewayError {
    fn because(self, cause: &impl ToString) -> Failure {
        Failure {
            told: self,
            cause: cause.to_string(),
        }
    }
}

/// One of the places for requests under way; given back when dropped.
struct InFlight<'a>(&'a Cell<usize>);

impl<'a> InFlight<'a> {
    fn enter(count: &'a Cell<usize>) -> Result<Self, GatewayError> {
        if count.get() >= MAX_IN_FLIGHT {
            log::warn!(in_flight = count.get(); "refused a request: too many are waiting for upstreams");
            return Err(GatewayError::Unavailable);
        }
        count.set(count.get() + 1);
        Ok(Self(count))
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

/// The answer to a HEAD: no body, but the length it would have.
struct NoBodyOf(u64);

impl MessageBody for NoBodyOf {
    type Error = std::convert::Infallible;

    fn size(&self) -> BodySize {
        BodySize::Sized(self.0)
    }

    fn poll_next(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>> {
        Poll::Ready(None)
    }
}

/// A large answer on its way; an upstream that pauses for too long ends it, and with it the client's connection.
struct PacedBody {
    answer: ClientResponse,
    pause: Duration,
    timer: Option<Pin<Box<Sleep>>>,
}

impl PacedBody {
    fn new(answer: ClientResponse, pause: Duration) -> Self {
        Self {
            answer,
            pause,
            timer: None,
        }
    }
}

impl Stream for PacedBody {
    type Item = Result<Bytes, Box<dyn Error>>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        if let Poll::Ready(piece) = this.answer.poll_next_unpin(cx) {
            this.timer = None;
            return Poll::Ready(piece.map(|piece| piece.map_err(Into::into)));
        }
        let timer = this
            .timer
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(this.pause)));
        ready!(timer.as_mut().poll(cx));
        Poll::Ready(Some(Err("the upstream paused for too long".into())))
    }
}
