//! Why a request gets no further, in the contract's shapes (section 3).

use actix_http::StatusCode;
use actix_web::http::header;
use actix_web::{HttpResponse, ResponseError};
use shared::jwt::TokenError;

use crate::error::{GatewayError, json};

/// Its text is for the log; clients get [`Refusal::response`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("no access token was sent")]
    NotAuthenticated,
    #[error("the Authorization header is malformed")]
    BearerMalformed,
    #[error("{0}")]
    Token(TokenError),
    #[error("the token names no user")]
    NoUser,
    /// Nobody can say now whether the token is good.
    #[error("nobody can say whether the token is good")]
    Unavailable,
}

impl Refusal {
    /// 401, or 503 when nobody can say.
    pub fn response(&self) -> HttpResponse {
        let body = match self {
            Self::NotAuthenticated => {
                r#"{"detail": "Authentication credentials were not provided."}"#.to_owned()
            }
            Self::BearerMalformed => concat!(
                r#"{"detail": "Authorization header must contain two space-delimited values", "#,
                r#""code": "bad_authorization_header"}"#
            )
            .to_owned(),
            Self::Token(error) => format!(
                "{{\"detail\": \"Given token not valid for any token type\", \"code\": \"token_not_valid\", \
                 \"messages\": [{{\"token_class\": \"AccessToken\", \"token_type\": \"access\", \
                 \"message\": \"{error}\"}}]}}"
            ),
            Self::NoUser => concat!(
                r#"{"detail": "Token contained no recognizable user identification", "#,
                r#""code": "token_not_valid"}"#
            )
            .to_owned(),
            Self::Unavailable => return GatewayError::Unavailable.error_response(),
        };
        json(StatusCode::UNAUTHORIZED)
            .insert_header((header::WWW_AUTHENTICATE, "Bearer realm=\"api\""))
            .insert_header((header::CONTENT_LANGUAGE, "en"))
            .body(body)
    }
}

impl ResponseError for Refusal {
    fn status_code(&self) -> StatusCode {
        match self {
            Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::UNAUTHORIZED,
        }
    }

    fn error_response(&self) -> HttpResponse {
        self.response()
    }
}
