//! A client's connection below HTTP: plain, or TLS over it. Both are read in the same way.

use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::server::TlsStream;

/// How much is read at once. The space is on the stack, so that a connection without input holds none.
const READ_BYTES: usize = 16 * 1024;
/// A side that takes nothing for this long is cut.
const WRITE_STALL: Duration = Duration::from_secs(20);

#[derive(Debug)]
pub enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
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
            .map_err(|_| io::Error::new(io::ErrorKind::TimedOut, "the other side takes nothing"))??;
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
    timeout(WRITE_STALL, io.flush())
        .await
        .map_err(|_| io::Error::new(io::ErrorKind::TimedOut, "the other side takes nothing"))?
}
