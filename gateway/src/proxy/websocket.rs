//! What comes after "101 Switching Protocols": bytes both ways, until one side ends, both are silent for too long, or the
//! session that opened it has ended.

use std::cell::Cell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf, copy_bidirectional_with_sizes};
use tokio::time::{Instant, sleep, sleep_until};

use crate::edge_auth::Session;
use crate::upstream::{Permit, UpstreamConnection};

/// WebSocket peers that mean to stay send pings much more often.
const IDLE: Duration = Duration::from_secs(3600);
/// Between two looks at whether the session has ended.
const LOOK: Duration = Duration::from_secs(1);
const BUFFER_BYTES: usize = 8 * 1024;

/// The upstream's half of a WebSocket, in the extensions of the 101. It counts as under way for its whole life.
pub struct Tunnel {
    upstream: UpstreamConnection,
    _permit: Permit,
    /// Of a caller who was checked.
    session: Option<Session>,
}

impl Tunnel {
    pub fn new(upstream: UpstreamConnection, permit: Permit, session: Option<Session>) -> Self {
        Self {
            upstream,
            _permit: permit,
            session,
        }
    }

    /// Passes bytes on until the end. `early` is what the client has sent already.
    pub async fn run(mut self, client: impl AsyncRead + AsyncWrite + Unpin, early: &[u8]) {
        let last_read = Rc::new(Cell::new(Instant::now()));
        let mut client = Watched {
            io: client,
            last_read: last_read.clone(),
        };
        let mut upstream = Watched {
            io: &mut self.upstream,
            last_read: last_read.clone(),
        };
        let copy = async {
            upstream.write_all(early).await?;
            copy_bidirectional_with_sizes(&mut client, &mut upstream, BUFFER_BYTES, BUFFER_BYTES).await
        };
        let silence = async {
            while last_read.get().elapsed() < IDLE {
                sleep_until(last_read.get() + IDLE).await;
            }
        };
        tokio::select! {
            // How a tunnel ends is between its two ends.
            _ = copy => {}
            () = silence => {}
            () = end_of(self.session.as_ref()) => {}
        }
    }
}

/// Resolves when the session has ended; never for a tunnel that belongs to none.
async fn end_of(session: Option<&Session>) {
    let Some(session) = session else {
        return std::future::pending().await;
    };
    while !session.has_ended() {
        sleep(LOOK).await;
    }
}

/// Notes when something was read last.
struct Watched<Io> {
    io: Io,
    last_read: Rc<Cell<Instant>>,
}

impl<Io: AsyncRead + Unpin> AsyncRead for Watched<Io> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let read = Pin::new(&mut this.io).poll_read(cx, out);
        if read.is_ready() {
            this.last_read.set(Instant::now());
        }
        read
    }
}

impl<Io: AsyncWrite + Unpin> AsyncWrite for Watched<Io> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().io).poll_write(cx, data)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_shutdown(cx)
    }
}
