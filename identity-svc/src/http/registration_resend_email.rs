//! `POST registration/resend-email/` (contract section 6). The answer tells nothing of the address.

use actix_web::web;

use super::body::Body;
use super::password_reset::EmailRequest;
use super::responses::Detail;
use super::{ApiError, AppState, Context};
use crate::domain::texts::Text;
use crate::tokens::one_time::Purpose;

pub async fn registration_resend_email(
    state: web::Data<AppState>,
    context: Context,
    body: Body<EmailRequest>,
) -> Result<Detail, ApiError> {
    let request = body.valid()?;
    super::password_reset::request_mail(&state, &context, &request, Purpose::VerifyEmail).await?;
    Ok(Detail::ok(&state, &context, &Text::Ok))
}
