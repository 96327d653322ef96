//! Forwarding, between a payload that a test feeds and a service on a loopback socket that does exactly what it says.

mod clients;
mod early;
mod failures;
mod requests;
mod shares;
mod websockets;

use std::future::poll_fn;
use std::net::IpAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix_http::Payload;
use actix_http::body::{BodySize, BoxBody, MessageBody};
use actix_web::error::PayloadError;
use actix_web::test::TestRequest;
use actix_web::{HttpMessage, HttpRequest, HttpResponse};
use bytes::Bytes;
use shared::clock::Clock;
use shared::health::Readiness;
use shared::metrics::Registry;
use shared::request_id::RequestId;
use shared::token_names::TokenNames;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::Proxy;
use super::held::Held;
use crate::client_address::{Origin, TrustedProxies};
use crate::edge_auth::key_set::KeyFetcher;
use crate::edge_auth::revocations::Revocations;
use crate::edge_auth::secret_keys::SecretKeys;
use crate::edge_auth::{Caller, Checker, EdgeAuth, IdentityClient, WhenStale};
use crate::error::GatewayError;
use crate::middleware::request_context::RequestContext;
use crate::routes::{CanonicalPath, Common, Limits, Route, RouteSettings, Routes, RoutesFile};
use crate::server::app_service::{BodyLength, ClientConnection, WebSocketUpgrade, payload_error};
use crate::upstream::{Pool, Upstream};

/// No test waits longer for anything.
const PATIENCE: Duration = Duration::from_secs(20);
/// A time limit that a test waits for.
const SOON: Duration = Duration::from_millis(200);

/// A proxy with one route to one service, `/app/`; the same service plays identity-svc.
struct World {
    proxy: Rc<Proxy>,
    checker: Rc<Checker>,
    revocations: Revocations,
    clock: Clock,
    routes: Arc<Routes>,
    listener: TcpListener,
}

impl World {
    async fn new() -> Self {
        Self::with(|_| {}).await
    }

    async fn with(change: impl FnOnce(&mut RouteSettings)) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = listener.local_addr().unwrap().try_into().unwrap();
        Self::at(vec![url], listener, change)
    }

    fn at(
        urls: Vec<crate::upstream::UpstreamUrl>,
        listener: TcpListener,
        change: impl FnOnce(&mut RouteSettings),
    ) -> Self {
        let (metrics, clock) = (Registry::default(), Clock::fixed(1_000_000_000));
        let common = Common {
            identity_urls: urls.clone(),
            internal_secret: None,
            timeout: PATIENCE,
            body: Limits {
                max_bytes: 1 << 20,
                timeout: PATIENCE,
            },
            max_in_flight: 100,
            clock: clock.clone(),
            metrics: metrics.clone(),
        };
        let mut route = RouteSettings::new("/app/", urls);
        change(&mut route);
        let file = RoutesFile {
            routes: vec![route],
            ..RoutesFile::default()
        };
        let routes = Arc::new(Routes::new(common.clone(), &file));
        let revocations = Revocations::new(Duration::from_secs(1), &metrics);
        // Nobody is asked: no test here checks a token.
        let nowhere = Common {
            identity_urls: vec!["http://127.0.0.1:1".parse().unwrap()],
            internal_secret: None,
            ..common.clone()
        };
        let nowhere = Arc::new(Routes::new(nowhere, &RoutesFile::default()));
        let nobody = || IdentityClient::new(nowhere.clone(), Rc::default(), Duration::ZERO);
        let (_, signal) = shared::shutdown::channel();
        let keys = KeyFetcher::start(
            Readiness::default().part("keys"),
            signal,
            PATIENCE,
            TokenNames::default(),
            nobody(),
        );
        let edge_auth = EdgeAuth::new(
            keys,
            (revocations.clone(), SecretKeys::default()),
            WhenStale::Refuse,
            clock.clone(),
            &metrics,
        );
        let pool = Rc::new(Pool::default());
        Self {
            proxy: Rc::new(Proxy {
                pool,
                held: Held::new(1 << 20),
            }),
            checker: Rc::new(Checker::new(Arc::new(edge_auth), nobody())),
            revocations,
            clock,
            routes,
            listener,
        }
    }

    fn route(&self, path: &str) -> Arc<Route> {
        let path = CanonicalPath::of(path).unwrap();
        self.routes.get().find(None, &path).unwrap().clone()
    }

    fn upstream(&self) -> Arc<Upstream> {
        self.route("/app/").upstreams.members().first().unwrap().clone()
    }

    /// The next connection that the proxy makes, with its first head read. Probes of nobody come in between.
    async fn accept(&self) -> Service {
        let (socket, _) = timeout(PATIENCE, self.listener.accept()).await.unwrap().unwrap();
        let mut service = Service {
            socket,
            head: String::new(),
        };
        service.read_head().await;
        service
    }

    /// Begins to forward; the response comes when the service has given one.
    fn forward(&self, call: Call) -> tokio::task::JoinHandle<Result<HttpResponse, GatewayError>> {
        let (proxy, checker) = (self.proxy.clone(), self.checker.clone());
        let route = self.route(call.request.path());
        tokio::task::spawn_local(async move {
            let Call {
                request,
                payload,
                context,
            } = call;
            proxy.forward(&request, payload, &context, &route, &checker).await
        })
    }

    /// Forwards a GET, and has the service answer it with `response`.
    async fn answered(&self, path: &str, response: &str) -> (u16, String) {
        let forwarded = self.forward(Call::get(path));
        let mut service = self.accept().await;
        service.say(response).await;
        drop(service);
        let response = forwarded.await.unwrap().unwrap();
        let status = response.status().as_u16();
        (status, Reader::of(response).text().await)
    }
}

