//! A request's body on its way to whoever works on it: within a size, within a time, and exactly as long as declared.

use std::future::poll_fn;
use std::net::IpAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use actix_http::Payload;
use bytes::{Bytes, BytesMut};
use futures_util::Stream;
use tokio::time::Instant;

use super::held::{Held, HeldBytes};
use super::timer::Timer;
use crate::error::GatewayError;
use crate::routes::Limits;
use crate::server::app_service::{BodyLength, gateway_error};

/// A body that is passed on piece by piece has this much more time for every so many bytes of it.
const SLOWEST_BYTES_PER_SECOND: u64 = 1024;

const WRONG_LENGTH: GatewayError = GatewayError::BadRequest("the body is not as long as its Content-Length");

/// A body that is being read.
pub struct RequestBody {
    payload: Payload,
    length: BodyLength,
    max_bytes: u64,
    deadline: Instant,
    timer: Timer,
    read_bytes: u64,
}

/// A body that was read. Its part of the common memory is given back when it is dropped.
#[derive(Debug)]
pub struct WholeBody {
    /// `None`: the request has no body, which is not the same as an empty one.
    pub bytes: Option<Bytes>,
    _held: HeldBytes,
}

impl RequestBody {
    /// # Errors
    /// 413 when it says that it is over the size.
    pub fn new(payload: Payload, length: BodyLength, limits: Limits) -> Result<Self, GatewayError> {
        if matches!(length, BodyLength::Known(bytes) if bytes > limits.max_bytes) {
            return Err(GatewayError::PayloadTooLarge);
        }
        Ok(Self {
            payload,
            length,
            max_bytes: limits.max_bytes,
            deadline: Instant::now() + limits.timeout,
            timer: Timer::default(),
            read_bytes: 0,
        })
    }

    pub fn length(&self) -> BodyLength {
        self.length
    }

    /// The next piece; `None` is the end. There is more time the more has come.
    ///
    /// # Errors
    /// 413 over the size, 408 over the time, 400 when the body is broken, cut, or not as long as declared.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, GatewayError>> {
        let before = self.read_bytes / SLOWEST_BYTES_PER_SECOND;
        let next = self.poll_within_size(cx);
        if next.is_ready() {
            self.deadline += Duration::from_secs(self.read_bytes / SLOWEST_BYTES_PER_SECOND - before);
            return next;
        }
        self.timer
            .poll_until(self.deadline, cx)
            .map(|()| Err(GatewayError::RequestTimeout))
    }

    fn poll_within_size(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, GatewayError>> {
        if self.length == BodyLength::None {
            return Poll::Ready(Ok(None));
        }
        let piece = match Pin::new(&mut self.payload).poll_next(cx) {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(Some(Ok(piece))) => piece,
            Poll::Ready(Some(Err(error))) => return Poll::Ready(Err(gateway_error(&error))),
            Poll::Ready(None) => {
                let is_short = matches!(self.length, BodyLength::Known(bytes) if bytes != self.read_bytes);
                return Poll::Ready(if is_short { Err(WRONG_LENGTH) } else { Ok(None) });
            }
        };
        self.read_bytes = self
            .read_bytes
            .saturating_add(u64::try_from(piece.len()).unwrap_or(u64::MAX));
        Poll::Ready(match self.length {
            BodyLength::Known(bytes) if self.read_bytes > bytes => Err(WRONG_LENGTH),
            _ if self.read_bytes > self.max_bytes => Err(GatewayError::PayloadTooLarge),
            _ => Ok(Some(piece)),
        })
    }

    /// Reads all of it, within its time and no more.
    ///
    /// # Errors
    /// As [`RequestBody::poll_next`], and 503 over the memory for all bodies or over the client's share of it.
    pub async fn whole(mut self, held: &Held, client: IpAddr) -> Result<WholeBody, GatewayError> {
        let mut held = held.of(client);
        if self.length == BodyLength::None {
            return Ok(WholeBody {
                bytes: None,
                _held: held,
            });
        }
        let mut whole = self.next_in_time().await?.unwrap_or_default();
        held.add(whole.len())?;
        let mut rest = BytesMut::new();
        while let Some(piece) = self.next_in_time().await? {
            held.add(piece.len())?;
            if rest.is_empty() {
                rest.extend_from_slice(&whole);
            }
            rest.extend_from_slice(&piece);
        }
        if !rest.is_empty() {
            whole = rest.freeze();
        }
        Ok(WholeBody {
            bytes: Some(whole),
            _held: held,
        })
    }

    async fn next_in_time(&mut self) -> Result<Option<Bytes>, GatewayError> {
        let deadline = self.deadline;
        let next = poll_fn(|cx| self.poll_next(cx)).await;
        self.deadline = deadline;
        next
    }
}
