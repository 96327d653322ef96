//! Small requests of the gateway's own to identity-svc.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix_http::{Method, StatusCode};
use bytes::{Bytes, BytesMut};
use shared::jwt::TokenError;
use tokio::time::timeout;

use super::refusal::Refusal;
use crate::http1::response_head::Framing;
use crate::routes::Routes;
use crate::upstream::{AnswerBody, Pool, Reached, reach};

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
        let reached = reach(&group, &self.pool, self.timeout).await;
        let Reached {
            upstream,
            mut connection,
            place,
        } = reached.ok_or("identity-svc cannot be reached")?;
        let mut out = BytesMut::new();
        let host = upstream.url.authority();
        out.extend_from_slice(format!("{method} {target} HTTP/1.1\r\nhost: {host}\r\n").as_bytes());
        if let Some(body) = body {
            let length = body.len();
            out.extend_from_slice(
                format!("content-type: application/json\r\ncontent-length: {length}\r\n\r\n").as_bytes(),
            );
            out.extend_from_slice(body);
        } else {
            out.extend_from_slice(b"\r\n");
        }
        let exchange = async {
            connection.send(&out).await.map_err(|error| error.to_string())?;
            let head = connection
                .answer_head(method)
                .await
                .map_err(|error| error.to_string())?;
            if matches!(head.framing, Framing::Length(length) if usize::try_from(length).unwrap_or(usize::MAX) > MAX_ANSWER_BYTES)
            {
                return Err("its answer is too large".to_owned());
            }
            let how = (head.framing, head.keeps_alive);
            let body = AnswerBody::new(
                connection,
                how,
                self.timeout,
                upstream.clone(),
                self.pool.clone(),
                place,
            );
            Ok((head.status, body.whole().await?))
        };
        match timeout(self.timeout, exchange).await {
            Ok(Ok(answer)) => {
                upstream.health.answered();
                Ok(answer)
            }
            Ok(Err(cause)) => {
                upstream.health.failed();
                upstream.counts.broken.increment();
                Err(cause)
            }
            Err(_) => {
                upstream.health.failed();
                upstream.counts.late.increment();
                Err("no answer in time".to_owned())
            }
        }
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
