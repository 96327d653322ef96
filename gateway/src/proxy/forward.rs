//! Forwards one request and brings back the response.

use std::rc::Rc;
use std::sync::Arc;

use actix_http::{Method, Payload, StatusCode};
use actix_web::body::BoxBody;
use actix_web::http::header::HeaderMap;
use actix_web::{HttpMessage, HttpRequest, HttpResponse};
use bytes::Bytes;

use super::call::{Call, Outgoing};
use super::headers;
use super::held::Held;
use super::request_body::{RequestBody, WholeBody};
use super::response_body::{HeldBody, LengthOnly, StreamedBody};
use super::transfer::{Failure, Transfer};
use super::websocket::Tunnel;
use crate::edge_auth::{Checker, EdgeVerify, verified};
use crate::error::GatewayError;
use crate::http1::response_head::{Framing, ResponseHead};
use crate::middleware::request_context::RequestContext;
use crate::routes::Route;
use crate::server::app_service::{BodyLength, Upgraded, WebSocketUpgrade};
use crate::upstream::{Permit, Pool, Reached, Upstream, UpstreamConnection, connect, reach};

/// A response of up to this size is complete before the client sees its beginning, so that a broken one is an error
/// and not a torn page.
const WHOLE_RESPONSE_BYTES: usize = 64 * 1024;
/// The same for identity-svc, so that a slow reader of its largest documents holds none of its permits.
const WHOLE_IDENTITY_RESPONSE_BYTES: usize = 1024 * 1024;
/// A whole response over this size is counted among the memory for bodies, until the client has it.
const UNCOUNTED_BYTES: usize = 16 * 1024;

/// One worker's way to the upstreams.
pub struct Proxy {
    pub pool: Rc<Pool>,
    pub held: Held,
}

impl Proxy {
    /// Forwards a request of `route`. The response's body owns its connection to the upstream and the permit for it;
    /// a 101 carries an [`Upgraded`] in its extensions. To drop the future or the body ends the work at the upstream.
    ///
    /// The response may begin before `payload` was read to its end; its body reads on then.
    ///
    /// # Errors
    /// What is wrong with the request's body, or with the upstream.
    pub async fn forward(
        &self,
        request: &HttpRequest,
        payload: Payload,
        context: &RequestContext,
        route: &Arc<Route>,
        checker: &Checker,
    ) -> Result<HttpResponse, GatewayError> {
        let (length, is_websocket) = {
            let extensions = request.extensions();
            let length = extensions.get::<BodyLength>().copied();
            let is_websocket = extensions.get::<WebSocketUpgrade>().is_some();
            (length.unwrap_or(BodyLength::None), is_websocket)
        };
        let call = Call {
            request,
            context,
            route,
            path: &context.path,
            is_websocket,
        };
        let body = RequestBody::new(payload, length, route.body)?;
        if !route.is_identity {
            let outgoing = match length {
                BodyLength::None => Outgoing::Nothing,
                BodyLength::Known(_) | BodyLength::Unknown => Outgoing::Stream(body),
            };
            return self.pass_on(&call, outgoing, checker).await;
        }
        if is_websocket {
            return Err(GatewayError::BadRequest("WebSocket is not supported"));
        }
        // Read before identity-svc is bothered, so that a slow client costs the gateway's memory and nothing else.
        let whole = body.whole(&self.held, context.origin.address).await?;
        if let Some(response) = edge_verify(&call, &whole, checker).await {
            return Ok(response);
        }
        let outgoing = whole.bytes.clone().map_or(Outgoing::Nothing, Outgoing::Whole);
        let response = self
            .pass_on(&call, outgoing, checker)
            .await
            .map_err(|error| match error {
                GatewayError::BadGateway | GatewayError::GatewayTimeout => GatewayError::Unavailable,
                other => other,
            })?;
        if response.status().is_success() && call.changes_password() {
            checker.password_changed(request.headers());
        }
        Ok(response)
    }

