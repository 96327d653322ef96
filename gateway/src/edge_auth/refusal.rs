//! Why a request gets no further, in the contract's shapes (section 3).

use actix_http::StatusCode;
use shared::jwt::TokenError;

use crate::error::GatewayError;
use crate::message::Answer;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    NotAuthenticated,
    BearerMalformed,
    Token(TokenError),
    NoUser,
    /// Nobody can say now whether the token is good.
    Unavailable,
}

impl Refusal {
    pub fn answer(&self) -> Answer {
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
            Self::Unavailable => return GatewayError::Unavailable.answer(),
        };
        let mut answer = Answer::json(StatusCode::UNAUTHORIZED, body);
        answer.fields.set("www-authenticate", "Bearer realm=\"api\"");
        answer.fields.set("content-language", "en");
        answer
    }
}
