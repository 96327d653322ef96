//! Says a duration in words, with the plural forms of a language: "1 day", "3 дня".

use std::time::Duration;

use shared::message_bundle::{MessageBundle, MessageMistake};
use unic_langid::LanguageIdentifier;

const SECOND: u64 = 1;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// The messages of a `durations.ftl`, largest unit first.
const UNITS: [(&str, u64); 4] = [
    ("days", DAY),
    ("hours", HOUR),
    ("minutes", MINUTE),
    ("seconds", SECOND),
];

/// The durations of one language.
pub struct Durations(MessageBundle);

impl Durations {
    /// # Errors
    /// When the source does not parse, or lacks one of `seconds`, `minutes`, `hours` and `days`.
    pub fn parse(language: LanguageIdentifier, source: &str) -> Result<Self, MessageMistake> {
        let mut bundle = MessageBundle::new(language);
        bundle.add(source)?;
        let durations = Self(bundle);
        for (unit, seconds) in UNITS {
            for count in [1, 5] {
                durations.count(unit, count).map_err(|reason| MessageMistake {
                    line: 1,
                    reason: format!("message {unit} ({seconds} s each): {reason}"),
                })?;
            }
        }
        Ok(durations)
    }

    /// The duration in the largest unit that it is at least two of, or exactly one, rounded down: never more than true.
    pub fn text(&self, duration: Duration) -> String {
        let seconds = duration.as_secs();
        let fits = |unit: u64| seconds == unit || seconds >= 2 * unit;
        let (unit, length) = UNITS
            .into_iter()
            .find(|(_, length)| fits(*length))
            .unwrap_or(("seconds", SECOND));
        // The messages were tried at start.
        self.count(unit, seconds / length).unwrap_or_default()
    }

    fn count(&self, unit: &str, count: u64) -> Result<String, String> {
        self.0.format(unit, &[("count", count.into())])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(language: &str, source: &str, seconds: u64) -> String {
        let durations = Durations::parse(language.parse().unwrap(), source).unwrap();
        durations.text(Duration::from_secs(seconds))
    }

    fn english(seconds: u64) -> String {
        text("en", include_str!("../templates/en/durations.ftl"), seconds)
    }

    fn russian(seconds: u64) -> String {
        text("ru", include_str!("../templates/ru/durations.ftl"), seconds)
    }

    #[test]
    fn english_has_two_forms() {
        let all = [1, 59, 60, 120, 3600, 7200, 86400, 259_200].map(english);
        assert_eq!(
            all,
            [
                "1 second",
                "59 seconds",
                "1 minute",
                "2 minutes",
                "1 hour",
                "2 hours",
                "1 day",
                "3 days"
            ]
        );
    }

    #[test]
    fn russian_has_three_forms() {
        let days = [1, 3, 5, 11, 21, 22].map(|days| russian(days * DAY));
        assert_eq!(
            days,
            ["1 день", "3 дня", "5 дней", "11 дней", "21 день", "22 дня"]
        );
        assert_eq!(russian(60), "1 минуту");
    }

    #[test]
    fn what_is_no_whole_unit_is_rounded_down() {
        assert_eq!(
            [90, 5400, 9000, 100_000, 0].map(english),
            ["90 seconds", "90 minutes", "2 hours", "27 hours", "0 seconds"]
        );
    }

    #[test]
    fn a_mistake_is_told_with_its_line() {
        let mistake = |source| Durations::parse("en".parse().unwrap(), source).err().unwrap();
        assert_eq!(mistake("seconds = { $count }\nminutes = { $count\n").line, 2);
        assert_eq!(
            mistake("days = { $count } days").reason,
            "message hours (3600 s each): is missing"
        );
    }
}
