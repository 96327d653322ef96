//! `POST password/reset/` (contract section 7). The answer tells nothing of the address.

use std::time::Duration;

use actix_web::web;
use tokio::time::{Instant, sleep_until};

use super::body::{Body, RequestBody};
use super::fields::FieldReader;
use super::responses::Detail;
use super::{ApiError, AppState, Context};
use crate::db::messages::{RequestMail, RequestedMail};
use crate::domain::email_address;
use crate::domain::texts::Text;
use crate::tokens::one_time::Purpose;

/// No answer comes earlier than this after its request. An address that has an account costs more writes, and the
/// relay's work beside them: without this, the time of an answer tells what its text does not.
const ANSWER_AFTER: Duration = Duration::from_millis(50);

/// The body of both requests for a mail.
pub struct EmailRequest {
    email: String,
}

impl RequestBody for EmailRequest {
    fn read(fields: &mut FieldReader<'_>) -> Self {
        Self {
            email: fields.required_email("email"),
        }
    }
}

pub async fn password_reset(
    state: web::Data<AppState>,
    context: Context,
    body: Body<EmailRequest>,
) -> Result<Detail, ApiError> {
    let request = body.valid()?;
    request_mail(&state, &context, &request, Purpose::ResetPassword).await?;
    Ok(Detail::ok(&state, &context, &Text::ResetSent))
}

/// Has a mail sent if the address is one that wants it; nobody learns whether.
pub async fn request_mail(
    state: &AppState,
    context: &Context,
    request: &EmailRequest,
    purpose: Purpose,
) -> Result<(), ApiError> {
    let answer_at = Instant::now() + ANSWER_AFTER;
    let message = RequestMail {
        client: context.client_address.clone(),
        email_key: email_address::key(&request.email),
        mail: context.new_mail(state, purpose, state.clock.now_ms()),
        mails_per_hour: state.settings.mails_per_hour,
    };
    match state.db.call(message).await? {
        RequestedMail::Queued => state.db.outbox_changed().notify_one(),
        RequestedMail::NotSent => {}
        RequestedMail::ClientHasHadEnough => {
            log::info!(request_id:% = context.request_id; "this client has asked for too many mails: none is sent");
        }
    }
    sleep_until(answer_at).await;
    Ok(())
}
