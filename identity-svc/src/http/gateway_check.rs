//! Whether a request comes from the gateway: it shows the secret that both share. Others are refused before anything of
//! theirs is believed; to reach this port is not enough.

use std::net::IpAddr;
use std::sync::atomic::Ordering::Relaxed;

use actix_web::HttpResponse;
use actix_web::http::header::HeaderMap;
use serde_json::json;
use shared::headers;

use super::AppState;

/// A log line for all strangers in so long.
const TELL_EVERY_MS: i64 = 60_000;

/// Without a secret in the settings everybody is believed, which the start has warned of.
pub fn is_from_gateway(request_headers: &HeaderMap, state: &AppState) -> bool {
    let Some(secret) = &state.settings.internal_secret else {
        return true;
    };
    let shown = request_headers.get(headers::INTERNAL_SECRET);
    shown.is_some_and(|shown| secret.accepts(shown.as_bytes()))
}

/// The gateway itself would be refused with another secret, so the operator has to hear of it.
pub fn refuse(peer: Option<IpAddr>, state: &AppState) -> HttpResponse {
    let now_ms = state.clock.now_ms();
    let told_at_ms = state.stranger_told_at_ms.load(Relaxed);
    if now_ms.saturating_sub(told_at_ms) >= TELL_EVERY_MS
        && state
            .stranger_told_at_ms
            .compare_exchange(told_at_ms, now_ms, Relaxed, Relaxed)
            .is_ok()
    {
        let peer = peer.map_or_else(String::new, |peer| peer.to_string());
        log::warn!(peer; "refused a request without the internal secret of the gateway");
    }
    HttpResponse::Forbidden().json(json!({"detail": "This server takes requests of its gateway only."}))
}