    async fn pass_on(
        &self,
        call: &Call<'_>,
        outgoing: Outgoing,
        checker: &Checker,
    ) -> Result<HttpResponse, GatewayError> {
        let Call { route, context, .. } = call;
        let reached = reach(
            &route.upstreams,
            Some(&self.pool),
            call.requester(),
            route.timeout,
        )
        .await;
        let Some(Reached {
            connection,
            mut is_reused,
            mut permit,
        }) = reached
        else {
            log::debug!(route = route.prefix.as_str(), request_id:% = context.id; "no upstream is ready");
            return Err(GatewayError::Unavailable);
        };
        let may_repeat = is_reused && call.may_be_repeated(&outgoing);
        let mut transfer = call.begin(permit.upstream(), connection, outgoing);
        let mut head = transfer.head().await;
        if may_repeat && matches!(head, Err(Failure::Broken(_))) && !transfer.has_response() {
            // The upstream was just closing it; the request was never looked at.
            let again = self.connect_again(call, permit).await;
            let (connection, new_permit) = again.ok_or(GatewayError::Unavailable)?;
            (permit, is_reused) = (new_permit, false);
            transfer = call.begin(permit.upstream(), connection, Outgoing::Nothing);
            head = transfer.head().await;
        }
        let upstream = permit.upstream().clone();
        let standing = Standing {
            is_sent: transfer.is_sent(),
            is_stale: is_reused && !transfer.has_response(),
            has_begun: head.is_ok(),
        };
        let result = match head {
            Ok(head) => self.respond(call, head, transfer, permit, checker).await,
            Err(failure) => Err(failure),
        };
        match result {
            Ok(mut response) => {
                response.extensions_mut().insert(upstream);
                Ok(response)
            }
            Err(failure) => Err(standing.note(failure, &upstream, context)),
        }
    }

    /// A new connection to the same upstream, or else to another one.
    async fn connect_again(&self, call: &Call<'_>, permit: Permit) -> Option<(UpstreamConnection, Permit)> {
        let timeout = call.route.timeout;
        if let Ok(connection) = connect(permit.upstream(), timeout).await {
            return Some((connection, permit));
        }
        drop(permit);
        let reached = reach(&call.route.upstreams, None, call.requester(), timeout).await?;
        Some((reached.connection, reached.permit))
    }

    async fn respond(
        &self,
        call: &Call<'_>,
        head: ResponseHead,
        mut transfer: Transfer,
        permit: Permit,
        checker: &Checker,
    ) -> Result<HttpResponse, Failure> {
        let ResponseHead {
            status,
            headers,
            framing,
            length,
            ..
        } = head;
        let headers = headers::from_upstream(headers, &call.route.headers);
        if status == StatusCode::SWITCHING_PROTOCOLS {
            if !call.is_websocket {
                return Err(Failure::Broken(
                    "it switches protocols and nobody asked".to_owned(),
                ));
            }
            permit.upstream().health.answered();
            let mut response = response(status, headers, BoxBody::new(()));
            let session = call.context.caller.as_ref().map(|caller| checker.session(caller));
            let tunnel = Tunnel::new(transfer.into_upgraded(), permit, session);
            response
                .extensions_mut()
                .insert(Upgraded::new(move |client, early| {
                    Box::pin(tunnel.run(client, early))
                }));
            return Ok(response);
        }
        let held_bytes = if call.route.is_identity {
            WHOLE_IDENTITY_RESPONSE_BYTES
        } else {
            WHOLE_RESPONSE_BYTES
        };
        let length_bytes = length.map_or(0, |length| usize::try_from(length).unwrap_or(usize::MAX));
        let body = match framing {
            Framing::NoBody => {
                permit.upstream().health.answered();
                self.keep(transfer, &permit);
                if call.request.method() == Method::HEAD {
                    length.map_or(BoxBody::new(actix_web::body::None::new()), |length| {
                        BoxBody::new(LengthOnly(length))
                    })
                } else {
                    BoxBody::new(actix_web::body::None::new())
                }
            }
            Framing::Length(_) if length_bytes <= held_bytes && !transfer.is_uploading() => {
                let whole = transfer.read_up_to(held_bytes, length_bytes).await?;
                permit.upstream().health.answered();
                self.keep(transfer, &permit);
                drop(permit);
                self.whole_body(call, whole.bytes)?
            }
            Framing::Chunked | Framing::UntilClose if call.route.is_identity => {
                let beginning = transfer.read_up_to(held_bytes, 0).await?;
                permit.upstream().health.answered();
                if beginning.is_whole {
                    self.keep(transfer, &permit);
                    drop(permit);
                    self.whole_body(call, beginning.bytes)?
                } else {
                    self.streamed_body(call, beginning.bytes, None, transfer, permit)
                }
            }
            Framing::Length(_) | Framing::Chunked | Framing::UntilClose => {
                permit.upstream().health.answered();
                self.streamed_body(call, Bytes::new(), length, transfer, permit)
            }
        };
        Ok(response(status, headers, body))
    }

