//! `POST sessions/revoke-others/`: ends all sessions of the account but the one that asks. Beyond the contract.

use actix_web::web;
use shared::jwt::TokenError;

use super::bearer::CurrentUser;
use super::body::{Body, RequestBody};
use super::fields::FieldReader;
use super::responses::Detail;
use super::{ApiError, AppState, Context};
use crate::db::messages::{EndOtherSessions, EndedOwn};
use crate::domain::texts::Text;

/// It has no fields, and what cannot be read is refused as everywhere.
pub struct RevokeOthersRequest;

impl RequestBody for RevokeOthersRequest {
    fn read(_: &mut FieldReader<'_>) -> Self {
        Self
    }
}

pub async fn sessions_revoke_others(
    state: web::Data<AppState>,
    context: Context,
    current: CurrentUser,
    body: Body<RevokeOthersRequest>,
) -> Result<Detail, ApiError> {
    body.valid()?;
    let message = EndOtherSessions {
        user_id: current.user.id,
        asking_sid: current.sid,
        now_ms: state.clock.now_ms(),
    };
    match state.db.call(message).await? {
        EndedOwn::AskingEnded => Err(ApiError::bearer_refused(TokenError::Invalid)),
        EndedOwn::Ended | EndedOwn::NotFound => Ok(Detail::ok(&state, &context, &Text::OtherSessionsEnded)),
    }
}
