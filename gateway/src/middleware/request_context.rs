//! The outermost layer of the pipeline: what is known of a request before anything handles it, and what every response
//! carries, whoever made it: its id, security headers, CORS, its line in the access log and its place in the metrics.
//!
//! It is no `wrap` of the `App` but stands around it, because a panic or an error in any layer below it must get the same
//! headers and the same line, and actix-web has no request any more to give to a middleware then.

use std::panic::AssertUnwindSafe;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use actix_http::body::{BoxBody, MessageBody};
use actix_http::header::{self, HeaderMap, HeaderValue};
use actix_http::{HttpMessage, Request, Response, Uri};
use actix_service::Service;
use actix_web::dev::ServiceResponse;
use actix_web::{Error, HttpResponse, ResponseError};
use bytes::Bytes;
use futures_util::FutureExt;
use shared::headers::REQUEST_ID;
use shared::request_id::RequestId;

use super::access_log::{Asked, Entry, client_closed_request};
use super::cors::Cors;
use crate::client_address::{Origin, TrustedProxies};
use crate::edge_auth::Caller;
use crate::error::GatewayError;
use crate::routes::{self, CanonicalPath, Route, RouteCounts, Routes};
use crate::server::app_service::{BodyLength, ClientConnection};
use crate::upstream::Upstream;

/// In the extensions of every request that the application sees.
#[derive(Clone, Debug)]
pub struct RequestContext {
    pub id: RequestId,
    /// Who asks, and how.
    pub origin: Origin,
    /// The canonical path: what routing, authentication, budgets, forwarding and the log use, and nothing else. The URI
    /// of the request has it, too.
    pub path: CanonicalPath,
    /// Where the path leads; `None` for the gateway's own handlers, and for what is not found.
    pub route: Option<Arc<Route>>,
    /// Who the client is, checked; set by the middleware of edge authentication.
    pub caller: Option<Rc<Caller>>,
    /// For identity-svc: the client's budget is used up for so many seconds.
    pub throttle_wait_seconds: Option<i64>,
}

/// What the outermost layer goes by; all workers share it.
#[derive(Debug)]
pub struct OutermostLayer {
    pub routes: Arc<Routes>,
    pub trusted_proxies: TrustedProxies,
    pub cors: Cors,
    /// Of requests that go to no route.
    pub max_body_bytes: u64,
    /// Of requests that go to no route.
    pub counts: RouteCounts,
    /// What responses over the gateway's own TLS say to browsers.
    pub strict_transport_security: Option<HeaderValue>,
    /// Whether the application has pages under `/dev/`, which no route may take then.
    pub has_pages: bool,
}

/// A request that is being handled; dropped without a response when the client is gone.
struct Handled<'a> {
    layer: &'a OutermostLayer,
    client: ClientConnection,
    started: Instant,
    route: Option<Arc<Route>>,
    id: HeaderValue,
    /// Of the page that a browser shows.
    page_origin: Option<HeaderValue>,
    entry: Option<Entry>,
    is_finished: bool,
}

impl OutermostLayer {
    /// Has `app` handle a request, whatever happens to it.
    pub async fn call<App, B>(&self, app: &App, mut request: Request) -> Response<BoxBody>
    where
        App: Service<Request, Response = ServiceResponse<B>, Error = Error>,
        B: MessageBody + 'static,
    {
        let started = Instant::now();
        let client = client_of(&request);
        let origin = Origin::of(request.headers(), &client, &self.trusted_proxies);
        let sent_id = request.headers().get(REQUEST_ID);
        let id = RequestId::accept(sent_id.and_then(|id| id.to_str().ok()));
        let path = CanonicalPath::of(request.path());
        let is_page = self.has_pages && path.as_ref().is_some_and(routes::is_page);
        let host = origin.host.as_ref().and_then(|host| host.to_str().ok());
        let route = path
            .as_ref()
            .filter(|_| !is_page)
            .and_then(|path| self.routes.get().find(host, path).cloned());
        let id_header = header_of(&id);
        let entry = Entry::is_enabled().then(|| {
            let asked = Asked {
                method: Some(request.method().clone()),
                path: path.clone(),
                route: route.clone(),
                user_agent: request.headers().get(header::USER_AGENT).cloned(),
            };
            Entry::new(asked, started, origin.address, id_header.clone())
        });
        let handled = Handled {
            layer: self,
            client,
            started,
            route: route.clone(),
            id: id_header,
            page_origin: self.page_origin(request.headers()),
            entry,
            is_finished: false,
        };
        let Some(path) = path else {
            return handled.finish(GatewayError::NotFound.error_response());
        };
        if let Some(response) = self.response_to_head(&request, route.as_deref()) {
            return handled.finish(response);
        }
        if !write_path(&mut request, &path) {
            return handled.finish(GatewayError::NotFound.error_response());
        }
        let context = RequestContext {
            id,
            origin,
            path,
            route,
            caller: None,
            throttle_wait_seconds: None,
        };
        request.extensions_mut().insert(context);
        let work = AssertUnwindSafe(async { app.call(request).await }).catch_unwind();
        let response = match work.await {
            Ok(Ok(response)) => HttpResponse::from(response).map_into_boxed_body(),
            Ok(Err(error)) => error.error_response(),
            Err(_) => {
                log::error!(request_id = handled.id.to_str().unwrap_or("-"); "a request made the gateway panic");
                GatewayError::Internal.error_response()
            }
        };
        handled.finish(response)
    }

