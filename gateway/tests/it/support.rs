//! A gateway, the services behind it, and a client that can send anything.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use gateway::{ExtraPages, Running, Settings};
use serde_json::{Value, json};
use shared::env::Env;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;

/// No test waits longer for anything.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A gateway on a free port, with the environment's defaults changed by `change`.
pub async fn start_gateway(upstream: SocketAddr, change: impl FnOnce(&mut Settings)) -> Running {
    start_gateway_with_pages(upstream, None, change).await
}

pub async fn start_gateway_with_pages(
    upstream: SocketAddr,
    pages: Option<ExtraPages>,
    change: impl FnOnce(&mut Settings),
) -> Running {
    let env = Env::from_pairs([("GATEHOUSE_GATEWAY_LISTEN", "127.0.0.1:0")]);
    let mut settings = Settings::from_env(&env);
    settings.identity_urls = vec![upstream.try_into().unwrap()];
    settings.workers = 1;
    // Once at the start, and then never: what a test sees of an upstream is its own doing.
    settings.probe_interval = Duration::from_secs(3600);
    change(&mut settings);
    gateway::service::start(settings, pages).await.unwrap()
}

/// A service that answers every request with what it got, as JSON. Requests to a path that contains `held` wait.
#[derive(Clone)]
pub struct Echo {
    pub address: SocketAddr,
    requests: Arc<AtomicUsize>,
    arrived: Arc<Semaphore>,
    released: Arc<Semaphore>,
    holds_all: bool,
}

impl Echo {
    pub fn start() -> Self {
        Self::start_holding(false)
    }

    /// One that answers nothing before it is told to.
    pub fn start_frozen() -> Self {
        Self::start_holding(true)
    }

    fn start_holding(holds_all: bool) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let echo = Self {
            address,
            requests: Arc::default(),
            arrived: Arc::new(Semaphore::new(0)),
            released: Arc::new(Semaphore::new(0)),
            holds_all,
        };
        let state = echo.clone();
        let server = HttpServer::new(move || {
            App::new()
                .app_data(web::PayloadConfig::new(64 << 20))
                .app_data(web::Data::new(state.clone()))
                .default_service(web::to(Self::answer))
        });
        tokio::spawn(
            server
                .workers(1)
                .disable_signals()
                .listen(listener)
                .unwrap()
                .run(),
        );
        echo
    }

    async fn answer(request: HttpRequest, body: web::Bytes, state: web::Data<Self>) -> HttpResponse {
        // The gateway's own questions do not count.
        if !request.path().starts_with("/internal/") && request.path() != "/.well-known/jwks.json" {
            state.requests.fetch_add(1, Ordering::SeqCst);
        }
        if state.holds_all || request.path().contains("held") {
            state.arrived.add_permits(1);
            state.released.acquire().await.unwrap().forget();
        }
        let headers: Vec<(&str, String)> = request
            .headers()
            .iter()
            .map(|(name, value)| {
                (
                    name.as_str(),
                    String::from_utf8_lossy(value.as_bytes()).into_owned(),
                )
            })
            .collect();
        let answer = json!({
            "method": request.method().as_str(),
            "target": request.uri().to_string(),
            "headers": headers,
            "body": String::from_utf8_lossy(&body),
        });
        HttpResponse::Ok()
            .content_type("application/json")
            .body(answer.to_string())
    }

    /// How many requests have reached it.
    pub fn request_count(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }

    /// Waits until one more held request has arrived.
    pub async fn arrived(&self) {
        timeout(PATIENCE, self.arrived.acquire())
            .await
            .unwrap()
            .unwrap()
            .forget();
    }

    pub fn release_all(&self) {
        self.released.add_permits(1000);
    }
}

/// A service that answers every connection with `answer`, whatever is asked, and then closes it. With `None` it reads
/// and stays silent.
pub async fn canned(answer: Option<&'static str>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (mut socket, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let mut seen = Vec::new();
                while !seen.windows(4).any(|window| window == b"\r\n\r\n") {
                    if socket.read_buf(&mut seen).await.unwrap_or(0) == 0 {
                        return;
                    }
                }
                match answer {
                    Some(answer) => drop(socket.write_all(answer.as_bytes()).await),
                    None => while socket.read_buf(&mut seen).await.unwrap_or(0) > 0 {},
                }
            });
        }
    });
    address
}

/// An address where nobody listens.
pub async fn nobody() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap()
}

/// One answer, as it came.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Answer {
    /// The values of a header, joined.
    pub fn header(&self, name: &str) -> Option<String> {
        let prefix = format!("{name}:");
        let is_it = |line: &&str| {
            line.get(..prefix.len())
                .is_some_and(|start| start.eq_ignore_ascii_case(&prefix))
        };
        let values: Vec<&str> = self
            .head
            .lines()
            .filter(is_it)
            .map(|line| line[prefix.len()..].trim())
            .collect();
        (!values.is_empty()).then(|| values.join(" | "))
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }

    /// A header of the request that reached [`Echo`].
    pub fn seen(&self, name: &str) -> Option<String> {
        let seen = self.json();
        let pairs = seen["headers"].as_array().unwrap().iter();
        let values: Vec<&str> = pairs
            .filter(|pair| pair[0] == name)
            .map(|pair| pair[1].as_str().unwrap())
            .collect();
        (!values.is_empty()).then(|| values.join(" | "))
    }

    /// Panics unless this is one of the gateway's own errors, whole.
    pub fn assert_error(&self, status: u16, detail: &str) {
        assert_eq!(
            (self.status, self.json()),
            (status, json!({ "detail": detail })),
            "{self:?}"
        );
        assert_eq!(self.header("content-type").unwrap(), "application/json");
        assert_eq!(self.header("cache-control").unwrap(), "no-store");
        assert_eq!(self.header("x-content-type-options").unwrap(), "nosniff");
        assert!(self.header("x-request-id").is_some_and(|id| !id.is_empty()));
    }
}

