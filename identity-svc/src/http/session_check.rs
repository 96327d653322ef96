//! What the database says of a refresh token whose signature and times are good.

use shared::jwt::{Claims, TokenError};

use super::{ApiError, AppState};
use crate::db::messages::{FindSession, FindUser, LiveTimes, SessionState, is_in_grace};

/// A live session that a refresh token points to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LiveSession {
    pub user_id: i64,
    /// The generation that the token has.
    pub generation: i64,
    pub created_at_ms: i64,
    pub last_used_at_ms: Option<i64>,
}

/// Why a refresh token is not good for its session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    Token(TokenError),
    /// It was rotated out, and its grace time has passed: somebody may have a copy.
    Reused,
    /// The account is gone or switched off.
    NoAccount,
}

/// Looks the session of a refresh token up. Changes nothing.
///
/// # Errors
/// The outer one: when the database cannot say.
pub async fn check_refresh(
    state: &AppState,
    claims: &Claims,
    sid: &str,
) -> Result<Result<LiveSession, Refusal>, ApiError> {
    let invalid = Ok(Err(Refusal::Token(TokenError::Invalid)));
    let (Some(user_id), Some(generation)) = (user_id(claims), claims.generation) else {
        return invalid;
    };
    let Some(found) = state.db.call(FindSession { sid: sid.to_owned() }).await? else {
        // Its session is gone, so it has expired long ago by our clock, or was never ours.
        let has_account = state.db.call(FindUser { id: user_id }).await?.is_some();
        return Ok(Err(if has_account {
            Refusal::Token(TokenError::Blacklisted)
        } else {
            Refusal::NoAccount
        }));
    };
    if found.user_id != user_id {
        return invalid;
    }
    if !found.user.is_some_and(|user| user.is_active) {
        return Ok(Err(Refusal::NoAccount));
    }
    let SessionState::Live {
        generation: current,
        rotated_at_ms,
    } = found.state
    else {
        return Ok(Err(Refusal::Token(TokenError::Blacklisted)));
    };
    if generation > current {
        return invalid;
    }
    let limits = state.tokens.limits();
    let used_at_ms = found.last_used_at_ms.unwrap_or(found.created_at_ms);
    let now_ms = state.clock.now_ms();
    if found.created_at_ms <= limits.opened_after_ms(now_ms) || used_at_ms <= limits.used_after_ms(now_ms) {
        return Ok(Err(Refusal::Token(TokenError::Expired)));
    }
    let is_in_grace = is_in_grace(rotated_at_ms, state.settings.rotation_grace, now_ms);
    let is_good = generation == current || (generation.saturating_add(1) == current && is_in_grace);
    Ok(if is_good {
        Ok(LiveSession {
            user_id,
            generation,
            created_at_ms: found.created_at_ms,
            last_used_at_ms: found.last_used_at_ms,
        })
    } else {
        Err(Refusal::Reused)
    })
}

/// What a session must not have reached to be listed.
pub fn live_times(state: &AppState) -> LiveTimes {
    let (limits, now_ms) = (state.tokens.limits(), state.clock.now_ms());
    LiveTimes {
        now_ms,
        opened_after_ms: limits.opened_after_ms(now_ms),
        used_after_ms: limits.used_after_ms(now_ms),
    }
}

/// The account's number.
pub fn user_id(claims: &Claims) -> Option<i64> {
    claims.user_id.as_deref()?.parse().ok()
}

/// When a token ends (Unix milliseconds).
pub fn expiry_ms(claims: &Claims) -> i64 {
    claims.exp.unwrap_or_default().saturating_mul(1000)
}
