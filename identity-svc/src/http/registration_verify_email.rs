//! `POST registration/verify-email/` (contract section 6). The key is read from the body only.

use actix_web::web;

use super::body::{Body, RequestBody};
use super::fields::FieldReader;
use super::responses::Detail;
use super::{ApiError, AppState, Context};
use crate::db::messages::ConfirmEmail;
use crate::domain::texts::Text;
use crate::tokens::one_time;

pub struct VerifyEmailRequest {
    key: String,
}

impl RequestBody for VerifyEmailRequest {
    fn read(fields: &mut FieldReader<'_>) -> Self {
        Self {
            key: fields.required("key"),
        }
    }
}

pub async fn registration_verify_email(
    state: web::Data<AppState>,
    context: Context,
    body: Body<VerifyEmailRequest>,
) -> Result<Detail, ApiError> {
    let request = body.valid()?;
    confirm_email(&state, &request.key).await?;
    Ok(Detail::ok(&state, &context, &Text::Ok))
}

/// Uses a verification key up; `NotFound` when it is not good.
pub async fn confirm_email(state: &AppState, key: &str) -> Result<(), ApiError> {
    let message = ConfirmEmail {
        digest: one_time::digest(key),
        now_ms: state.clock.now_ms(),
    };
    if state.db.call(message).await? {
        Ok(())
    } else {
        Err(ApiError::NotFound)
    }
}
