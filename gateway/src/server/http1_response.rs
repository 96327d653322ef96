//! Writes a response to an HTTP/1.1 connection: small pieces together, large ones without a copy, and no faster than
//! the client takes them.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use actix_http::body::{BoxBody, MessageBody};
use bytes::{Buf, Bytes, BytesMut};
use tokio::io::AsyncWrite;

use super::stream::ClientStream;
use crate::http1::write;

/// Small pieces are collected up to this.
const TOGETHER_BYTES: usize = 16 * 1024;
/// A piece from this on is written from where it is.
const LARGE_BYTES: usize = 4 * 1024;

/// Why a response did not reach its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// Its body broke off, or is not as long as it said.
    Torn,
    /// The client is gone, or too slow.
    Gone,
}

/// A response on its way: what is ready to be written, and the body it comes from.
pub struct ResponseWriter {
    out: BytesMut,
    /// Comes after `out`.
    piece: Bytes,
    /// Comes after `piece`.
    after_piece: &'static [u8],
    body: Option<BoxBody>,
    /// What the body must still give, when that was said.
    remaining: Option<u64>,
    is_chunked: bool,
    is_torn: bool,
}

impl ResponseWriter {
    /// `head` is written first.
    pub fn new(head: BytesMut, body: Option<BoxBody>, length: Option<u64>, is_chunked: bool) -> Self {
        Self {
            out: head,
            piece: Bytes::new(),
            after_piece: b"",
            body,
            remaining: length,
            is_chunked,
            is_torn: false,
        }
    }

    /// Whether all of the body has been taken from whoever makes it.
    pub fn has_whole_body(&self) -> bool {
        self.body.is_none()
    }

    /// Whether all of it is written, or all that there is of a torn one.
    pub fn is_done(&self) -> Option<Result<(), Failure>> {
        (self.has_whole_body() && self.is_empty()).then_some(match self.is_torn {
            true => Err(Failure::Torn),
            false => Ok(()),
        })
    }

    fn is_empty(&self) -> bool {
        self.out.is_empty() && self.piece.is_empty() && self.after_piece.is_empty()
    }

    /// Takes from the body what there is room for; pending when the body has nothing at present.
    pub fn fill(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while self.out.len() < TOGETHER_BYTES && self.piece.is_empty() && self.after_piece.is_empty() {
            let Some(body) = &mut self.body else { break };
            match ready!(body.as_pin_mut().poll_next(cx)) {
                Some(Ok(piece)) if piece.is_empty() => {}
                Some(Ok(piece)) => self.push(piece),
                Some(Err(cause)) => self.tear(&cause.to_string()),
                None if self.remaining.is_some_and(|bytes| bytes > 0) => self.tear("shorter than it said"),
                None => {
                    self.body = None;
                    if self.is_chunked {
                        write::last_chunk(&mut self.out);
                    }
                }
            }
        }
        Poll::Ready(())
    }

    /// What came before is sent, and the connection ends in a way that shows it.
    fn tear(&mut self, cause: &str) {
        log::debug!("a response is torn: {cause}");
        self.is_torn = true;
        self.body = None;
    }

    fn push(&mut self, piece: Bytes) {
        if let Some(remaining) = &mut self.remaining {
            let bytes = u64::try_from(piece.len()).unwrap_or(u64::MAX);
            match remaining.checked_sub(bytes) {
                Some(rest) => *remaining = rest,
                None => return self.tear("longer than it said"),
            }
        }
        let is_large = piece.len() >= LARGE_BYTES;
        match (self.is_chunked, is_large) {
            (true, false) => write::chunk(&mut self.out, &piece),
            (false, false) => self.out.extend_from_slice(&piece),
            (true, true) => {
                write::chunk_size(&mut self.out, piece.len());
                (self.piece, self.after_piece) = (piece, b"\r\n");
            }
            (false, true) => self.piece = piece,
        }
    }

    /// Ready when all that was taken from the body so far is written.
    pub fn poll_write(&mut self, io: &mut ClientStream, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.is_empty() {
            let parts = [
                IoSlice::new(&self.out),
                IoSlice::new(&self.piece),
                IoSlice::new(self.after_piece),
            ];
            let written = ready!(Pin::new(&mut *io).poll_write_vectored(cx, &parts))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.advance(written);
        }
        self.out.clear();
        Pin::new(io).poll_flush(cx)
    }

    fn advance(&mut self, mut written: usize) {
        let of_out = written.min(self.out.len());
        self.out.advance(of_out);
        written -= of_out;
        let of_piece = written.min(self.piece.len());
        self.piece.advance(of_piece);
        written -= of_piece;
        self.after_piece = self.after_piece.get(written..).unwrap_or_default();
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;

    #[test]
    fn head_and_small_body_are_one_write() {
        let body = Some(BoxBody::new("body"));
        let mut writer = ResponseWriter::new(BytesMut::from("head"), body, Some(4), false);
        assert!(writer.fill(&mut Context::from_waker(Waker::noop())).is_ready());
        assert_eq!(writer.out, "headbody");
        assert!(writer.has_whole_body());
    }
}
