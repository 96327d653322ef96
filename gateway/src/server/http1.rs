//! One client's HTTP/1.1 connection: a request at a time, each found well-formed before anybody works on it, each part
//! of it in time. Between requests it holds no buffer.

use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use actix_http::Request;
use bytes::BytesMut;
use shared::shutdown::Shutdown;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, timeout, timeout_at};

use super::app_service::ClientConnection;
use super::connection::Wire;
use super::http1_exchange;
use super::stream::{self, ClientStream};
use crate::error::GatewayError;
use crate::http1::request_head::{self, MAX_HEAD_BYTES, RequestHead, Search};

/// After a response that leaves input unread: how long and how much of it is read over at most.
const LINGER: Duration = Duration::from_secs(30);
const LINGER_BYTES: usize = 16 * 1024 * 1024;
/// How long an idle connection is kept when the gateway stops: a request may be on its way.
const LAST_REQUEST: Duration = Duration::from_millis(300);

/// A connection, as long as it lasts.
pub struct Connection {
    pub io: ClientStream,
    /// What has arrived and was not taken yet.
    pub input: BytesMut,
    pub client: ClientConnection,
    pub wire: Rc<Wire>,
    pub shutdown: Shutdown,
}

enum Next {
    Request(Box<(RequestHead, Request)>),
    Refused(GatewayError),
    /// No further request comes, or it comes too late.
    Nothing,
}

enum More {
    Input,
    Late,
    Nothing,
}

/// What becomes of a connection after a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum After {
    NextRequest,
    Close,
    /// The client may still be sending something that nobody will read.
    CloseUnread,
    /// The client is gone, or sees by the length that its response is torn.
    Abort,
    /// Only a reset can tell the client that its response is torn.
    Reset,
}

/// Serves the connection until it ends.
pub async fn serve(io: ClientStream, client: ClientConnection, wire: Rc<Wire>) {
    let mut connection = Connection {
        io,
        input: BytesMut::new(),
        client,
        shutdown: wire.shutdown.clone(),
        wire,
    };
    let mut is_first = true;
    let after = loop {
        match connection.next_request(is_first).await {
            Next::Nothing if connection.input.is_empty() => break After::Close,
            Next::Nothing => break After::CloseUnread,
            // On the heap, and only while it lasts: an idle connection is small.
            Next::Request(request) => {
                let (head, request) = *request;
                match Box::pin(http1_exchange::exchange(&mut connection, head, request)).await {
                    After::NextRequest => {}
                    after => break after,
                }
            }
            Next::Refused(error) => break Box::pin(http1_exchange::refuse(&mut connection, error)).await,
        }
        is_first = false;
    };
    // The client is gone or has been answered; there is nobody to tell of an error.
    let _ = Box::pin(connection.close(after)).await;
}

impl Connection {
    async fn next_request(&mut self, is_first: bool) -> Next {
        let deadlines = *self.wire.deadlines();
        // A head's time runs from its first byte, and an empty line before it is its beginning.
        let mut has_begun = !self.input.is_empty();
        let mut deadline = Instant::now()
            + match is_first || has_begun {
                true => deadlines.header,
                false => deadlines.keep_alive,
            };
        let mut searched = 0;
        loop {
            if searched == 0 {
                // Source: RFC 9112 section 2.2, empty lines before a request are ignored.
                while self.input.starts_with(b"\r\n") {
                    let _ = self.input.split_to(2);
                }
            }
            match request_head::find_end(&self.input, searched) {
                Ok(Search::Found(length)) if length <= MAX_HEAD_BYTES => {
                    let head = self.input.split_to(length).freeze();
                    let mut request = Request::new();
                    return match request_head::parse(&head, request.headers_mut()) {
                        Ok(head) => Next::Request(Box::new((head, request))),
                        Err(error) => Next::Refused(error),
                    };
                }
                Ok(Search::Partial(position)) if self.input.len() <= MAX_HEAD_BYTES => searched = position,
                Ok(_) => return Next::Refused(GatewayError::HeaderTooLarge),
                Err(error) => return Next::Refused(error),
            }
            match self.more(deadline).await {
                More::Input if !has_begun => {
                    has_begun = true;
                    if !is_first {
                        deadline = Instant::now() + deadlines.header;
                    }
                }
                More::Input => {}
                More::Late if !self.input.is_empty() => return Next::Refused(GatewayError::RequestTimeout),
                More::Late | More::Nothing => return Next::Nothing,
            }
        }
    }

    /// Waits for more input; when no request has begun, only for a moment once the gateway stops.
    async fn more(&mut self, mut deadline: Instant) -> More {
        if self.input.is_empty() {
            self.input = BytesMut::new();
        }
        let mut is_stopping = !self.input.is_empty();
        loop {
            let fill = poll_fn(|cx| stream::poll_fill(&mut self.io, &mut self.input, cx));
            tokio::select! {
                biased;
                filled = timeout_at(deadline, fill) => return match filled {
                    Ok(Ok(bytes)) if bytes > 0 => More::Input,
                    Ok(_) => More::Nothing,
                    Err(_) => More::Late,
                },
                () = self.shutdown.requested(), if !is_stopping => {
                    is_stopping = true;
                    deadline = deadline.min(Instant::now() + LAST_REQUEST);
                }
            }
        }
    }

    async fn close(&mut self, after: After) -> io::Result<()> {
        match after {
            After::Abort => return Ok(()),
            After::Reset => {
                self.io.abort();
                return Ok(());
            }
            After::NextRequest | After::Close | After::CloseUnread => {}
        }
        self.io.shutdown().await?;
        if after == After::CloseUnread {
            self.linger().await?;
        }
        Ok(())
    }

    /// Reads over what the client is still sending, so that it sees the response before the end of the connection.
    async fn linger(&mut self) -> io::Result<()> {
        self.input = BytesMut::new();
        let pause = self.wire.deadlines().linger;
        let read_over = async {
            let mut read_bytes = 0;
            let mut space = vec![0; 4096];
            while read_bytes < LINGER_BYTES {
                match timeout(pause, self.io.read(&mut space)).await?? {
                    0 => break,
                    bytes => read_bytes += bytes,
                }
            }
            Ok(())
        };
        tokio::select! {
            read = timeout(LINGER, read_over) => read?,
            () = async {
                self.shutdown.requested().await;
                tokio::time::sleep(LAST_REQUEST).await;
            } => Ok(()),
        }
    }
}
