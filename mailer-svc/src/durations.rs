//! Says a duration in words, with the plural forms of a language: "1 day", "3 дня".

use std::time::Duration;

use fluent_bundle::concurrent::FluentBundle;
use fluent_bundle::{FluentArgs, FluentResource};
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
pub struct Durations(FluentBundle<FluentResource>);

/// What is wrong with a `durations.ftl`; the line counts from 1.
#[derive(Debug, PartialEq, Eq)]
pub struct DurationsMistake {
    pub line: usize,
    pub reason: String,
}

impl Durations {
    /// # Errors
    /// When the source does not parse, or lacks one of `seconds`, `minutes`, `hours` and `days`.
    pub fn parse(language: LanguageIdentifier, source: &str) -> Result<Self, DurationsMistake> {
        let resource = FluentResource::try_new(source.to_owned()).map_err(|(_, errors)| {
            let error = errors.first();
            let end = error.map_or(0, |error| error.pos.start);
            let before = source.get(..end).unwrap_or(source);
            // An error at the end of the file belongs to its last line.
            let line = before.lines().count().max(1);
            DurationsMistake {
                line,
                reason: error.map_or_else(String::new, ToString::to_string),
            }
        })?;
        let mut bundle = FluentBundle::new_concurrent(vec![language]);
        bundle.set_use_isolating(false);
        let whole_file = |reason| DurationsMistake { line: 1, reason };
        bundle
            .add_resource(resource)
            .map_err(|errors| whole_file(errors.first().map_or_else(String::new, ToString::to_string)))?;
        let durations = Self(bundle);
        for (unit, seconds) in UNITS {
            durations
                .count(unit, 1)
                .and_then(|_| durations.count(unit, 5))
                .map_err(|reason| whole_file(format!("message {unit} ({seconds} s each): {reason}")))?;
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
        let message = self.0.get_message(unit).ok_or("is missing")?;
        let pattern = message.value().ok_or("has no value")?;
        let mut args = FluentArgs::new();
        args.set("count", count);
        let mut errors = Vec::new();
        let text = self
            .0
            .format_pattern(pattern, Some(&args), &mut errors)
            .into_owned();
        match errors.first() {
            None => Ok(text),
            Some(error) => Err(error.to_string()),
        }
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
