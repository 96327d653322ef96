//! A request's body, piece by piece as it arrives on an HTTP/1.1 connection.

use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};

use crate::error::GatewayError;
use crate::http1::chunked_body::{ChunkedBody, Decoded};
use crate::message::Framing;
use crate::proxy::request_body::Source;
use crate::server::stream::{self, Stream};
use tokio::io::AsyncWrite;

const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";
const BROKEN: GatewayError = GatewayError::BadRequest("the body is broken or incomplete");

/// What is still to come of a body.
#[derive(Debug)]
enum Rest {
    Bytes(u64),
    Chunked(ChunkedBody),
    /// Nothing can be said any more of what follows.
    Broken,
}

/// The reading half of a connection, for as long as one request's body lasts.
pub struct Http1Body<'a> {
    io: &'a mut Stream,
    input: &'a mut BytesMut,
    rest: Rest,
    /// What is left to write before the client sends the body.
    go_on: &'static [u8],
    has_begun: bool,
}

impl<'a> Http1Body<'a> {
    pub fn new(
        io: &'a mut Stream,
        input: &'a mut BytesMut,
        framing: Framing,
        expects_continue: bool,
    ) -> Self {
        Self {
            io,
            input,
            rest: match framing {
                Framing::NoBody => Rest::Bytes(0),
                Framing::Length(bytes) => Rest::Bytes(bytes),
                Framing::Unknown => Rest::Chunked(ChunkedBody::new()),
            },
            go_on: if expects_continue { CONTINUE } else { b"" },
            has_begun: !expects_continue,
        }
    }

    /// Whether all of it was read, so that what follows is the next request.
    pub fn is_complete(&self) -> bool {
        match &self.rest {
            Rest::Bytes(remaining) => *remaining == 0,
            Rest::Chunked(body) => body.is_complete(),
            Rest::Broken => false,
        }
    }

    fn poll_go_on(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), GatewayError>> {
        self.has_begun = true;
        while !self.go_on.is_empty() {
            let written =
                ready!(std::pin::Pin::new(&mut *self.io).poll_write(cx, self.go_on)).map_err(|_| BROKEN)?;
            self.go_on = self.go_on.get(written..).unwrap_or_default();
        }
        Poll::Ready(Ok(()))
    }

    /// The next piece of what has arrived already; `Incomplete` when there is none.
    fn take(&mut self) -> Result<Decoded, GatewayError> {
        match &mut self.rest {
            Rest::Bytes(0) => Ok(Decoded::End),
            Rest::Bytes(_) if self.input.is_empty() => Ok(Decoded::Incomplete),
            Rest::Bytes(remaining) => {
                let arrived = u64::try_from(self.input.len())
                    .unwrap_or(u64::MAX)
                    .min(*remaining);
                *remaining -= arrived;
                let length = usize::try_from(arrived).unwrap_or(self.input.len());
                Ok(Decoded::Data(self.input.split_to(length).freeze()))
            }
            Rest::Chunked(body) => match body.decode(self.input) {
                Ok(decoded) => Ok(decoded),
                Err(problem) => {
                    log::debug!("refused a chunked body: {problem}");
                    self.rest = Rest::Broken;
                    Err(BROKEN)
                }
            },
            Rest::Broken => Err(BROKEN),
        }
    }
}

impl Source for Http1Body<'_> {
    fn is_waited_for(&self) -> bool {
        !self.has_begun
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, GatewayError>> {
        if !self.go_on.is_empty() && self.input.is_empty() {
            ready!(self.poll_go_on(cx))?;
        }
        self.has_begun = true;
        loop {
            match self.take()? {
                Decoded::Data(piece) => return Poll::Ready(Ok(Some(piece))),
                Decoded::End => return Poll::Ready(Ok(None)),
                Decoded::Incomplete => match ready!(stream::poll_fill(self.io, self.input, cx)) {
                    Ok(bytes) if bytes > 0 => {}
                    Ok(_) | Err(_) => {
                        self.rest = Rest::Broken;
                        return Poll::Ready(Err(BROKEN));
                    }
                },
            }
        }
    }
}
