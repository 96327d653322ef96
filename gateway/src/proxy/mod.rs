//! One request to an upstream, and the response back.

mod call;
mod forward;
mod headers;
pub mod held;
mod request_body;
mod response_body;
mod timer;
mod transfer;
pub mod websocket;

use actix_web::web::{Data, Payload};
use actix_web::{HttpMessage, HttpRequest, HttpResponse};

pub use forward::Proxy;

use crate::edge_auth::Checker;
use crate::error::GatewayError;
use crate::middleware::request_context::RequestContext;

/// The handler of everything that is not the gateway's own: forwards the request to its route's upstream.
///
/// # Errors
/// 404 without a route, and what is wrong with the request's body or with the upstream.
pub async fn handler(
    request: HttpRequest,
    payload: Payload,
    proxy: Data<Proxy>,
    checker: Data<Checker>,
) -> Result<HttpResponse, GatewayError> {
    let context = request.extensions().get::<RequestContext>().cloned();
    let context = context.ok_or(GatewayError::Internal)?;
    let Some(route) = &context.route else {
        return Err(GatewayError::NotFound);
    };
    proxy
        .forward(&request, payload.into_inner(), &context, route, &checker)
        .await
}

#[cfg(test)]
mod tests;
