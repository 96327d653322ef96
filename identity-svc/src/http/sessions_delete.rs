//! `DELETE sessions/<id>/`: ends one session of the account, as a logout would. Beyond the contract.

use actix_web::{HttpResponse, web};
use shared::jwt::TokenError;

use super::bearer::CurrentUser;
use super::{ApiError, AppState};
use crate::db::messages::{EndOwnSession, EndedOwn};

/// Somebody else's session is answered as an unknown one.
pub async fn sessions_delete(
    state: web::Data<AppState>,
    current: CurrentUser,
    id: web::Path<String>,
) -> Result<HttpResponse, ApiError> {
    if !is_session_id(&id) {
        return Err(ApiError::NotFound);
    }
    let message = EndOwnSession {
        user_id: current.user.id,
        asking_sid: current.sid,
        sid: id.into_inner(),
        now_ms: state.clock.now_ms(),
    };
    match state.db.call(message).await? {
        EndedOwn::Ended => Ok(HttpResponse::NoContent().finish()),
        EndedOwn::NotFound => Err(ApiError::NotFound),
        EndedOwn::AskingEnded => Err(ApiError::bearer_refused(TokenError::Invalid)),
    }
}

/// What `shared::random::hex_128` makes. Anything else needs no look into the database.
pub fn is_session_id(id: &str) -> bool {
    id.len() == 32 && id.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}
