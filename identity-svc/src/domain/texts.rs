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

    // Sessions.
    /// A browser or another program, or only the system.
    Device {
        name: &'static str,
    },
    DeviceOn {
        browser: &'static str,
        system: &'static str,
    },
    UnknownDevice,
    OtherSessionsEnded,

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
            Self::Device { .. } => "device",
            Self::DeviceOn { .. } => "device-on",
            Self::UnknownDevice => "unknown-device",
            Self::OtherSessionsEnded => "other-sessions-ended",
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

    /// The facts that go into the sentence, by their names in `texts.ftl`.
    pub fn facts(&self) -> Vec<(&'static str, Fact<'_>)> {
        match self {
            Self::TooLong { max } => vec![("max", count(*max))],
            Self::TooShort { min } => vec![("min", count(*min))],
            Self::Throttled { wait_seconds } => vec![("seconds", Fact::Number(*wait_seconds))],
            Self::NotADictionary { got } => vec![("got", Fact::Word(got))],
            Self::MethodNotAllowed { method } => vec![("method", Fact::Word(method))],
            Self::UnsupportedMediaType { media_type } => vec![("media-type", Fact::Word(media_type))],
            Self::JsonParseError { reason } | Self::MultipartParseError { reason } => {
                vec![("reason", Fact::Word(reason))]
            }
            Self::Device { name } => vec![("name", Fact::Word(name))],
            Self::DeviceOn { browser, system } => {
                vec![("browser", Fact::Word(browser)), ("system", Fact::Word(system))]
            }
            _ => Vec::new(),
        }
    }
}