/// A connection to the gateway on which a test writes bytes itself.
pub struct Client {
    pub socket: TcpStream,
    pub input: Vec<u8>,
}

impl Client {
    pub async fn connect(gateway: &Running) -> Self {
        Self::connect_to(gateway.address).await
    }

    pub async fn connect_to(address: SocketAddr) -> Self {
        Self {
            socket: TcpStream::connect(address).await.unwrap(),
            input: Vec::new(),
        }
    }

    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.socket.write_all(bytes.as_ref()).await.unwrap();
    }

    /// Sends although the other side may have closed already.
    pub async fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.socket.write_all(bytes.as_ref()).await.is_ok()
    }

    /// Ends the sending half.
    pub async fn finish(&mut self) {
        self.socket.shutdown().await.unwrap();
    }

    /// The next answer; `None` when the connection is closed instead.
    pub async fn answer(&mut self) -> Option<Answer> {
        self.answer_to("GET").await
    }

    pub async fn answer_to(&mut self, method: &str) -> Option<Answer> {
        let head_end = self.read_until(b"\r\n\r\n").await?;
        let head = String::from_utf8(self.input.drain(..head_end).collect()).unwrap();
        let status = head[9..12].parse().unwrap();
        let mut answer = Answer {
            status,
            head,
            body: String::new(),
        };
        // Interim responses; the protocol changes with 101.
        if (100..200).contains(&status) && status != 101 {
            return Box::pin(self.answer_to(method)).await;
        }
        let length = answer
            .header("content-length")
            .map_or(0, |length| length.parse().unwrap());
        if answer.header("transfer-encoding").is_some() {
            answer.body = self.chunked_body().await?;
        } else if method != "HEAD" {
            answer.body = self.take(length).await?;
        }
        Some(answer)
    }

    /// Waits until the gateway has asked for the body.
    pub async fn told_to_go_on(&mut self) {
        assert_eq!(self.read_head().await, "HTTP/1.1 100 Continue\r\n\r\n");
    }

    /// The head of the next answer, and nothing of its body.
    pub async fn read_head(&mut self) -> String {
        let head_end = self.read_until(b"\r\n\r\n").await.unwrap();
        String::from_utf8(self.input.drain(..head_end).collect()).unwrap()
    }

    /// The next chunk of a body.
    pub async fn chunk(&mut self) -> String {
        let line_end = self.read_until(b"\r\n").await.unwrap();
        let line = String::from_utf8(self.input.drain(..line_end).collect()).unwrap();
        let size = usize::from_str_radix(line.trim(), 16).unwrap();
        let chunk = self.take(size).await.unwrap();
        self.take(2).await.unwrap();
        chunk
    }

    /// So many bytes, whatever they are part of.
    pub async fn take_text(&mut self, length: usize) -> String {
        self.take(length).await.unwrap()
    }

    /// Whether the connection ends without another byte.
    pub async fn is_closed(&mut self) -> bool {
        self.input.is_empty() && !self.read_more().await
    }

    async fn chunked_body(&mut self) -> Option<String> {
        let mut body = String::new();
        loop {
            let line_end = self.read_until(b"\r\n").await?;
            let line = String::from_utf8(self.input.drain(..line_end).collect()).unwrap();
            let size = usize::from_str_radix(line.trim(), 16).unwrap();
            body += &self.take(size).await?;
            self.take(2).await?;
            if size == 0 {
                return Some(body);
            }
        }
    }

    async fn take(&mut self, length: usize) -> Option<String> {
        while self.input.len() < length {
            if !self.read_more().await {
                return None;
            }
        }
        Some(String::from_utf8(self.input.drain(..length).collect()).unwrap())
    }

    async fn read_until(&mut self, end: &[u8]) -> Option<usize> {
        loop {
            if let Some(start) = self.input.windows(end.len()).position(|window| window == end) {
                return Some(start + end.len());
            }
            if !self.read_more().await {
                return None;
            }
        }
    }

    async fn read_more(&mut self) -> bool {
        timeout(PATIENCE, self.socket.read_buf(&mut self.input))
            .await
            .unwrap()
            .unwrap_or(0)
            > 0
    }
}

/// Sends `request` on a new connection and takes the first answer.
pub async fn ask(gateway: &Running, request: impl AsRef<[u8]>) -> Answer {
    let mut client = Client::connect(gateway).await;
    client.send(request).await;
    client.answer().await.unwrap()
}

/// A GET of `path` with these header lines, each ended by `\r\n`.
pub async fn get(gateway: &Running, path: &str, lines: &str) -> Answer {
    ask(
        gateway,
        format!("GET {path} HTTP/1.1\r\nHost: gate.example\r\n{lines}\r\n"),
    )
    .await
}

/// A GET at another address than the gateway's own.
pub async fn ask_at(address: SocketAddr, path: &str) -> Answer {
    let mut client = Client::connect_to(address).await;
    client
        .send(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n"))
        .await;
    client.answer().await.unwrap()
}

pub fn post(path: &str, body: &str) -> String {
    format!(
        "POST {path} HTTP/1.1\r\nHost: gate.example\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}
