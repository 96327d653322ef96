//! One request on its way to an upstream: whose it is, what is sent of it, and whether it may be sent twice.

use std::net::IpAddr;

use actix_http::Method;
use actix_web::HttpRequest;
use actix_web::http::header::{HOST, HeaderValue};
use bytes::{Bytes, BytesMut};

use super::headers::{self, Additions};
use super::request_body::RequestBody;
use super::transfer::{Patience, Transfer};
use crate::http1::write;
use crate::middleware::request_context::RequestContext;
use crate::routes::Route;
use crate::server::app_service::BodyLength;
use crate::upstream::{Declared, Exchange, Requester, Upstream, UpstreamConnection};

/// A request that is to be forwarded.
pub struct Call<'a> {
    pub request: &'a HttpRequest,
    pub context: &'a RequestContext,
    pub route: &'a Route,
    pub path: &'a str,
    pub is_websocket: bool,
}

/// The body that goes out.
pub enum Outgoing {
    /// There is none, which is not the same as an empty one.
    Nothing,
    Whole(Bytes),
    Stream(RequestBody),
}

impl Call<'_> {
    pub fn client(&self) -> IpAddr {
        self.context.origin.address
    }

    /// Whether it is a change of a password, if identity-svc takes it.
    pub fn changes_password(&self) -> bool {
        self.request.method() == Method::POST
            && self.path.strip_suffix('/').unwrap_or(self.path) == "/api/auth/password/change"
    }

    pub fn requester(&self) -> Requester {
        Requester::Client(self.client())
    }

    /// Whether it makes no difference if the upstream gets it twice (RFC 9110 section 9.2.2), and all of it is here.
    pub fn may_be_repeated(&self, outgoing: &Outgoing) -> bool {
        let method = self.request.method();
        let is_idempotent = [
            Method::GET,
            Method::HEAD,
            Method::OPTIONS,
            Method::PUT,
            Method::DELETE,
        ]
        .contains(method);
        is_idempotent && matches!(outgoing, Outgoing::Nothing)
    }

    /// Begins the exchange; nothing is sent before it is waited for.
    pub fn begin(&self, upstream: &Upstream, connection: UpstreamConnection, outgoing: Outgoing) -> Transfer {
        let declared = match &outgoing {
            Outgoing::Nothing => Declared::NoBody,
            Outgoing::Whole(bytes) => Declared::Length(u64::try_from(bytes.len()).unwrap_or(u64::MAX)),
            Outgoing::Stream(body) => match body.length() {
                BodyLength::None => Declared::NoBody,
                BodyLength::Known(length) => Declared::Length(length),
                BodyLength::Unknown => Declared::Chunked,
            },
        };
        let head = self.head(upstream, declared);
        let mut exchange = Exchange::new(connection, self.request.method().clone(), head, declared);
        let body = match outgoing {
            Outgoing::Nothing => None,
            Outgoing::Whole(bytes) => {
                // It is exactly as long as was just said.
                let _ = exchange.sender.push(bytes);
                let _ = exchange.sender.end();
                None
            }
            Outgoing::Stream(body) => Some(body),
        };
        let patience = Patience {
            response: self.route.timeout,
            pause: self.route.pause,
        };
        Transfer::new(exchange, body, patience)
    }

    fn head(&self, upstream: &Upstream, declared: Declared) -> BytesMut {
        let Self {
            request,
            context,
            route,
            ..
        } = self;
        let mut out = BytesMut::with_capacity(1024);
        out.extend_from_slice(request.method().as_str().as_bytes());
        out.extend_from_slice(b" ");
        out.extend_from_slice(route.upstream_path(self.path).as_bytes());
        if let Some(query) = request.uri().query() {
            out.extend_from_slice(b"?");
            out.extend_from_slice(query.as_bytes());
        }
        out.extend_from_slice(b" HTTP/1.1\r\n");
        let sent_host = request.headers().get(HOST).filter(|_| route.preserves_host);
        let host = sent_host.map_or(upstream.url.authority().as_bytes(), HeaderValue::as_bytes);
        write::line(&mut out, b"host", host);
        let additions = Additions {
            throttle_wait: context.throttle_wait_seconds,
            caller: context.caller.as_deref(),
        };
        headers::to_upstream(
            &mut out,
            request.headers(),
            &route.headers,
            &context.origin,
            &context.id,
            &additions,
        );
        if route.is_identity {
            upstream.write_internal_secret(&mut out);
        }
        if self.is_websocket {
            write::line(&mut out, b"connection", b"upgrade");
            write::line(&mut out, b"upgrade", b"websocket");
        }
        match declared {
            Declared::NoBody => {}
            Declared::Length(length) => write::number_line(&mut out, b"content-length", length),
            Declared::Chunked => write::line(&mut out, b"transfer-encoding", b"chunked"),
        }
        out.extend_from_slice(b"\r\n");
        out
    }
}
