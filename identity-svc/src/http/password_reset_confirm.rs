//! `POST password/reset/confirm/` (contract section 7). A refused attempt does not use the token up.

use actix_web::web;
use shared::secret::Secret;

use super::body::{Body, RequestBody};
use super::fields::FieldReader;
use super::password_change::check_new_password;
use super::responses::Detail;
use super::{ApiError, AppState, Context};
use crate::db::messages::{FindReset, FoundReset, ResetPassword};
use crate::domain::password_rules;
use crate::domain::texts::Text;
use crate::tokens::one_time;

pub struct PasswordResetConfirmRequest {
    pub new_password1: Secret<String>,
    pub new_password2: Secret<String>,
    pub uid: String,
    pub token: Secret<String>,
}

impl RequestBody for PasswordResetConfirmRequest {
    fn read(fields: &mut FieldReader<'_>) -> Self {
        Self {
            new_password1: Secret::new(fields.required_up_to("new_password1", password_rules::MAX_CHARS)),
            new_password2: Secret::new(fields.required_up_to("new_password2", password_rules::MAX_CHARS)),
            uid: fields.required("uid"),
            token: Secret::new(fields.required("token")),
        }
    }
}

pub async fn password_reset_confirm(
    state: web::Data<AppState>,
    context: Context,
    body: Body<PasswordResetConfirmRequest>,
) -> Result<Detail, ApiError> {
    reset_password(&state, &context, body.valid()?).await?;
    Ok(Detail::ok(&state, &context, &Text::ResetDone))
}

/// Sets a new password with a reset link's `uid` and token; both pages and API do it here.
pub async fn reset_password(
    state: &AppState,
    context: &Context,
    request: PasswordResetConfirmRequest,
) -> Result<(), ApiError> {
    let bad_token = || ApiError::field("token", Text::InvalidValue);
    let now_ms = state.clock.now_ms();
    let message = FindReset {
        uid: request.uid,
        digest: one_time::digest(request.token.expose()),
        now_ms,
    };
    let (user, token) = match state.db.call(message).await? {
        FoundReset::UnknownUid => return Err(ApiError::field("uid", Text::InvalidValue)),
        FoundReset::BadToken => return Err(bad_token()),
        FoundReset::Good { user, token } => (user, token),
    };
    check_new_password(&request.new_password1, &request.new_password2, &user)?;
    let new_password = Secret::new(state.passwords.hash(request.new_password1).await?);
    let now_ms = state.clock.now_ms();
    let is_reset = state
        .db
        .call(ResetPassword {
            token,
            new_password,
            notice: context.new_notice(state, now_ms),
            now_ms,
        })
        .await?;
    if !is_reset {
        return Err(bad_token());
    }
    state.db.outbox_changed().notify_one();
    Ok(())
}
