//! For gateways, which poll both. They are on this service's own port only: no gateway routes `/internal`.
//!
//! - `GET /internal/ready`: 503 from the signal to stop on, so that nothing new is sent to a replica that is about to close.
//! - `GET /internal/revocations?after=<cursor>`: sessions that have ended while access tokens of theirs may still be alive;
//!   and which keys are shared secrets, since gateways can check all tokens but theirs.
//!
//! Rows that commit late carry earlier times, so a complete reading goes on some seconds before its own time, and repeats
//! what it gave.

use std::sync::atomic::Ordering::Relaxed;

use actix_web::http::{StatusCode, header};
use actix_web::{HttpRequest, HttpResponse, web};
use serde::Serialize;
use shared::clock::to_ms;

use super::{ApiError, AppState, responses};
use crate::db::messages::{FindRevoked, Revoked};

/// How many sessions one page holds.
const PAGE_LENGTH: usize = 5000;
/// Longer than a transaction may take, and than the clocks of replicas may differ.
const OVERLAP_MS: i64 = 10_000;

/// A page. The cursor is for the next request, and opaque.
#[derive(Serialize)]
struct Page {
    revocations: Vec<Revoked>,
    cursor: String,
    more: bool,
    keep_seconds: i64,
    /// Names; `null` is the key of tokens that name none.
    secret_keys: Vec<Option<String>>,
}

/// Whether gateways may send requests here. Not whether database or broker can be reached: that is the same for all replicas,
/// and the API's own 503 says more.
pub async fn ready(state: web::Data<AppState>) -> HttpResponse {
    match state.is_draining.load(Relaxed) {
        false => HttpResponse::NoContent().finish(),
        true => HttpResponse::ServiceUnavailable().finish(),
    }
}

pub async fn revocations(request: HttpRequest, state: web::Data<AppState>) -> Result<HttpResponse, ApiError> {
    let now_ms = state.clock.now_ms();
    let keep_ms = to_ms(state.settings.tokens.access_lifetime);
    let oldest = (
        now_ms.saturating_sub(keep_ms).saturating_sub(OVERLAP_MS),
        String::new(),
    );
    let after = cursor(request.query_string()).unwrap_or_default().max(oldest);
    // One more than a page tells whether there is more.
    let limit = i64::try_from(PAGE_LENGTH + 1).unwrap_or(i64::MAX);
    let mut revocations = state.db.call(FindRevoked { after, limit }).await?;
    let more = revocations.len() > PAGE_LENGTH;
    revocations.truncate(PAGE_LENGTH);
    let next = match revocations.last() {
        Some((sid, revoked_at_ms)) if more => format!("{revoked_at_ms}.{sid}"),
        _ => format!("{}.", now_ms.saturating_sub(OVERLAP_MS)),
    };
    let mut answer = responses::json(
        StatusCode::OK,
        &Page {
            revocations,
            cursor: next,
            more,
            keep_seconds: keep_ms / 1000,
            secret_keys: state.tokens.secret_keys(now_ms),
        },
    );
    answer.headers_mut().insert(
        header::CACHE_CONTROL,
        header::HeaderValue::from_static("no-store"),
    );
    Ok(answer)
}

/// What an earlier page gave; nothing when it is none, and then the list begins at its beginning.
fn cursor(query: &str) -> Option<(i64, String)> {
    let text = query.split('&').find_map(|pair| pair.strip_prefix("after="))?;
    let (revoked_at_ms, sid) = text.split_once('.')?;
    let is_sid = sid.len() <= 64 && sid.bytes().all(|byte| byte.is_ascii_alphanumeric());
    is_sid.then_some(())?;
    Some((revoked_at_ms.parse().ok()?, sid.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_one_of_ours_or_none() {
        assert_eq!(cursor("after=12.ab"), Some((12, "ab".into())));
        assert_eq!(cursor("x=1&after=12."), Some((12, String::new())));
        for none in ["", "after=", "after=12", "after=x.y", "after=1.%27", "before=1.a"] {
            assert_eq!(cursor(none), None, "{none}");
        }
    }
}
