//! Small requests of the gateway's own to identity-svc.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix_http::{Method, StatusCode};
use bytes::Bytes;
use shared::jwt::TokenError;

use super::refusal::Refusal;
use crate::routes::Routes;
use crate::upstream::{OwnRequest, Pool, Requester};

/// The largest answer that is read; a page of the list of ended sessions is far below it.
const MAX_ANSWER_BYTES: usize = 8 * 1024 * 1024;

#[derive(Clone)]
pub struct IdentityClient {
    routes: Arc<Routes>,
    pool: Rc<Pool>,
    timeout: Duration,
}

impl IdentityClient {
    pub fn new(routes: Arc<Routes>, pool: Rc<Pool>, timeout: Duration) -> Self {
        Self {
            routes,
            pool,
            timeout,
        }
    }

    /// # Errors
    /// Why there is no answer, for the log.
    pub async fn get(&self, target: &str) -> Result<(StatusCode, Bytes), String> {
        self.call(&Method::GET, target, None).await
    }

    /// Asks for `token/verify/`.
    ///
    /// # Errors
    /// When the token is refused, or nobody says.
    pub async fn verify(&self, token: &str) -> Result<(), Refusal> {
        let body = serde_json::json!({ "token": token }).to_string();
        let answer = self
            .call(&Method::POST, "/api/auth/token/verify/", Some(body.as_bytes()))
            .await;
        let (status, body) = answer.map_err(|cause| {
            log::warn!("cannot ask identity-svc about a token: {cause}");
            Refusal::Unavailable
        })?;
        match status.as_u16() {
            200 => Ok(()),
            // The gateway itself is refused; that says nothing of the token.
            403 => {
                log::warn!(
                    "identity-svc refuses the gateway: GATEHOUSE_INTERNAL_SECRET has to be the same for both"
                );
                Err(Refusal::Unavailable)
            }
            400..=499 => Err(Refusal::Token(reason(&body))),
            status => {
                log::warn!(status; "identity-svc does not say whether a token is good");
                Err(Refusal::Unavailable)
            }
        }
    }

    async fn call(
        &self,
        method: &Method,
        target: &str,
        body: Option<&[u8]>,
    ) -> Result<(StatusCode, Bytes), String> {
        let group = self.routes.get().identity().clone();
        let (own, requester) = (
            OwnRequest {
                method: method.clone(),
                target,
                body,
                timeout: self.timeout,
                max_bytes: MAX_ANSWER_BYTES,
            },
            // Only questions about tokens have a body, and clients cause them.
            if body.is_some() {
                Requester::Question
            } else {
                Requester::Upkeep
            },
        );
        own.ask(&group, &self.pool, requester)
            .await
            .map_err(|error| error.to_string())
    }
}

/// The contract's text for a refused token, read back.
fn reason(body: &[u8]) -> TokenError {
    let detail = serde_json::from_slice::<serde_json::Value>(body)
        .ok()
        .and_then(|body| body.get("detail")?.as_str().map(ToOwned::to_owned));
    let known = [
        TokenError::Expired,
        TokenError::NoExpiry,
        TokenError::NoId,
        TokenError::NoType,
        TokenError::WrongType,
    ];
    let is_it = |error: &TokenError| detail.as_deref() == Some(error.to_string().as_str());
    known.into_iter().find(is_it).unwrap_or(TokenError::Invalid)
}
