//! One connection to the upstream with every fault: reads requests, and does what their paths say.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{FaultUpstream, LARGE_BODY_BYTES, Request};

const LATE_BYTES: usize = 64 * 1024;
/// Of each body.
const KEPT_BYTES: usize = 64 * 1024;
/// More than a gateway would gather before it passes anything on.
const DRIPPING_BODY_BYTES: usize = 200_000;

/// The connection has ended, or it is to be closed.
struct Ended;

impl From<std::io::Error> for Ended {
    fn from(_: std::io::Error) -> Self {
        Self
    }
}

type Step = Result<(), Ended>;

pub struct Connection {
    upstream: FaultUpstream,
    socket: TcpStream,
    input: Vec<u8>,
    number: usize,
    requests: usize,
    /// Where the present request is in what was observed.
    current: Option<usize>,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.note(|request| request.is_abandoned = !request.is_answered);
    }
}

impl Connection {
    pub fn new(upstream: FaultUpstream, socket: TcpStream) -> Self {
        Self {
            upstream,
            socket,
            input: Vec::new(),
            number: 0,
            requests: 0,
            current: None,
        }
    }

    pub async fn serve(mut self) {
        while self.exchange().await.is_ok() {}
    }

    fn note(&self, change: impl FnOnce(&mut Request)) {
        let Some(current) = self.current else { return };
        self.upstream
            .observed
            .send_modify(|seen| change(&mut seen.requests[current]));
    }

    async fn exchange(&mut self) -> Step {
        let head = self.read_head().await?;
        let request_line = head.lines().next().unwrap_or_default().to_owned();
        let (method, rest) = request_line.split_once(' ').unwrap_or_default();
        let target = rest.split(' ').next().unwrap_or_default().to_owned();
        let path = target.split('?').next().unwrap_or_default();
        let fault = path.rsplit('/').next().unwrap_or_default().to_owned();
        if fault == "health" {
            self.upstream.observed.send_modify(|seen| seen.health_checks += 1);
            let status = *self.upstream.health.borrow();
            let response = format!("HTTP/1.1 {status} X\r\nContent-Length: 0\r\n\r\n");
            return Ok(self.socket.write_all(response.as_bytes()).await?);
        }
        self.begin(method, &target, head);
        let is_get = method == "GET";
        match fault.as_str() {
            "early-413-close" => return self.refuse_and_close(0).await,
            "late-413-close" => return self.refuse_and_close(LATE_BYTES).await,
            "early-413-keep" => {
                self.answer("413 X", "", "large").await?;
                return std::future::pending().await;
            }
            "early-403-drain" => {
                self.write(&response("403 X", "", "no")).await?;
                self.read_body().await?;
                self.note(|request| request.is_answered = true);
                return Ok(());
            }
            "hints-103" => {
                self.write("HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\n\r\n")
                    .await?;
            }
            "informational-flood" => loop {
                self.write("HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\n\r\n")
                    .await?;
            },
            "duplex-echo" => return self.echo_while_reading().await,
            "never-reads" => return std::future::pending().await,
            "closes-at-second" if self.requests > 1 => return Err(Ended),
            _ => {}
        }
        // Before the body, as many services do.
        let answers_first = is_get && !known(&fault);
        if answers_first {
            self.write(&response("200 OK", "", &target)).await?;
        }
        self.read_body().await?;
        if answers_first {
            self.note(|request| request.is_answered = true);
            return Ok(());
        }
        self.after_body(&fault, &target).await
    }

