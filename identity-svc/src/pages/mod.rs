//! The built-in pages behind the links of mails, for those without a front end: confirm an address, set a new
//! password. Work without JavaScript. A button POSTs, so that a mail scanner's GET uses nothing up.

mod html;

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use shared::secret::Secret;

use crate::domain::field_errors::FieldErrors;
use crate::domain::password_rules;
use crate::http::{
    ApiError, AppState, Body, Context, FieldReader, PasswordResetConfirmRequest, RequestBody, confirm_email,
    reset_password,
};
use html::Page;

pub fn configure(config: &mut web::ServiceConfig) {
    let confirm = web::resource("/account/verify-email/{key}")
        .route(web::get().to(show_confirm))
        .route(web::post().to(confirm));
    let reset = web::resource("/account/password/reset/confirm/{uid}/{token}")
        .route(web::get().to(show_reset))
        .route(web::post().to(reset));
    config.service(confirm).service(reset);
}

async fn show_confirm(state: web::Data<AppState>, context: Context) -> HttpResponse {
    let page = Page::new(&state, &context);
    let form = format!(
        "{}{}",
        page.paragraph("confirm-intro"),
        page.button_form("", "confirm-button")
    );
    page.answer(StatusCode::OK, "confirm-title", &form)
}

async fn confirm(
    state: web::Data<AppState>,
    context: Context,
    key: web::Path<String>,
) -> Result<HttpResponse, ApiError> {
    let page = Page::new(&state, &context);
    match confirm_email(&state, &key).await {
        Ok(()) => Ok(page.message(StatusCode::OK, "confirm-done-title", "confirm-done")),
        Err(ApiError::NotFound) => {
            Ok(page.message(StatusCode::NOT_FOUND, "confirm-failed-title", "confirm-failed"))
        }
        Err(other) => Err(other),
    }
}

/// The form of the reset page.
struct ResetForm {
    new_password1: Secret<String>,
    new_password2: Secret<String>,
}

impl RequestBody for ResetForm {
    fn read(fields: &mut FieldReader<'_>) -> Self {
        let mut password = |name| Secret::new(fields.required_up_to(name, password_rules::MAX_CHARS));
        Self {
            new_password1: password("new_password1"),
            new_password2: password("new_password2"),
        }
    }
}

async fn show_reset(state: web::Data<AppState>, context: Context) -> HttpResponse {
    reset_page(&state, &context, StatusCode::OK, &FieldErrors::new())
}

fn reset_page(state: &AppState, context: &Context, status: StatusCode, errors: &FieldErrors) -> HttpResponse {
    let page = Page::new(state, context);
    let fields = format!(
        "{}{}",
        page.password_field("new_password1", "reset-new-password", errors, Some("reset-rules")),
        page.password_field("new_password2", "reset-repeat-password", errors, None),
    );
    let form = format!(
        "{}{}",
        page.paragraph("reset-intro"),
        page.button_form(&fields, "reset-button")
    );
    page.answer(status, "reset-title", &form)
}

async fn reset(
    state: web::Data<AppState>,
    context: Context,
    path: web::Path<(String, String)>,
    body: Body<ResetForm>,
) -> Result<HttpResponse, ApiError> {
    let (uid, token) = path.into_inner();
    let (form, errors) = body.into_parts();
    if !errors.is_empty() {
        return Ok(reset_page(&state, &context, StatusCode::BAD_REQUEST, &errors));
    }
    let ResetForm {
        new_password1,
        new_password2,
    } = form;
    let request = PasswordResetConfirmRequest {
        new_password1,
        new_password2,
        uid,
        token: Secret::new(token),
    };
    let page = Page::new(&state, &context);
    match reset_password(&state, request).await {
        Ok(()) => Ok(page.message(StatusCode::OK, "reset-done-title", "reset-done")),
        Err(ApiError::Validation(errors)) if errors.has("uid") || errors.has("token") => {
            Ok(page.message(StatusCode::BAD_REQUEST, "reset-failed-title", "reset-failed"))
        }
        Err(ApiError::Validation(errors)) => {
            Ok(reset_page(&state, &context, StatusCode::BAD_REQUEST, &errors))
        }
        Err(other) => Err(other),
    }
}
