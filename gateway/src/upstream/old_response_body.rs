//! An upstream's answer in the old types; goes with the old pipeline. No connection is used again after it.

use std::future::poll_fn;
use std::io;
use std::time::Duration;

use actix_http::{Method, StatusCode};
use bytes::{Bytes, BytesMut};
use tokio::time::timeout;

use super::connection::UpstreamConnection;
use super::service::Permit;
use crate::http1::chunked_body::{ChunkedBody, Decoded};
use crate::http1::request_head::{Search, find_end};
use crate::http1::response_head::{self, Framing, MAX_HEAD_BYTES, ResponseHead};
use crate::server::stream;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ConnectionError {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("it closed the connection before its answer")]
    Closed,
    #[error("its answer has {0}")]
    Malformed(&'static str),
}

impl UpstreamConnection {
    /// # Errors
    /// When the other side is gone, or takes nothing for too long.
    pub async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        stream::write_all(self, bytes).await
    }

    /// # Errors
    /// When there is none that can be read.
    pub async fn answer_head(&mut self, method: &Method) -> Result<ResponseHead, ConnectionError> {
        loop {
            let mut searched = 0;
            let length = loop {
                match find_end(&self.input, searched) {
                    Ok(Search::Found(length)) => break length,
                    Ok(Search::Partial(position)) if self.input.len() <= MAX_HEAD_BYTES => {
                        searched = position;
                    }
                    Ok(Search::Partial(_)) => return Err(ConnectionError::Malformed("too large a head")),
                    Err(_) => return Err(ConnectionError::Malformed("a bare line feed in its head")),
                }
                if self.fill().await? == 0 {
                    return Err(ConnectionError::Closed);
                }
            };
            let head = self.input.split_to(length).freeze();
            let head = response_head::parse(&head, method).map_err(ConnectionError::Malformed)?;
            if !head.status.is_informational() || head.status == StatusCode::SWITCHING_PROTOCOLS {
                return Ok(head);
            }
        }
    }

    async fn fill(&mut self) -> io::Result<usize> {
        poll_fn(|cx| self.poll_fill(cx)).await
    }

    /// Resolves when something has arrived, or the end.
    pub async fn wait_for_input(&mut self) {
        if self.input.is_empty() {
            let _ = self.fill().await;
        }
    }
}

#[derive(Debug)]
pub struct AnswerBody {
    connection: UpstreamConnection,
    rest: Rest,
    /// What the head said.
    length: Option<u64>,
    /// How long the upstream may pause.
    pause: Duration,
    _permit: Permit,
}

#[derive(Debug)]
enum Rest {
    Bytes(u64),
    Chunked(ChunkedBody),
    UntilClose,
}

impl AnswerBody {
    pub fn new(connection: UpstreamConnection, framing: Framing, pause: Duration, permit: Permit) -> Self {
        let (rest, length) = match framing {
            Framing::NoBody => (Rest::Bytes(0), Some(0)),
            Framing::Length(length) => (Rest::Bytes(length), Some(length)),
            Framing::Chunked => (Rest::Chunked(ChunkedBody::new()), None),
            Framing::UntilClose => (Rest::UntilClose, None),
        };
        Self {
            connection,
            rest,
            length,
            pause,
            _permit: permit,
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
            let connection = &mut self.connection;
            let piece = match &mut self.rest {
                Rest::Bytes(0) => return Ok(None),
                Rest::Bytes(remaining) => {
                    let piece = connection.take(*remaining);
                    *remaining -= u64::try_from(piece.len()).unwrap_or(0);
                    piece
                }
                Rest::Chunked(body) => match body.decode(&mut connection.input)? {
                    Decoded::Data(piece) => piece,
                    Decoded::Incomplete => Bytes::new(),
                    Decoded::End => return Ok(None),
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
                Ok(0) if matches!(self.rest, Rest::UntilClose) => return Ok(None),
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
}