    fn keep(&self, transfer: Transfer, permit: &Permit) {
        if let Some(connection) = transfer.finish() {
            self.pool.put(permit.upstream(), connection);
        }
    }

    fn whole_body(&self, call: &Call<'_>, bytes: Bytes) -> Result<BoxBody, Failure> {
        if bytes.len() <= UNCOUNTED_BYTES {
            return Ok(BoxBody::new(bytes));
        }
        let mut held = self.held.of(call.client());
        held.add(bytes.len()).map_err(Failure::Request)?;
        Ok(BoxBody::new(HeldBody::new(bytes, held)))
    }

    fn streamed_body(
        &self,
        call: &Call<'_>,
        beginning: Bytes,
        length: Option<u64>,
        transfer: Transfer,
        permit: Permit,
    ) -> BoxBody {
        let (pool, id) = (self.pool.clone(), call.context.id.clone());
        BoxBody::new(StreamedBody::new(beginning, length, transfer, permit, pool, id))
    }
}

fn response(status: StatusCode, headers: HeaderMap, body: BoxBody) -> HttpResponse {
    let mut response = HttpResponse::with_body(status, body);
    *response.headers_mut() = headers;
    response
}

/// How far an exchange had come when it failed.
#[derive(Clone, Copy, Debug)]
struct Standing {
    /// The upstream had the whole request.
    is_sent: bool,
    /// It may just have been closing the connection, which it had for another request before.
    is_stale: bool,
    /// It had begun its response.
    has_begun: bool,
}

impl Standing {
    /// Counts and logs what went wrong, and says what the client is told.
    fn note(self, failure: Failure, upstream: &Upstream, context: &RequestContext) -> GatewayError {
        let (told, count, cause) = match failure {
            Failure::Request(error) => return error,
            Failure::Late => (
                GatewayError::GatewayTimeout,
                &upstream.counts.late,
                "no response in time".to_owned(),
            ),
            Failure::Broken(cause) if self.has_begun => {
                (GatewayError::BadGateway, &upstream.counts.torn, cause)
            }
            Failure::Broken(cause) => (GatewayError::BadGateway, &upstream.counts.broken, cause),
        };
        count.increment();
        if self.is_sent && !self.is_stale {
            upstream.health.failed();
        }
        log::warn!(upstream:% = upstream.url, request_id:% = context.id; "no response from an upstream: {cause}");
        told
    }
}

/// The good case of `token/verify/`, answered here.
async fn edge_verify(call: &Call<'_>, whole: &WholeBody, checker: &Checker) -> Option<HttpResponse> {
    let bytes = whole.bytes.as_ref()?;
    let verify = EdgeVerify::of(call.request.method(), call.path, call.request.headers())?;
    checker.is_good(&verify, bytes).await.then(verified)
}
