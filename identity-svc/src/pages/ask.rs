//! Asks for an address and has a mail sent to it: one with which to set a new password, or another one to confirm it
//! with. The answer tells nothing of the address.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use minijinja::context;

use super::page::Page;
use crate::domain::field_errors::FieldErrors;
use crate::http::{ApiError, Body, EmailRequest, FieldReader, RequestBody, request_mail};
use crate::tokens::one_time::Purpose;

/// The form, with what was typed, so that it can be corrected.
pub struct AskForm {
    request: EmailRequest,
    typed: String,
}

impl RequestBody for AskForm {
    fn read(fields: &mut FieldReader<'_>) -> Self {
        Self {
            typed: fields.typed("email"),
            request: EmailRequest::read(fields),
        }
    }
}

type Sent = Result<Body<AskForm>, ApiError>;

pub async fn show_reset(page: Page) -> HttpResponse {
    form(&page, "ask", StatusCode::OK, "", &FieldErrors::new())
}

pub async fn show_resend(page: Page) -> HttpResponse {
    form(&page, "resend", StatusCode::OK, "", &FieldErrors::new())
}

pub async fn reset(page: Page, sent: Sent) -> HttpResponse {
    let answered = take(&page, sent, Purpose::ResetPassword).await;
    answered.unwrap_or_else(|error| page.refusal(&error))
}

pub async fn resend(page: Page, sent: Sent) -> HttpResponse {
    let answered = take(&page, sent, Purpose::VerifyEmail).await;
    answered.unwrap_or_else(|error| page.refusal(&error))
}

async fn take(page: &Page, sent: Sent, purpose: Purpose) -> Result<HttpResponse, ApiError> {
    page.check_budget()?;
    let words = match purpose {
        Purpose::ResetPassword => "ask",
        Purpose::VerifyEmail => "resend",
    };
    let (AskForm { request, typed }, errors) = sent?.into_parts();
    if !errors.is_empty() {
        return Ok(form(page, words, StatusCode::BAD_REQUEST, &typed, &errors));
    }
    request_mail(&page.state, &page.context, &request, purpose).await?;
    let facts = context! {
        title => format!("{words}-sent-title"), words => format!("{words}-sent"), tone => "good", address => typed,
    };
    Ok(page.answer(StatusCode::OK, "message.html", facts))
}

fn form(page: &Page, words: &str, status: StatusCode, typed: &str, errors: &FieldErrors) -> HttpResponse {
    let facts = context! {
        title => format!("{words}-title"), words => words,
        values => context! { email => typed }, errors => page.errors(errors),
    };
    page.answer(status, "ask.html", facts)
}
