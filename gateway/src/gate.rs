//! What surrounds every request: where it goes, what it is answered when something is wrong, and what every answer
//! carries.

use std::cell::RefCell;
use std::net::IpAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant, UNIX_EPOCH};

use bytes::Bytes;
use futures_util::FutureExt;
use shared::clock::Clock;
use shared::request_id::RequestId;

use crate::client_address::TrustedProxies;
use crate::edge_auth::{Checker, Refusal, forward_answer, is_forward_path};
use crate::error::GatewayError;
use crate::message::{Answer, Fields, Head};
use crate::middleware::access_log::Entry;
use crate::middleware::cors::Cors;
use crate::middleware::rate_limit::{self, RateLimit};
use crate::pages::Pages;
use crate::proxy::forward::{Forward, Proxy};
use crate::proxy::headers::{self, Additions, Origin};
use crate::proxy::request_body::{Limits, RequestBody, Source};
use crate::routes::{self, Auth, Route, RouteCounts, Routes};
use crate::server::http1::Deadlines;

/// What all workers share.
#[derive(Debug)]
pub struct Shared {
    pub routes: Arc<Routes>,
    pub trusted_proxies: TrustedProxies,
    pub rate_limit: RateLimit,
    pub deadlines: Deadlines,
    /// Of bodies that go to no route.
    pub body: Limits,
    pub cors: Cors,
    /// Of requests that go to no route.
    pub counts: RouteCounts,
}

/// One worker's handles.
pub struct Worker {
    pub shared: Arc<Shared>,
    pub proxy: Proxy,
    pub checker: Checker,
    pub pages: Option<Pages>,
    pub date: DateLine,
}

/// Who is at the other end of a connection.
#[derive(Clone, Copy, Debug)]
pub struct Client {
    pub address: IpAddr,
    pub is_tls: bool,
}

/// What is known of a request before anybody works on it, and what its answer will need.
struct Envelope {
    started: Instant,
    origin: Origin,
    id: RequestId,
    entry: Entry,
    /// Of the page that a browser shows.
    page_origin: Option<Bytes>,
}

impl Worker {
    /// Answers one request, whatever happens to it.
    pub async fn answer(&self, head: Head, source: &mut dyn Source, client: &Client) -> Answer {
        let origin = Origin::of(
            &head.fields,
            client.address,
            client.is_tls,
            &self.shared.trusted_proxies,
        );
        let named = (head.method.as_str(), head.path());
        let envelope = Envelope {
            started: Instant::now(),
            entry: Entry::new(Some(named), origin.address),
            id: headers::request_id(&head.fields),
            page_origin: head.fields.get("origin").cloned(),
            origin,
        };
        let table = self.shared.routes.get();
        let route = table.find(head.path());
        let work =
            AssertUnwindSafe(self.work(&envelope, route.map(AsRef::as_ref), &head, source)).catch_unwind();
        let result = work.await.unwrap_or_else(|_| {
            log::error!(request_id:% = envelope.id; "a request made the gateway panic");
            Err(GatewayError::Internal)
        });
        let answer = result.unwrap_or_else(GatewayError::answer);
        let counts = route.map_or(&self.shared.counts, |route| &route.counts);
        self.finish(&envelope, answer, counts)
    }

    /// Answers what could not be read.
    pub fn refuse(&self, error: GatewayError, client: &Client) -> Answer {
        let nothing = Fields::default();
        let origin = Origin::of(
            &nothing,
            client.address,
            client.is_tls,
            &self.shared.trusted_proxies,
        );
        let envelope = Envelope {
            started: Instant::now(),
            entry: Entry::new(None, origin.address),
            id: RequestId::random(),
            page_origin: None,
            origin,
        };
        self.finish(&envelope, error.answer(), &self.shared.counts)
    }

    fn finish(&self, envelope: &Envelope, mut answer: Answer, counts: &RouteCounts) -> Answer {
        headers::finish(&mut answer.fields, &envelope.id);
        self.shared
            .cors
            .finish(envelope.page_origin.as_ref(), &mut answer.fields);
        let class = usize::from(answer.status.as_u16() / 100);
        if let Some(count) = counts.statuses.get(class) {
            count.increment();
        }
        counts.seconds.observe(envelope.started.elapsed());
        envelope.entry.write(answer.status, &envelope.id);
        answer
    }

