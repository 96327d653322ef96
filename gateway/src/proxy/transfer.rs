//! A request on its way up and its response on the way down, at the same time. What goes wrong is told by whose fault
//! it is: only what an upstream does with a whole request in hand counts against it.

use std::future::poll_fn;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::time::{Instant, timeout_at};

use super::request_body::RequestBody;
use super::timer::Timer;
use crate::error::GatewayError;
use crate::http1::response_head::ResponseHead;
use crate::upstream::{Exchange, ResponseError, ReusableConnection, UpstreamConnection};

/// An upstream that takes nothing of a request for this long is given up.
const WRITE_STALL: Duration = Duration::from_secs(20);

/// Why there is no response, or no more of it.
#[derive(Debug)]
pub enum Failure {
    /// It is the client's.
    Request(GatewayError),
    /// No response, or no more of it, in time.
    Late,
    /// The connection was closed, or what came is no HTTP.
    Broken(String),
}

impl From<ResponseError> for Failure {
    fn from(error: ResponseError) -> Self {
        Self::Broken(error.to_string())
    }
}

/// How long the upstream may take.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// To begin its response, from when it has the request.
    pub response: Duration,
    /// Between two pieces of its response.
    pub pause: Duration,
}

/// Both directions on one connection.
pub struct Transfer {
    exchange: Exchange,
    /// What is still to be read of the request's body.
    body: Option<RequestBody>,
    upload: Upload,
    /// What broke the request off while its response was under way.
    broken_by_client: Option<GatewayError>,
    patience: Patience,
    timer: Timer,
    /// What is waited for, and since when.
    waiting: Option<(Wait, Instant)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Upload {
    /// The client has to send more.
    ByClient,
    /// The upstream has to take more.
    ByUpstream,
    /// The upstream has the whole request.
    Done,
    /// The upstream takes no more; it may have said why.
    Refused,
    /// The client has broken it off.
    GivenUp,
}

/// What the upstream has to do next, and how far it has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wait {
    Take { written_bytes: u64 },
    Respond,
    GoOn,
}

impl Transfer {
    /// `body`: what comes after the head that `exchange` begins with.
    pub fn new(exchange: Exchange, body: Option<RequestBody>, patience: Patience) -> Self {
        Self {
            exchange,
            body,
            upload: Upload::ByUpstream,
            broken_by_client: None,
            patience,
            timer: Timer::default(),
            waiting: None,
        }
    }

    /// Whether the upstream has the whole request: from then on it is its turn alone.
    pub fn is_sent(&self) -> bool {
        self.exchange.sender.is_sent()
    }

    /// Whether more of the request may still be sent.
    pub fn is_uploading(&self) -> bool {
        matches!(self.upload, Upload::ByClient | Upload::ByUpstream)
    }

    /// Whether any byte of a response has come.
    pub fn has_response(&self) -> bool {
        self.exchange.has_response()
    }

    /// Sends what can be sent now. Small pieces that are there leave in one write.
    fn poll_upload(&mut self, cx: &mut Context<'_>) {
        if matches!(self.upload, Upload::Done | Upload::Refused | Upload::GivenUp) {
            return;
        }
        loop {
            let mut waits_for_client = false;
            while let Some(body) = &mut self.body
                && self.exchange.sender.has_room()
            {
                let pushed = match body.poll_next(cx) {
                    Poll::Pending => {
                        waits_for_client = true;
                        break;
                    }
                    Poll::Ready(Ok(Some(piece))) => self.exchange.sender.push(piece),
                    Poll::Ready(Ok(None)) => {
                        self.body = None;
                        self.exchange.sender.end()
                    }
                    Poll::Ready(Err(error)) => return self.give_up(error),
                };
                if pushed.is_err() {
                    return self.give_up(GatewayError::BadRequest("the body is not as long as it says"));
                }
            }
            self.upload = match self.exchange.poll_write(cx) {
                Poll::Pending => Upload::ByUpstream,
                Poll::Ready(Err(_)) => {
                    self.body = None;
                    Upload::Refused
                }
                Poll::Ready(Ok(())) if self.exchange.sender.is_sent() => Upload::Done,
                Poll::Ready(Ok(())) if waits_for_client => Upload::ByClient,
                Poll::Ready(Ok(())) => continue,
            };
            return;
        }
    }

    fn give_up(&mut self, error: GatewayError) {
        self.body = None;
        self.exchange.sender.give_up();
        self.broken_by_client = Some(error);
        self.upload = Upload::GivenUp;
    }

