//! Who may use a route: `auth = "none" | "optional" | "required"`, checked before the request goes anywhere.

use std::rc::Rc;

use actix_web::body::MessageBody;
use actix_web::dev::{Payload, ServiceRequest, ServiceResponse};
use actix_web::middleware::Next;
use actix_web::{Error, FromRequest, HttpMessage, HttpRequest, HttpResponse, web};
use futures_util::future::LocalBoxFuture;

use super::request_context::RequestContext;
use crate::edge_auth::{self, Caller, Checker, Refusal};
use crate::error::GatewayError;
use crate::routes::Auth;

/// The middleware: checks the access token where the route wants one, and notes who the client is.
pub async fn authenticate(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let auth = {
        let extensions = request.extensions();
        let context = extensions.get::<RequestContext>().ok_or(GatewayError::Internal)?;
        context.route.as_ref().map_or(Auth::None, |route| route.auth)
    };
    if auth != Auth::None {
        let caller = match (check(request.request()).await, auth) {
            (Ok(caller), Auth::Required) => Some(caller.ok_or(Refusal::NotAuthenticated)?),
            (Err(refusal), Auth::Required) => return Err(refusal.into()),
            (checked, _) => checked.ok().flatten(),
        };
        if let Some(context) = request.extensions_mut().get_mut::<RequestContext>() {
            context.caller = caller;
        }
    }
    next.call(request).await
}

async fn check(request: &HttpRequest) -> Result<Option<Rc<Caller>>, Refusal> {
    let checker = request
        .app_data::<web::Data<Checker>>()
        .ok_or(Refusal::Unavailable)?;
    let client = request
        .extensions()
        .get::<RequestContext>()
        .map(|context| context.origin.address);
    checker
        .check(request.headers(), client.ok_or(Refusal::Unavailable)?)
        .await
}

/// An extractor for handlers of the gateway's own: who the client is. Without a good access token the handler is not
/// called, and the response is 401.
#[derive(Clone, Debug)]
pub struct Authenticated(pub Rc<Caller>);

impl FromRequest for Authenticated {
    type Error = Refusal;
    type Future = LocalBoxFuture<'static, Result<Self, Refusal>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let request = request.clone();
        Box::pin(async move {
            let caller = check(&request).await?;
            caller.map(Self).ok_or(Refusal::NotAuthenticated)
        })
    }
}

/// The handler of [`edge_auth::FORWARD_PATHS`]: 200 and who it is, or 401.
pub async fn forward(caller: Authenticated) -> HttpResponse {
    edge_auth::forward_response(&caller.0)
}
