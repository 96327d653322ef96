//! Every refusal of the API: one enum, one place that turns it into status and JSON (contract sections 2 to 12).

use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderValue};
use actix_web::{HttpResponse, ResponseError};
use serde_json::{Map, Value, json};
use shared::jwt::TokenError;

use crate::db::DbError;
use crate::domain::field_errors::FieldErrors;
use crate::domain::languages::{Catalogue, Language};
use crate::domain::texts::Text;
use crate::passwords::HashError;
use crate::tokens::key_file::KeysError;

/// How long a client should wait when the database cannot be used, in seconds.
const RETRY_AFTER_SECONDS: u64 = 2;

/// A 401. The contract gives them four shapes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unauthenticated {
    pub text: Text,
    pub code: Option<&'static str>,
    /// Why the bearer token was refused; the contract repeats it in `messages`.
    pub token_message: Option<Text>,
    /// Whether `WWW-Authenticate` goes with it: always, but for the refresh token of `logout/`.
    pub challenge: bool,
}

/// A refusal. The variants are what handlers say; status and shape are decided below.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ApiError {
    /// Fields that are wrong: 400, a list of texts for each.
    #[error("fields are wrong")]
    Validation(FieldErrors),
    /// A body that cannot be read: 400.
    #[error("the body cannot be read")]
    Malformed(Text),
    #[error("not authenticated")]
    Unauthenticated(Unauthenticated),
    #[error("not found")]
    NotFound,
    #[error("method {0} not allowed")]
    MethodNotAllowed(String),
    #[error("not acceptable")]
    NotAcceptable,
    #[error("the body is too large")]
    TooLarge,
    #[error("unsupported media type")]
    UnsupportedMediaType(String),
    #[error("throttled for {wait_seconds} s")]
    Throttled { wait_seconds: u64 },
    /// Something that we need is away or overloaded: 503. `cause` is for the log only.
    #[error("unavailable: {cause}")]
    Unavailable { retry_after_seconds: u64, cause: String },
    /// A fault of ours: 500. `cause` is for the log only.
    #[error("internal error: {0}")]
    Internal(String),
}

impl ApiError {
    /// One field with one text.
    pub fn field(field: &'static str, text: Text) -> Self {
        Self::Validation(FieldErrors::of(field, text))
    }

    /// 401 without a code, with the challenge.
    pub fn unauthenticated(text: Text, code: Option<&'static str>) -> Self {
        Self::Unauthenticated(Unauthenticated {
            text,
            code,
            token_message: None,
            challenge: true,
        })
    }

    /// A refused token in the body of `token/*`.
    pub fn token_refused(error: TokenError) -> Self {
        Self::unauthenticated(token_text(error), Some("token_not_valid"))
    }

    /// A refused token in the `Authorization` header.
    pub fn bearer_refused(error: TokenError) -> Self {
        Self::Unauthenticated(Unauthenticated {
            text: Text::TokenNotAccepted,
            code: Some("token_not_valid"),
            token_message: Some(token_text(error)),
            challenge: true,
        })
    }

    /// A refused refresh token at `logout/`.
    pub fn logout_refused(text: Text) -> Self {
        Self::Unauthenticated(Unauthenticated {
            text,
            code: None,
            token_message: None,
            challenge: false,
        })
    }

    /// The body in a language; 5xx bodies are fixed text.
    pub fn body(&self, texts: &Catalogue, language: Language) -> Value {
        let say = |text: &Text| texts.text(text, language);
        match self {
            Self::Validation(errors) => {
                let mut body = Map::new();
                for (field, messages) in errors.iter() {
                    body.insert(field.to_owned(), messages.iter().map(say).collect());
                }
                Value::Object(body)
            }
            Self::Unauthenticated(refusal) => {
                let mut body = Map::new();
                body.insert("detail".to_owned(), say(&refusal.text).into());
                if let Some(code) = refusal.code {
                    body.insert("code".to_owned(), code.into());
                }
                if let Some(message) = &refusal.token_message {
                    let message = json!({
                        "token_class": "AccessToken", "token_type": "access", "message": say(message),
                    });
                    body.insert("messages".to_owned(), json!([message]));
                }
                Value::Object(body)
            }
            other => json!({ "detail": say(&other.detail()) }),
        }
    }