fn count(number: usize) -> Fact<'static> {
    Fact::Number(u64::try_from(number).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::languages::{Catalogue, Language};

    fn all() -> Vec<Text> {
        let word = || "word".to_owned();
        vec![
            Text::Required,
            Text::Blank,
            Text::Null,
            Text::NotAString,
            Text::NulByte,
            Text::TooLong { max: 150 },
            Text::BadEmail,
            Text::NotADictionary { got: "list" },
            Text::NoData,
            Text::InvalidValue,
            Text::MethodNotAllowed { method: word() },
            Text::NotAcceptable,
            Text::UnsupportedMediaType { media_type: word() },
            Text::NotFound,
            Text::Throttled { wait_seconds: 60 },
            Text::JsonParseError { reason: word() },
            Text::MultipartParseError { reason: word() },
            Text::BodyTooLarge,
            Text::Unavailable,
            Text::InternalError,
            Text::NotAuthenticated,
            Text::BearerMalformed,
            Text::TokenNotAccepted,
            Text::TokenWithoutUser,
            Text::UserNotFound,
            Text::UserInactive,
            Text::TokenInvalid,
            Text::TokenExpired,
            Text::TokenWithoutExp,
            Text::TokenWithoutId,
            Text::TokenWithoutType,
            Text::TokenOfWrongType,
            Text::TokenBlacklisted,
            Text::LoginMissing,
            Text::LoginFailed,
            Text::EmailNotVerified,
            Text::LoggedOut,
            Text::RefreshNotIncluded,
            Text::NoValidRefresh,
            Text::NoActiveAccount,
            Text::Device { name: "word" },
            Text::DeviceOn {
                browser: "word",
                system: "other",
            },
            Text::UnknownDevice,
            Text::OtherSessionsEnded,
            Text::BadUsername,
            Text::UsernameTaken,
            Text::EmailTaken,
            Text::VerificationSent,
            Text::Ok,
            Text::MismatchRegistration,
            Text::Mismatch,
            Text::WrongOldPassword,
            Text::PasswordChanged,
            Text::ResetSent,
            Text::ResetDone,
            Text::SimilarTo(UserAttribute::Username),
            Text::SimilarTo(UserAttribute::FirstName),
            Text::SimilarTo(UserAttribute::LastName),
            Text::SimilarTo(UserAttribute::Email),
            Text::TooShort { min: 8 },
            Text::TooCommon,
            Text::AllNumeric,
        ]
    }

    /// Those that the contract has in English only.
    const ENGLISH_ONLY: [&str; 20] = [
        "not-a-string",
        "no-data",
        "invalid-value",
        "json-parse-error",
        "multipart-parse-error",
        "bearer-malformed",
        "token-not-accepted",
        "token-without-user",
        "user-not-found",
        "user-inactive",
        "token-invalid",
        "token-expired",
        "token-without-exp",
        "token-without-id",
        "token-without-type",
        "token-of-wrong-type",
        "token-blacklisted",
        "refresh-not-included",
        "no-valid-refresh",
        "no-active-account",
    ];

    fn keys_of(source: &str) -> Vec<&str> {
        source
            .lines()
            .filter_map(|line| line.split_once(" = "))
            .map(|(key, _)| key)
            .filter(|key| !key.starts_with('#'))
            .collect()
    }

    #[test]
    fn every_text_has_a_sentence_and_every_sentence_a_text() {
        let mut in_english = keys_of(include_str!("../../locales/en/texts.ftl"));
        let mut named: Vec<_> = all().iter().map(Text::key).collect();
        in_english.sort_unstable();
        named.sort_unstable();
        assert_eq!(in_english, named);
    }

    #[test]
    fn russian_lacks_only_what_the_contract_lacks() {
        let in_russian = keys_of(include_str!("../../locales/ru/texts.ftl"));
        for text in all() {
            let is_english_only = ENGLISH_ONLY.contains(&text.key());
            assert_eq!(
                in_russian.contains(&text.key()),
                !is_english_only,
                "{}",
                text.key()
            );
        }
        assert_eq!(
            in_russian.len(),
            all().len() - ENGLISH_ONLY.len(),
            "no unknown keys"
        );
    }

    #[test]
    fn every_language_has_every_text_of_the_pages_in_the_same_order() {
        let english = keys_of(include_str!("../../locales/en/pages.ftl"));
        assert_eq!(english, keys_of(include_str!("../../locales/ru/pages.ftl")));
        let catalogue = Catalogue::compiled_in().unwrap();
        for key in english {
            for language in catalogue.languages() {
                assert_ne!(catalogue.page_text(key, language), key);
            }
        }
    }

    #[test]
    fn every_text_can_be_said_in_every_language() {
        let catalogue = Catalogue::compiled_in().unwrap();
        for language in catalogue.languages() {
            for text in all() {
                let sentence = catalogue.text(&text, language);
                assert!(text == Text::Ok || sentence != text.key(), "{text:?}");
                assert!(
                    !sentence.contains(['{', '}', '$', '\n']) && !sentence.contains("  "),
                    "{sentence:?}"
                );
                assert_eq!(sentence, sentence.trim());
                for (_, fact) in text.facts() {
                    if let Fact::Word(word) = fact {
                        assert!(sentence.contains(word), "{sentence:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn the_sentences_are_the_contracts() {
        let catalogue = Catalogue::compiled_in().unwrap();
        let russian = catalogue.negotiate(Some("ru"));
        let english_and_russian = [
            (
                Text::NulByte,
                "Null characters are not allowed.",
                "Данные содержат запрещённый символ: ноль-байт",
            ),
            (
                Text::NotADictionary { got: "list" },
                "Invalid data. Expected a dictionary, but got list.",
                "Недопустимые данные. Ожидался dictionary, но был получен list.",
            ),
            (
                Text::MethodNotAllowed {
                    method: "GET".to_owned(),
                },
                "Method \"GET\" not allowed.",
                "Метод \"GET\" не разрешен.",
            ),
            (
                Text::UnsupportedMediaType {
                    media_type: "text/plain".to_owned(),
                },
                "Unsupported media type \"text/plain\" in request.",
                "Неподдерживаемый тип данных \"text/plain\" в запросе.",
            ),
            (
                Text::UnsupportedMediaType {
                    media_type: String::new(),
                },
                "Unsupported media type \"\" in request.",
                "Неподдерживаемый тип данных \"\" в запросе.",
            ),
            (
                Text::Mismatch,
                "The two password fields didn\u{2019}t match.",
                "Введенные пароли не совпадают.",
            ),
            (
                Text::MismatchRegistration,
                "The two password fields didn't match.",
                "Пароли не совпадают.",
            ),
            (Text::Ok, "ok", "\u{43e}\u{43a}"),
            (
                Text::TokenWithoutExp,
                "Token has no 'exp' claim",
                "Token has no 'exp' claim",
            ),
            (
                Text::JsonParseError {
                    reason: "{ $x } at line 1".to_owned(),
                },
                "JSON parse error - { $x } at line 1",
                "JSON parse error - { $x } at line 1",
            ),
        ];
        for (text, english, in_russian) in english_and_russian {
            assert_eq!(catalogue.text(&text, Language::ENGLISH), english);
            assert_eq!(catalogue.text(&text, russian), in_russian);
        }
    }

    #[test]
    fn numbers_decide_the_plural() {
        let catalogue = Catalogue::compiled_in().unwrap();
        let russian = catalogue.negotiate(Some("ru"));
        let waits = |wait_seconds, language| catalogue.text(&Text::Throttled { wait_seconds }, language);
        assert_eq!(
            waits(1, Language::ENGLISH),
            "Request was throttled. Expected available in 1 second."
        );
        assert_eq!(
            waits(60, Language::ENGLISH),
            "Request was throttled. Expected available in 60 seconds."
        );
        assert_eq!(
            waits(86_400, Language::ENGLISH),
            "Request was throttled. Expected available in 86400 seconds."
        );
        for (seconds, words) in [
            (1, "1 секунду"),
            (2, "2 секунды"),
            (11, "11 секунд"),
            (23, "23 секунды"),
            (60, "60 секунд"),
        ] {
            assert_eq!(
                waits(seconds, russian),
                format!("Запрос был проигнорирован. Повторите попытку через {words}.")
            );
        }
        let lengths = |max, language| catalogue.text(&Text::TooLong { max }, language);
        assert_eq!(
            lengths(1, Language::ENGLISH),
            "Ensure this field has no more than 1 character."
        );
        assert_eq!(
            lengths(150, Language::ENGLISH),
            "Ensure this field has no more than 150 characters."
        );
        assert_eq!(
            lengths(1, russian),
            "Убедитесь, что это значение содержит не более 1 символа."
        );
        assert_eq!(
            lengths(2, russian),
            "Убедитесь, что это значение содержит не более 2 символов."
        );
        assert_eq!(
            lengths(150, russian),
            "Убедитесь, что это значение содержит не более 150 символов."
        );
        assert_eq!(
            catalogue.text(&Text::TooShort { min: 8 }, Language::ENGLISH),
            "This password is too short. It must contain at least 8 characters."
        );
        assert_eq!(
            catalogue.text(&Text::TooShort { min: 8 }, russian),
            "Введённый пароль слишком короткий. Он должен состоять из как минимум 8 символов."
        );
    }
}
