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

/// An answer as the OpenAPI document shows it, made of the type that goes out: its properties are the document's.
pub trait Example: Serialize {
    fn example() -> Self;
}

/// What a token looks like: the parts of a JWT, with nothing in them.
pub const EXAMPLE_TOKEN: &str = "eyJ0eXAiOiJKV1QifQ.e30.c2lnbmF0dXJl";

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

impl Example for UserDetails {
    fn example() -> Self {
        Self {
            pk: 1,
            username: "ann".to_owned(),
            email: "ann@example.org".to_owned(),
            first_name: String::new(),
            last_name: String::new(),
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

impl Example for LoginResponse {
    fn example() -> Self {
        Self {
            access: EXAMPLE_TOKEN.to_owned(),
            refresh: EXAMPLE_TOKEN.to_owned(),
            user: UserDetails::example(),
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