    /// The one sentence of a refusal that is not about fields.
    pub fn detail(&self) -> Text {
        match self {
            Self::Malformed(text) => text.clone(),
            Self::Unauthenticated(refusal) => refusal.text.clone(),
            Self::NotFound => Text::NotFound,
            Self::MethodNotAllowed(method) => Text::MethodNotAllowed {
                method: method.clone(),
            },
            Self::NotAcceptable => Text::NotAcceptable,
            Self::TooLarge => Text::BodyTooLarge,
            Self::UnsupportedMediaType(media_type) => Text::UnsupportedMediaType {
                media_type: media_type.clone(),
            },
            Self::Throttled { wait_seconds } => Text::Throttled {
                wait_seconds: *wait_seconds,
            },
            Self::Unavailable { .. } => Text::Unavailable,
            Self::Validation(_) | Self::Internal(_) => Text::InternalError,
        }
    }

    /// What the operator should know: the cause of a 5xx.
    pub fn cause(&self) -> Option<&str> {
        match self {
            Self::Unavailable { cause, .. } | Self::Internal(cause) => Some(cause),
            _ => None,
        }
    }
}

impl ResponseError for ApiError {
    fn status_code(&self) -> StatusCode {
        match self {
            Self::Validation(_) | Self::Malformed(_) => StatusCode::BAD_REQUEST,
            Self::Unauthenticated(_) => StatusCode::UNAUTHORIZED,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed(_) => StatusCode::METHOD_NOT_ALLOWED,
            Self::NotAcceptable => StatusCode::NOT_ACCEPTABLE,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::UnsupportedMediaType(_) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::Throttled { .. } => StatusCode::TOO_MANY_REQUESTS,
            Self::Unavailable { .. } => StatusCode::SERVICE_UNAVAILABLE,
            Self::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// Status and headers. The body follows in `respond.rs`, which knows the language of the request; actix-web's
    /// default would put `Display` into it.
    fn error_response(&self) -> HttpResponse {
        let mut response = HttpResponse::build(self.status_code());
        match self {
            Self::Unauthenticated(refusal) if refusal.challenge => {
                response.insert_header((
                    header::WWW_AUTHENTICATE,
                    HeaderValue::from_static("Bearer realm=\"api\""),
                ));
            }
            Self::Throttled {
                wait_seconds: seconds,
            }
            | Self::Unavailable {
                retry_after_seconds: seconds,
                ..
            } => {
                response.insert_header((header::RETRY_AFTER, seconds.to_string()));
            }
            _ => {}
        }
        response.finish()
    }
}

fn token_text(error: TokenError) -> Text {
    match error {
        TokenError::Invalid => Text::TokenInvalid,
        TokenError::Expired => Text::TokenExpired,
        TokenError::NoExpiry => Text::TokenWithoutExp,
        TokenError::NoId => Text::TokenWithoutId,
        TokenError::NoType => Text::TokenWithoutType,
        TokenError::WrongType => Text::TokenOfWrongType,
        TokenError::Blacklisted => Text::TokenBlacklisted,
    }
}

/// The text of a token error, for `logout/`.
impl From<TokenError> for Text {
    fn from(error: TokenError) -> Self {
        token_text(error)
    }
}

impl From<DbError> for ApiError {
    fn from(error: DbError) -> Self {
        let cause = error.to_string();
        match error {
            DbError::Unavailable(_) | DbError::Conflict => Self::Unavailable {
                retry_after_seconds: RETRY_AFTER_SECONDS,
                cause,
            },
            DbError::Failed(_) | DbError::Panicked => Self::Internal(cause),
        }
    }
}

impl From<HashError> for ApiError {
    fn from(error: HashError) -> Self {
        let cause = error.to_string();
        match error {
            HashError::Busy { retry_after_seconds } => Self::Unavailable {
                retry_after_seconds,
                cause,
            },
            HashError::Failed(_) => Self::Internal(cause),
        }
    }
}

impl From<KeysError> for ApiError {
    fn from(error: KeysError) -> Self {
        Self::Internal(error.to_string())
    }
}
