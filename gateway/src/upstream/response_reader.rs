//! Reads one response, and knows when it is complete.

use std::io;
use std::task::{Context, Poll, ready};

use actix_http::{Method, StatusCode};
use bytes::Bytes;

use super::connection::UpstreamConnection;
use crate::http1::chunked_body::{ChunkedBody, Decoded};
use crate::http1::request_head::{Search, find_end};
use crate::http1::response_head::{self, Framing, MAX_HEAD_BYTES, ResponseHead};

/// Interim responses (100, 103) before a final one.
const MAX_INTERIM: u32 = 100;

/// Why there is no response, or no more of it.
#[derive(Debug, thiserror::Error)]
pub enum ResponseError {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("it closed the connection without a response")]
    Closed,
    #[error("it closed the connection in the middle of its response")]
    Torn,
    #[error("its response has {0}")]
    Malformed(&'static str),
}

/// Proof that a response was read to its end, and that nothing but the next response can follow. Only
/// [`ResponseReader`] can make one.
#[derive(Debug)]
pub struct ReadWhole(());

/// A response that is being read.
#[derive(Debug)]
pub struct ResponseReader {
    method: Method,
    rest: Rest,
    keeps_alive: bool,
    has_begun: bool,
}

#[derive(Debug)]
enum Rest {
    Head { searched: usize, interim: u32 },
    Bytes(u64),
    Chunked(ChunkedBody),
    UntilClose,
    End,
}

impl ResponseReader {
    /// For the response to a request with `method`.
    pub fn new(method: Method) -> Self {
        Self {
            method,
            rest: Rest::Head {
                searched: 0,
                interim: 0,
            },
            keeps_alive: false,
            has_begun: false,
        }
    }

    /// Whether any byte of a response has come.
    pub fn has_begun(&self) -> bool {
        self.has_begun
    }

    /// The head of the final response; a 101 is final, other interim ones are read over.
    ///
    /// # Errors
    /// When there is none that can be read.
    pub fn poll_head(
        &mut self,
        from: &mut UpstreamConnection,
        cx: &mut Context<'_>,
    ) -> Poll<Result<ResponseHead, ResponseError>> {
        let Rest::Head { searched, interim } = &mut self.rest else {
            return Poll::Ready(Err(ResponseError::Malformed("a second head")));
        };
        loop {
            match find_end(&from.input, *searched) {
                Ok(Search::Found(length)) => {
                    let head = from.input.split_to(length).freeze();
                    let head = response_head::parse(&head, &self.method).map_err(ResponseError::Malformed)?;
                    if !head.status.is_informational() || head.status == StatusCode::SWITCHING_PROTOCOLS {
                        self.begin_body(&head);
                        return Poll::Ready(Ok(head));
                    }
                    *interim += 1;
                    *searched = 0;
                    if *interim > MAX_INTERIM {
                        return Poll::Ready(Err(ResponseError::Malformed("too many interim ones before it")));
                    }
                    continue;
                }
                Ok(Search::Partial(position)) if from.input.len() <= MAX_HEAD_BYTES => *searched = position,
                Ok(Search::Partial(_)) => {
                    return Poll::Ready(Err(ResponseError::Malformed("too large a head")));
                }
                Err(_) => return Poll::Ready(Err(ResponseError::Malformed("a bare line feed in its head"))),
            }
            if ready!(from.poll_fill(cx))? == 0 {
                return Poll::Ready(Err(ResponseError::Closed));
            }
            self.has_begun = true;
        }
    }

    fn begin_body(&mut self, head: &ResponseHead) {
        // After a HEAD, a service that wrongly sends a body would have it taken for its next response.
        self.keeps_alive =
            head.keeps_alive && self.method != Method::HEAD && head.status != StatusCode::SWITCHING_PROTOCOLS;
        self.rest = match head.framing {
            Framing::NoBody | Framing::Length(0) => Rest::End,
            Framing::Length(length) => Rest::Bytes(length),
            Framing::Chunked => Rest::Chunked(ChunkedBody::new()),
            Framing::UntilClose => Rest::UntilClose,
        };
    }

    /// The next piece of the body; `None` is the end.
    ///
    /// # Errors
    /// What broke it off.
    pub fn poll_body(
        &mut self,
        from: &mut UpstreamConnection,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Option<Bytes>, ResponseError>> {
        loop {
            let piece = match &mut self.rest {
                Rest::End => return Poll::Ready(Ok(None)),
                Rest::Head { .. } => return Poll::Ready(Err(ResponseError::Malformed("no head yet"))),
                Rest::Bytes(remaining) => {
                    let piece = from.take(*remaining);
                    *remaining -= u64::try_from(piece.len()).unwrap_or(*remaining);
                    if *remaining == 0 {
                        self.rest = Rest::End;
                    }
                    piece
                }
                Rest::Chunked(body) => {
                    match body.decode(&mut from.input).map_err(ResponseError::Malformed)? {
                        Decoded::Data(piece) => piece,
                        Decoded::Incomplete => Bytes::new(),
                        Decoded::End => {
                            self.rest = Rest::End;
                            continue;
                        }
                    }
                }
                Rest::UntilClose => from.take(u64::MAX),
            };
            if !piece.is_empty() {
                return Poll::Ready(Ok(Some(piece)));
            }
            if ready!(from.poll_fill(cx))? == 0 {
                if !matches!(self.rest, Rest::UntilClose) {
                    return Poll::Ready(Err(ResponseError::Torn));
                }
                self.rest = Rest::End;
            }
        }
    }

    /// `None`: there is more to read, or the connection ends after this response.
    pub fn proof(&self) -> Option<ReadWhole> {
        (matches!(self.rest, Rest::End) && self.keeps_alive).then_some(ReadWhole(()))
    }
}
