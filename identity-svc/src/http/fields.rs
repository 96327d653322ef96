//! The fields of a body before they are typed, and the rules that are the same for every text field
//! (contract section 2, "Field values").

use std::collections::HashMap;

use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::body::RequestBody;
use crate::domain::characters::is_white_space;
use crate::domain::email_address;
use crate::domain::field_errors::{FieldErrors, NON_FIELD};
use crate::domain::texts::Text;

/// What a client sent for one field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FieldValue {
    Null,
    /// A string, or a number as its decimal text.
    Text(String),
    Bool,
    List,
    Object,
    File,
}

/// All fields of a body. When a name comes twice, the last value counts.
#[derive(Clone, Debug, Default)]
pub struct RawFields {
    by_name: HashMap<String, FieldValue>,
    /// Set when the JSON is no object: the text that says so.
    no_object: Option<Text>,
}

impl RawFields {
    pub fn insert(&mut self, name: String, value: FieldValue) {
        self.by_name.insert(name, value);
    }

    /// Nesting is not followed, so its depth does not matter.
    pub fn from_json(text: &str) -> serde_json::Result<Self> {
        let document: &RawValue = serde_json::from_str(text)?;
        let not_a = |got| {
            Ok(Self {
                no_object: Some(Text::NotADictionary { got }),
                ..Self::default()
            })
        };
        match document.get().bytes().next() {
            Some(b'{') => serde_json::from_str(document.get()),
            Some(b'[') => not_a("list"),
            Some(b'"') => not_a("str"),
            Some(b't' | b'f') => not_a("bool"),
            Some(b'n') => Ok(Self {
                no_object: Some(Text::NoData),
                ..Self::default()
            }),
            _ if is_integer(document.get()) => not_a("int"),
            _ => not_a("float"),
        }
    }
}

impl<'de> Deserialize<'de> for RawFields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;
        impl<'de> Visitor<'de> for Fields {
            type Value = RawFields;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<RawFields, A::Error> {
                let mut fields = RawFields::default();
                while let Some((name, value)) = map.next_entry::<String, &RawValue>()? {
                    fields.insert(name, field_value(value.get()).map_err(A::Error::custom)?);
                }
                Ok(fields)
            }
        }
        deserializer.deserialize_map(Fields)
    }
}

fn field_value(json: &str) -> serde_json::Result<FieldValue> {
    Ok(match json.bytes().next() {
        Some(b'"') => FieldValue::Text(serde_json::from_str(json)?),
        Some(b'{') => FieldValue::Object,
        Some(b'[') => FieldValue::List,
        Some(b't' | b'f') => FieldValue::Bool,
        Some(b'n') => FieldValue::Null,
        _ => FieldValue::Text(decimal_text(json)),
    })
}

fn is_integer(number: &str) -> bool {
    !number.contains(['.', 'e', 'E'])
}

/// A number as the reference (Python) prints it: integers as they are, others as their shortest decimal.
fn decimal_text(number: &str) -> String {
    if number == "-0" {
        return "0".to_owned();
    }
    if is_integer(number) {
        return number.to_owned();
    }
    let value: f64 = number.parse().unwrap_or(f64::INFINITY);
    let text = format!("{value:?}");
    // Python writes exponents with a sign and at least two digits.
    match text.split_once('e') {
        Some((mantissa, exponent)) => {
            let (sign, digits) = exponent
                .strip_prefix('-')
                .map_or(('+', exponent), |digits| ('-', digits));
            format!("{mantissa}e{sign}{digits:0>2}")
        }
        None => text,
    }
}

/// What a field has to look like, as the OpenAPI document says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FieldForm {
    pub name: &'static str,
    pub is_required: bool,
    pub may_be_blank: bool,
    pub is_email: bool,
    /// In characters; `usize::MAX`: no limit.
    pub max: usize,
}

/// Reads fields one by one and notes what is wrong, in the order of the reads.
pub struct FieldReader<'a> {
    raw: &'a RawFields,
    errors: FieldErrors,
    /// Only kept by [`forms_of`].
    forms: Option<Vec<FieldForm>>,
}

/// The fields that a body reads, in the order of the reads: the body itself says it, so no document can differ.
pub fn forms_of<T: RequestBody>() -> Vec<FieldForm> {
    let raw = RawFields::default();
    let mut reader = FieldReader::new(&raw);
    reader.forms = Some(Vec::new());
    let _ = T::read(&mut reader);
    reader.forms.unwrap_or_default()
}

impl<'a> FieldReader<'a> {
    pub fn new(raw: &'a RawFields) -> Self {
        let mut errors = FieldErrors::new();
        if let Some(text) = &raw.no_object {
            errors.add(NON_FIELD, text.clone());
        }
        Self {
            raw,
            errors,
            forms: None,
        }
    }

