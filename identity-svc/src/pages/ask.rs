//! Asks for an address and has a mail sent to it: one with which to set a new password, or another one to confirm it
//! with. The answer tells nothing of the address.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use minijinja::context;

use super::check_budget;
use super::page::{Page, Pages};
use crate::domain::field_errors::FieldErrors;
use crate::http::{ApiError, AppState, Body, Context, EmailRequest, FieldReader, RequestBody, request_mail};
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

pub async fn show_reset(
    pages: web::Data<Pages>,
    state: web::Data<AppState>,
    context: Context,
    request: HttpRequest,
) -> HttpResponse {
    let page = Page::new(&pages, &state, &context, &request);
    form(&page, "ask", StatusCode::OK, "", &FieldErrors::new())
}

pub async fn show_resend(
    pages: web::Data<Pages>,
    state: web::Data<AppState>,
    context: Context,
    request: HttpRequest,
) -> HttpResponse {
    let page = Page::new(&pages, &state, &context, &request);
    form(&page, "resend", StatusCode::OK, "", &FieldErrors::new())
}

pub async fn reset(
    pages: web::Data<Pages>,
    state: web::Data<AppState>,
    context: Context,
    request: HttpRequest,
    sent: Sent,
) -> HttpResponse {
    let page = Page::new(&pages, &state, &context, &request);
    let answered = take(&page, &state, sent, Purpose::ResetPassword).await;
    answered.unwrap_or_else(|error| page.refusal(&error))
}

pub async fn resend(
    pages: web::Data<Pages>,
    state: web::Data<AppState>,
    context: Context,
    request: HttpRequest,
    sent: Sent,
) -> HttpResponse {
    let page = Page::new(&pages, &state, &context, &request);
    let answered = take(&page, &state, sent, Purpose::VerifyEmail).await;
    answered.unwrap_or_else(|error| page.refusal(&error))
}

async fn take(
    page: &Page<'_>,
    state: &AppState,
    sent: Sent,
    purpose: Purpose,
) -> Result<HttpResponse, ApiError> {
    let context = page.context();
    check_budget(&context)?;
    let words = match purpose {
        Purpose::ResetPassword => "ask",
        Purpose::VerifyEmail => "resend",
    };
    let (AskForm { request, typed }, errors) = sent?.into_parts();
    if !errors.is_empty() {
        return Ok(form(page, words, StatusCode::BAD_REQUEST, &typed, &errors));
    }
    request_mail(state, &context, &request, purpose).await?;
    let facts = context! {
        title => format!("{words}-sent-title"), words => format!("{words}-sent"), tone => "good", address => typed,
    };
    Ok(page.answer(StatusCode::OK, "message.html", facts))
}

fn form(page: &Page<'_>, words: &str, status: StatusCode, typed: &str, errors: &FieldErrors) -> HttpResponse {
    let facts = context! {
        title => format!("{words}-title"), words => words,
        values => context! { email => typed }, errors => page.errors(errors),
    };
    page.answer(status, "ask.html", facts)
}
