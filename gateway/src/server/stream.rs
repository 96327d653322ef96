//! A client's connection below HTTP: plain, or TLS over it. Both are read in the same way.

use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use bytes::BytesMut;
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::server::TlsStream;

use super::pace::{Meter, Pace};

/// How much is read at once. The space is on the stack, so that a connection without input holds none.
const READ_BYTES: usize = 16 * 1024;
/// A side that takes nothing for this long is cut.
const WRITE_STALL: Duration = Duration::from_secs(20);
/// So much waits in the system's buffer beyond what is on its way: enough to keep a connection busy, and little enough
/// that a slow reader is seen to take something now and then.
#[cfg(any(target_os = "linux", target_os = "android"))]
const UNSENT_BYTES: u32 = 128 * 1024;
/// A client that vanished without a word is noticed after about two minutes.
const PROBE_AFTER: Duration = Duration::from_secs(60);
const PROBE_EVERY: Duration = Duration::from_secs(15);
const PROBES: u32 = 4;

#[derive(Debug)]
pub enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// Sets what every client's socket needs.
///
/// # Errors
/// When the socket is broken already.
pub fn prepare(socket: &TcpStream) -> io::Result<()> {
    socket.set_nodelay(true)?;
    let reference = SockRef::from(socket);
    let probes = TcpKeepalive::new().with_time(PROBE_AFTER);
    let probes = probes.with_interval(PROBE_EVERY).with_retries(PROBES);
    reference.set_tcp_keepalive(&probes)?;
    #[cfg(any(target_os = "linux", target_os = "android"))]
    reference.set_tcp_notsent_lowat(UNSENT_BYTES)?;
    Ok(())
}

impl Stream {
    fn socket(&self) -> &TcpStream {
        match self {
            Self::Plain(socket) => socket,
            Self::Tls(stream) => stream.get_ref().0,
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_read(cx, out),
            Self::Tls(stream) => Pin::new(stream.as_mut()).poll_read(cx, out),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_write(cx, data),
            Self::Tls(stream) => Pin::new(stream.as_mut()).poll_write(cx, data),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_write_vectored(cx, data),
            Self::Tls(stream) => Pin::new(stream.as_mut()).poll_write_vectored(cx, data),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream.as_mut()).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream.as_mut()).poll_shutdown(cx),
        }
    }
}

/// A client's connection on which writing fails when the client takes it too slowly.
#[derive(Debug)]
pub struct ClientStream {
    io: Stream,
    meter: Meter,
}

impl ClientStream {
    pub fn new(io: Stream, pace: Pace) -> Self {
        let meter = Meter::new(pace);
        Self { io, meter }
    }

    /// The connection without that rule.
    pub fn inner(&mut self) -> &mut Stream {
        &mut self.io
    }

    /// Whether the client has closed its side, even if it sent something before that was not read yet.
    pub fn is_closed_by_client(&self) -> bool {
        let mut cx = Context::from_waker(Waker::noop());
        match pin!(self.io.socket().ready(Interest::READABLE)).poll(&mut cx) {
            Poll::Ready(Ok(state)) => state.is_read_closed(),
            Poll::Ready(Err(_)) => true,
            Poll::Pending => false,
        }
    }

    /// Has the client see a reset, when the connection is dropped, in place of an end.
    pub fn abort(&self) {
        // On a socket that is broken already there is nobody to see it.
        let _ = self.io.socket().set_zero_linger();
    }

    /// What a write came to; while it waits for the client, that is measured.
    fn measured(
        &mut self,
        written: Poll<io::Result<usize>>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        match written {
            Poll::Ready(Ok(bytes)) => {
                self.meter.advanced(bytes);
                Poll::Ready(Ok(bytes))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => {
                ready!(self.meter.poll_too_slow(cx));
                Poll::Ready(Err(too_slow()))
            }
        }
    }
}

fn too_slow() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "the other side takes nothing")
}

impl AsyncRead for ClientStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_read(cx, out)
    }
}

impl AsyncWrite for ClientStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.io).poll_write(cx, data);
        this.measured(written, cx)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.io).poll_write_vectored(cx, data);
        this.measured(written, cx)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let flushed = Pin::new(&mut this.io).poll_flush(cx).map_ok(|()| 0);
        this.measured(flushed, cx).map_ok(|_| ())
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let closed = Pin::new(&mut this.io).poll_shutdown(cx).map_ok(|()| 0);
        this.measured(closed, cx).map_ok(|_| ())
    }
}

/// Reads what has arrived into `input`; 0 bytes are the end.
pub fn poll_fill(
    io: &mut (impl AsyncRead + Unpin),
    input: &mut BytesMut,
    cx: &mut Context<'_>,
) -> Poll<io::Result<usize>> {
    let mut space = [const { MaybeUninit::uninit() }; READ_BYTES];
    let mut piece = ReadBuf::uninit(&mut space);
    ready!(Pin::new(io).poll_read(cx, &mut piece))?;
    input.extend_from_slice(piece.filled());
    Poll::Ready(Ok(piece.filled().len()))
}

/// Writes all of `data`.
///
/// # Errors
/// When the other side is gone, or takes nothing for too long.
pub async fn write_all(io: &mut (impl AsyncWrite + Unpin), mut data: &[u8]) -> io::Result<()> {
    use tokio::io::AsyncWriteExt;
    while !data.is_empty() {
        let written = timeout(WRITE_STALL, io.write(data))
            .await
            .map_err(|_| too_slow())??;
        if written == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        data = data.get(written..).unwrap_or_default();
    }
    Ok(())
}

/// Gets written data out; only TLS keeps some.
///
/// # Errors
/// As [`write_all`].
pub async fn flush(io: &mut (impl AsyncWrite + Unpin)) -> io::Result<()> {
    use tokio::io::AsyncWriteExt;
    timeout(WRITE_STALL, io.flush()).await.map_err(|_| too_slow())?
}
