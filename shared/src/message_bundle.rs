//! The messages of one language (Fluent): found by key, filled with arguments.

use std::fmt::Display;

use fluent_bundle::concurrent::FluentBundle;
use fluent_bundle::{FluentArgs, FluentResource};
use unic_langid::LanguageIdentifier;

pub use fluent_bundle::FluentValue;

/// Can be shared by threads.
pub struct MessageBundle(FluentBundle<FluentResource>);

/// What is wrong with a `.ftl` text; the line counts from 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessageMistake {
    pub line: usize,
    pub reason: String,
}

impl MessageBundle {
    pub fn new(language: LanguageIdentifier) -> Self {
        let mut bundle = FluentBundle::new_concurrent(vec![language]);
        // The marks around arguments are for editors, and would be seen in mails.
        bundle.set_use_isolating(false);
        Self(bundle)
    }

    /// Adds the messages of a `.ftl` text.
    ///
    /// # Errors
    /// When it does not parse, or repeats a key.
    pub fn add(&mut self, source: &str) -> Result<(), MessageMistake> {
        let resource = FluentResource::try_new(source.to_owned()).map_err(|(_, errors)| {
            let error = errors.first();
            let end = error.map_or(0, |error| error.pos.start);
            let before = source.get(..end).unwrap_or(source);
            MessageMistake {
                // An error at the end of the text belongs to its last line.
                line: before.lines().count().max(1),
                reason: first(&errors),
            }
        })?;
        self.0.add_resource(resource).map_err(|errors| MessageMistake {
            line: 1,
            reason: first(&errors),
        })
    }

    /// The message `key`, filled in.
    ///
    /// # Errors
    /// Why not: it is missing, or wants another argument.
    pub fn format(&self, key: &str, arguments: &[(&str, FluentValue<'_>)]) -> Result<String, String> {
        let message = self.0.get_message(key).ok_or("is missing")?;
        let pattern = message.value().ok_or("has no value")?;
        let arguments: FluentArgs<'_> = arguments.iter().cloned().collect();
        let mut errors = Vec::new();
        let text = self.0.format_pattern(pattern, Some(&arguments), &mut errors);
        match errors.first() {
            None => Ok(text.into_owned()),
            Some(error) => Err(error.to_string()),
        }
    }
}

fn first<E: Display>(errors: &[E]) -> String {
    errors.first().map_or_else(String::new, ToString::to_string)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bundle(source: &str) -> Result<MessageBundle, MessageMistake> {
        let mut bundle = MessageBundle::new("ru".parse().unwrap());
        bundle.add(source).map(|()| bundle)
    }

    #[test]
    fn a_message_is_filled_in_with_the_forms_of_its_language() {
        let days = "days = { $count ->\n    [one] { $count } день\n   *[other] { $count } дней\n}\n";
        let bundle = bundle(days).unwrap();
        assert_eq!(bundle.format("days", &[("count", 21.into())]).unwrap(), "21 день");
        assert_eq!(bundle.format("hours", &[]).unwrap_err(), "is missing");
        assert!(bundle.format("days", &[]).is_err(), "an argument is missing");
    }

    #[test]
    fn a_mistake_is_told_with_its_line() {
        assert_eq!(bundle("a = b\nc = { $d\n").err().unwrap().line, 2);
        assert!(bundle("a = b\na = c\n").is_err(), "a key stands there twice");
    }
}