    /// Errors of the fields; of a body that is no object only that.
    pub fn into_errors(self) -> FieldErrors {
        match &self.raw.no_object {
            Some(text) => FieldErrors::of(NON_FIELD, text.clone()),
            None => self.errors,
        }
    }

    /// Whatever the field holds, it has to be there. A typed read follows.
    pub fn require(&mut self, name: &'static str) {
        self.note(name, |form| FieldForm {
            is_required: true,
            ..form
        });
        if !self.raw.by_name.contains_key(name) {
            self.errors.add(name, Text::Required);
        }
    }

    /// A required text.
    pub fn required(&mut self, name: &'static str) -> String {
        self.required_up_to(name, usize::MAX)
    }

    /// A required text of at most `max` characters.
    pub fn required_up_to(&mut self, name: &'static str, max: usize) -> String {
        self.note(name, |form| FieldForm {
            is_required: true,
            max,
            ..form
        });
        let Some(value) = self.raw.by_name.get(name) else {
            self.errors.add(name, Text::Required);
            return String::new();
        };
        self.text(name, value, max, Text::NotAString).unwrap_or_default()
    }

    /// A text that may be missing or blank, both of which give an empty one, but not null.
    pub fn optional(&mut self, name: &'static str) -> String {
        self.optional_up_to(name, usize::MAX).unwrap_or_default()
    }

    /// A text of at most `max` characters that may be missing (`None`) or blank.
    pub fn optional_up_to(&mut self, name: &'static str, max: usize) -> Option<String> {
        self.note(name, |form| FieldForm {
            may_be_blank: true,
            max,
            ..form
        });
        let value = self.raw.by_name.get(name)?;
        if matches!(value, FieldValue::Text(text) if text.trim_matches(is_white_space).is_empty()) {
            return Some(String::new());
        }
        self.text(name, value, max, Text::NotAString)
    }

    /// A text that, when it is there, must not be blank.
    pub fn present_up_to(&mut self, name: &'static str, max: usize) -> Option<String> {
        self.note(name, |form| FieldForm { max, ..form });
        let value = self.raw.by_name.get(name)?;
        self.text(name, value, max, Text::NotAString)
    }

    /// A required e-mail address.
    pub fn required_email(&mut self, name: &'static str) -> String {
        self.note(name, |form| FieldForm {
            is_required: true,
            is_email: true,
            ..form
        });
        let Some(value) = self.raw.by_name.get(name) else {
            self.errors.add(name, Text::Required);
            return String::new();
        };
        let address = self.text(name, value, usize::MAX, Text::BadEmail);
        self.check_email(name, address)
    }

    /// An e-mail address that may be missing or blank.
    pub fn optional_email(&mut self, name: &'static str) -> String {
        self.note(name, |form| FieldForm {
            may_be_blank: true,
            is_email: true,
            ..form
        });
        match self.raw.by_name.get(name) {
            None => String::new(),
            Some(FieldValue::Text(text)) if text.trim_matches(is_white_space).is_empty() => String::new(),
            Some(value) => {
                let address = self.text(name, value, usize::MAX, Text::BadEmail);
                self.check_email(name, address)
            }
        }
    }

    /// A field as it was sent, without any rule: for `logout/`, which has its own.
    pub fn raw(&self, name: &str) -> Option<&FieldValue> {
        self.raw.by_name.get(name)
    }

    /// A text as it was sent, to be shown again beside what is wrong with it.
    pub fn typed(&self, name: &str) -> String {
        match self.raw(name) {
            Some(FieldValue::Text(text)) => text
                .chars()
                .filter(|char| !char.is_control())
                .take(1000)
                .collect(),
            _ => String::new(),
        }
    }

    /// Adds an error that a rule beyond the form of the field found.
    pub fn refuse(&mut self, name: &'static str, text: Text) {
        self.errors.add(name, text);
    }

    /// Whether a field read before was wrong.
    pub fn is_refused(&self, name: &str) -> bool {
        self.errors.has(name)
    }

    fn note(&mut self, name: &'static str, form: impl FnOnce(FieldForm) -> FieldForm) {
        let Some(forms) = &mut self.forms else { return };
        let read = form(FieldForm {
            name,
            is_required: false,
            may_be_blank: false,
            is_email: false,
            max: usize::MAX,
        });
        match forms.iter_mut().find(|form| form.name == name) {
            Some(known) => {
                *known = FieldForm {
                    is_required: known.is_required,
                    ..read
                }
            }
            None => forms.push(read),
        }
    }

