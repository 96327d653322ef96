//! The form of a username, and when two of them are the same.
//!
//! Source: Django's `UnicodeUsernameValidator`; contract section 2 "Username form".

use icu_casemap::CaseMapper;
use icu_normalizer::{ComposingNormalizer, DecomposingNormalizer};

use crate::domain::characters;

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