    /// The response to what could not be read.
    pub fn reject(&self, error: GatewayError, client: ClientConnection) -> Response<BoxBody> {
        let started = Instant::now();
        let id = header_of(&RequestId::random());
        let origin = Origin::of(&HeaderMap::new(), &client, &self.trusted_proxies);
        let entry =
            Entry::is_enabled().then(|| Entry::new(Asked::default(), started, origin.address, id.clone()));
        let handled = Handled {
            layer: self,
            client,
            started,
            route: None,
            id,
            page_origin: None,
            entry,
            is_finished: false,
        };
        handled.finish(error.error_response())
    }

    /// What the head alone decides: a body that is too large, a browser that asks beforehand.
    fn response_to_head(&self, request: &Request, route: Option<&Route>) -> Option<HttpResponse> {
        let max_bytes = route.map_or(self.max_body_bytes, |route| route.body.max_bytes);
        let length = request.extensions().get::<BodyLength>().copied();
        if matches!(length, Some(BodyLength::Known(bytes)) if bytes > max_bytes) {
            return Some(GatewayError::PayloadTooLarge.error_response());
        }
        self.cors.preflight(request.head())
    }

    fn page_origin(&self, headers: &HeaderMap) -> Option<HeaderValue> {
        if self.cors.is_off() {
            return None;
        }
        headers.get(header::ORIGIN).cloned()
    }

    fn counts<'a>(&'a self, route: Option<&'a Route>) -> &'a RouteCounts {
        route.map_or(&self.counts, |route| &route.counts)
    }
}

impl Handled<'_> {
    fn finish(mut self, response: HttpResponse) -> Response<BoxBody> {
        self.is_finished = true;
        let mut response = Response::from(response);
        let layer = self.layer;
        let headers = response.headers_mut();
        headers.insert(
            header::X_CONTENT_TYPE_OPTIONS,
            HeaderValue::from_static("nosniff"),
        );
        headers.insert(header::HeaderName::from_static(REQUEST_ID), self.id.clone());
        if let Some(value) = &layer.strict_transport_security
            && self.client.is_tls
            && !headers.contains_key(header::STRICT_TRANSPORT_SECURITY)
        {
            headers.insert(header::STRICT_TRANSPORT_SECURITY, value.clone());
        }
        layer.cors.finish(self.page_origin.as_ref(), headers);
        let status = response.status();
        let counts = layer.counts(self.route.as_deref());
        if let Some(count) = counts.statuses.get(usize::from(status.as_u16() / 100)) {
            count.increment();
        }
        counts.seconds.observe(self.started.elapsed());
        let Some(entry) = self.entry.take() else {
            return response;
        };
        let upstream = response.extensions().get::<Arc<Upstream>>().cloned();
        response.map_body(|_, body| entry.follow(status, upstream, body))
    }
}

impl Drop for Handled<'_> {
    fn drop(&mut self) {
        let class = usize::from(client_closed_request().as_u16() / 100);
        let counts = self.layer.counts(self.route.as_deref());
        if let Some(count) = counts.statuses.get(class).filter(|_| !self.is_finished) {
            count.increment();
        }
    }
}

