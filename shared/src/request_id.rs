//! The id that follows one request through all logs.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::random;

/// 1 to 64 characters of `A-Z a-z 0-9 - _ .`; made by the gateway, or taken from the client when it has this form.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestId(String);

const MAX_LENGTH: usize = 64;

impl RequestId {
    pub fn random() -> Self {
        Self(random::hex_128())
    }

    /// The id a caller sent, or a new one when it sent none or one that could break a log line.
    pub fn accept(sent: Option<&str>) -> Self {
        match sent {
            Some(text) if is_well_formed(text) => Self(text.to_owned()),
            _ => Self::random(),
        }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn is_well_formed(text: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    !text.is_empty() && text.len() <= MAX_LENGTH && text.bytes().all(is_allowed)
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_that_could_break_a_log_line_is_replaced() {
        assert_eq!(RequestId::accept(Some("abc-123")).as_str(), "abc-123");
        for bad in ["", "a b", "a\nb", &"x".repeat(65)] {
            assert_ne!(RequestId::accept(Some(bad)).as_str(), bad);
        }
    }
}
