//! What is written beside the body of a message, and read again.

use lapin::BasicProperties;
use lapin::types::{AMQPValue, FieldTable};

use crate::clock::Clock;

/// Deliveries of the job that have failed.
const ATTEMPTS: &str = "gatehouse-attempts";
/// Unix time in milliseconds at which a mailer first failed with the job.
const FIRST_FAILURE_MS: &str = "gatehouse-first-failure-ms";
/// Why the last delivery failed. Holds no address and no link.
const REASON: &str = "gatehouse-reason";
/// Unix time in milliseconds.
const DEAD_AT_MS: &str = "gatehouse-dead-at-ms";
/// Set by the broker: how often a quorum queue has delivered the message before.
const DELIVERY_COUNT: &str = "x-delivery-count";

/// A reason is for a human's eye.
const REASON_CHARACTERS: usize = 500;
const PERSISTENT: u8 = 2;

/// What every message of ours has.
pub fn new(message_id: &str) -> BasicProperties {
    let seconds = u64::try_from(Clock::System.now_seconds()).unwrap_or(0);
    let properties = BasicProperties::default()
        .with_content_type("application/json".into())
        .with_delivery_mode(PERSISTENT)
        .with_timestamp(seconds)
        .with_app_id("gatehouse".into());
    // A short string has at most 255 bytes; an id of ours has 32.
    match lapin::types::ShortString::try_new(message_id) {
        Ok(id) if !message_id.is_empty() => properties.with_message_id(id),
        _ => properties,
    }
}

/// The story of a job, as headers tell it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History {
    pub failed_attempts: u32,
    pub first_failure_ms: Option<i64>,
    pub reason: Option<String>,
    pub dead_at_ms: Option<i64>,
}

impl History {
    /// What cannot be read counts as not there.
    pub fn read(properties: &BasicProperties) -> Self {
        let failed_attempts = integer(properties, ATTEMPTS).and_then(|count| u32::try_from(count).ok());
        let reason = match header(properties, REASON) {
            Some(AMQPValue::LongString(text)) => Some(String::from_utf8_lossy(text.as_bytes()).into_owned()),
            _ => None,
        };
        Self {
            failed_attempts: failed_attempts.unwrap_or(0),
            first_failure_ms: integer(properties, FIRST_FAILURE_MS),
            reason,
            dead_at_ms: integer(properties, DEAD_AT_MS),
        }
    }

    /// The same job after one more failure.
    #[must_use]
    pub fn failed_again(&self, now_ms: i64, reason: &str) -> Self {
        Self {
            failed_attempts: self.failed_attempts.saturating_add(1),
            first_failure_ms: Some(self.first_failure_ms.unwrap_or(now_ms)),
            reason: Some(reason.chars().take(REASON_CHARACTERS).collect()),
            dead_at_ms: None,
        }
    }

    pub fn write(&self, properties: BasicProperties) -> BasicProperties {
        let mut headers = FieldTable::default();
        if self.failed_attempts > 0 {
            let attempts = i64::from(self.failed_attempts);
            headers.insert(ATTEMPTS.into(), AMQPValue::LongLongInt(attempts));
        }
        for (name, value) in [
            (FIRST_FAILURE_MS, self.first_failure_ms),
            (DEAD_AT_MS, self.dead_at_ms),
        ] {
            if let Some(value) = value {
                headers.insert(name.into(), AMQPValue::LongLongInt(value));
            }
        }
        if let Some(reason) = &self.reason {
            headers.insert(REASON.into(), AMQPValue::LongString(reason.as_str().into()));
        }
        properties.with_headers(headers)
    }
}

pub fn message_id(properties: &BasicProperties) -> String {
    properties
        .message_id()
        .as_ref()
        .map_or_else(String::new, |id| id.as_str().to_owned())
}

/// How often the broker has delivered the message before, without any end.
pub fn earlier_deliveries(properties: &BasicProperties) -> i64 {
    integer(properties, DELIVERY_COUNT).unwrap_or(0)
}

fn header<'a>(properties: &'a BasicProperties, name: &str) -> Option<&'a AMQPValue> {
    properties.headers().as_ref()?.inner().get(name)
}

fn integer(properties: &BasicProperties, name: &str) -> Option<i64> {
    match header(properties, name)? {
        AMQPValue::ShortShortInt(value) => Some(i64::from(*value)),
        AMQPValue::ShortShortUInt(value) => Some(i64::from(*value)),
        AMQPValue::ShortInt(value) => Some(i64::from(*value)),
        AMQPValue::ShortUInt(value) => Some(i64::from(*value)),
        AMQPValue::LongInt(value) => Some(i64::from(*value)),
        AMQPValue::LongUInt(value) => Some(i64::from(*value)),
        AMQPValue::LongLongInt(value) => Some(*value),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_history_is_read_as_it_was_written() {
        let first = History::default().failed_again(1000, "451 later");
        let second = first.failed_again(2000, &"ж".repeat(1000));
        assert_eq!((second.failed_attempts, second.first_failure_ms), (2, Some(1000)));
        assert_eq!(second.reason.as_ref().unwrap().chars().count(), 500);
        let dead = History {
            dead_at_ms: Some(3000),
            ..second
        };
        assert_eq!(History::read(&dead.write(new("0f"))), dead);
    }

    #[test]
    fn headers_of_strangers_do_no_harm() {
        let mut headers = FieldTable::default();
        headers.insert(ATTEMPTS.into(), AMQPValue::LongInt(-3));
        headers.insert(REASON.into(), AMQPValue::Boolean(true));
        headers.insert(DEAD_AT_MS.into(), AMQPValue::LongString("soon".into()));
        let properties = BasicProperties::default().with_headers(headers);
        assert_eq!(History::read(&properties), History::default());
        assert_eq!(message_id(&properties), "");
    }

    #[test]
    fn an_id_that_is_no_short_string_is_left_out() {
        assert_eq!(message_id(&new(&"x".repeat(300))), "");
        assert_eq!(message_id(&new("0f")), "0f");
        assert_eq!(new("0f").delivery_mode(), &Some(2));
    }
}
