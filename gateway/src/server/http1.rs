//! One client's HTTP/1.1 connection: a request at a time, each found well-formed before anybody works on it, each part
//! of it in time. Between requests it holds no buffer.

use std::io;
use std::rc::Rc;
use std::time::Duration;

use actix_http::Method;
use bytes::BytesMut;
use shared::shutdown::Shutdown;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, timeout, timeout_at};

use super::http1_body::Http1Body;
use crate::error::GatewayError;
use crate::gate::{Client, Worker};
use crate::http1::request_head::{self, MAX_HEAD_BYTES, Parsed, Search};
use crate::http1::write::{self, Ending};
use crate::message::{Answer, Body};
use crate::proxy::request_body::Source;
use crate::proxy::websocket;
use crate::server::stream::{self, Stream};

/// After an answer that leaves input unread: how long and how much of it is read over, so that the client sees the
/// answer and not a reset. Source: RFC 9112 section 9.6.
const LINGER: Duration = Duration::from_secs(1);
const LINGER_BYTES: usize = 16 * 1024 * 1024;
/// How long an idle connection is kept when the gateway stops: a request may be on its way.
const LAST_REQUEST: Duration = Duration::from_millis(300);
/// A body up to this size is written together with its head.
const TOGETHER_BYTES: usize = 16 * 1024;

/// The deadlines of one connection.
#[derive(Clone, Copy, Debug)]
pub struct Deadlines {
    /// For a head, from its first byte; for the first one from the moment of the connection.
    pub header: Duration,
    /// From an answer to the next request's first byte.
    pub keep_alive: Duration,
}

struct Connection {
    io: Stream,
    input: BytesMut,
    client: Client,
    worker: Rc<Worker>,
    shutdown: Shutdown,
}

enum Next {
    Head(Box<Parsed>),
    Refused(GatewayError),
    /// No further request comes, or it comes too late.
    Nothing,
}

enum More {
    Input,
    Late,
    Nothing,
}

/// What becomes of a connection after an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum After {
    NextRequest,
    Close,
    /// The client may still be sending something that nobody will read.
    CloseUnread,
    /// An answer is torn, or the client gone: nothing more can be said.
    Abort,
}

/// Serves the connection until it ends.
pub async fn serve(io: Stream, client: Client, worker: Rc<Worker>, shutdown: Shutdown) {
    let mut connection = Connection {
        io,
        input: BytesMut::new(),
        client,
        worker,
        shutdown,
    };
    let mut is_first = true;
    let after = loop {
        match connection.next_head(is_first).await {
            Next::Nothing if connection.input.is_empty() => break After::Close,
            Next::Nothing => break After::CloseUnread,
            // On the heap, and only while it lasts: an idle connection is small.
            Next::Head(parsed) => match Box::pin(connection.exchange(*parsed)).await {
                Ok(After::NextRequest) => {}
                Ok(after) => break after,
                Err(_) => break After::Abort,
            },
            Next::Refused(error) => break Box::pin(connection.refuse(error)).await,
        }
        is_first = false;
    };
    // The client is gone or has been answered; there is nobody to tell of an error.
    let _ = Box::pin(connection.close(after)).await;
}

