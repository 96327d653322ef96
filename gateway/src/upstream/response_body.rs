//! The body of an upstream's answer, on its way to the client; its connection goes back to the pool after it.

use std::rc::Rc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::time::timeout;

use super::connection::UpstreamConnection;
use super::group::{InFlight, Upstream};
use super::pool::Pool;
use crate::http1::chunked_body::{ChunkedBody, Decoded};
use crate::http1::response_head::Framing;
use std::sync::Arc;

#[derive(Debug)]
pub struct AnswerBody {
    /// Taken out when it goes back to the pool.
    connection: Option<UpstreamConnection>,
    rest: Rest,
    /// What the head said.
    length: Option<u64>,
    /// How long the upstream may pause.
    pause: Duration,
    keeps_alive: bool,
    upstream: Arc<Upstream>,
    pool: Rc<Pool>,
    _place: InFlight,
}

#[derive(Debug)]
enum Rest {
    Bytes(u64),
    Chunked(ChunkedBody),
    UntilClose,
}

impl AnswerBody {
    pub fn new(
        connection: UpstreamConnection,
        (framing, keeps_alive): (Framing, bool),
        pause: Duration,
        upstream: Arc<Upstream>,
        pool: Rc<Pool>,
        place: InFlight,
    ) -> Self {
        let (rest, length) = match framing {
            Framing::NoBody => (Rest::Bytes(0), Some(0)),
            Framing::Length(length) => (Rest::Bytes(length), Some(length)),
            Framing::Chunked => (Rest::Chunked(ChunkedBody::new()), None),
            Framing::UntilClose => (Rest::UntilClose, None),
        };
        Self {
            connection: Some(connection),
            rest,
            length,
            pause,
            keeps_alive,
            upstream,
            pool,
            _place: place,
        }
    }

    /// The length of the whole body, when it is known.
    pub fn length(&self) -> Option<u64> {
        self.length
    }

    /// The next piece; `None` is the end.
    ///
    /// # Errors
    /// What broke it off.
    pub async fn next(&mut self) -> Result<Option<Bytes>, String> {
        loop {
            let Some(connection) = &mut self.connection else {
                return Ok(None);
            };
            let piece = match &mut self.rest {
                Rest::Bytes(0) => return Ok(self.end()),
                Rest::Bytes(remaining) => {
                    let piece = connection.take(*remaining);
                    *remaining -= u64::try_from(piece.len()).unwrap_or(0);
                    piece
                }
                Rest::Chunked(body) => match body.decode(&mut connection.input)? {
                    Decoded::Data(piece) => piece,
                    Decoded::Incomplete => Bytes::new(),
                    Decoded::End => return Ok(self.end()),
                },
                Rest::UntilClose => connection.take(u64::MAX),
            };
            if !piece.is_empty() {
                return Ok(Some(piece));
            }
            let filled = timeout(self.pause, connection.fill())
                .await
                .map_err(|_| "the upstream paused for too long".to_owned())?;
            match filled {
                Ok(0) if matches!(self.rest, Rest::UntilClose) => return Ok(self.end()),
                Ok(0) => return Err("the upstream closed the connection in the middle".to_owned()),
                Ok(_) => {}
                Err(error) => return Err(error.to_string()),
            }
        }
    }

    /// All of it.
    ///
    /// # Errors
    /// What broke it off.
    pub async fn whole(mut self) -> Result<Bytes, String> {
        let Some(first) = self.next().await? else {
            return Ok(Bytes::new());
        };
        let mut whole = BytesMut::new();
        while let Some(piece) = self.next().await? {
            if whole.is_empty() {
                whole.extend_from_slice(&first);
            }
            whole.extend_from_slice(&piece);
        }
        Ok(if whole.is_empty() { first } else { whole.freeze() })
    }

    fn end(&mut self) -> Option<Bytes> {
        if let Some(connection) = self.connection.take()
            && self.keeps_alive
        {
            self.pool.put(&self.upstream, connection);
        }
        None
    }
}
