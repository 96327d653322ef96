//! Every sentence a user can read, by name. The words are in `locales/<language>/texts.ftl`.
//!
//! Source: the tables of the contract, which has them from Django, dj-rest-auth and simplejwt.

/// A sentence with the facts that go into it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Text {
    // Fields of a request.
    Required,
    Blank,
    Null,
    NotAString,
    NulByte,
    /// In characters.
    TooLong {
        max: usize,
    },
    BadEmail,
    /// `got` is the JSON type in the contract's words: `list`, `str`, `int`, `float`, `bool`.
    NotADictionary {
        got: &'static str,
    },
    NoData,
    InvalidValue,

    // Requests as such.
    MethodNotAllowed {
        method: String,
    },
    NotAcceptable,
    UnsupportedMediaType {
        media_type: String,
    },
    NotFound,
    Throttled {
        wait_seconds: u64,
    },
    JsonParseError {
        reason: String,
    },
    MultipartParseError {
        reason: String,
    },
    BodyTooLarge,
    Unavailable,
    InternalError,

    // Login and tokens.
    NotAuthenticated,
    BearerMalformed,
    TokenNotAccepted,
    TokenWithoutUser,
    UserNotFound,
    UserInactive,
    TokenInvalid,
    TokenExpired,
    TokenWithoutExp,
    TokenWithoutId,
    TokenWithoutType,
    TokenOfWrongType,
    TokenBlacklisted,
    LoginMissing,
    LoginFailed,
    EmailNotVerified,
    LoggedOut,
    RefreshNotIncluded,
    NoValidRefresh,
    NoActiveAccount,

    // Registration and addresses.
    BadUsername,
    UsernameTaken,
    EmailTaken,
    VerificationSent,
    Ok,

    // Passwords.
    /// `registration/` says it with a straight apostrophe.
    MismatchRegistration,
    /// Everybody else says it with a curly one.
    Mismatch,
    WrongOldPassword,
    PasswordChanged,
    ResetSent,
    ResetDone,
    SimilarTo(UserAttribute),
    /// In characters.
    TooShort {
        min: usize,
    },
    TooCommon,
    AllNumeric,
}

/// What a password may be too similar to.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum UserAttribute {
    Username,
    FirstName,
    LastName,
    Email,
}

/// A fact inside a sentence. Numbers decide the plural.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Fact<'a> {
    Number(u64),
    Word(&'a str),
}

impl Text {
    /// The key in `texts.ftl`.
    pub fn key(&self) -> &'static str {
        match self {
            Self::Required => "required",
            Self::Blank => "blank",
            Self::Null => "null",
            Self::NotAString => "not-a-string",
            Self::NulByte => "nul-byte",
            Self::TooLong { .. } => "too-long",
            Self::BadEmail => "bad-email",
            Self::NotADictionary { .. } => "not-a-dictionary",
            Self::NoData => "no-data",
            Self::InvalidValue => "invalid-value",
            Self::MethodNotAllowed { .. } => "method-not-allowed",
            Self::NotAcceptable => "not-acceptable",
            Self::UnsupportedMediaType { .. } => "unsupported-media-type",
            Self::NotFound => "not-found",
            Self::Throttled { .. } => "throttled",
            Self::JsonParseError { .. } => "json-parse-error",
            Self::MultipartParseError { .. } => "multipart-parse-error",
            Self::BodyTooLarge => "body-too-large",
            Self::Unavailable => "unavailable",
            Self::InternalError => "internal-error",
            Self::NotAuthenticated => "not-authenticated",
            Self::BearerMalformed => "bearer-malformed",
            Self::TokenNotAccepted => "token-not-accepted",
            Self::TokenWithoutUser => "token-without-user",
            Self::UserNotFound => "user-not-found",
            Self::UserInactive => "user-inactive",
            Self::TokenInvalid => "token-invalid",
            Self::TokenExpired => "token-expired",
            Self::TokenWithoutExp => "token-without-exp",
            Self::TokenWithoutId => "token-without-id",
            Self::TokenWithoutType => "token-without-type",
            Self::TokenOfWrongType => "token-of-wrong-type",
            Self::TokenBlacklisted => "token-blacklisted",
            Self::LoginMissing => "login-missing",
            Self::LoginFailed => "login-failed",
            Self::EmailNotVerified => "email-not-verified",
            Self::LoggedOut => "logged-out",
            Self::RefreshNotIncluded => "refresh-not-included",
            Self::NoValidRefresh => "no-valid-refresh",
            Self::NoActiveAccount => "no-active-account",
            Self::BadUsername => "bad-username",
            Self::UsernameTaken => "username-taken",
            Self::EmailTaken => "email-taken",
            Self::VerificationSent => "verification-sent",
            Self::Ok => "ok",
            Self::MismatchRegistration => "mismatch-registration",
            Self::Mismatch => "mismatch",
            Self::WrongOldPassword => "wrong-old-password",
            Self::PasswordChanged => "password-changed",
            Self::ResetSent => "password-reset-sent",
            Self::ResetDone => "password-reset-done",
            Self::SimilarTo(UserAttribute::Username) => "similar-to-username",
            Self::SimilarTo(UserAttribute::FirstName) => "similar-to-first-name",
            Self::SimilarTo(UserAttribute::LastName) => "similar-to-last-name",
            Self::SimilarTo(UserAttribute::Email) => "similar-to-email",
            Self::TooShort { .. } => "too-short",
            Self::TooCommon => "too-common",
            Self::AllNumeric => "all-numeric",
        }
    }

    /// The fact that goes into the sentence, and its name in `texts.ftl`. No sentence has two.
    pub fn fact(&self) -> Option<(&'static str, Fact<'_>)> {
        match self {
            Self::TooLong { max } => Some(("max", count(*max))),
            Self::TooShort { min } => Some(("min", count(*min))),
            Self::Throttled { wait_seconds } => Some(("seconds", Fact::Number(*wait_seconds))),
            Self::NotADictionary { got } => Some(("got", Fact::Word(got))),
            Self::MethodNotAllowed { method } => Some(("method", Fact::Word(method))),
            Self::UnsupportedMediaType { media_type } => Some(("media-type", Fact::Word(media_type))),
            Self::JsonParseError { reason } | Self::MultipartParseError { reason } => {
                Some(("reason", Fact::Word(reason)))
            }
            _ => None,
        }
    }
}

fn count(number: usize) -> Fact<'static> {
    Fact::Number(u64::try_from(number).unwrap_or(u64::MAX))
}