    /// What is done once the whole request is there.
    async fn after_body(&mut self, fault: &str, target: &str) -> Step {
        match fault {
            "silent" => self.until_closed().await,
            "held" => {
                self.wait_for_release().await?;
                self.answer("200 OK", "", "held").await
            }
            "events" => {
                self.write("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n9\r\ndata: 1\n\n\r\n")
                    .await?;
                self.until_closed().await
            }
            "drips" => {
                self.write(&format!(
                    "HTTP/1.1 200 OK\r\nContent-Length: {DRIPPING_BODY_BYTES}\r\n\r\n"
                ))
                .await?;
                for _ in 0..DRIPPING_BODY_BYTES {
                    self.wait_for_release().await?;
                    self.socket.write_all(b"x").await?;
                }
                self.note(|request| request.is_answered = true);
                Ok(())
            }
            "torn-length" => {
                self.tear("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\npartial")
                    .await
            }
            "torn-chunked" => {
                self.tear("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n7\r\npartial\r\n")
                    .await
            }
            "torn-close" => self.tear("HTTP/1.1 200 OK\r\n\r\npartial").await,
            "wrong-both" => {
                self.wrong("Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nno\r\n0\r\n\r\n")
                    .await
            }
            "wrong-lengths" => {
                self.wrong("Content-Length: 2\r\nContent-Length: 3\r\n\r\nno!")
                    .await
            }
            "wrong-chunk" => {
                self.wrong("Transfer-Encoding: chunked\r\n\r\n2 \r\nno\r\n0\r\n\r\n")
                    .await
            }
            "websocket" => self.websocket().await,
            "closes-when-idle" => {
                self.answer("200 OK", "", target).await?;
                Err(Ended)
            }
            "answers-then-resets" => {
                self.answer("200 OK", "", target).await?;
                self.reset()
            }
            "large" => {
                self.write(&format!(
                    "HTTP/1.1 200 OK\r\nContent-Length: {LARGE_BODY_BYTES}\r\n\r\n"
                ))
                .await?;
                let piece = vec![b'x'; 1_000_000];
                for _ in 0..LARGE_BODY_BYTES / piece.len() {
                    self.socket.write_all(&piece).await?;
                }
                self.note(|request| request.is_answered = true);
                Ok(())
            }
            _ => self.answer("200 OK", "", target).await,
        }
    }

    fn begin(&mut self, method: &str, target: &str, head: String) {
        self.requests += 1;
        self.upstream.observed.send_modify(|seen| {
            if self.requests == 1 {
                seen.connections += 1;
                self.number = seen.connections;
            }
            self.current = Some(seen.requests.len());
            seen.requests.push(Request {
                connection: self.number,
                number: self.requests,
                method: method.to_owned(),
                target: target.to_owned(),
                head,
                ..Request::default()
            });
            seen.most_under_way = seen.most_under_way.max(seen.under_way());
        });
    }

    async fn write(&mut self, text: &str) -> Step {
        Ok(self.socket.write_all(text.as_bytes()).await?)
    }

    async fn answer(&mut self, status: &str, lines: &str, body: &str) -> Step {
        self.write(&response(status, lines, body)).await?;
        self.note(|request| request.is_answered = true);
        Ok(())
    }

    async fn refuse_and_close(&mut self, after_bytes: usize) -> Step {
        while self.input.len() < after_bytes {
            self.read_more().await?;
        }
        self.answer("413 X", "Connection: close\r\n", "large").await?;
        Err(Ended)
    }

    async fn tear(&mut self, text: &str) -> Step {
        self.write(text).await?;
        self.wait_for_release().await?;
        self.reset()
    }

    async fn wrong(&mut self, rest: &str) -> Step {
        self.write(&format!("HTTP/1.1 200 OK\r\n{rest}")).await?;
        self.note(|request| request.is_answered = true);
        self.until_closed().await
    }

    fn reset(&mut self) -> Step {
        self.socket.set_zero_linger().unwrap();
        Err(Ended)
    }

    /// Waits for the gateway to close.
    async fn until_closed(&mut self) -> Step {
        while self.socket.read(&mut [0; 4096]).await? > 0 {}
        Err(Ended)
    }

    /// Until the test says so, or the gateway closes.
    async fn wait_for_release(&mut self) -> Step {
        let mut space = [0];
        tokio::select! {
            permit = self.upstream.released.acquire() => {
                permit.unwrap().forget();
                Ok(())
            }
            _ = self.socket.read(&mut space) => Err(Ended),
        }
    }

