//! `/auth/forward`: for proxies that ask whether a request may pass (Traefik's `ForwardAuth`, nginx's `auth_request`,
//! Caddy's `forward_auth`, Envoy's `ext_authz`). It reads `Authorization` and nothing else.

use actix_web::HttpResponse;
use actix_web::http::header;
use bytes::Bytes;
use shared::headers::{AUTH_SESSION_ID, AUTH_USER_ID};

use super::Caller;

/// Where it is, as actix-web writes it; Envoy puts the path of the request behind it.
pub const FORWARD_PATHS: [&str; 2] = ["/auth/forward", "/auth/forward/{path:.*}"];

/// 200 and who it is.
pub fn forward_response(caller: &Caller) -> HttpResponse {
    let mut response = HttpResponse::Ok();
    response
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .insert_header((AUTH_USER_ID, caller.user_id.as_ref()));
    if let Some(session_id) = &caller.session_id {
        response.insert_header((AUTH_SESSION_ID, session_id.as_ref()));
    }
    response.body(Bytes::new())
}
