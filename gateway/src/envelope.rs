//! What surrounds every request: where it goes, what it is answered when something is wrong, and what every answer
//! carries.

use std::net::{IpAddr, Ipv4Addr};
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};

use actix_http::body::{BodySize, BoxBody, MessageBody};
use actix_http::{ConnectionType, Request, Response};
use bytes::Bytes;
use futures_util::FutureExt;
use shared::request_id::RequestId;

use crate::access_log::Entry;
use crate::client_address::TrustedProxies;
use crate::connection::Exchange;
use crate::error::GatewayError;
use crate::headers::{self, Origin};
use crate::proxy::Proxy;
use crate::rate_limit::RateLimit;
use crate::routes::{self, Routes};

/// What all workers share.
#[derive(Debug)]
pub struct Shared {
    pub routes: Routes,
    pub trusted_proxies: TrustedProxies,
    pub rate_limit: RateLimit,
    pub has_pages: bool,
}

/// One worker's handles.
pub struct Worker {
    pub shared: Arc<Shared>,
    pub proxy: Proxy,
}

/// Where a request goes; `F` is one of the gateway's own pages at work.
pub enum Destination<F> {
    Page(F),
    Elsewhere(Request),
}

/// What is known of a request before anybody works on it, and what its answer will need.
pub struct Envelope {
    exchange: Rc<Exchange>,
    refusal: Option<GatewayError>,
    origin: Origin,
    id: RequestId,
    entry: Entry,
    is_upgrade: bool,
    pub is_page: bool,
}

impl Envelope {
    pub fn of(request: &Request, shared: &Shared) -> Self {
        let exchange = request.conn_data::<Rc<Exchange>>().cloned().unwrap_or_default();
        let refusal = exchange.take_refusal();
        let peer = request
            .peer_addr()
            .map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.ip());
        let origin = Origin::of(request.head(), peer, &shared.trusted_proxies);
        let named = (request.method().as_str(), request.path());
        let entry = Entry::new(refusal.is_none().then_some(named), origin.address);
        Self {
            is_page: shared.has_pages && refusal.is_none() && routes::is_page(request.path()),
            is_upgrade: request.head().upgrade(),
            id: headers::request_id(request.head()),
            exchange,
            refusal,
            origin,
            entry,
        }
    }
}

impl Worker {
    /// Answers one request, whatever happens to it.
    pub async fn answer<F>(&self, envelope: Envelope, destination: Destination<F>) -> Response<Answer>
    where
        F: Future<Output = Response<BoxBody>>,
    {
        let work = AssertUnwindSafe(self.work(&envelope, destination)).catch_unwind();
        let result = work.await.unwrap_or_else(|_| {
            log::error!(request_id:% = envelope.id; "a request made the gateway panic");
            Err(GatewayError::Internal)
        });
        let mut response = result.unwrap_or_else(GatewayError::response);
        headers::finish(response.headers_mut(), &envelope.id);
        if envelope.is_upgrade {
            // No upgrade is forwarded; the answer must not look as if one had been taken.
            response.head_mut().set_connection_type(ConnectionType::Close);
        }
        envelope.entry.write(response.status(), &envelope.id);
        response.map_body(|_, body| Answer {
            body,
            exchange: envelope.exchange,
        })
    }

    async fn work<F>(
        &self,
        envelope: &Envelope,
        destination: Destination<F>,
    ) -> Result<Response<BoxBody>, GatewayError>
    where
        F: Future<Output = Response<BoxBody>>,
    {
        if let Some(error) = envelope.refusal {
            return Err(error);
        }
        match destination {
            Destination::Page(page) => Ok(page.await),
            Destination::Elsewhere(request) => match self.shared.routes.find(request.path()) {
                Some(route) => {
                    let Envelope { origin, id, .. } = envelope;
                    self.proxy
                        .forward(route, request, origin, id, &self.shared.rate_limit)
                        .await
                }
                None => self.proxy.no_route(request).await,
            },
        }
    }
}

/// An answer's body. It is dropped when all of it is written, and then the next request of the connection may come.
pub struct Answer {
    body: BoxBody,
    exchange: Rc<Exchange>,
}

impl Drop for Answer {
    fn drop(&mut self) {
        self.exchange.answered();
    }
}

impl MessageBody for Answer {
    type Error = <BoxBody as MessageBody>::Error;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>> {
        self.get_mut().body.as_pin_mut().poll_next(cx)
    }
}