    async fn websocket(&mut self) -> Step {
        self.write("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: x\r\n\r\n")
            .await?;
        loop {
            let mut space = [0; 4096];
            let length = self.socket.read(&mut space).await?;
            if length == 0 {
                return Err(Ended);
            }
            let text = format!("[{}]", String::from_utf8_lossy(&space[..length]));
            self.write(&text).await?;
        }
    }

    async fn echo_while_reading(&mut self) -> Step {
        self.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            .await?;
        let mut left = self.content_length();
        while left > 0 {
            if self.input.is_empty() {
                self.read_more().await?;
            }
            let piece: Vec<u8> = std::mem::take(&mut self.input);
            left -= piece.len();
            self.write(&format!("{:x}\r\n", piece.len())).await?;
            self.socket.write_all(&piece).await?;
            self.write("\r\n").await?;
        }
        self.write("0\r\n\r\n").await?;
        self.note(|request| request.is_answered = true);
        Ok(())
    }

    fn content_length(&self) -> usize {
        let seen = self.upstream.observed.borrow();
        let length = self
            .current
            .and_then(|current| seen.requests[current].header("content-length"));
        length.map_or(0, |length| length.parse().unwrap())
    }

    async fn read_body(&mut self) -> Step {
        let is_chunked = {
            let seen = self.upstream.observed.borrow();
            let current = self.current.unwrap();
            seen.requests[current].header("transfer-encoding").is_some()
        };
        if is_chunked {
            loop {
                let line = self.read_line().await?;
                let size = usize::from_str_radix(line.trim(), 16).map_err(|_| Ended)?;
                self.take(size).await?;
                self.read_line().await?;
                if size == 0 {
                    break;
                }
            }
        } else {
            self.take(self.content_length()).await?;
        }
        self.note(|request| request.is_whole = true);
        Ok(())
    }

    /// The next bytes of a body, noted as they come.
    async fn take(&mut self, mut left: usize) -> Step {
        while left > 0 {
            if self.input.is_empty() {
                self.read_more().await?;
            }
            let length = left.min(self.input.len());
            left -= length;
            let piece: Vec<u8> = self.input.drain(..length).collect();
            self.note(|request| {
                request.body_bytes += piece.len();
                let room = KEPT_BYTES.saturating_sub(request.body.len());
                request.body.extend(piece.into_iter().take(room));
            });
        }
        Ok(())
    }

    async fn read_line(&mut self) -> Result<String, Ended> {
        self.read_until(b"\r\n").await
    }

    async fn read_head(&mut self) -> Result<String, Ended> {
        self.read_until(b"\r\n\r\n").await
    }

    async fn read_until(&mut self, end: &[u8]) -> Result<String, Ended> {
        loop {
            if let Some(start) = self.input.windows(end.len()).position(|window| window == end) {
                let bytes: Vec<u8> = self.input.drain(..start + end.len()).collect();
                return Ok(String::from_utf8_lossy(&bytes).into_owned());
            }
            self.read_more().await?;
        }
    }

    async fn read_more(&mut self) -> Step {
        match self.socket.read_buf(&mut self.input).await? {
            0 => Err(Ended),
            _ => Ok(()),
        }
    }
}

fn response(status: &str, lines: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {status}\r\n{lines}Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// Whether the path names something that is done after the body.
fn known(fault: &str) -> bool {
    const AFTER_BODY: [&str; 16] = [
        "silent",
        "held",
        "events",
        "drips",
        "torn-length",
        "torn-chunked",
        "torn-close",
        "wrong-both",
        "wrong-lengths",
        "wrong-chunk",
        "websocket",
        "closes-when-idle",
        "closes-at-second",
        "answers-then-resets",
        "large",
        "hints-103",
    ];
    AFTER_BODY.contains(&fault)
}
