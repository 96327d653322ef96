//! Confirms an address with the key of a mail's link.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use minijinja::context;

use super::RESEND;
use super::page::{Page, Pages};
use crate::db::messages::FindVerification;
use crate::http::{ApiError, AppState, Context, confirm_email};
use crate::tokens::one_time;

/// A link that is used up is told so before its button is pressed.
pub async fn show(
    pages: web::Data<Pages>,
    state: web::Data<AppState>,
    context: Context,
    request: HttpRequest,
    key: web::Path<String>,
) -> HttpResponse {
    let page = Page::new(&pages, &state, &context, &request);
    let message = FindVerification {
        digest: one_time::digest(&key),
        now_ms: state.clock.now_ms(),
    };
    match state.db.call(message).await {
        Ok(true) => page.answer(
            StatusCode::OK,
            "confirm.html",
            context! { title => "confirm-title" },
        ),
        Ok(false) => failed(&page),
        Err(error) => page.refusal(&error.into()),
    }
}

pub async fn confirm(
    pages: web::Data<Pages>,
    state: web::Data<AppState>,
    context: Context,
    request: HttpRequest,
    key: web::Path<String>,
) -> HttpResponse {
    let page = Page::new(&pages, &state, &context, &request);
    match confirm_email(&state, &key).await {
        Ok(()) => page.message(StatusCode::OK, "confirm-done", None),
        Err(ApiError::NotFound) => failed(&page),
        Err(error) => page.refusal(&error),
    }
}

fn failed(page: &Page<'_>) -> HttpResponse {
    let next = Some((page.link(RESEND), "resend-again"));
    page.message(StatusCode::NOT_FOUND, "confirm-failed", next)
}
