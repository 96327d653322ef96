//! A request's body on its way from an HTTP/1.1 connection to whoever handles the request.
//!
//! The connection owns the socket and holds [`Intake`]; the request's payload is [`BodyStream`]. Between them lies a
//! bounded buffer, so that the connection reads no faster than somebody takes, and a client that is gone is noticed
//! while nobody takes anything.

use std::cell::RefCell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use actix_http::error::PayloadError;
use bytes::{Bytes, BytesMut};
use futures_util::Stream;

use super::app_service::{BodyLength, payload_error};
use crate::error::GatewayError;
use crate::http1::chunked_body::{ChunkedBody, Decoded};

/// What is read ahead of whoever takes it.
const BUFFERED_BYTES: usize = 64 * 1024;
const BROKEN: GatewayError = GatewayError::BadRequest("the body is broken or incomplete");

/// What is still to come of a body.
#[derive(Debug)]
enum Rest {
    Bytes(u64),
    Chunked(ChunkedBody),
    /// Nothing can be said any more of what follows.
    Broken,
}

/// The connection's side.
#[derive(Debug)]
pub struct Intake {
    rest: Rest,
    lease: Rc<RefCell<Lease>>,
    /// Of what was read over, because nobody wants it.
    unwanted_bytes: u64,
}

/// What both sides share.
#[derive(Debug, Default)]
struct Lease {
    buffer: BytesMut,
    /// Whether the body was read to its end, or why it was not.
    end: Option<Result<(), GatewayError>>,
    is_wanted: bool,
    is_dropped: bool,
    /// Waits for more of the body.
    taker: Option<Waker>,
    /// Waits for room, for the first who wants the body, or for the last.
    connection: Option<Waker>,
}

/// The payload of a request.
pub struct BodyStream(Rc<RefCell<Lease>>);

impl Intake {
    pub fn new(length: BodyLength) -> Self {
        let rest = match length {
            BodyLength::None => Rest::Bytes(0),
            BodyLength::Known(bytes) => Rest::Bytes(bytes),
            BodyLength::Unknown => Rest::Chunked(ChunkedBody::new()),
        };
        let intake = Self {
            rest,
            lease: Rc::default(),
            unwanted_bytes: 0,
        };
        if intake.is_complete() {
            intake.lease.borrow_mut().end = Some(Ok(()));
        }
        intake
    }

    /// Of a request that is none: nothing can be said of what follows.
    pub fn broken() -> Self {
        Self {
            rest: Rest::Broken,
            lease: Rc::default(),
            unwanted_bytes: 0,
        }
    }

    /// The other side; to be taken once.
    pub fn stream(&self) -> BodyStream {
        BodyStream(self.lease.clone())
    }

    /// Whether all of it was read, so that what follows is the next request.
    pub fn is_complete(&self) -> bool {
        match &self.rest {
            Rest::Bytes(remaining) => *remaining == 0,
            Rest::Chunked(body) => body.is_complete(),
            Rest::Broken => false,
        }
    }

    pub fn is_broken(&self) -> bool {
        matches!(self.rest, Rest::Broken)
    }

    /// Whether somebody has asked for it.
    pub fn is_wanted(&self) -> bool {
        self.lease.borrow().is_wanted
    }

    /// Whether nobody can ask for it any more.
    pub fn is_dropped(&self) -> bool {
        self.lease.borrow().is_dropped
    }

    /// Whether any of it has arrived.
    pub fn has_begun(&self) -> bool {
        let lease = self.lease.borrow();
        !lease.buffer.is_empty() || lease.end.is_some()
    }

    /// How much is still to come, when that is known.
    pub fn remaining(&self) -> Option<u64> {
        match &self.rest {
            Rest::Bytes(remaining) => Some(*remaining),
            Rest::Chunked(_) | Rest::Broken => None,
        }
    }

    pub fn unwanted_bytes(&self) -> u64 {
        self.unwanted_bytes
    }

    /// Whether more should be read from the socket: somebody waits for it and there is room, or it is to be read over.
    /// If not, the connection is woken when that changes.
    pub fn takes_input(&self, cx: &Context<'_>) -> bool {
        if self.is_complete() {
            return false;
        }
        let mut lease = self.lease.borrow_mut();
        let takes =
            self.is_broken() || lease.is_dropped || (lease.is_wanted && lease.buffer.len() < BUFFERED_BYTES);
        if !takes {
            lease.connection = Some(cx.waker().clone());
        }
        takes
    }

