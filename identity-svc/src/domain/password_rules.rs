//! What makes a password weak.
//!
//! Source: the four validators of `django.contrib.auth.password_validation` that a new Django project has, in its
//! order; contract section 11.

use crate::domain::texts::{Text, UserAttribute};
use crate::domain::{characters, common_passwords};

/// In characters.
pub const MAX_CHARS: usize = 128;

/// In characters.
const MIN_CHARS: usize = 8;

/// What a password must not be like. Empty values are not looked at.
#[derive(Copy, Clone, Debug, Default)]
pub struct UserAttributes<'a> {
    pub username: &'a str,
    pub first_name: &'a str,
    pub last_name: &'a str,
    pub email: &'a str,
}

/// All four rules, in the contract's order.
pub fn all(password: &str, user: &UserAttributes<'_>) -> Vec<Text> {
    let mut texts: Vec<Text> = similarity(password, user).into_iter().collect();
    texts.extend(weaknesses(password));
    texts
}

/// Rules 2 to 4: too short, too common, digits only.
pub fn weaknesses(password: &str) -> Vec<Text> {
    let mut texts = Vec::new();
    if password.chars().count() < MIN_CHARS {
        texts.push(Text::TooShort { min: MIN_CHARS });
    }
    if common_passwords::contains(password.to_lowercase().trim_matches(characters::is_white_space)) {
        texts.push(Text::TooCommon);
    }
    if !password.is_empty() && password.chars().all(characters::is_digit) {
        texts.push(Text::AllNumeric);
    }
    texts
}

/// Rule 1: too similar to one of the account's values or to a part of it. Only the first such value is named.
pub fn similarity(password: &str, user: &UserAttributes<'_>) -> Option<Text> {
    let attributes = [
        (UserAttribute::Username, user.username),
        (UserAttribute::FirstName, user.first_name),
        (UserAttribute::LastName, user.last_name),
        (UserAttribute::Email, user.email),
    ];
    let password_letters = sorted_letters(&password.to_lowercase());
    attributes
        .into_iter()
        .find(|(_, value)| !value.is_empty() && is_similar_to_value(&password_letters, &value.to_lowercase()))
        .map(|(attribute, _)| Text::SimilarTo(attribute))
}

/// Compares with the parts between characters that are no part of a word, then with the whole.
fn is_similar_to_value(password_letters: &[char], value: &str) -> bool {
    value
        .split(|character| !characters::is_word(character))
        .chain([value])
        .any(|part| is_similar(password_letters, &sorted_letters(part)))
}

/// Seven tenths or more of the letters in common, order ignored. In whole numbers: `2·M / T >= 0.7`.
fn is_similar(password: &[char], part: &[char]) -> bool {
    if is_much_longer(password, part) {
        return false;
    }
    let total = password.len() + part.len();
    20 * letters_in_common(password, part) >= 7 * total
}

/// Ten times as long, so that no likeness is possible. Django also asks that the part be shorter than 0.35 times the
/// password, which then is so unless both are empty.
fn is_much_longer(password: &[char], part: &[char]) -> bool {
    !password.is_empty() && password.len() >= 10 * part.len()
}

/// Counts letters, with repetition, that both sorted lists have.
fn letters_in_common(left: &[char], right: &[char]) -> usize {
    let mut left = left.iter().peekable();
    let mut right = right.iter().peekable();
    let mut count = 0;
    while let (Some(from_left), Some(from_right)) = (left.peek(), right.peek()) {
        match from_left.cmp(from_right) {
            std::cmp::Ordering::Less => drop(left.next()),
            std::cmp::Ordering::Greater => drop(right.next()),
            std::cmp::Ordering::Equal => {
                count += 1;
                left.next();
                right.next();
            }
        }
    }
    count
}

fn sorted_letters(text: &str) -> Vec<char> {
    let mut letters: Vec<char> = text.chars().collect();
    letters.sort_unstable();
    letters
}
