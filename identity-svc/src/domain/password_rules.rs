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
        .filter(|part| !part.is_empty())
        .any(|part| is_similar(password_letters, &sorted_letters(part)))
}

/// Seven tenths or more of the letters in common, order ignored. In whole numbers: `2·M / T >= 0.7`.
fn is_similar(password: &[char], part: &[char]) -> bool {
    // So much longer that no likeness is possible. Django also asks that the part be shorter than 0.35 times the
    // password, which it then is.
    if password.len() >= 10 * part.len() {
        return false;
    }
    20 * letters_in_common(password, part) >= 7 * (password.len() + part.len())
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

#[cfg(test)]
mod tests {
    use super::*;

    const TOO_SHORT: Text = Text::TooShort { min: 8 };

    fn like(password: &str, user: UserAttributes<'_>) -> Option<Text> {
        similarity(password, &user)
    }

    fn like_username(password: &str, username: &str) -> bool {
        like(
            password,
            UserAttributes {
                username,
                ..Default::default()
            },
        )
        .is_some()
    }

    #[test]
    fn all_four_rules_answer_in_order() {
        let user = UserAttributes {
            username: "1234567x1",
            ..Default::default()
        };
        let expected = [
            Text::SimilarTo(UserAttribute::Username),
            TOO_SHORT,
            Text::TooCommon,
            Text::AllNumeric,
        ];
        assert_eq!(all("1234567", &user), expected);
        assert_eq!(weaknesses("1234567"), expected[1..]);
        assert_eq!(all("Brine-lantern-42", &user), []);
    }

    #[test]
    fn eight_characters_are_enough_whatever_their_bytes() {
        assert_eq!(weaknesses("ж7!ж7!ж"), [TOO_SHORT]);
        assert_eq!(weaknesses("ж7!ж7!жж"), []);
        assert_eq!(weaknesses(""), [TOO_SHORT]);
    }

    #[test]
    fn a_common_password_is_common_in_any_case_and_with_space_around() {
        assert_eq!(weaknesses("password1"), [Text::TooCommon]);
        assert_eq!(weaknesses(" PassWord1\u{1c}"), [Text::TooCommon]);
        assert_eq!(weaknesses("12345678"), [Text::TooCommon, Text::AllNumeric]);
        assert_eq!(weaknesses("ПАРОЛЬ"), [TOO_SHORT, Text::TooCommon]);
    }

    #[test]
    fn digits_of_any_script_are_digits() {
        assert_eq!(weaknesses("90210907512"), [Text::AllNumeric]);
        assert_eq!(weaknesses("٩٠٢١٠٩٠٧"), [Text::AllNumeric]);
        assert_eq!(weaknesses("90210907²"), [Text::AllNumeric]);
        assert_eq!(weaknesses("90210907½"), []);
        assert_eq!(weaknesses("-90210907"), []);
    }

    #[test]
    fn the_order_and_case_of_letters_do_not_make_a_difference() {
        assert!(like_username("nothgierdnal", "Landreighton"));
        assert!(like_username("LANDREIGHTON", "landreighton"));
    }

    #[test]
    fn seven_tenths_are_too_similar() {
        assert!(like_username("abcdefgxyz", "abcdefg123"), "7 of 10");
        assert!(!like_username("abcdefwxyz", "abcdefg123"), "6 of 10");
        assert!(
            like_username("aabbcdefgh", "aabbcde123"),
            "repeated letters count each"
        );
        assert!(!like_username("aabbcdefgh", "abcccccccc"));
    }

    #[test]
    fn parts_of_a_value_count_like_the_whole() {
        let user = UserAttributes {
            email: "marigold.finch@example.org",
            ..Default::default()
        };
        let email = Some(Text::SimilarTo(UserAttribute::Email));
        assert_eq!(like("marigold7", user), email);
        assert_eq!(like("xfinch1", user), email);
        assert_eq!(like("marigold.finch@example", user), email);
        assert_eq!(like("quartz-lamp-9", user), None);
        assert!(
            !like_username("anna_lee", "anna_smithereens_lee"),
            "an underscore separates nothing"
        );
    }

    #[test]
    fn a_very_long_password_is_not_like_a_short_name() {
        assert!(!like_username("aaaaaaaaaa", "a"));
        assert!(!like_username("aaaaaaaaa", "a"));
        assert!(!like_username("", "ann") && !like_username("Brine-lantern-42", ""));
        assert!(!like_username("Brine-lantern-42", "@@@"));
    }

    #[test]
    fn only_the_first_attribute_that_matches_is_named() {
        let user = UserAttributes {
            username: "zed",
            first_name: "Marigold",
            last_name: "Marigold",
            email: "marigold@x.org",
        };
        assert_eq!(
            like("marigold1", user),
            Some(Text::SimilarTo(UserAttribute::FirstName))
        );
        let user = UserAttributes {
            first_name: "",
            ..user
        };
        assert_eq!(
            like("marigold1", user),
            Some(Text::SimilarTo(UserAttribute::LastName))
        );
    }

    /// Verdicts of `UserAttributeSimilarityValidator` of Django 5.2.
    #[test]
    fn django_says_the_same() {
        let verdicts = [
            ("ü\u{301}C3üİ", "c3üi\u{307}", true),
            ("Straße-1899", "STRASSE", false),
            ("ОДИССЕЙ7", "одиссей", true),
            ("ann@exam", "ann@example.org", false),
            ("exampleorg", "ann@example.org", true),
            ("l33tann", "ann", false),
            ("annann", "ann", false),
            ("ann1", "ann", true),
        ];
        for (password, username, similar) in verdicts {
            assert_eq!(
                like_username(password, username),
                similar,
                "{password:?} {username:?}"
            );
        }
    }
}
