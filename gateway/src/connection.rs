//! A client's connection, as the parser behind it sees it: well-formed requests only, one at a time, each in time.
//!
//! actix-http's parser is more tolerant than a gateway may be, times only a connection's first head, and answers what
//! it refuses without a body. This wrapper around the socket checks every head and every chunk before the parser gets
//! it, holds the next request back until the answer to the present one is written, keeps the deadlines, and turns a
//! request that must not be read into an ordinary one that [`Exchange::take_refusal`] marks as refused.

use std::cell::{Cell, RefCell};
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::{Buf, BytesMut};
use futures_util::ready;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

use crate::chunked_body::ChunkedBody;
use crate::error::GatewayError;
use crate::request_head::{self, Framing, MAX_HEAD_BYTES, Search};

const READ_BYTES: usize = 8 * 1024;
/// A client that takes nothing of its answer for this long is cut.
const WRITE_STALL: Duration = Duration::from_secs(20);
/// After an answer that leaves input unread: how long and how much of it is read over, so that the client sees the
/// answer and not a reset. Source: RFC 9112 section 9.6.
const LINGER: Duration = Duration::from_secs(1);
const LINGER_BYTES: usize = 16 * 1024 * 1024;
/// How much later than the handler's own deadline for a body the connection gives up.
const BODY_SLACK: Duration = Duration::from_secs(1);
/// What the parser reads in place of a refused request.
const REFUSED_REQUEST: &[u8] = b"GET / HTTP/1.1\r\nhost: refused\r\nconnection: close\r\n\r\n";

/// The limits of one connection.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// For a head, from its first byte; for the first one from the moment of the connection.
    pub header: Duration,
    pub body: Duration,
    /// From an answer to the next request's first byte.
    pub keep_alive: Duration,
    pub max_body_bytes: u64,
}

/// What the two sides of the parser tell each other about the request that is under way.
#[derive(Debug, Default)]
pub struct Exchange {
    refusal: Cell<Option<GatewayError>>,
    is_answered: Cell<bool>,
    reader: RefCell<Option<Waker>>,
}

impl Exchange {
    /// Why the request that the parser has just read stands for another one, which must be answered with this error.
    pub fn take_refusal(&self) -> Option<GatewayError> {
        self.refusal.take()
    }

    /// Says that the whole answer is written, so that the next request may be read.
    pub fn answered(&self) {
        self.is_answered.set(true);
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
    }

    fn wait(&self, cx: &Context<'_>) {
        self.reader.replace(Some(cx.waker().clone()));
    }
}

/// The part of a request that is being read.
#[derive(Debug)]
enum Phase {
    /// A head; bytes up to `searched` do not end it.
    Head {
        searched: usize,
    },
    /// A body of which this many bytes are still to come.
    Length(u64),
    Chunked(ChunkedBody),
    /// Nothing: the request is complete and its answer is not.
    Answering,
    /// Nothing ever again. The parser gets an end of input.
    Ended,
}

/// The wrapper. `Io` is the socket, or the TLS stream over it.
#[derive(Debug)]
pub struct Connection<Io> {
    io: Io,
    limits: Limits,
    exchange: Rc<Exchange>,
    phase: Phase,
    input: BytesMut,
    /// How many bytes of `input` are checked and may go to the parser.
    checked: usize,
    is_refused: bool,
    deadline: Instant,
    timer: Option<Pin<Box<Sleep>>>,
    write_timer: Option<Pin<Box<Sleep>>>,
    lingering: Option<(Pin<Box<Sleep>>, usize)>,
}

impl<Io> Connection<Io> {
    pub fn new(io: Io, limits: Limits) -> Self {
        Self {
            io,
            limits,
            exchange: Rc::default(),
            phase: Phase::Head { searched: 0 },
            input: BytesMut::new(),
            checked: 0,
            is_refused: false,
            deadline: Instant::now() + limits.header,
            timer: None,
            write_timer: None,
            lingering: None,
        }
    }

