//! Confirms an address with the key of a mail's link.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use minijinja::context;

use super::RESEND;
use super::page::Page;
use crate::db::messages::FindVerification;
use crate::http::{ApiError, confirm_email};
use crate::tokens::one_time;

/// A link that is used up is told so before its button is pressed.
pub async fn show(page: Page, key: web::Path<String>) -> HttpResponse {
    let message = FindVerification {
        digest: one_time::digest(&key),
        now_ms: page.state.clock.now_ms(),
    };
    match page.state.db.call(message).await {
        Ok(true) => page.answer(
            StatusCode::OK,
            "confirm.html",
            context! { title => "confirm-title" },
        ),
        Ok(false) => failed(&page),
        Err(error) => page.refusal(&error.into()),
    }
}

pub async fn confirm(page: Page, key: web::Path<String>) -> HttpResponse {
    match confirm_email(&page.state, &key).await {
        Ok(()) => page.message(StatusCode::OK, "confirm-done", None),
        Err(ApiError::NotFound) => failed(&page),
        Err(error) => page.refusal(&error),
    }
}

fn failed(page: &Page) -> HttpResponse {
    let next = Some((page.link(RESEND), "resend-again"));
    page.message(StatusCode::NOT_FOUND, "confirm-failed", next)
}
