//! Small requests of the gateway's own, whose whole response is read.

use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use actix_http::{Method, StatusCode};
use bytes::{Bytes, BytesMut};
use tokio::time::timeout;

use super::connect::{Reached, connect, reach};
use super::connection::UpstreamConnection;
use super::exchange::Exchange;
use super::group::Group;
use super::pool::Pool;
use super::request_sender::Declared;
use super::response_reader::ResponseError;
use super::service::{Requester, Upstream};
use crate::http1::response_head::Framing;

/// What the gateway asks.
#[derive(Clone, Debug)]
pub struct OwnRequest<'a> {
    pub method: Method,
    /// Path and query.
    pub target: &'a str,
    /// In JSON.
    pub body: Option<&'a [u8]>,
    /// For all of it.
    pub timeout: Duration,
    /// The largest response that is read, however its length is told.
    pub max_bytes: usize,
}

/// Why there is no response.
#[derive(Debug, thiserror::Error)]
pub enum OwnRequestError {
    #[error("it cannot be reached")]
    Unreachable,
    #[error("no response in time")]
    Late,
    #[error("its response is too large")]
    TooLarge,
    #[error("{0}")]
    Broken(#[from] ResponseError),
}

impl From<io::Error> for OwnRequestError {
    fn from(error: io::Error) -> Self {
        Self::Broken(error.into())
    }
}

impl OwnRequest<'_> {
    /// Asks one of `group`, under a permit that no client can take.
    ///
    /// # Errors
    /// See [`OwnRequestError`]; what the upstream did wrong is noted of it.
    pub async fn ask(
        &self,
        group: &Group,
        pool: &Pool,
        requester: Requester,
    ) -> Result<(StatusCode, Bytes), OwnRequestError> {
        let reached = reach(group, Some(pool), requester, self.timeout).await;
        let Reached {
            connection,
            is_reused,
            permit,
        } = reached.ok_or(OwnRequestError::Unreachable)?;
        let upstream = permit.upstream();
        let asked = timeout(self.timeout, self.exchange(upstream, pool, connection, is_reused)).await;
        match asked.unwrap_or(Err(OwnRequestError::Late)) {
            Ok(response) => {
                upstream.health.answered();
                Ok(response)
            }
            Err(error) => {
                if matches!(error, OwnRequestError::Late) {
                    upstream.counts.late.increment();
                } else {
                    upstream.counts.broken.increment();
                }
                upstream.health.failed();
                Err(error)
            }
        }
    }

    async fn exchange(
        &self,
        upstream: &Arc<Upstream>,
        pool: &Pool,
        connection: UpstreamConnection,
        is_reused: bool,
    ) -> Result<(StatusCode, Bytes), OwnRequestError> {
        let mut exchange = self.begin(upstream, connection);
        let mut response = self.response(&mut exchange).await;
        if is_reused && matches!(response, Err(OwnRequestError::Broken(_))) && !exchange.has_response() {
            // The upstream was just closing it. What the gateway asks changes nothing, and can be asked again.
            exchange = self.begin(upstream, connect(upstream, self.timeout).await?);
            response = self.response(&mut exchange).await;
        }
        if response.is_ok()
            && let Some(connection) = exchange.finish()
        {
            pool.put(upstream, connection);
        }
        response
    }

    fn begin(&self, upstream: &Upstream, connection: UpstreamConnection) -> Exchange {
        let (method, target, host) = (&self.method, self.target, upstream.url.authority());
        let mut head = BytesMut::new();
        head.extend_from_slice(format!("{method} {target} HTTP/1.1\r\nhost: {host}\r\n").as_bytes());
        upstream.write_internal_secret(&mut head);
        let Some(body) = self.body else {
            head.extend_from_slice(b"\r\n");
            return Exchange::new(connection, method.clone(), head, Declared::NoBody);
        };
        let length = body.len();
        head.extend_from_slice(
            format!("content-type: application/json\r\ncontent-length: {length}\r\n\r\n").as_bytes(),
        );
        let declared = Declared::Length(u64::try_from(length).unwrap_or(u64::MAX));
        let mut exchange = Exchange::new(connection, method.clone(), head, declared);
        // It is exactly as long as was just said.
        let _ = exchange.sender.push(Bytes::copy_from_slice(body));
        let _ = exchange.sender.end();
        exchange
    }

    async fn response(&self, exchange: &mut Exchange) -> Result<(StatusCode, Bytes), OwnRequestError> {
        poll_fn(|cx| exchange.poll_write(cx)).await?;
        let head = poll_fn(|cx| exchange.poll_head(cx)).await?;
        let max_bytes = u64::try_from(self.max_bytes).unwrap_or(u64::MAX);
        if matches!(head.framing, Framing::Length(length) if length > max_bytes) {
            return Err(OwnRequestError::TooLarge);
        }
        let mut whole = BytesMut::new();
        while let Some(piece) = poll_fn(|cx| exchange.poll_body(cx)).await? {
            if whole.len() + piece.len() > self.max_bytes {
                return Err(OwnRequestError::TooLarge);
            }
            whole.extend_from_slice(&piece);
        }
        Ok((head.status, whole.freeze()))
    }
}
