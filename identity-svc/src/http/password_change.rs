//! `POST password/change/` (contract section 7). The session that asks goes on, the account's others end.

use actix_web::web;
use shared::secret::Secret;

use super::bearer::CurrentUser;
use super::body::{Body, RequestBody};
use super::fields::FieldReader;
use super::responses::Detail;
use super::{ApiError, AppState, Context, login_attempts};
use crate::db::messages::{Attempt, ChangePassword, User};
use crate::domain::field_errors::FieldErrors;
use crate::domain::password_rules::{self, UserAttributes};
use crate::domain::texts::Text;

pub struct PasswordChangeRequest {
    old_password: Secret<String>,
    new_password1: Secret<String>,
    new_password2: Secret<String>,
}

impl RequestBody for PasswordChangeRequest {
    fn read(fields: &mut FieldReader<'_>) -> Self {
        let mut password = |name| Secret::new(fields.required_up_to(name, password_rules::MAX_CHARS));
        Self {
            old_password: password("old_password"),
            new_password1: password("new_password1"),
            new_password2: password("new_password2"),
        }
    }
}

pub async fn password_change(
    state: web::Data<AppState>,
    context: Context,
    current: CurrentUser,
    body: Body<PasswordChangeRequest>,
) -> Result<Detail, ApiError> {
    let (request, errors) = body.into_parts();
    let user = current.user;
    check_old_password(&state, &context, &user, &request.old_password, errors).await?;
    check_new_password(&request.new_password1, &request.new_password2, &user)?;
    let new_password = Secret::new(state.passwords.hash(request.new_password1).await?);
    let now_ms = state.clock.now_ms();
    let message = ChangePassword {
        user_id: user.id,
        checked_password: Secret::new(user.password),
        new_password,
        keep_sid: current.sid,
        notice: context.new_notice(&state, now_ms),
        now_ms,
    };
    // Another change was faster: the old password is not the old one any more.
    if !state.db.call(message).await? {
        return Err(ApiError::field("old_password", Text::WrongOldPassword));
    }
    state.db.outbox_changed().notify_one();
    Ok(Detail::ok(&state, &context, &Text::PasswordChanged))
}

/// The old password is checked together with the form of the fields. Guesses are slowed down as at a login.
async fn check_old_password(
    state: &AppState,
    context: &Context,
    user: &User,
    old_password: &Secret<String>,
    errors: FieldErrors,
) -> Result<(), ApiError> {
    if errors.has("old_password") || errors.has(crate::domain::field_errors::NON_FIELD) {
        return Err(ApiError::Validation(errors));
    }
    let attempt = Attempt::of_account(user, &context.client_address);
    let attempt = login_attempts::reserve(state, attempt).await?;
    let encoded = Some(user.password.clone());
    let verified = match state.passwords.verify(old_password.clone(), encoded).await {
        Ok(verified) => verified,
        Err(error) => {
            login_attempts::give_back(state, context, attempt).await;
            return Err(error.into());
        }
    };
    if !verified.matches {
        let mut all = FieldErrors::of("old_password", Text::WrongOldPassword);
        for (field, texts) in errors.iter() {
            all.add_all(field, texts.iter().cloned());
        }
        return Err(ApiError::Validation(all));
    }
    login_attempts::settle(state, attempt, user).await?;
    if errors.is_empty() {
        Ok(())
    } else {
        Err(ApiError::Validation(errors))
    }
}

/// The new password twice, and the four rules.
pub fn check_new_password(new1: &Secret<String>, new2: &Secret<String>, user: &User) -> Result<(), ApiError> {
    if new1 != new2 {
        return Err(ApiError::field("new_password2", Text::Mismatch));
    }
    let attributes = UserAttributes {
        username: &user.username,
        first_name: &user.first_name,
        last_name: &user.last_name,
        email: &user.email,
    };
    let mut errors = FieldErrors::new();
    errors.add_all("new_password2", password_rules::all(new2.expose(), &attributes));
    if errors.is_empty() {
        Ok(())
    } else {
        Err(ApiError::Validation(errors))
    }
}
