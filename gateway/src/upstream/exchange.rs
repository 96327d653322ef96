//! One request and its response on one connection. Both go on at the same time; what is left of it afterwards is a
//! connection that can be used again, or nothing.

use std::io;
use std::task::{Context, Poll};

use actix_http::Method;
use bytes::{Bytes, BytesMut};

use super::connection::UpstreamConnection;
use super::request_sender::{Declared, RequestSender, SentWhole};
use super::response_reader::{ReadWhole, ResponseError, ResponseReader};
use crate::http1::response_head::ResponseHead;

/// A request that is being sent, and its response that is being read.
#[derive(Debug)]
pub struct Exchange {
    connection: UpstreamConnection,
    pub sender: RequestSender,
    reader: ResponseReader,
}

/// A connection on which exactly one request was sent, whole, and its response read, whole: the only kind that a pool
/// takes.
#[derive(Debug)]
pub struct ReusableConnection(UpstreamConnection);

impl ReusableConnection {
    /// `None`: the upstream has sent more than its response.
    fn prove(mut connection: UpstreamConnection, _: SentWhole, _: ReadWhole) -> Option<Self> {
        if !connection.input.is_empty() {
            return None;
        }
        // An idle connection holds no buffer.
        connection.input = BytesMut::new();
        Some(Self(connection))
    }

    pub(super) fn into_inner(self) -> UpstreamConnection {
        self.0
    }

    pub(super) fn is_alive(&mut self) -> bool {
        self.0.is_alive()
    }
}

impl Exchange {
    /// Begins with the request's head, which says `declared` of its body.
    pub fn new(connection: UpstreamConnection, method: Method, head: BytesMut, declared: Declared) -> Self {
        Self {
            connection,
            sender: RequestSender::new(head, declared),
            reader: ResponseReader::new(method),
        }
    }

    /// Writes what the sender has; ready when nothing is left to write for now.
    ///
    /// # Errors
    /// When the upstream takes no more.
    pub fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.sender.poll_write(&mut self.connection, cx)
    }

    /// The head of the final response.
    ///
    /// # Errors
    /// When there is none that can be read.
    pub fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<Result<ResponseHead, ResponseError>> {
        self.reader.poll_head(&mut self.connection, cx)
    }

    /// The next piece of the response's body; `None` is the end.
    ///
    /// # Errors
    /// What broke it off.
    pub fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, ResponseError>> {
        self.reader.poll_body(&mut self.connection, cx)
    }

    /// Whether any byte of a response has come.
    pub fn has_response(&self) -> bool {
        self.reader.has_begun()
    }

    /// The connection, when it is proven that another request can follow on it.
    pub fn finish(self) -> Option<ReusableConnection> {
        let (sent, read) = (self.sender.proof()?, self.reader.proof()?);
        ReusableConnection::prove(self.connection, sent, read)
    }

    /// The connection after a 101: it belongs to the two ends from here on, and to no pool.
    pub fn into_upgraded(self) -> UpstreamConnection {
        self.connection
    }
}
