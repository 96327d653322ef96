//! Answers that several endpoints give.

use actix_web::body::BoxBody;
use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, Responder};
use serde::Serialize;

use super::AppState;
use super::context::Context;
use crate::db::messages::User;
use crate::domain::texts::Text;
use crate::tokens::TokenPair;

/// `{"detail": "..."}` in the language of the request.
pub struct Detail {
    body: String,
    status: StatusCode,
}

impl Detail {
    pub fn ok(state: &AppState, context: &Context, text: &Text) -> Self {
        Self::with_status(state, context, text, StatusCode::OK)
    }

    pub fn with_status(state: &AppState, context: &Context, text: &Text, status: StatusCode) -> Self {
        let detail = state.texts.text(text, context.language);
        Self {
            body: serde_json::json!({ "detail": detail }).to_string(),
            status,
        }
    }
}

impl Responder for Detail {
    type Body = BoxBody;

    fn respond_to(self, _: &HttpRequest) -> HttpResponse {
        HttpResponse::build(self.status)
            .content_type("application/json")
            .body(self.body)
    }
}

/// The account as its owner sees it: the answer of `user/`, and a part of a login's.
#[derive(Debug, Serialize)]
pub struct UserDetails {
    pub pk: i64,
    pub username: String,
    pub email: String,
    pub first_name: String,
    pub last_name: String,
}

impl From<User> for UserDetails {
    fn from(user: User) -> Self {
        let User {
            id,
            username,
            email,
            first_name,
            last_name,
            ..
        } = user;
        Self {
            pk: id,
            username,
            email,
            first_name,
            last_name,
        }
    }
}

/// The answer of a login, and of a registration that logs in.
#[derive(Serialize)]
pub struct LoginResponse {
    access: String,
    refresh: String,
    user: UserDetails,
}

impl LoginResponse {
    pub fn new(tokens: TokenPair, user: User) -> Self {
        Self {
            access: tokens.access.text,
            refresh: tokens.refresh.text,
            user: user.into(),
        }
    }
}

/// Any answer that serialises, as JSON.
pub fn json<T: Serialize>(status: StatusCode, body: &T) -> HttpResponse {
    match serde_json::to_string(body) {
        Ok(text) => HttpResponse::build(status)
            .content_type("application/json")
            .body(text),
        Err(error) => HttpResponse::from_error(super::ApiError::Internal(error.to_string())),
    }
}
