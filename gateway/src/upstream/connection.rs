//! One connection to an upstream: the bytes of HTTP/1.1, over TCP or TLS.

use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::client::TlsStream;

use super::service::Upstream;

/// How much is read at once. The space is on the stack, so that a connection without input holds none.
const READ_BYTES: usize = 16 * 1024;

/// A connection to an upstream. To be used again it must go through [`super::ReusableConnection`].
#[derive(Debug)]
pub struct UpstreamConnection {
    io: Io,
    /// What has arrived and was not taken yet.
    pub(super) input: BytesMut,
}

#[derive(Debug)]
enum Io {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl UpstreamConnection {
    /// # Errors
    /// When nobody is there, nobody answers in time, or the other side does not prove who it is.
    pub async fn connect(upstream: &Upstream, wait: Duration) -> io::Result<Self> {
        timeout(wait, Self::connect_at_ease(upstream))
            .await
            .map_err(|_| io::Error::new(io::ErrorKind::TimedOut, "no connection in time"))?
    }

    async fn connect_at_ease(upstream: &Upstream) -> io::Result<Self> {
        let tls = upstream.connector.tls()?;
        let socket = TcpStream::connect(upstream.url.host_and_port()).await?;
        socket.set_nodelay(true)?;
        let io = match tls {
            None => Io::Plain(socket),
            Some((connector, name)) => Io::Tls(Box::new(connector.connect(name, socket).await?)),
        };
        Ok(Self {
            io,
            input: BytesMut::new(),
        })
    }

    /// Whether an idle connection can be used: the other side has neither closed it nor sent anything.
    pub(super) fn is_alive(&mut self) -> bool {
        let mut cx = Context::from_waker(Waker::noop());
        self.input.is_empty() && self.poll_fill(&mut cx).is_pending()
    }

    /// Reads more into `input`; 0 bytes are the end.
    pub(super) fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let mut space = [const { MaybeUninit::uninit() }; READ_BYTES];
        let mut piece = ReadBuf::uninit(&mut space);
        ready!(self.io.poll_read_into(cx, &mut piece))?;
        self.input.extend_from_slice(piece.filled());
        Poll::Ready(Ok(piece.filled().len()))
    }

    /// Takes at most `limit` bytes of what has arrived.
    pub(super) fn take(&mut self, limit: u64) -> Bytes {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        self.input.split_to(limit.min(self.input.len())).freeze()
    }
}

impl Io {
    fn poll_read_into(&mut self, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Plain(socket) => Pin::new(socket).poll_read(cx, out),
            Self::Tls(stream) => Pin::new(stream.as_mut()).poll_read(cx, out),
        }
    }
}

/// Takes what has arrived first.
impl AsyncRead for UpstreamConnection {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.input.is_empty() {
            return this.io.poll_read_into(cx, out);
        }
        let length = out.remaining().min(this.input.len());
        out.put_slice(&this.input.split_to(length));
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for UpstreamConnection {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.get_mut().io {
            Io::Plain(socket) => Pin::new(socket).poll_write(cx, data),
            Io::Tls(stream) => Pin::new(stream.as_mut()).poll_write(cx, data),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut self.get_mut().io {
            Io::Plain(socket) => Pin::new(socket).poll_write_vectored(cx, slices),
            Io::Tls(stream) => Pin::new(stream.as_mut()).poll_write_vectored(cx, slices),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().io {
            Io::Plain(_) => Poll::Ready(Ok(())),
            Io::Tls(stream) => Pin::new(stream.as_mut()).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().io {
            Io::Plain(socket) => Pin::new(socket).poll_shutdown(cx),
            Io::Tls(stream) => Pin::new(stream.as_mut()).poll_shutdown(cx),
        }
    }
}
