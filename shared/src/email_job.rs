//! The versioned message between identity-svc and mailer-svc. Golden files in `shared/tests/golden/` must parse for ever.

use serde::{Deserialize, Serialize};

use crate::secret::Secret;

/// The version of the envelope. The version of each mail stands in its tag.
pub const SCHEMA: u32 = 1;

/// One mail to be sent: arguments, not HTML. Templates are the mailer's.
///
/// ```json
/// {"schema": 1, "job_id": "0f..", "created_at_ms": 1767225600000, "request_id": "ab..",
///  "mail": {"verify_email.v1": {"to": "ann@example.org", "language": "en", "username": "ann",
///           "link": "https://app.example/confirm/..", "valid_seconds": 259200}}}
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EmailJob {
    pub schema: u32,
    /// 32 hexadecimal digits; also the AMQP `message_id` and the left half of the mail's `Message-ID`.
    pub job_id: String,
    /// Unix time in milliseconds.
    pub created_at_ms: i64,
    pub request_id: String,
    pub mail: Mail,
}

/// What to tell whom. Adding an optional field with a default keeps a version; anything else is a new variant,
/// which the consumer must know one release before the producer sends it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Mail {
    /// "Is this your address?", after a registration and on request.
    #[serde(rename = "verify_email.v1")]
    VerifyEmailV1(LinkMail),
    /// "Set a new password", on request.
    #[serde(rename = "reset_password.v1")]
    ResetPasswordV1(LinkMail),
    /// "Your password was changed", after every change of it.
    #[serde(rename = "password_changed.v1")]
    PasswordChangedV1(NoticeMail),
}

/// The arguments of a mail whose point is a link.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkMail {
    pub to: String,
    /// A language that has a folder of templates: `en`, `ru`, ...
    pub language: String,
    /// Empty: the mail names none.
    pub username: String,
    /// The link with its one-time secret.
    pub link: Link,
    /// For how long the link is good, from `created_at_ms` on.
    pub valid_seconds: u64,
}

/// The arguments of a mail that tells what has happened. Its link leads to a page, and holds no secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NoticeMail {
    pub to: String,
    /// As in [`LinkMail`].
    pub language: String,
    pub username: String,
    /// Where to go if it was somebody else.
    pub link: Link,
}

/// What all mails have.
#[derive(Clone, Copy, Debug)]
pub struct Arguments<'a> {
    pub to: &'a str,
    pub language: &'a str,
    pub username: &'a str,
    pub link: &'a Link,
    /// `None`: the link is good for ever.
    pub valid_seconds: Option<u64>,
}

/// A link that carries a one-time secret: `Debug` hides it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Link(String);

impl Link {
    pub fn new(url: String) -> Self {
        Self(url)
    }

    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        Secret::new(()).fmt(f)
    }
}

impl Mail {
    /// The folder of its templates.
    pub fn template(&self) -> &'static str {
        match self {
            Self::VerifyEmailV1(_) => "verify_email",
            Self::ResetPasswordV1(_) => "reset_password",
            Self::PasswordChangedV1(_) => "password_changed",
        }
    }

    pub fn arguments(&self) -> Arguments<'_> {
        match self {
            Self::VerifyEmailV1(mail) | Self::ResetPasswordV1(mail) => Arguments {
                to: &mail.to,
                language: &mail.language,
                username: &mail.username,
                link: &mail.link,
                valid_seconds: Some(mail.valid_seconds),
            },
            Self::PasswordChangedV1(mail) => Arguments {
                to: &mail.to,
                language: &mail.language,
                username: &mail.username,
                link: &mail.link,
                valid_seconds: None,
            },
        }
    }
}

/// Why a message is no job. Says nothing of its content, which may hold a secret.
#[derive(Debug, thiserror::Error)]
pub enum EmailJobError {
    #[error("not an e-mail job: line {line}, column {column}")]
    Malformed { line: usize, column: usize },
    #[error("e-mail job of schema {0}, which this release does not know")]
    UnknownSchema(u32),
}

impl EmailJob {
    /// # Errors
    /// When the bytes are no job, or one of a schema that this release does not know.
    pub fn from_json(bytes: &[u8]) -> Result<Self, EmailJobError> {
        let job: Self = serde_json::from_slice(bytes).map_err(|error| EmailJobError::Malformed {
            line: error.line(),
            column: error.column(),
        })?;
        if job.schema == SCHEMA {
            Ok(job)
        } else {
            Err(EmailJobError::UnknownSchema(job.schema))
        }
    }

    /// # Errors
    /// Never in practice: every field has a JSON form.
    pub fn to_json(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string(self)
    }
}
