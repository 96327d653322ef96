//! `GET sessions/`: the live sessions of an account, for its owner. Beyond the contract.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use serde::Serialize;

use super::bearer::CurrentUser;
use super::responses::{Example, json};
use super::session_check::live_times;
use super::{ApiError, AppState, Context};
use crate::dates::iso_8601;
use crate::db::messages::{FindOwnSessions, OwnSession};
use crate::domain::device;

/// The asking session first, then those used last.
#[derive(Serialize)]
pub struct SessionsResponse {
    sessions: Vec<SessionDetails>,
}

/// Times are ISO 8601, UTC.
#[derive(Serialize)]
pub struct SessionDetails {
    /// The `sid` of its tokens: 32 hexadecimal digits.
    id: String,
    /// Whether the request came with a token of this session.
    is_current: bool,
    /// In a few words, in the language of the request: `Firefox on Linux`.
    device: String,
    /// As sent at the login, without control characters, cut to 200 characters.
    user_agent: String,
    /// At the login. An IPv6 client is its /64: `2001:db8:1:2::/64`.
    ip_address: String,
    created_at: String,
    /// To about ten minutes.
    last_used_at: String,
    expires_at: String,
}

impl Example for SessionDetails {
    fn example() -> Self {
        let time = || iso_8601(1_767_225_900);
        Self {
            id: "0f8fad5bd9cb469fa16570867728950e".to_owned(),
            is_current: true,
            device: "Firefox on Linux".to_owned(),
            user_agent: "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0".to_owned(),
            ip_address: "192.0.2.7".to_owned(),
            created_at: time(),
            last_used_at: time(),
            expires_at: time(),
        }
    }
}

impl Example for SessionsResponse {
    fn example() -> Self {
        Self {
            sessions: vec![SessionDetails::example()],
        }
    }
}

pub async fn sessions(
    state: web::Data<AppState>,
    context: Context,
    current: CurrentUser,
) -> Result<HttpResponse, ApiError> {
    let message = FindOwnSessions {
        user_id: current.user.id,
        asking_sid: current.sid.clone(),
        times: live_times(&state),
    };
    let found = state.db.call(message).await?;
    let details = |session: OwnSession| SessionDetails {
        is_current: current.sid.as_ref() == Some(&session.sid),
        id: session.sid,
        device: state
            .texts
            .text(&device::of(&session.user_agent), context.language),
        user_agent: session.user_agent,
        ip_address: session.address,
        created_at: time(session.created_at_ms),
        last_used_at: time(session.last_used_at_ms),
        expires_at: time(session.expires_at_ms),
    };
    let sessions = found.into_iter().map(details).collect();
    Ok(json(StatusCode::OK, &SessionsResponse { sessions }))
}

fn time(unix_ms: i64) -> String {
    iso_8601(unix_ms.div_euclid(1000))
}
