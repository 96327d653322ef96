//! The form of a username, and when two of them are the same.
//!
//! Source: Django's `UnicodeUsernameValidator`; contract section 2 "Username form".

use icu_casemap::CaseMapper;
use icu_normalizer::{ComposingNormalizer, DecomposingNormalizer};

use crate::domain::{characters, email_address};

/// In characters.
pub const MAX_CHARS: usize = 150;

/// Letters of no width: they would make two names that look alike.
const FILLERS: [char; 4] = ['\u{115f}', '\u{1160}', '\u{3164}', '\u{ffa0}'];

/// 1 to 150 letters, digits and `_ @ . + -`.
pub fn is_valid(username: &str) -> bool {
    !username.is_empty()
        && username.chars().count() <= MAX_CHARS
        && username.chars().all(|character| {
            matches!(character, '@' | '.' | '+' | '-')
                || characters::is_word(character) && !FILLERS.contains(&character)
        })
}

/// Whether a mail program may make a link of it: `evil.example`, `ann@evil.example`. Names of an import may have more
/// characters than [`is_valid`] lets through.
pub fn looks_like_link(username: &str) -> bool {
    let compatible = ComposingNormalizer::new_nfkc().normalize(username);
    compatible.contains(['.', '\u{3002}', '@', ':', '/', '\\', '\u{2044}', '\u{2215}'])
}

/// What is unique of a username: two names are the same when their keys are. Compatible forms (`ﬁ` and `fi`, full
/// width) and letters' case do not count. Taken of any text; the key of a key is itself.
///
/// Source: the Unicode Standard, section 3.13, D146 (compatibility caseless match), with the composed form.
pub fn key(username: &str) -> String {
    let compose = ComposingNormalizer::new_nfkc();
    let decomposed = DecomposingNormalizer::new_nfd().normalize(username);
    let folded_once = CaseMapper::new().fold_string(&decomposed);
    let compatible = compose.normalize(&folded_once);
    let folded_twice = CaseMapper::new().fold_string(&compatible);
    compose.normalize(&folded_twice).into_owned()
}

/// Whether a username is an e-mail address other than its account's own (in the form that is compared; empty: it has
/// none). A name like that is refused, whether the address has an account or not: it may have one tomorrow, and a login by
/// it would mean two accounts.
pub fn is_another_address(username: &str, own_email_key: &str) -> bool {
    [username, &key(username)]
        .into_iter()
        .any(|form| email_address::is_valid(form) && email_address::key(form) != own_email_key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_of_which_a_mail_program_may_make_a_link_looks_like_one() {
        for name in [
            "www.evil.example",
            "evil.com/win",
            "http://evil.example",
            "ann@evil.example",
            "evil\u{ff0e}com",
            "evil\u{3002}com",
            "evil\u{2024}com",
            "mailto:ann",
        ] {
            assert!(looks_like_link(name), "{name:?}");
        }
        for name in ["ann", "Ann_Lee-1+2", "юзер", "用户"] {
            assert!(!looks_like_link(name), "{name:?}");
        }
    }

    #[test]
    fn letters_digits_and_five_signs_are_a_username() {
        for username in [
            "a",
            "ann",
            "Ann.Lee+1@x-y_z",
            "ann@example.org",
            "юзер",
            "用户",
            "١٢٣",
            "x²",
            "Ⅳ",
            "ﬁ",
            "_",
            ".",
        ] {
            assert!(is_valid(username), "{username:?}");
        }
    }

    #[test]
    fn anything_else_is_not() {
        let refused = [
            "",
            " ",
            "a b",
            "a\n",
            "a\0",
            "a/b",
            "a'",
            "ü!",
            "e\u{301}",
            "हि",
            "\u{301}",
            "😀",
            "a\u{200b}b",
            "a\u{200d}b",
            "a\u{ad}b",
            "\u{202e}nna",
            "\u{3164}",
            "a\u{115f}",
            "\u{1160}",
            "\u{ffa0}",
            "ann\u{feff}",
        ];
        for username in refused {
            assert!(!is_valid(username), "{username:?}");
        }
    }

    #[test]
    fn the_length_counts_in_characters() {
        assert!(is_valid(&"я".repeat(150)));
        assert!(!is_valid(&"я".repeat(151)));
    }

    #[test]
    fn letters_case_does_not_count() {
        assert_eq!(key("ЮЗЕР"), key("юзер"));
        assert_eq!(key("STRASSE"), key("straße"));
        assert_eq!(key("ΌΔΟΣ"), key("όδος"));
        assert_eq!(key("ᾼ"), key("ᾳ"));
        assert_eq!(key("Ann"), "ann");
    }

    #[test]
    fn compatible_forms_do_not_count() {
        assert_eq!(key("ﬁ"), "fi");
        assert_eq!(key("ＡＮＮ１"), "ann1");
        assert_eq!(key("\u{212a}im"), "kim");
        assert_eq!(key("Ⅳ"), "iv");
        assert_eq!(key("e\u{301}"), key("É"));
    }

    #[test]
    fn different_letters_stay_different() {
        assert_ne!(key("аnn"), key("ann"), "a Cyrillic letter is another letter");
        assert_ne!(key("ё"), key("е"));
        assert_ne!(key("ı"), key("i"));
    }

    #[test]
    fn a_username_may_be_an_address_only_if_it_is_the_accounts_own() {
        let own = "ann@example.org";
        for username in [
            "ann",
            "ann@",
            "a.b+c-d_e@f",
            "ann@example.org",
            "ANN@Example.org",
            "ａnn@example.org",
        ] {
            assert!(!is_another_address(username, own), "{username}");
        }
        for username in [
            "bob@example.org",
            "ＢＯＢ@example.org",
            "ann@пример.рф",
            "ann@example.com",
        ] {
            assert!(is_another_address(username, own), "{username}");
        }
        assert!(is_another_address("ann@example.org", ""));
    }

    #[test]
    fn the_key_of_a_key_is_itself() {
        for username in [
            "ΌΔΟΣ",
            "İ",
            "ﬃ",
            "ǅ",
            "ﷺ",
            "ᾼ\u{301}",
            "\u{345}\u{301}",
            "ſt",
            "",
            "a b\0",
        ] {
            assert_eq!(key(&key(username)), key(username), "{username:?}");
        }
    }
}