    pub fn exchange(&self) -> Rc<Exchange> {
        self.exchange.clone()
    }

    /// Checks what has arrived. Returns whether more has to be read for that.
    fn advance(&mut self) -> bool {
        match &mut self.phase {
            Phase::Head { searched } => {
                if *searched == 0 {
                    // Source: RFC 9112 section 2.2, empty lines before a request are ignored.
                    while self.input.starts_with(b"\r\n") {
                        self.input.advance(2);
                    }
                }
                match request_head::find_end(&self.input, *searched) {
                    Ok(Search::Found(length)) if length <= MAX_HEAD_BYTES => self.take_head(length),
                    Ok(Search::Partial(position)) if self.input.len() <= MAX_HEAD_BYTES => {
                        *searched = position;
                        return true;
                    }
                    Ok(_) => self.refuse(GatewayError::HeaderTooLarge),
                    Err(error) => self.refuse(error),
                }
                false
            }
            Phase::Length(_) | Phase::Chunked(_) if self.exchange.is_answered.get() => {
                self.phase = Phase::Ended;
                false
            }
            Phase::Length(_) | Phase::Chunked(_) if self.input.is_empty() => true,
            Phase::Length(remaining) => {
                let arrived = u64::try_from(self.input.len())
                    .unwrap_or(u64::MAX)
                    .min(*remaining);
                *remaining -= arrived;
                self.checked = usize::try_from(arrived).unwrap_or(self.input.len());
                if *remaining == 0 {
                    self.phase = Phase::Answering;
                }
                false
            }
            Phase::Chunked(body) => {
                match body.read(&self.input) {
                    Ok(progress) => {
                        self.checked = progress.consumed;
                        if progress.is_complete {
                            self.phase = Phase::Answering;
                        }
                    }
                    // The request is with its handler already, which answers 400 to a body that ends too early.
                    Err(problem) => {
                        log::debug!("refused a chunked body: {problem}");
                        self.phase = Phase::Ended;
                    }
                }
                false
            }
            Phase::Answering if self.exchange.is_answered.get() => {
                self.next_request();
                false
            }
            Phase::Answering | Phase::Ended => false,
        }
    }

    fn take_head(&mut self, length: usize) {
        let head = self.input.get(..length).unwrap_or_default();
        match request_head::check(head, self.limits.max_body_bytes) {
            Ok(framing) => {
                self.checked = length;
                self.exchange.is_answered.set(false);
                self.deadline = Instant::now() + self.limits.body + BODY_SLACK;
                self.phase = match framing {
                    Framing::NoBody => Phase::Answering,
                    Framing::Length(bytes) => Phase::Length(bytes),
                    Framing::Chunked => Phase::Chunked(ChunkedBody::new()),
                };
            }
            Err(error) => self.refuse(error),
        }
    }

    fn refuse(&mut self, error: GatewayError) {
        self.input.clear();
        self.input.extend_from_slice(REFUSED_REQUEST);
        self.checked = REFUSED_REQUEST.len();
        self.exchange.refusal.set(Some(error));
        self.exchange.is_answered.set(false);
        self.is_refused = true;
        self.phase = Phase::Answering;
    }

    fn next_request(&mut self) {
        if self.is_refused {
            self.phase = Phase::Ended;
            return;
        }
        if self.input.is_empty() && self.input.capacity() > READ_BYTES {
            self.input = BytesMut::new();
        }
        let wait = if self.input.is_empty() {
            self.limits.keep_alive
        } else {
            self.limits.header
        };
        self.deadline = Instant::now() + wait;
        self.phase = Phase::Head { searched: 0 };
    }

