//! The body of a response, on its way to the client. It owns what it comes from: dropped, it closes the upstream's
//! connection and gives its permit back.

use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use actix_http::body::{BodySize, MessageBody};
use bytes::Bytes;
use shared::request_id::RequestId;

use super::held::HeldBytes;
use super::transfer::{Failure, Transfer};
use crate::upstream::{Permit, Pool};

/// A body that is passed on piece by piece.
pub struct StreamedBody {
    /// What was read before the client could be told of it.
    beginning: Bytes,
    size: BodySize,
    /// Taken out at the end.
    source: Option<(Transfer, Permit)>,
    pool: Rc<Pool>,
    id: RequestId,
}

impl StreamedBody {
    /// `length`: of the whole body, when it is known.
    pub fn new(
        beginning: Bytes,
        length: Option<u64>,
        transfer: Transfer,
        permit: Permit,
        pool: Rc<Pool>,
        id: RequestId,
    ) -> Self {
        Self {
            beginning,
            size: length.map_or(BodySize::Stream, BodySize::Sized),
            source: Some((transfer, permit)),
            pool,
            id,
        }
    }

    /// Notes a response that broke off, unless it was the client who broke it.
    fn note(&self, failure: &Failure, permit: &Permit) {
        let upstream = permit.upstream();
        let cause = match failure {
            Failure::Request(error) => {
                log::debug!(upstream:% = upstream.url, request_id:% = self.id; "a response ends with its request: {error}");
                return;
            }
            Failure::Late => "it paused for too long",
            Failure::Broken(cause) => cause,
        };
        upstream.counts.torn.increment();
        log::warn!(upstream:% = upstream.url, request_id:% = self.id; "an upstream's response is torn: {cause}");
    }
}

impl MessageBody for StreamedBody {
    type Error = io::Error;

    fn size(&self) -> BodySize {
        self.size
    }

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        let this = self.get_mut();
        if !this.beginning.is_empty() {
            return Poll::Ready(Some(Ok(std::mem::take(&mut this.beginning))));
        }
        let Some((transfer, _)) = &mut this.source else {
            return Poll::Ready(None);
        };
        let piece = ready!(transfer.poll_piece(cx));
        if let Ok(Some(piece)) = piece {
            return Poll::Ready(Some(Ok(piece)));
        }
        let Some((transfer, permit)) = this.source.take() else {
            return Poll::Ready(None);
        };
        if let Err(failure) = piece {
            this.note(&failure, &permit);
            return Poll::Ready(Some(Err(io::Error::other("the response is torn"))));
        }
        if let Some(connection) = transfer.finish() {
            this.pool.put(permit.upstream(), connection);
        }
        Poll::Ready(None)
    }
}

/// A whole body that is large enough to be counted among the memory for bodies.
pub struct HeldBody {
    bytes: Bytes,
    _held: HeldBytes,
}

impl HeldBody {
    pub fn new(bytes: Bytes, held: HeldBytes) -> Self {
        Self { bytes, _held: held }
    }
}

impl MessageBody for HeldBody {
    type Error = Infallible;

    fn size(&self) -> BodySize {
        self.bytes.size()
    }

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Infallible>>> {
        Pin::new(&mut self.get_mut().bytes).poll_next(cx)
    }
}

/// No body, but the length that it would have: the response to a HEAD.
pub struct LengthOnly(pub u64);

impl MessageBody for LengthOnly {
    type Error = Infallible;

    fn size(&self) -> BodySize {
        BodySize::Sized(self.0)
    }

    fn poll_next(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Bytes, Infallible>>> {
        Poll::Ready(None)
    }
}
