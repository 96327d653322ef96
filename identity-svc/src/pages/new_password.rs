//! Sets a new password with the `uid` and token of a mail's link.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use minijinja::context;
use shared::secret::Secret;

use super::ASK;
use super::page::Page;
use crate::db::messages::{FindReset, FoundReset};
use crate::domain::field_errors::FieldErrors;
use crate::domain::password_rules;
use crate::domain::texts::Text;
use crate::http::{ApiError, Body, FieldReader, PasswordResetConfirmRequest, RequestBody, reset_password};
use crate::tokens::one_time;

/// Both passwords.
pub struct NewPasswordForm {
    new_password1: Secret<String>,
    new_password2: Secret<String>,
}

impl RequestBody for NewPasswordForm {
    fn read(fields: &mut FieldReader<'_>) -> Self {
        let mut password = |name| Secret::new(fields.required_up_to(name, password_rules::MAX_CHARS));
        Self {
            new_password1: password("new_password1"),
            new_password2: password("new_password2"),
        }
    }
}

/// A link that is used up is told so before a password is thought up for it. Looking uses nothing up.
pub async fn show(page: Page, path: web::Path<(String, String)>) -> HttpResponse {
    let (uid, token) = path.into_inner();
    let message = FindReset {
        uid,
        digest: one_time::digest(&token),
        now_ms: page.state.clock.now_ms(),
    };
    match page.state.db.call(message).await {
        Ok(FoundReset::Good { .. }) => form(&page, StatusCode::OK, &FieldErrors::new()),
        Ok(FoundReset::UnknownUid | FoundReset::BadToken) => failed(&page),
        Err(error) => page.refusal(&error.into()),
    }
}

pub async fn set(
    page: Page,
    path: web::Path<(String, String)>,
    sent: Result<Body<NewPasswordForm>, ApiError>,
) -> HttpResponse {
    match take(&page, path.into_inner(), sent).await {
        Ok(()) => page.message(StatusCode::OK, "reset-done", None),
        Err(ApiError::Validation(errors)) if errors.has("uid") || errors.has("token") => failed(&page),
        Err(ApiError::Validation(errors)) => {
            form(&page, StatusCode::BAD_REQUEST, &beside_their_fields(&errors))
        }
        Err(error) => page.refusal(&error),
    }
}

async fn take(
    page: &Page,
    (uid, token): (String, String),
    sent: Result<Body<NewPasswordForm>, ApiError>,
) -> Result<(), ApiError> {
    page.check_budget()?;
    let NewPasswordForm {
        new_password1,
        new_password2,
    } = sent?.valid()?;
    let request = PasswordResetConfirmRequest {
        new_password1,
        new_password2,
        uid,
        token: Secret::new(token),
    };
    reset_password(&page.state, &page.context, request).await
}

/// The contract puts what is wrong with a password beside its repetition. Who reads a page looks for it where the
/// password was typed first, and for a difference between the two at the second.
fn beside_their_fields(errors: &FieldErrors) -> FieldErrors {
    let is_rule = |text: &Text| {
        matches!(
            text,
            Text::SimilarTo(_) | Text::TooShort { .. } | Text::TooCommon | Text::AllNumeric
        )
    };
    let mut beside = FieldErrors::new();
    for (field, text) in errors
        .iter()
        .flat_map(|(field, texts)| texts.iter().map(move |text| (field, text)))
    {
        let field = if is_rule(text) { "new_password1" } else { field };
        beside.add(field, text.clone());
    }
    beside
}

fn form(page: &Page, status: StatusCode, errors: &FieldErrors) -> HttpResponse {
    let facts = context! { title => "reset-title", errors => page.errors(errors) };
    page.answer(status, "new_password.html", facts)
}

fn failed(page: &Page) -> HttpResponse {
    let next = Some((page.link(ASK), "ask-again"));
    page.message(StatusCode::NOT_FOUND, "reset-failed", next)
}
