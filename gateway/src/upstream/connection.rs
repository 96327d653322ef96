//! One connection to an upstream: HTTP/1.1, one request at a time.

use std::future::poll_fn;
use std::io;
use std::time::Duration;

use actix_http::{Method, StatusCode};
use bytes::{Bytes, BytesMut};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::url::UpstreamUrl;
use crate::http1::request_head::{Search, find_end};
use crate::http1::response_head::{self, AnswerHead, MAX_HEAD_BYTES};
use crate::server::stream;

#[derive(Debug)]
pub struct UpstreamConnection {
    pub socket: TcpStream,
    /// What has arrived and was not taken yet.
    pub input: BytesMut,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ConnectionError {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("it closed the connection before its answer")]
    Closed,
    #[error("its answer has {0}")]
    Malformed(&'static str),
}

impl UpstreamConnection {
    /// # Errors
    /// When nobody is there, or nobody answers in time.
    pub async fn connect(url: &UpstreamUrl, wait: Duration) -> io::Result<Self> {
        let connect = TcpStream::connect(url.host_and_port());
        let socket = timeout(wait, connect)
            .await
            .map_err(|_| io::Error::new(io::ErrorKind::TimedOut, "no connection in time"))??;
        socket.set_nodelay(true)?;
        Ok(Self {
            socket,
            input: BytesMut::new(),
        })
    }

    /// Whether an idle connection can be used: the other side has neither closed it nor sent anything.
    pub fn is_alive(&self) -> bool {
        let is_silent =
            |result: io::Result<usize>| result.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock);
        self.input.is_empty() && is_silent(self.socket.try_read(&mut [0]))
    }

    /// # Errors
    /// When the other side is gone, or takes nothing for too long.
    pub async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        stream::write_all(&mut self.socket, bytes).await
    }

    /// The head of the final answer. `method` is of the request; a 101 is final.
    ///
    /// # Errors
    /// When there is none that can be read.
    pub async fn answer_head(&mut self, method: &Method) -> Result<AnswerHead, ConnectionError> {
        loop {
            let mut searched = 0;
            let length = loop {
                match find_end(&self.input, searched) {
                    Ok(Search::Found(length)) => break length,
                    Ok(Search::Partial(position)) if self.input.len() <= MAX_HEAD_BYTES => {
                        searched = position;
                    }
                    Ok(Search::Partial(_)) => return Err(ConnectionError::Malformed("too large a head")),
                    Err(_) => return Err(ConnectionError::Malformed("a bare line feed in its head")),
                }
                if self.fill().await? == 0 {
                    return Err(ConnectionError::Closed);
                }
            };
            let head = self.input.split_to(length).freeze();
            let head = response_head::parse(&head, method).map_err(ConnectionError::Malformed)?;
            if !head.status.is_informational() || head.status == StatusCode::SWITCHING_PROTOCOLS {
                return Ok(head);
            }
        }
    }

    /// Reads more into `input`; 0 bytes are the end.
    ///
    /// # Errors
    /// When the connection is broken.
    pub async fn fill(&mut self) -> io::Result<usize> {
        poll_fn(|cx| stream::poll_fill(&mut self.socket, &mut self.input, cx)).await
    }

    /// Takes at most `limit` bytes of what has arrived.
    pub fn take(&mut self, limit: u64) -> Bytes {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        self.input.split_to(limit.min(self.input.len())).freeze()
    }
}
