//! Routes that are for some clients only: their lists of addresses that may pass, or may not.

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage};

use super::request_context::RequestContext;
use crate::error::GatewayError;

/// The middleware: 403 for a client whose address the route does not allow.
pub async fn check(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let is_allowed = {
        let extensions = request.extensions();
        let context = extensions.get::<RequestContext>().ok_or(GatewayError::Internal)?;
        let route = context.route.as_ref();
        route.is_none_or(|route| route.addresses.allows(context.origin.address))
    };
    if !is_allowed {
        return Err(GatewayError::Forbidden.into());
    }
    next.call(request).await
}