fn client_of(request: &Request) -> ClientConnection {
    let client = request.extensions().get::<ClientConnection>().copied();
    client.unwrap_or(ClientConnection {
        address: std::net::Ipv4Addr::UNSPECIFIED.into(),
        is_tls: false,
    })
}

fn header_of(id: &RequestId) -> HeaderValue {
    HeaderValue::from_str(id.as_str()).unwrap_or(HeaderValue::from_static("-"))
}

/// Puts the canonical path in place of the one that was sent, so that whatever reads the request reads the same. Returns
/// whether that is done: a canonical path and the query of a URI are a URI.
fn write_path(request: &mut Request, path: &CanonicalPath) -> bool {
    if request.path() == path.as_str() {
        return true;
    }
    let mut target = path.as_str().to_owned();
    if let Some(query) = request.uri().query() {
        target.push('?');
        target.push_str(query);
    }
    let uri = Uri::from_maybe_shared(Bytes::from(target));
    uri.map(|uri| *request.uri_mut() = uri).is_ok()
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::fmt::Write;
    use std::future::pending;
    use std::time::Duration;

    use actix_http::body::{BodySize, BodyStream, to_bytes};
    use actix_http::{Method, StatusCode};
    use actix_service::{IntoServiceFactory, ServiceFactory, map_config};
    use actix_web::dev::{AppConfig, ServiceRequest};
    use actix_web::middleware::{Next, from_fn};
    use actix_web::{App, HttpRequest, web};
    use futures_util::{StreamExt, stream};
    use shared::clock::Clock;
    use shared::metrics::Registry;

    use super::*;
    use crate::middleware::{address_rules, rate_limit};
    use crate::routes::{Common, Limits};

    thread_local! {
        static LINES: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
    }

    /// Keeps the lines of the access log, each for the test in whose thread it was written.
    struct AccessLog;

    impl log::Log for AccessLog {
        fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
            metadata.target() == "gateway::access"
        }

        fn log(&self, record: &log::Record<'_>) {
            struct Pairs(String);
            impl<'kvs> log::kv::VisitSource<'kvs> for Pairs {
                fn visit_pair(
                    &mut self,
                    key: log::kv::Key<'kvs>,
                    value: log::kv::Value<'kvs>,
                ) -> Result<(), log::kv::Error> {
                    let is_a_time = key.as_str().ends_with("_ms");
                    if !is_a_time {
                        write!(self.0, "{key}={value} ").unwrap();
                    }
                    Ok(())
                }
            }
            let mut pairs = Pairs(String::new());
            record.key_values().visit(&mut pairs).unwrap();
            if self.enabled(record.metadata()) {
                LINES.with_borrow_mut(|lines| lines.push(pairs.0.trim_end().to_owned()));
            }
        }

        fn flush(&self) {}
    }

    fn lines() -> Vec<String> {
        LINES.with_borrow_mut(std::mem::take)
    }

    fn layer() -> OutermostLayer {
        let _ = log::set_logger(&AccessLog);
        log::set_max_level(log::LevelFilter::Info);
        let metrics = Registry::default();
        let common = Common {
            identity_urls: vec!["http://127.0.0.1:1".parse().unwrap()],
            internal_secret: None,
            timeout: Duration::from_secs(1),
            body: Limits {
                max_bytes: 10,
                timeout: Duration::from_secs(1),
            },
            max_in_flight: 1,
            clock: Clock::fixed(0),
            metrics: metrics.clone(),
        };
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("routes.toml");
        std::fs::write(
            &path,
            "[rate_class.one]\nrequests_per_minute = 1\n[[route]]\nprefix = \"/app/\"\n\
             upstreams = [\"http://127.0.0.1:2\"]\nrate_class = \"one\"\n[[route]]\nprefix = \"/inner/\"\n\
             upstreams = [\"http://127.0.0.1:2\"]\nallow = [\"10.0.0.0/8\"]\n",
        )
        .unwrap();
        let file = crate::routes::read_file(&path);
        OutermostLayer {
            routes: Arc::new(Routes::new(common, &file.unwrap())),
            trusted_proxies: TrustedProxies::default(),
            cors: Cors {
                origins: vec!["https://app.example".to_owned()],
                allows_credentials: false,
            },
            max_body_bytes: 10,
            counts: RouteCounts::new("none", &metrics),
            strict_transport_security: Some(HeaderValue::from_static("max-age=60")),
            has_pages: true,
        }
    }

    async fn default_handler(request: HttpRequest) -> HttpResponse {
        let path = request.extensions().get::<RequestContext>().unwrap().path.clone();
        match request.path() {
            "/panic" => panic!("a test"),
            "/torn" => {
                let error = actix_web::error::ErrorBadGateway("cut");
                let pieces = stream::iter([Ok(Bytes::from_static(b"abc")), Err(error)]);
                HttpResponse::Ok().body(BodyStream::new(pieces))
            }
            "/slow" => pending().await,
            "/endless" => {
                let pieces = stream::once(async { Ok::<_, Error>(Bytes::from_static(b"abc")) });
                HttpResponse::Ok().body(BodyStream::new(pieces.chain(stream::pending())))
            }
            _ => HttpResponse::Ok().body(format!("{} {}", request.uri(), path.as_str())),
        }
    }

    async fn error_middleware(
        request: ServiceRequest,
        next: Next<impl MessageBody>,
    ) -> Result<ServiceResponse<impl MessageBody>, Error> {
        if request.path() == "/error" {
            return Err(GatewayError::Unavailable.into());
        }
        next.call(request).await
    }

    fn request(target: &str) -> Request {
        let mut request = Request::new();
        *request.uri_mut() = target.parse().unwrap();
        let client = ClientConnection {
            address: std::net::Ipv4Addr::LOCALHOST.into(),
            is_tls: false,
        };
        request.extensions_mut().insert(client);
        let headers = request.headers_mut();
        headers.insert(header::HOST, HeaderValue::from_static("a"));
        headers.insert(
            header::HeaderName::from_static(REQUEST_ID),
            HeaderValue::from_static("id-1"),
        );
        headers.insert(header::USER_AGENT, HeaderValue::from_static("test"));
        headers.insert(header::ORIGIN, HeaderValue::from_static("https://app.example"));
        request
    }

    async fn ask(layer: &OutermostLayer, request: Request) -> Response<BoxBody> {
        let app = App::new()
            .wrap(from_fn(rate_limit::limit))
            .wrap(from_fn(address_rules::check))
            .wrap(from_fn(error_middleware))
            .default_service(web::to(default_handler));
        let factory = map_config(app.into_factory(), |()| AppConfig::default());
        let app = factory.new_service(()).await.unwrap();
        layer.call(&app, request).await
    }

    async fn text(response: Response<BoxBody>) -> String {
        let bytes = to_bytes(response.into_body()).await.unwrap();
        String::from_utf8(bytes.to_vec()).unwrap()
    }

    #[actix_web::test]
    async fn whatever_happens_the_response_has_its_id_its_security_headers_and_a_line() {
        let layer = layer();
        for (target, status) in [
            ("/", 200),
            ("/panic", 500),
            ("/error", 503),
            ("/a/..;/b", 404),
            ("/inner/x", 403),
        ] {
            let response = ask(&layer, request(target)).await;
            assert_eq!(response.status().as_u16(), status, "{target}");
            for (name, value) in [
                (REQUEST_ID, "id-1"),
                ("x-content-type-options", "nosniff"),
                ("access-control-allow-origin", "https://app.example"),
            ] {
                assert_eq!(response.headers().get(name).unwrap(), value, "{target} {name}");
            }
            assert!(!response.headers().contains_key("strict-transport-security"));
            drop(response);
            assert_eq!(lines().len(), 1, "{target}");
        }
    }

    #[actix_web::test]
    async fn handlers_and_context_have_the_same_path_however_it_was_spelled() {
        let layer = layer();
        for (sent, seen) in [
            ("/%61pp2/x?%61=b", "/app2/x?%61=b /app2/x"),
            ("/account/100%25", "/account/100%25 /account/100%25"),
        ] {
            assert_eq!(text(ask(&layer, request(sent)).await).await, seen);
        }
    }

    #[actix_web::test]
    async fn a_body_that_is_too_large_is_refused_by_its_length() {
        let layer = layer();
        let asked = request("/");
        asked.extensions_mut().insert(BodyLength::Known(11));
        let response = ask(&layer, asked).await;
        assert_eq!(response.status(), StatusCode::PAYLOAD_TOO_LARGE);
        assert!(!response.keep_alive());
        let asked = request("/");
        asked.extensions_mut().insert(BodyLength::Known(10));
        assert_eq!(ask(&layer, asked).await.status(), StatusCode::OK);
    }

    #[actix_web::test]
    async fn over_the_gateways_own_tls_browsers_are_told_to_stay_with_it() {
        let layer = layer();
        let asked = request("/");
        let client = ClientConnection {
            address: std::net::Ipv4Addr::LOCALHOST.into(),
            is_tls: true,
        };
        asked.extensions_mut().insert(client);
        let response = ask(&layer, asked).await;
        let value = response.headers().get(header::STRICT_TRANSPORT_SECURITY);
        assert_eq!(value.unwrap(), "max-age=60");
        let refused = layer.reject(GatewayError::HeaderTooLarge, client);
        assert!(refused.headers().contains_key(header::STRICT_TRANSPORT_SECURITY));
    }

    #[actix_web::test]
    async fn the_line_is_written_when_the_last_byte_is_out() {
        let layer = layer();
        let response = ask(&layer, request("/app/%78?secret=1")).await;
        assert_eq!(lines(), Vec::<String>::new());
        assert_eq!(text(response).await.len(), 22);
        assert_eq!(
            lines(),
            [
                "method=GET path=/app/x status=200 route=/app/ upstream=- response_bytes=22 ending=complete \
              client_address=127.0.0.1 user_agent=\"test\" request_id=id-1"
            ]
        );
    }

    #[actix_web::test]
    async fn the_line_tells_a_torn_response_from_one_that_nobody_waited_for() {
        let layer = layer();
        let told = |what: &str| {
            let lines = lines();
            assert!(lines.len() == 1 && lines[0].contains(what), "{lines:?}");
        };
        assert!(
            to_bytes(ask(&layer, request("/torn")).await.into_body())
                .await
                .is_err()
        );
        told("status=200 route=- upstream=- response_bytes=3 ending=torn");
        let mut body = ask(&layer, request("/endless")).await.into_body();
        let piece = std::future::poll_fn(|cx| body.as_pin_mut().poll_next(cx)).await;
        assert_eq!(piece.unwrap().unwrap(), "abc");
        drop(body);
        told("status=200 route=- upstream=- response_bytes=3 ending=aborted");
        assert!(ask(&layer, request("/slow")).now_or_never().is_none());
        told("status=499 route=- upstream=- response_bytes=0 ending=aborted");
        assert_eq!(layer.counts.statuses[4].get(), 1);
        let mut asked = request("/");
        asked.head_mut().method = Method::HEAD;
        drop(ask(&layer, asked).await);
        told("status=200 route=- upstream=- response_bytes=0 ending=complete");
        drop(layer.reject(GatewayError::HeaderTooLarge, client_of(&request("/"))));
        told("method=- path=- status=431");
    }

    #[actix_web::test]
    async fn the_line_of_a_response_without_a_body_waits_for_nothing() {
        let layer = layer();
        let mut asked = request("/");
        asked.head_mut().method = Method::OPTIONS;
        let name = header::ACCESS_CONTROL_REQUEST_METHOD;
        asked.headers_mut().insert(name, HeaderValue::from_static("GET"));
        let response = ask(&layer, asked).await;
        assert_eq!(response.status(), StatusCode::NO_CONTENT);
        assert_eq!(lines().len(), 1);
        assert_eq!(response.body().size(), BodySize::Sized(0));
    }

    #[actix_web::test]
    async fn beyond_its_budget_a_client_is_told_when_to_come_back() {
        let layer = layer();
        assert_eq!(ask(&layer, request("/app/")).await.status(), StatusCode::OK);
        let response = ask(&layer, request("/%61pp/x")).await;
        assert_eq!(response.status(), StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(response.headers().get(header::RETRY_AFTER).unwrap(), "60");
        let detail = "Request was throttled. Expected available in 60 seconds.";
        assert_eq!(text(response).await, format!("{{\"detail\": \"{detail}\"}}"));
    }
}
