//! Sends one request, and counts what it sends: nothing is called sent but what is exactly as long as declared.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::AsyncWrite;

use super::connection::UpstreamConnection;
use crate::http1::write;

/// So much is gathered of small pieces before it is written.
const GATHER_BYTES: usize = 16 * 1024;
/// A piece of this size is written from where it is, and not copied.
const LARGE_PIECE_BYTES: usize = 4 * 1024;

/// What a request's head says of the length of its body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Declared {
    NoBody,
    Length(u64),
    Chunked,
}

/// A body that is longer or shorter than its request's head says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WrongLength;

/// Proof that a request was sent whole. Only [`RequestSender`] can make one.
#[derive(Debug)]
pub struct SentWhole(());

/// A request that is being sent.
#[derive(Debug)]
pub struct RequestSender {
    before: BytesMut,
    /// Written between `before` and `after`, without being copied.
    piece: Bytes,
    after: &'static [u8],
    declared: Declared,
    body_bytes: u64,
    written_bytes: u64,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// More of the body may come.
    Open,
    /// The body is complete.
    Ended,
    /// The upstream has all of it.
    Sent,
    /// It will never be whole.
    Broken,
}

impl RequestSender {
    /// `head` is the whole head with its empty line, and `declared` what it says.
    pub fn new(head: BytesMut, declared: Declared) -> Self {
        Self {
            before: head,
            piece: Bytes::new(),
            after: b"",
            declared,
            body_bytes: 0,
            written_bytes: 0,
            state: match declared {
                Declared::NoBody => State::Ended,
                Declared::Length(_) | Declared::Chunked => State::Open,
            },
        }
    }

    /// Whether more of the body is welcome now.
    pub fn has_room(&self) -> bool {
        self.state == State::Open && self.piece.is_empty() && self.before.len() < GATHER_BYTES
    }

    /// How much was written, to see progress.
    pub fn written_bytes(&self) -> u64 {
        self.written_bytes
    }

    /// Takes the next piece of the body; [`RequestSender::has_room`] must have said so.
    ///
    /// # Errors
    /// When the body becomes longer than declared. Nothing of the piece is sent then.
    pub fn push(&mut self, piece: Bytes) -> Result<(), WrongLength> {
        self.body_bytes = self
            .body_bytes
            .saturating_add(u64::try_from(piece.len()).unwrap_or(u64::MAX));
        let is_too_much = match self.declared {
            Declared::NoBody => !piece.is_empty(),
            Declared::Length(length) => self.body_bytes > length,
            Declared::Chunked => false,
        };
        if is_too_much || self.state != State::Open {
            self.state = State::Broken;
            return Err(WrongLength);
        }
        let is_chunked = self.declared == Declared::Chunked;
        if piece.len() < LARGE_PIECE_BYTES {
            if is_chunked {
                write::chunk(&mut self.before, &piece);
            } else {
                self.before.extend_from_slice(&piece);
            }
            return Ok(());
        }
        if is_chunked {
            self.before
                .extend_from_slice(format!("{:x}\r\n", piece.len()).as_bytes());
            self.after = b"\r\n";
        }
        self.piece = piece;
        Ok(())
    }

    /// The body is complete.
    ///
    /// # Errors
    /// When it is shorter than declared.
    pub fn end(&mut self) -> Result<(), WrongLength> {
        let is_exact = match self.declared {
            Declared::NoBody => self.body_bytes == 0,
            Declared::Length(length) => self.body_bytes == length,
            Declared::Chunked => true,
        };
        if !is_exact || self.state != State::Open {
            self.state = State::Broken;
            return Err(WrongLength);
        }
        if self.declared == Declared::Chunked {
            if self.piece.is_empty() {
                write::last_chunk(&mut self.before);
            } else {
                self.after = b"\r\n0\r\n\r\n";
            }
        }
        self.state = State::Ended;
        Ok(())
    }

    /// Nothing more is sent, whatever is missing.
    pub fn give_up(&mut self) {
        if self.state != State::Sent {
            self.state = State::Broken;
        }
    }

    /// Writes what it has; ready when nothing is left to write for now.
    ///
    /// # Errors
    /// When the upstream takes no more. The request is broken then.
    pub fn poll_write(&mut self, to: &mut UpstreamConnection, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.state == State::Sent {
            return Poll::Ready(Ok(()));
        }
        let result = ready!(self.poll_write_pending(to, cx));
        match &result {
            Err(_) => self.state = State::Broken,
            Ok(()) if self.state == State::Ended => self.state = State::Sent,
            Ok(()) => {}
        }
        Poll::Ready(result)
    }

    fn poll_write_pending(
        &mut self,
        to: &mut UpstreamConnection,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        if self.state == State::Broken {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        while self.before.len() + self.piece.len() + self.after.len() > 0 {
            let slices = [
                IoSlice::new(&self.before),
                IoSlice::new(&self.piece),
                IoSlice::new(self.after),
            ];
            let written = if self.piece.is_empty() && self.after.is_empty() {
                ready!(Pin::new(&mut *to).poll_write(cx, &self.before))?
            } else {
                ready!(Pin::new(&mut *to).poll_write_vectored(cx, &slices))?
            };
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.advance(written);
        }
        self.before.clear();
        Pin::new(to).poll_flush(cx)
    }

    fn advance(&mut self, mut written: usize) {
        self.written_bytes = self
            .written_bytes
            .saturating_add(u64::try_from(written).unwrap_or(u64::MAX));
        let of_before = written.min(self.before.len());
        self.before.advance(of_before);
        written -= of_before;
        let of_piece = written.min(self.piece.len());
        self.piece.advance(of_piece);
        written -= of_piece;
        self.after = self.after.get(written..).unwrap_or_default();
    }

    /// Whether the upstream has the whole request.
    pub fn is_sent(&self) -> bool {
        self.state == State::Sent
    }

    /// `None`: not all of it was sent.
    pub fn proof(&self) -> Option<SentWhole> {
        self.is_sent().then_some(SentWhole(()))
    }
}
