//! What is wrong with the fields of a request, in the order in which it was found.

use crate::domain::texts::Text;

/// The key of errors that concern several fields.
pub const NON_FIELD: &str = "non_field_errors";

/// Texts by field. Fields keep the order in which they were first named, texts the order in which they were added.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldErrors {
    fields: Vec<(&'static str, Vec<Text>)>,
}

impl FieldErrors {
    pub fn new() -> Self {
        Self::default()
    }

    /// Errors with a single text.
    pub fn of(field: &'static str, text: Text) -> Self {
        Self {
            fields: vec![(field, vec![text])],
        }
    }

    pub fn add(&mut self, field: &'static str, text: Text) {
        match self.fields.iter_mut().find(|(name, _)| *name == field) {
            Some((_, texts)) => texts.push(text),
            None => self.fields.push((field, vec![text])),
        }
    }

    /// Adds several texts; none leaves the errors as they are.
    pub fn add_all(&mut self, field: &'static str, texts: impl IntoIterator<Item = Text>) {
        for text in texts {
            self.add(field, text);
        }
    }

    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// Whether this field has an error.
    pub fn has(&self, field: &str) -> bool {
        self.fields.iter().any(|(name, _)| *name == field)
    }

    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &[Text])> {
        self.fields
            .iter()
            .map(|(field, texts)| (*field, texts.as_slice()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_and_texts_keep_their_order() {
        let mut errors = FieldErrors::new();
        assert!(errors.is_empty());
        errors.add("password1", Text::TooCommon);
        errors.add("email", Text::BadEmail);
        errors.add_all("password1", [Text::AllNumeric]);
        errors.add_all("username", []);
        let fields: Vec<_> = errors.iter().collect();
        assert_eq!(
            fields,
            [
                ("password1", [Text::TooCommon, Text::AllNumeric].as_slice()),
                ("email", [Text::BadEmail].as_slice())
            ]
        );
        assert!(errors.has("email") && !errors.has("username"));
    }

    #[test]
    fn one_error_is_an_error() {
        let errors = FieldErrors::of(NON_FIELD, Text::LoginFailed);
        assert!(!errors.is_empty());
        assert_eq!(errors.iter().count(), 1);
    }
}
