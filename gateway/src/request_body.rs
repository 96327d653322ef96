//! Reads a request's whole body before an upstream is bothered: within a size, within a time, and within a bound over
//! all requests together, so that slow or large uploads cost the gateway's memory and nothing else.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use actix_http::error::PayloadError;
use actix_http::{Payload, RequestHead, header};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;

use crate::error::GatewayError;

/// The bounds of bodies, and how much of the common one is in use. Clones share it.
#[derive(Clone, Debug)]
pub struct BodyLimits {
    pub max_bytes: usize,
    pub timeout: Duration,
    /// For all bodies together.
    pub max_bytes_held: usize,
    held: Arc<AtomicUsize>,
}

/// A body that was read. Its share of the common bound is freed when it is dropped.
#[derive(Debug)]
pub struct RequestBody {
    /// `None`: the request has no body, which is not the same as an empty one.
    pub bytes: Option<Bytes>,
    _share: Share,
}

#[derive(Debug)]
struct Share {
    held: Arc<AtomicUsize>,
    bytes: usize,
}

impl BodyLimits {
    pub fn new(max_bytes: usize, timeout: Duration, max_bytes_held: usize) -> Self {
        Self {
            max_bytes,
            timeout,
            max_bytes_held,
            held: Arc::default(),
        }
    }

    /// # Errors
    /// 413 over the size, 408 over the time, 503 over the common bound, 400 when the body is broken or cut.
    pub async fn read(&self, head: &RequestHead, payload: Payload) -> Result<RequestBody, GatewayError> {
        let mut share = Share {
            held: self.held.clone(),
            bytes: 0,
        };
        let headers = head.headers();
        if !headers.contains_key(header::CONTENT_LENGTH) && !headers.contains_key(header::TRANSFER_ENCODING) {
            return Ok(RequestBody {
                bytes: None,
                _share: share,
            });
        }
        let bytes = tokio::time::timeout(self.timeout, self.collect(payload, &mut share))
            .await
            .map_err(|_| GatewayError::RequestTimeout)??;
        Ok(RequestBody {
            bytes: Some(bytes),
            _share: share,
        })
    }

    async fn collect(&self, mut payload: Payload, share: &mut Share) -> Result<Bytes, GatewayError> {
        let Some(first) = self.next(&mut payload, share).await? else {
            return Ok(Bytes::new());
        };
        let Some(second) = self.next(&mut payload, share).await? else {
            return Ok(first);
        };
        let mut whole = BytesMut::from(first);
        whole.extend_from_slice(&second);
        while let Some(piece) = self.next(&mut payload, share).await? {
            whole.extend_from_slice(&piece);
        }
        Ok(whole.freeze())
    }

    async fn next(&self, payload: &mut Payload, share: &mut Share) -> Result<Option<Bytes>, GatewayError> {
        let Some(piece) = payload.next().await else {
            return Ok(None);
        };
        let piece = piece.map_err(|error| match error {
            PayloadError::Overflow => GatewayError::PayloadTooLarge,
            _ => GatewayError::BadRequest("the body is broken or incomplete"),
        })?;
        let held = share.add(piece.len());
        if share.bytes > self.max_bytes {
            return Err(GatewayError::PayloadTooLarge);
        }
        if held > self.max_bytes_held {
            log::warn!(held_bytes = held; "refused a request body: too much is being uploaded at once");
            return Err(GatewayError::Unavailable);
        }
        Ok(Some(piece))
    }
}

impl Share {
    /// Returns how much all shares hold together.
    fn add(&mut self, bytes: usize) -> usize {
        self.bytes += bytes;
        self.held.fetch_add(bytes, Ordering::Relaxed) + bytes
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.held.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}