    /// The head of the response. It may come before all of the request is sent.
    ///
    /// # Errors
    /// See [`Failure`].
    pub async fn head(&mut self) -> Result<ResponseHead, Failure> {
        poll_fn(|cx| self.poll_head(cx)).await
    }

    fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<Result<ResponseHead, Failure>> {
        self.poll_upload(cx);
        match self.exchange.poll_head(cx) {
            Poll::Ready(Ok(head)) => {
                self.waiting = None;
                return Poll::Ready(Ok(head));
            }
            Poll::Ready(Err(error)) => {
                let failure = self
                    .broken_by_client
                    .map_or_else(|| error.into(), Failure::Request);
                return Poll::Ready(Err(failure));
            }
            Poll::Pending => {}
        }
        if let Some(error) = self.broken_by_client {
            return Poll::Ready(Err(Failure::Request(error)));
        }
        let (wait, patience) = match self.upload {
            Upload::ByClient | Upload::GivenUp => return Poll::Pending,
            Upload::ByUpstream => (self.take(), WRITE_STALL),
            Upload::Done | Upload::Refused => (Wait::Respond, self.patience.response),
        };
        self.poll_patience(wait, patience, cx)
            .map(|()| Err(Failure::Late))
    }

    /// The next piece of the response's body; `None` is the end.
    ///
    /// # Errors
    /// See [`Failure`].
    pub fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, Failure>> {
        self.poll_upload(cx);
        match self.exchange.poll_body(cx) {
            Poll::Ready(Ok(piece)) => {
                self.waiting = None;
                return Poll::Ready(Ok(piece));
            }
            Poll::Ready(Err(error)) => return Poll::Ready(Err(error.into())),
            Poll::Pending => {}
        }
        if let Some(error) = self.broken_by_client {
            return Poll::Ready(Err(Failure::Request(error)));
        }
        let (wait, patience) = match self.upload {
            Upload::ByClient | Upload::GivenUp => return Poll::Pending,
            Upload::ByUpstream => (self.take(), self.patience.pause.max(WRITE_STALL)),
            Upload::Done | Upload::Refused => (Wait::GoOn, self.patience.pause),
        };
        self.poll_patience(wait, patience, cx)
            .map(|()| Err(Failure::Late))
    }

    fn take(&self) -> Wait {
        let written_bytes = self.exchange.sender.written_bytes();
        Wait::Take { written_bytes }
    }

    /// Ready when `wait` has lasted for too long.
    fn poll_patience(&mut self, wait: Wait, patience: Duration, cx: &mut Context<'_>) -> Poll<()> {
        let since = match self.waiting {
            Some((same, since)) if same == wait => since,
            _ => {
                let now = Instant::now();
                self.waiting = Some((wait, now));
                now
            }
        };
        self.timer.poll_until(since + patience, cx)
    }

    /// Up to `max_bytes` of the response's body, read within the time of a response. `is_whole` says whether that is
    /// all of it.
    ///
    /// # Errors
    /// See [`Failure`].
    pub async fn read_up_to(
        &mut self,
        max_bytes: usize,
        expected_bytes: usize,
    ) -> Result<Beginning, Failure> {
        let deadline = Instant::now() + self.patience.response;
        let read = async {
            let Some(first) = poll_fn(|cx| self.poll_piece(cx)).await? else {
                return Ok(Beginning::whole(Bytes::new()));
            };
            if first.len() == expected_bytes {
                return Ok(Beginning::whole(first));
            }
            let mut bytes = BytesMut::with_capacity(expected_bytes.max(first.len()));
            bytes.extend_from_slice(&first);
            while bytes.len() <= max_bytes {
                match poll_fn(|cx| self.poll_piece(cx)).await? {
                    Some(piece) => bytes.extend_from_slice(&piece),
                    None => return Ok(Beginning::whole(bytes.freeze())),
                }
            }
            Ok(Beginning {
                bytes: bytes.freeze(),
                is_whole: false,
            })
        };
        timeout_at(deadline, read).await.unwrap_or(Err(Failure::Late))
    }

    /// The connection, when it is proven that another request can follow on it.
    pub fn finish(self) -> Option<ReusableConnection> {
        self.exchange.finish()
    }

    /// The connection after a 101.
    pub fn into_upgraded(self) -> UpstreamConnection {
        self.exchange.into_upgraded()
    }
}

/// What was read of a response's body.
pub struct Beginning {
    pub bytes: Bytes,
    pub is_whole: bool,
}

impl Beginning {
    fn whole(bytes: Bytes) -> Self {
        Self {
            bytes,
            is_whole: true,
        }
    }
}