    /// Null, type, blank, length, NUL byte: in the contract's order. A NUL byte in an address is also a bad address.
    fn text(
        &mut self,
        name: &'static str,
        value: &FieldValue,
        max: usize,
        wrong_type: Text,
    ) -> Option<String> {
        let text = match value {
            FieldValue::Text(text) => text.trim_matches(is_white_space),
            FieldValue::Null => {
                self.errors.add(name, Text::Null);
                return None;
            }
            FieldValue::Bool | FieldValue::List | FieldValue::Object | FieldValue::File => {
                self.errors.add(name, wrong_type);
                return None;
            }
        };
        if text.is_empty() {
            self.errors.add(name, Text::Blank);
            return None;
        }
        let is_too_long = text.chars().count() > max;
        if is_too_long {
            self.errors.add(name, Text::TooLong { max });
        }
        let has_nul = text.contains('\0');
        if has_nul {
            self.errors.add(name, Text::NulByte);
            if wrong_type == Text::BadEmail {
                self.errors.add(name, Text::BadEmail);
            }
        }
        (!is_too_long && !has_nul).then(|| text.to_owned())
    }

    fn check_email(&mut self, name: &'static str, address: Option<String>) -> String {
        let Some(address) = address else {
            return String::new();
        };
        if !email_address::is_valid(&address) {
            self.errors.add(name, Text::BadEmail);
            return String::new();
        }
        address
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn errors_of(json: &str, read: impl FnOnce(&mut FieldReader<'_>)) -> Vec<(String, Vec<Text>)> {
        let raw = RawFields::from_json(json).unwrap();
        let mut reader = FieldReader::new(&raw);
        read(&mut reader);
        reader
            .into_errors()
            .iter()
            .map(|(name, texts)| (name.to_owned(), texts.to_vec()))
            .collect()
    }

    #[test]
    fn the_checks_of_a_field_have_the_contracts_order() {
        let text = |json: &str| errors_of(json, |fields| drop(fields.required_up_to("f", 3)));
        let one = |text: Text| vec![("f".to_owned(), vec![text])];
        assert_eq!(text("{}"), one(Text::Required));
        assert_eq!(text("{\"f\": null}"), one(Text::Null));
        for wrong in ["true", "[]", "{\"a\": 1}"] {
            assert_eq!(text(&format!("{{\"f\": {wrong}}}")), one(Text::NotAString));
        }
        assert_eq!(text("{\"f\": \" \\t \"}"), one(Text::Blank));
        assert_eq!(text("{\"f\": \"abcd\"}"), one(Text::TooLong { max: 3 }));
        assert_eq!(text("{\"f\": \"a\\u0000\"}"), one(Text::NulByte));
        assert_eq!(text("{\"f\": \" ййй \"}"), []);
    }

    #[test]
    fn an_address_of_another_type_is_a_bad_address() {
        let email = |json: &str| errors_of(json, |fields| drop(fields.required_email("f")));
        let bad = vec![("f".to_owned(), vec![Text::BadEmail])];
        for wrong in ["true", "[]", "5", "\"a@b\""] {
            assert_eq!(email(&format!("{{\"f\": {wrong}}}")), bad, "{wrong}");
        }
        assert_eq!(
            email("{\"f\": \"a\\u0000@b.test\"}"),
            [("f".to_owned(), vec![Text::NulByte, Text::BadEmail])]
        );
        assert_eq!(email("{\"f\": \" a@b.test \"}"), []);
        let long = format!("{{\"f\": \"a@{}.test\"}}", vec!["b".repeat(60); 6].join("."));
        assert_eq!(email(&long), bad);
    }

    #[test]
    fn a_body_that_is_no_object_has_one_error() {
        let names = [
            ("[]", "list"),
            ("\"x\"", "str"),
            ("7", "int"),
            ("1.5", "float"),
            ("1e3", "float"),
            ("true", "bool"),
        ];
        for (json, got) in names {
            let errors = errors_of(json, |fields| drop(fields.required("f")));
            assert_eq!(
                errors,
                [(NON_FIELD.to_owned(), vec![Text::NotADictionary { got }])]
            );
        }
        assert_eq!(
            errors_of("null", |_| {}),
            [(NON_FIELD.to_owned(), vec![Text::NoData])]
        );
    }

    #[test]
    fn numbers_count_as_their_decimal_text() {
        for (json, text) in [
            ("7", "7"),
            ("-0", "0"),
            ("1.50", "1.5"),
            ("1e3", "1000.0"),
            ("1e22", "1e+22"),
            ("1e-7", "1e-07"),
            ("1e400", "inf"),
        ] {
            assert_eq!(decimal_text(json), text);
        }
        let long = "9".repeat(5000);
        assert_eq!(decimal_text(&long), long);
    }

    #[test]
    fn the_last_of_equal_names_counts_and_nesting_is_not_followed() {
        let deep = format!(
            "{{\"f\": {}{}, \"f\": \"x\"}}",
            "[".repeat(50_000),
            "]".repeat(50_000)
        );
        let raw = RawFields::from_json(&deep).unwrap();
        assert_eq!(raw.by_name.get("f"), Some(&FieldValue::Text("x".to_owned())));
        assert!(RawFields::from_json(&"[".repeat(100_000)).is_err());
    }
}
