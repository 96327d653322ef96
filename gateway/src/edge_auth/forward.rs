//! `/auth/forward`: for proxies that ask whether a request may pass (Traefik's `ForwardAuth`, nginx's `auth_request`,
//! Caddy's `forward_auth`, Envoy's `ext_authz`). It reads `Authorization` and nothing else.

use actix_http::StatusCode;
use shared::headers::{AUTH_SESSION_ID, AUTH_USER_ID};

use super::{Caller, Refusal};
use crate::message::{Answer, Body};

const PATH: &str = "/auth/forward";

/// Envoy puts the path of the request behind it.
pub fn is_forward_path(path: &str) -> bool {
    path.strip_prefix(PATH)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// 200 and who it is, or 401.
pub fn forward_answer(checked: Result<Option<&Caller>, Refusal>) -> Answer {
    match checked {
        Ok(Some(caller)) => {
            let mut answer = Answer::new(StatusCode::OK, Body::Whole(bytes::Bytes::new()));
            answer.fields.set("cache-control", "no-store");
            answer.fields.set(AUTH_USER_ID, caller.user_id.clone());
            if let Some(session_id) = &caller.session_id {
                answer.fields.set(AUTH_SESSION_ID, session_id.clone());
            }
            answer
        }
        Ok(None) => Refusal::NotAuthenticated.answer(),
        Err(refusal) => refusal.answer(),
    }
}
