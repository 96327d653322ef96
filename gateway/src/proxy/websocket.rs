//! What comes after "101 Switching Protocols": bytes both ways, until one side ends or both are silent for too long.

use std::cell::Cell;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf, copy_bidirectional_with_sizes};
use tokio::time::{Instant, sleep_until};

use crate::server::stream::{self, Stream};
use crate::upstream::UpstreamConnection;

/// WebSocket peers that mean to stay send pings much more often.
const IDLE: Duration = Duration::from_secs(3600);
const BUFFER_BYTES: usize = 8 * 1024;

/// An upgraded connection to an upstream, which a 101 response carries in its extensions.
#[derive(Debug)]
pub struct Tunnel {
    upstream: UpstreamConnection,
}

impl Tunnel {
    pub fn new(upstream: UpstreamConnection) -> Self {
        Self { upstream }
    }

    /// Passes bytes on. `input` is what the client has sent already.
    pub async fn run(self, client: &mut Stream, input: &[u8]) {
        run(client, input, self.upstream).await;
    }
}

/// Passes bytes on. `input` is what the client has sent already.
pub async fn run(client: &mut Stream, input: &[u8], mut upstream: UpstreamConnection) {
    let first = async {
        stream::write_all(&mut upstream.socket, input).await?;
        stream::write_all(client, &upstream.input).await?;
        stream::flush(client).await
    };
    if first.await.is_err() {
        return;
    }
    let last_read = Cell::new(Instant::now());
    let mut client = Watched {
        io: client,
        last_read: &last_read,
    };
    let mut upstream = Watched {
        io: &mut upstream.socket,
        last_read: &last_read,
    };
    let copy = copy_bidirectional_with_sizes(&mut client, &mut upstream, BUFFER_BYTES, BUFFER_BYTES);
    let silence = async {
        while last_read.get().elapsed() < IDLE {
            sleep_until(last_read.get() + IDLE).await;
        }
    };
    tokio::select! {
        // How a tunnel ends is between its two ends.
        _ = copy => {}
        () = silence => {}
    }
}

/// Notes when something was read last.
struct Watched<'a, Io> {
    io: &'a mut Io,
    last_read: &'a Cell<Instant>,
}

impl<Io: AsyncRead + Unpin> AsyncRead for Watched<'_, Io> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let read = Pin::new(&mut *this.io).poll_read(cx, out);
        if read.is_ready() {
            this.last_read.set(Instant::now());
        }
        read
    }
}

impl<Io: AsyncWrite + Unpin> AsyncWrite for Watched<'_, Io> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.get_mut().io).poll_write(cx, data)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.get_mut().io).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.get_mut().io).poll_shutdown(cx)
    }
}
