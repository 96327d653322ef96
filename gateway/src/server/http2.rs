//! One client's HTTP/2 connection. All work for it is done in one task: when the connection ends, so does the work.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::future::LocalBoxFuture;
use futures_util::stream::FuturesUnordered;
use h2::server::{Builder, SendResponse};
use h2::{Reason, RecvStream};
use tokio::time::{Instant, Sleep, sleep_until, timeout};

use super::app_service::ClientConnection;
use super::connection::Wire;
use super::http2_exchange::{Outcome, exchange};
use super::stream::ClientStream;
use crate::http1::request_head::MAX_HEAD_BYTES;

const STREAMS: u32 = 100;
/// A stream's body that is read ahead of whoever takes it; those of a connection together four times as much.
const WINDOW_BYTES: u32 = 256 * 1024;
/// A stream's response that is taken ahead of the client.
const SEND_BUFFER_BYTES: usize = 32 * 1024;
/// A client may break off so many requests at once, and so many more with every second.
const RESETS: u64 = 100;
const RESETS_PER_SECOND: u64 = 10;

struct Connection {
    h2: h2::server::Connection<ClientStream, Bytes>,
    running: FuturesUnordered<LocalBoxFuture<'static, Outcome>>,
    resets: ResetBudget,
    client: ClientConnection,
    wire: Rc<Wire>,
    /// Counts only while nothing runs: first to the goodbye, then to the end.
    timer: Pin<Box<Sleep>>,
    /// Set with the goodbye: until then further requests are still taken.
    goodbye_until: Option<Instant>,
}

/// Serves the connection until it ends.
pub async fn serve(io: ClientStream, client: ClientConnection, wire: Rc<Wire>) {
    let mut builder = Builder::new();
    builder
        .max_concurrent_streams(STREAMS)
        .max_header_list_size(u32::try_from(MAX_HEAD_BYTES).unwrap_or(u32::MAX))
        .initial_window_size(WINDOW_BYTES)
        .initial_connection_window_size(4 * WINDOW_BYTES)
        .max_send_buffer_size(SEND_BUFFER_BYTES);
    let handshake = timeout(wire.deadlines().header, builder.handshake::<_, Bytes>(io)).await;
    let Ok(Ok(h2)) = handshake else { return };
    let mut shutdown = wire.shutdown.clone();
    let mut connection = Connection {
        h2,
        running: FuturesUnordered::new(),
        resets: ResetBudget::new(),
        client,
        timer: Box::pin(sleep_until(Instant::now() + wire.deadlines().keep_alive)),
        goodbye_until: None,
        wire,
    };
    let mut stop = pin!(shutdown.requested());
    let mut is_stopping = false;
    poll_fn(|cx| {
        if !is_stopping && stop.as_mut().poll(cx).is_ready() {
            is_stopping = true;
            connection.say_goodbye();
        }
        connection.poll(cx)
    })
    .await;
}

impl Connection {
    /// Ready when the connection is over.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            // What the streams have to say goes out with the connection's next step.
            while let Poll::Ready(Some(outcome)) = self.running.poll_next_unpin(cx) {
                self.finished(outcome);
            }
            match self.h2.poll_accept(cx) {
                Poll::Ready(Some(Ok((request, respond)))) => self.accept(request, respond),
                Poll::Ready(Some(Err(_)) | None) => return Poll::Ready(()),
                Poll::Pending if self.running.is_empty() => {
                    if self.timer.as_mut().poll(cx).is_pending() {
                        return Poll::Pending;
                    }
                    if self.goodbye_until.is_some() {
                        return Poll::Ready(());
                    }
                    self.say_goodbye();
                }
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    fn accept(&mut self, request: http_1::Request<RecvStream>, mut respond: SendResponse<Bytes>) {
        let is_over = self.goodbye_until.is_some_and(|until| until <= Instant::now());
        // The limit counts work, which may outlive the stream that it was for.
        let is_full = u32::try_from(self.running.len()).is_ok_and(|running| running >= STREAMS);
        if is_over || is_full {
            respond.send_reset(Reason::REFUSED_STREAM);
            return;
        }
        let work = exchange(request, respond, self.client, self.wire.clone());
        self.running.push(Box::pin(work));
    }

    fn finished(&mut self, outcome: Outcome) {
        if outcome == Outcome::Reset && !self.resets.take(Instant::now()) {
            log::debug!(client:% = self.client.address; "closed a connection: its client resets too many requests");
            self.h2.abrupt_shutdown(Reason::ENHANCE_YOUR_CALM);
            self.running.clear();
            self.goodbye_until = Some(Instant::now());
        }
        if self.running.is_empty() {
            self.rest();
        }
    }

    /// Nothing runs: the client has some time for a further request, or for taking the last word.
    fn rest(&mut self) {
        let deadlines = self.wire.deadlines();
        let wait = match self.goodbye_until {
            Some(_) => deadlines.goodbye,
            None => deadlines.keep_alive,
        };
        self.timer.as_mut().reset(Instant::now() + wait);
    }

    /// Tells the client to send no further requests. Those under way are answered; then, or after a while even if the
    /// client says nothing to it, the connection ends.
    fn say_goodbye(&mut self) {
        if self.goodbye_until.is_none() {
            self.h2.graceful_shutdown();
            self.goodbye_until = Some(Instant::now() + self.wire.deadlines().goodbye);
            self.rest();
        }
    }
}

/// Allows a client to break off requests now and then, but not as a way to have more of them worked on than it may.
#[derive(Debug)]
struct ResetBudget {
    left: u64,
    refilled: Instant,
}

impl ResetBudget {
    fn new() -> Self {
        Self {
            left: RESETS,
            refilled: Instant::now(),
        }
    }

    /// Takes one; `false` when there is none left.
    fn take(&mut self, now: Instant) -> bool {
        let seconds = now.duration_since(self.refilled).as_secs();
        if seconds > 0 {
            self.refilled = now;
            self.left = RESETS.min(
                self.left
                    .saturating_add(seconds.saturating_mul(RESETS_PER_SECOND)),
            );
        }
        let is_left = self.left > 0;
        self.left = self.left.saturating_sub(1);
        is_left
    }
}

#[cfg(test)]
mod budget_tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn resets_are_forgiven_with_time() {
        let mut budget = ResetBudget::new();
        let start = budget.refilled;
        let used = (0..1000).take_while(|_| budget.take(start)).count();
        assert_eq!(used, 100);
        let later = start + Duration::from_secs(3);
        assert_eq!((0..1000).take_while(|_| budget.take(later)).count(), 30);
        let much_later = start + Duration::from_secs(3000);
        assert_eq!((0..1000).take_while(|_| budget.take(much_later)).count(), 100);
    }
}