/// A request of a client.
struct Call {
    request: HttpRequest,
    payload: Payload,
    context: RequestContext,
}

/// The client's way to send more of a body; dropped, the body ends.
struct Feed(mpsc::UnboundedSender<Result<Bytes, PayloadError>>);

impl Feed {
    fn send(&self, piece: &str) {
        let _ = self.0.send(Ok(Bytes::from(piece.to_owned())));
    }

    fn fail(&self, error: GatewayError) {
        let _ = self.0.send(Err(payload_error(error)));
    }
}

impl Call {
    fn new(request: TestRequest, length: BodyLength, payload: Payload) -> Self {
        let request = request.insert_header(("host", "gate.example")).to_http_request();
        let client = ClientConnection {
            address: IpAddr::from([192, 0, 2, 1]),
            is_tls: false,
        };
        let context = RequestContext {
            id: RequestId::random(),
            origin: Origin::of(request.headers(), &client, &TrustedProxies::default()),
            path: CanonicalPath::of(request.path()).unwrap(),
            route: None,
            caller: None,
            throttle_wait_seconds: None,
        };
        request.extensions_mut().insert(length);
        Self {
            request,
            payload,
            context,
        }
    }

    fn get(path: &str) -> Self {
        Self::of(TestRequest::get().uri(path))
    }

    fn of(request: TestRequest) -> Self {
        Self::new(request, BodyLength::None, Payload::None)
    }

    fn post(path: &str, length: BodyLength) -> (Self, Feed) {
        let (sender, mut receiver) = mpsc::unbounded_channel();
        let stream = futures_util::stream::poll_fn(move |cx| receiver.poll_recv(cx));
        let payload: Payload = Payload::Stream {
            payload: Box::pin(stream),
        };
        let call = Self::new(TestRequest::post().uri(path), length, payload);
        (call, Feed(sender))
    }

    fn websocket(path: &str) -> Self {
        let call = Self::get(path);
        call.request.extensions_mut().insert(WebSocketUpgrade);
        call
    }

    fn from(mut self, address: [u8; 4]) -> Self {
        self.context.origin.address = address.into();
        self
    }

    fn of_caller(mut self, caller: Caller) -> Self {
        self.context.caller = Some(Rc::new(caller));
        self
    }
}

/// One connection at the service.
struct Service {
    socket: TcpStream,
    head: String,
}

impl Service {
    async fn read_head(&mut self) {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(timeout(PATIENCE, self.socket.read_u8()).await.unwrap().unwrap());
        }
        self.head = String::from_utf8(head).unwrap();
    }

    async fn say(&mut self, text: &str) {
        self.socket.write_all(text.as_bytes()).await.unwrap();
    }

    async fn expect(&mut self, text: &str) {
        let mut seen = vec![0; text.len()];
        timeout(PATIENCE, self.socket.read_exact(&mut seen))
            .await
            .unwrap()
            .unwrap();
        assert_eq!(String::from_utf8_lossy(&seen), text);
    }

    /// Waits until the proxy has closed the connection, and takes what came before.
    async fn closed(&mut self) -> usize {
        let (mut space, mut seen) = ([0; 4096], 0);
        loop {
            match timeout(PATIENCE, self.socket.read(&mut space)).await.unwrap() {
                Ok(0) | Err(_) => return seen,
                Ok(bytes) => seen += bytes,
            }
        }
    }
}

/// A client that reads a response's body.
struct Reader(BoxBody);

impl Reader {
    fn of(response: HttpResponse) -> Self {
        Self(response.into_body())
    }

    fn size(&self) -> BodySize {
        self.0.size()
    }

    /// The next piece; `None` is the end.
    async fn next(&mut self) -> Option<Result<Bytes, String>> {
        let next = poll_fn(|cx| Pin::new(&mut self.0).poll_next(cx));
        let next = timeout(PATIENCE, next).await.unwrap();
        next.map(|piece| piece.map_err(|error| error.to_string()))
    }

    async fn all(&mut self) -> Result<Bytes, String> {
        let mut all = Vec::new();
        while let Some(piece) = self.next().await {
            all.extend_from_slice(&piece?);
        }
        Ok(all.into())
    }

    async fn text(mut self) -> String {
        String::from_utf8(self.all().await.unwrap().to_vec()).unwrap()
    }
}

/// Waits until `condition` holds.
async fn until(condition: impl Fn() -> bool) {
    let wait = async {
        while !condition() {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, wait).await.unwrap();
}
