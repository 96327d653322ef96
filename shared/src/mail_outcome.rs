//! What became of a mail job: the versioned message from mailer-svc back to identity-svc. The golden files in
//! `shared/tests/golden/` must parse for ever.

use serde::{Deserialize, Serialize};

/// The version of the message.
pub const SCHEMA: u32 = 1;

/// The end of one mail job. Told at least once, and again when an operator replays a dead job: the one with the later
/// time counts.
///
/// ```json
/// {"schema": 1, "job_id": "0f..", "at_ms": 1767225600000, "attempts": 3, "result": {"dead": {"reason": ".."}}}
/// {"schema": 1, "job_id": "0f..", "at_ms": 1767225600000, "attempts": 1, "result": "delivered"}
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MailOutcome {
    pub schema: u32,
    pub job_id: String,
    /// Unix time in milliseconds.
    pub at_ms: i64,
    /// How often the mail was tried, this last time included.
    pub attempts: u32,
    pub result: MailResult,
}

/// How a mail job ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MailResult {
    /// The SMTP server took the mail.
    Delivered,
    /// The job lies in the dead-letter queue. The reason holds no address and no link.
    Dead { reason: String },
}

/// Why a message is no outcome.
#[derive(Debug, thiserror::Error)]
pub enum MailOutcomeError {
    #[error("not a mail outcome: line {line}, column {column}")]
    Malformed { line: usize, column: usize },
    #[error("mail outcome of schema {0}, which this release does not know")]
    UnknownSchema(u32),
}

impl MailOutcome {
    /// # Errors
    /// When the bytes are no outcome, or one of a schema that this release does not know.
    pub fn from_json(bytes: &[u8]) -> Result<Self, MailOutcomeError> {
        let outcome: Self = serde_json::from_slice(bytes).map_err(|error| MailOutcomeError::Malformed {
            line: error.line(),
            column: error.column(),
        })?;
        if outcome.schema == SCHEMA {
            Ok(outcome)
        } else {
            Err(MailOutcomeError::UnknownSchema(outcome.schema))
        }
    }

    /// # Errors
    /// Never in practice: every field has a JSON form.
    pub fn to_json(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string(self)
    }
}