    /// Takes what belongs to the body out of `input`. Returns whether there is news for whoever reads the body.
    pub fn feed(&mut self, input: &mut BytesMut, cx: &Context<'_>) -> bool {
        if self.is_complete() {
            return false;
        }
        let lease = &mut *self.lease.borrow_mut();
        let (before, mut end) = (lease.buffer.len(), None);
        match &mut self.rest {
            Rest::Bytes(remaining) => {
                let arrived = u64::try_from(input.len()).unwrap_or(u64::MAX).min(*remaining);
                *remaining -= arrived;
                let piece = input.split_to(usize::try_from(arrived).unwrap_or(input.len()));
                if lease.buffer.is_empty() {
                    lease.buffer = piece;
                } else {
                    lease.buffer.extend_from_slice(&piece);
                }
                end = (*remaining == 0).then_some(Ok(()));
            }
            Rest::Chunked(body) => loop {
                match body.decode(input) {
                    Ok(Decoded::Data(piece)) => lease.buffer.extend_from_slice(&piece),
                    Ok(Decoded::Incomplete) => break,
                    Ok(Decoded::End) => {
                        end = Some(Ok(()));
                        break;
                    }
                    Err(problem) => {
                        log::debug!("refused a chunked body: {problem}");
                        end = Some(Err(BROKEN));
                        break;
                    }
                }
            },
            Rest::Broken => {
                self.unwanted_bytes += u64::try_from(input.len()).unwrap_or(u64::MAX);
                input.clear();
            }
        }
        if matches!(end, Some(Err(_))) {
            self.rest = Rest::Broken;
        }
        let is_news = lease.buffer.len() > before || end.is_some();
        lease.end = lease.end.or(end);
        if lease.is_dropped {
            self.unwanted_bytes += u64::try_from(lease.buffer.len()).unwrap_or(u64::MAX);
            lease.buffer.clear();
        } else if is_news {
            lease.wake_taker(cx);
        }
        is_news
    }

    /// Nobody will get more of it: the exchange is over. What comes is read over.
    pub fn give_up(&mut self) {
        let lease = &mut *self.lease.borrow_mut();
        lease.is_dropped = true;
        if lease.end.is_none() {
            lease.end = Some(Err(BROKEN));
            if let Some(waker) = lease.taker.take() {
                waker.wake();
            }
        }
    }
}

impl Drop for Intake {
    fn drop(&mut self) {
        self.give_up();
    }
}

impl Lease {
    /// Whoever waits in the connection's own task is polled again anyway.
    fn wake_taker(&mut self, cx: &Context<'_>) {
        if let Some(waker) = self.taker.take()
            && !waker.will_wake(cx.waker())
        {
            waker.wake();
        }
    }

    fn wake_connection(&mut self, cx: Option<&Context<'_>>) {
        if let Some(waker) = self.connection.take()
            && !cx.is_some_and(|cx| waker.will_wake(cx.waker()))
        {
            waker.wake();
        }
    }
}

impl Stream for BodyStream {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let lease = &mut *self.0.borrow_mut();
        lease.is_wanted = true;
        lease.wake_connection(Some(cx));
        if !lease.buffer.is_empty() {
            return Poll::Ready(Some(Ok(lease.buffer.split().freeze())));
        }
        match lease.end {
            Some(Ok(())) => Poll::Ready(None),
            Some(Err(error)) => Poll::Ready(Some(Err(payload_error(error)))),
            None => {
                lease.taker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl Drop for BodyStream {
    fn drop(&mut self) {
        let lease = &mut *self.0.borrow_mut();
        lease.is_dropped = true;
        lease.buffer = BytesMut::new();
        lease.wake_connection(None);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::{FutureExt, StreamExt};

    use super::*;

    fn cx() -> Context<'static> {
        Context::from_waker(Waker::noop())
    }

    fn feed(intake: &mut Intake, bytes: usize) {
        intake.feed(&mut BytesMut::from(vec![b'x'; bytes].as_slice()), &cx());
    }

    #[test]
    fn nothing_is_read_that_nobody_takes() {
        let mut intake = Intake::new(BodyLength::Known(1_000_000));
        let mut stream = intake.stream();
        assert!(!intake.takes_input(&cx()), "before anybody has asked");
        assert!(stream.next().now_or_never().is_none());
        assert!(intake.takes_input(&cx()));
        feed(&mut intake, BUFFERED_BYTES - 1);
        assert!(intake.takes_input(&cx()));
        feed(&mut intake, 1);
        assert!(!intake.takes_input(&cx()), "when the buffer is full");
        let piece = stream.next().now_or_never().unwrap().unwrap().unwrap();
        assert_eq!(piece.len(), BUFFERED_BYTES);
        assert!(intake.takes_input(&cx()));
    }

    #[test]
    fn what_nobody_will_take_is_counted_and_not_kept() {
        let mut intake = Intake::new(BodyLength::Known(1_000_000));
        drop(intake.stream());
        assert!(intake.takes_input(&cx()));
        feed(&mut intake, 100_000);
        assert_eq!(intake.unwanted_bytes(), 100_000);
        assert!(intake.lease.borrow().buffer.is_empty());
        assert_eq!(intake.remaining(), Some(900_000));
    }

    #[test]
    fn what_follows_a_body_is_left_alone() {
        let mut intake = Intake::new(BodyLength::Known(3));
        let mut input = BytesMut::from("abcGET /");
        intake.feed(&mut input, &cx());
        assert!(intake.is_complete());
        assert_eq!(input, "GET /");
        let mut stream = intake.stream();
        assert_eq!(stream.next().now_or_never().unwrap().unwrap().unwrap(), "abc");
        assert!(stream.next().now_or_never().unwrap().is_none());
    }
}