    async fn work(
        &self,
        envelope: &Envelope,
        route: Option<&Route>,
        head: &Head,
        source: &mut dyn Source,
    ) -> Result<Answer, GatewayError> {
        let limits = route.map_or(self.shared.body, |route| route.body);
        let is_waited_for = source.is_waited_for();
        let mut body = RequestBody::new(source, head, limits)?;
        let early = match self.shared.cors.preflight(head) {
            Some(answer) => Some(Ok(answer)),
            None => self.without_upstream(route, head, &mut body).await,
        };
        let (route, additions) = match (early, route) {
            (None, Some(route)) => (route, self.admit(envelope, route, head).await),
            (early, _) => {
                return finish_early(early.unwrap_or(Err(GatewayError::NotFound)), body, is_waited_for).await;
            }
        };
        let (caller, throttle_wait) = match additions {
            Ok(admitted) => admitted,
            Err(refused) => return finish_early(refused, body, is_waited_for).await,
        };
        if head.is_websocket && route.is_identity {
            return Err(GatewayError::BadRequest("WebSocket is not supported"));
        }
        let forward = Forward {
            route,
            head,
            origin: &envelope.origin,
            id: &envelope.id,
            additions: Additions {
                throttle_wait,
                caller: caller.as_deref(),
            },
        };
        self.proxy.forward(&forward, body, &self.checker).await
    }

    /// What the gateway answers by itself.
    async fn without_upstream(
        &self,
        route: Option<&Route>,
        head: &Head,
        body: &mut RequestBody<'_>,
    ) -> Option<Result<Answer, GatewayError>> {
        if is_forward_path(head.path()) {
            let checked = self.checker.check(&head.fields).await;
            let checked = match &checked {
                Ok(caller) => Ok(caller.as_deref()),
                Err(refusal) => Err(refusal.clone()),
            };
            return Some(Ok(forward_answer(checked)));
        }
        if let Some(pages) = &self.pages
            && routes::is_page(head.path())
        {
            return Some(pages.answer(head, body).await);
        }
        route.is_none().then_some(Err(GatewayError::NotFound))
    }

    /// Budget and token, in the route's order.
    async fn admit(
        &self,
        envelope: &Envelope,
        route: &Route,
        head: &Head,
    ) -> Result<(Option<std::rc::Rc<crate::edge_auth::Caller>>, Option<i64>), Result<Answer, GatewayError>>
    {
        let address = envelope.origin.address;
        if route.is_identity {
            let is_limited = rate_limit::is_limited(&head.method, head.path());
            let wait = is_limited
                .then(|| self.shared.rate_limit.charge(address))
                .flatten();
            if wait.is_some() {
                route.counts.limited.increment();
            }
            return Ok((None, wait));
        }
        if let Some(wait) = route.rate_limit.as_ref().and_then(|limit| limit.charge(address)) {
            route.counts.limited.increment();
            return Err(Err(GatewayError::Throttled { wait_seconds: wait }));
        }
        if route.auth == Auth::None {
            return Ok((None, None));
        }
        match self.checker.check(&head.fields).await {
            Ok(Some(caller)) => Ok((Some(caller), None)),
            Ok(None) if route.auth == Auth::Required => Err(Ok(Refusal::NotAuthenticated.answer())),
            Err(refusal) if route.auth == Auth::Required => Err(Ok(refusal.answer())),
            Ok(None) | Err(_) => Ok((None, None)),
        }
    }

    /// The present time, as `Date` says it.
    pub fn date(&self) -> Bytes {
        self.date.get()
    }
}

/// An answer that did not need the body: it is read all the same, so that the connection can go on, unless the client
/// waits to be told to send it.
async fn finish_early(
    answer: Result<Answer, GatewayError>,
    mut body: RequestBody<'_>,
    is_waited_for: bool,
) -> Result<Answer, GatewayError> {
    if !is_waited_for {
        body.discard().await?;
    }
    answer
}

/// Written once a second.
#[derive(Debug)]
pub struct DateLine {
    clock: Clock,
    now: RefCell<(i64, Bytes)>,
}

impl DateLine {
    pub fn new(clock: Clock) -> Self {
        Self {
            clock,
            now: RefCell::new((i64::MIN, Bytes::new())),
        }
    }

    fn get(&self) -> Bytes {
        let seconds = self.clock.now_seconds();
        let mut now = self.now.borrow_mut();
        if now.0 != seconds {
            let time = UNIX_EPOCH + Duration::from_secs(seconds.unsigned_abs());
            *now = (seconds, Bytes::from(httpdate::fmt_http_date(time)));
        }
        now.1.clone()
    }
}