    /// Whether the present part of the request is late.
    fn is_late(&mut self, cx: &mut Context<'_>) -> bool {
        let timer = self
            .timer
            .get_or_insert_with(|| Box::pin(sleep_until(self.deadline)));
        if timer.deadline() > self.deadline {
            timer.as_mut().reset(self.deadline);
        }
        // A timer that was set for an earlier deadline goes off early, and is set again then: cheaper than every time.
        while timer.as_mut().poll(cx).is_ready() {
            if Instant::now() >= self.deadline {
                return true;
            }
            timer.as_mut().reset(self.deadline);
        }
        false
    }

    fn late(&mut self) {
        let has_begun = matches!(self.phase, Phase::Head { .. }) && !self.input.is_empty();
        if has_begun {
            self.refuse(GatewayError::RequestTimeout);
        } else {
            self.phase = Phase::Ended;
        }
    }

    /// Whether the client may still be sending something that nobody will read.
    fn leaves_input_unread(&self) -> bool {
        let is_clean = matches!(self.phase, Phase::Answering | Phase::Head { .. }) && !self.is_refused;
        !is_clean || !self.input.is_empty()
    }
}

impl<Io: AsyncRead + Unpin> Connection<Io> {
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let mut space = [0; READ_BYTES];
        let mut piece = ReadBuf::new(&mut space);
        ready!(Pin::new(&mut self.io).poll_read(cx, &mut piece))?;
        if self.input.is_empty() && matches!(self.phase, Phase::Head { .. }) && !piece.filled().is_empty() {
            self.deadline = self.deadline.min(Instant::now() + self.limits.header);
        }
        self.input.extend_from_slice(piece.filled());
        Poll::Ready(Ok(piece.filled().len()))
    }
}

impl<Io: AsyncRead + Unpin> AsyncRead for Connection<Io> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        while this.checked == 0 {
            let needs_more = this.advance();
            if this.checked > 0 {
                break;
            }
            match this.phase {
                Phase::Ended => return Poll::Ready(Ok(())),
                Phase::Answering => {
                    this.exchange.wait(cx);
                    return Poll::Pending;
                }
                _ if !needs_more => {}
                _ => match this.poll_fill(cx) {
                    Poll::Ready(Ok(0)) => this.phase = Phase::Ended,
                    Poll::Ready(Ok(_)) => {}
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                    Poll::Pending if this.is_late(cx) => this.late(),
                    Poll::Pending => {
                        this.exchange.wait(cx);
                        return Poll::Pending;
                    }
                },
            }
        }
        let length = this.checked.min(out.remaining());
        out.put_slice(this.input.get(..length).unwrap_or_default());
        this.input.advance(length);
        this.checked -= length;
        Poll::Ready(Ok(()))
    }
}

impl<Io: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Connection<Io> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if let Poll::Ready(result) = Pin::new(&mut this.io).poll_write(cx, data) {
            this.write_timer = None;
            return Poll::Ready(result);
        }
        let timer = this
            .write_timer
            .get_or_insert_with(|| Box::pin(sleep_until(Instant::now() + WRITE_STALL)));
        ready!(timer.as_mut().poll(cx));
        Poll::Ready(Err(io::Error::new(
            io::ErrorKind::TimedOut,
            "the client takes nothing of its answer",
        )))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.lingering.is_none() {
            ready!(Pin::new(&mut this.io).poll_shutdown(cx))?;
            if !this.leaves_input_unread() {
                return Poll::Ready(Ok(()));
            }
        }
        let (timer, read_bytes) = this
            .lingering
            .get_or_insert_with(|| (Box::pin(sleep_until(Instant::now() + LINGER)), 0));
        let mut space = [0; READ_BYTES];
        while *read_bytes < LINGER_BYTES && timer.as_mut().poll(cx).is_pending() {
            let mut piece = ReadBuf::new(&mut space);
            ready!(Pin::new(&mut this.io).poll_read(cx, &mut piece))?;
            if piece.filled().is_empty() {
                break;
            }
            *read_bytes += piece.filled().len();
        }
        Poll::Ready(Ok(()))
    }
}