impl Connection {
    async fn next_head(&mut self, is_first: bool) -> Next {
        let Deadlines { header, keep_alive } = self.worker.shared.deadlines;
        let wait = if is_first || !self.input.is_empty() {
            header
        } else {
            keep_alive
        };
        let mut deadline = Instant::now() + wait;
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
                    return match request_head::parse(&head) {
                        Ok(parsed) => Next::Head(Box::new(parsed)),
                        Err(error) => Next::Refused(error),
                    };
                }
                Ok(Search::Partial(position)) if self.input.len() <= MAX_HEAD_BYTES => searched = position,
                Ok(_) => return Next::Refused(GatewayError::HeaderTooLarge),
                Err(error) => return Next::Refused(error),
            }
            let has_begun = !self.input.is_empty();
            match self.more(deadline, has_begun).await {
                More::Input if !has_begun => deadline = deadline.min(Instant::now() + header),
                More::Input => {}
                More::Late if has_begun => return Next::Refused(GatewayError::RequestTimeout),
                More::Late | More::Nothing => return Next::Nothing,
            }
        }
    }

    /// Waits for more input; when no request has begun, only for a moment once the gateway stops.
    async fn more(&mut self, mut deadline: Instant, has_begun: bool) -> More {
        if !has_begun {
            self.input = BytesMut::new();
        }
        let mut is_stopping = has_begun;
        loop {
            let fill = std::future::poll_fn(|cx| stream::poll_fill(&mut self.io, &mut self.input, cx));
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

    /// Has one request answered, and writes the answer.
    async fn exchange(&mut self, parsed: Parsed) -> io::Result<After> {
        let Parsed {
            head,
            is_http_11,
            keeps_alive,
            expects_continue,
            asks_upgrade,
        } = parsed;
        let is_head = head.method == Method::HEAD;
        let mut body = Http1Body::new(&mut self.io, &mut self.input, head.framing, expects_continue);
        let answer = self.worker.answer(head, &mut body, &self.client).await;
        let is_complete = body.is_complete();
        let is_waited_for = body.is_waited_for();
        let keeps_alive = keeps_alive
            && is_complete
            && !answer.closes
            // No upgrade is forwarded; the answer must not look as if one had been taken.
            && !asks_upgrade
            && !self.shutdown.is_requested();
        let after = match keeps_alive {
            true => After::NextRequest,
            false if is_complete || is_waited_for => After::Close,
            false => After::CloseUnread,
        };
        self.write(answer, is_head, is_http_11, after).await
    }

    async fn write(
        &mut self,
        answer: Answer,
        is_head: bool,
        is_http_11: bool,
        after: After,
    ) -> io::Result<After> {
        let mut out = BytesMut::with_capacity(1024);
        let date = self.worker.date();
        let ending = write::answer_head(&mut out, &answer, &date, is_http_11, after == After::NextRequest);
        match answer.body {
            Body::Whole(bytes) if !is_head => {
                if bytes.len() <= TOGETHER_BYTES {
                    out.extend_from_slice(&bytes);
                    stream::write_all(&mut self.io, &out).await?;
                } else {
                    stream::write_all(&mut self.io, &out).await?;
                    stream::write_all(&mut self.io, &bytes).await?;
                }
            }
            Body::Upstream(mut body) if !is_head => {
                stream::write_all(&mut self.io, &out).await?;
                stream::flush(&mut self.io).await?;
                loop {
                    match body.next().await {
                        Ok(Some(piece)) if ending == Ending::Chunked => {
                            out.clear();
                            write::chunk(&mut out, &piece);
                            stream::write_all(&mut self.io, &out).await?;
                        }
                        Ok(Some(piece)) => stream::write_all(&mut self.io, &piece).await?,
                        Ok(None) => break,
                        Err(cause) => {
                            log::warn!("an upstream's answer is torn: {cause}");
                            return Ok(After::Abort);
                        }
                    }
                    stream::flush(&mut self.io).await?;
                }
                if ending == Ending::Chunked {
                    out.clear();
                    write::last_chunk(&mut out);
                    stream::write_all(&mut self.io, &out).await?;
                }
            }
            Body::Tunnel(upstream) => {
                stream::write_all(&mut self.io, &out).await?;
                stream::flush(&mut self.io).await?;
                let input = std::mem::take(&mut self.input);
                websocket::run(&mut self.io, &input, *upstream).await;
                return Ok(After::Close);
            }
            Body::None | Body::HeadOf(_) | Body::Whole(_) | Body::Upstream(_) => {
                stream::write_all(&mut self.io, &out).await?;
            }
        }
        stream::flush(&mut self.io).await?;
        Ok(if ending == Ending::Close && after == After::NextRequest {
            After::Close
        } else {
            after
        })
    }

    async fn refuse(&mut self, error: GatewayError) -> After {
        let answer = self.worker.refuse(error, &self.client);
        match self.write(answer, false, true, After::CloseUnread).await {
            Ok(after) => after,
            Err(_) => After::Abort,
        }
    }

    async fn close(&mut self, after: After) -> io::Result<()> {
        if after == After::Abort {
            return Ok(());
        }
        timeout(LINGER, self.io.shutdown()).await??;
        if after != After::CloseUnread {
            return Ok(());
        }
        let read_over = async {
            let mut read_bytes = 0;
            let mut space = [0; 4096];
            while read_bytes < LINGER_BYTES {
                match self.io.read(&mut space).await? {
                    0 => break,
                    bytes => read_bytes += bytes,
                }
            }
            Ok(())
        };
        timeout(LINGER, read_over).await?
    }
}
