//! The limit of tries at a password, as handlers use it: reserved before the hash, settled or given back after it.

use super::{ApiError, AppState, Context};
use crate::db::messages::{Attempt, GiveBackAttempt, LoginLimit, ReserveAttempt, SettleAttempt, User};

/// Counts a try before its password is looked at. `None`: there is no limit.
///
/// # Errors
/// `Throttled` after too many failures.
pub async fn reserve(state: &AppState, attempt: Attempt) -> Result<Option<Attempt>, ApiError> {
    let limit = LoginLimit {
        free_failures: state.settings.login_failures,
    };
    if limit.free_failures == 0 {
        return Ok(None);
    }
    let message = ReserveAttempt {
        attempt: attempt.clone(),
        limit,
        now_ms: state.clock.now_ms(),
    };
    match state.db.call(message).await? {
        None => Ok(Some(attempt)),
        Some(wait_ms) => Err(ApiError::Throttled {
            wait_seconds: seconds(wait_ms),
        }),
    }
}

/// Takes back a try whose password could not be looked at.
pub async fn give_back(state: &AppState, context: &Context, attempt: Option<Attempt>) {
    let Some(attempt) = attempt else { return };
    if let Err(error) = state.db.call(GiveBackAttempt { attempt }).await {
        log::warn!(request_id:% = context.request_id; "a login that could not be checked stays counted: {error}");
    }
}

/// After the right password of `user`.
///
/// # Errors
/// When the database is away.
pub async fn settle(state: &AppState, attempt: Option<Attempt>, user: &User) -> Result<(), ApiError> {
    let Some(attempt) = attempt else { return Ok(()) };
    let message = SettleAttempt {
        attempt,
        user: user.clone(),
    };
    Ok(state.db.call(message).await?)
}

/// Whole seconds, rounded up, at least one.
fn seconds(wait_ms: i64) -> u64 {
    u64::try_from(wait_ms).unwrap_or(0).div_ceil(1000).max(1)
}
