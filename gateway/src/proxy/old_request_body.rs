//! In the old types; goes with the old pipeline.
//!
//! A request's body on its way to whoever works on it: within a size, within a time, and, where it is read as a whole,
//! within a bound over all requests together.

use std::future::poll_fn;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::time::{Instant, timeout_at};

use super::held::{Held, HeldBytes};
use crate::error::GatewayError;
use crate::message::{Framing, Head};

/// A body that is passed on piece by piece has this much more time for every so many bytes of it.
const SLOWEST_BYTES_PER_SECOND: u64 = 1024;

/// Where the pieces come from.
pub trait Source {
    /// The next piece; `None` is the end.
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, GatewayError>>;

    /// Whether the client waits to be told to send it.
    fn is_waited_for(&self) -> bool {
        false
    }
}

pub use super::request_body::Limits;

/// A body that is being read.
pub struct RequestBody<'a> {
    source: &'a mut dyn Source,
    framing: Framing,
    max_bytes: u64,
    deadline: Instant,
    read_bytes: u64,
}

/// A body that was read. Its share of the common bound is freed when it is dropped.
#[derive(Debug)]
pub struct WholeBody {
    /// `None`: the request has no body, which is not the same as an empty one.
    pub bytes: Option<Bytes>,
    _share: HeldBytes,
}

impl<'a> RequestBody<'a> {
    /// # Errors
    /// 413 when it says that it is over the size.
    pub fn new(source: &'a mut dyn Source, head: &Head, limits: Limits) -> Result<Self, GatewayError> {
        if matches!(head.framing, Framing::Length(bytes) if bytes > limits.max_bytes) {
            return Err(GatewayError::PayloadTooLarge);
        }
        Ok(Self {
            source,
            framing: head.framing,
            max_bytes: limits.max_bytes,
            deadline: Instant::now() + limits.timeout,
            read_bytes: 0,
        })
    }

    pub fn framing(&self) -> Framing {
        self.framing
    }

    /// The next piece; `None` is the end.
    ///
    /// # Errors
    /// 413 over the size, 408 over the time, 400 when the body is broken or cut.
    pub async fn next(&mut self) -> Result<Option<Bytes>, GatewayError> {
        let next = poll_fn(|cx| self.source.poll_next(cx));
        let piece = timeout_at(self.deadline, next)
            .await
            .map_err(|_| GatewayError::RequestTimeout)??;
        let Some(piece) = piece else { return Ok(None) };
        self.read_bytes += u64::try_from(piece.len()).unwrap_or(u64::MAX);
        if self.read_bytes > self.max_bytes {
            return Err(GatewayError::PayloadTooLarge);
        }
        Ok(Some(piece))
    }

    /// As [`RequestBody::next`], with more time the more has come.
    ///
    /// # Errors
    /// As [`RequestBody::next`].
    pub async fn next_of_many(&mut self) -> Result<Option<Bytes>, GatewayError> {
        let before = self.read_bytes / SLOWEST_BYTES_PER_SECOND;
        let piece = self.next().await?;
        self.deadline += Duration::from_secs(self.read_bytes / SLOWEST_BYTES_PER_SECOND - before);
        Ok(piece)
    }

    /// Reads all of it and keeps none, so that the connection can go on after an answer that did not need it.
    ///
    /// # Errors
    /// As [`RequestBody::next`].
    pub async fn discard(&mut self) -> Result<(), GatewayError> {
        while self.next().await?.is_some() {}
        Ok(())
    }

    /// Reads all of it.
    ///
    /// # Errors
    /// As [`RequestBody::next`], and 503 over the common bound.
    pub async fn whole(mut self, held: &Held, client: std::net::IpAddr) -> Result<WholeBody, GatewayError> {
        let mut share = held.of(client);
        if self.framing == Framing::NoBody {
            return Ok(WholeBody {
                bytes: None,
                _share: share,
            });
        }
        let mut whole = self.next().await?.unwrap_or_default();
        share.add(whole.len())?;
        if self.framing == Framing::Length(self.read_bytes) {
            return Ok(WholeBody {
                bytes: Some(whole),
                _share: share,
            });
        }
        let mut rest = BytesMut::new();
        while let Some(piece) = self.next().await? {
            share.add(piece.len())?;
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
            _share: share,
        })
    }
}
