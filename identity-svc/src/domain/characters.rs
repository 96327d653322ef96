//! Classes of characters, drawn where Python draws them: the rules for usernames and passwords come from Django.

use icu_properties::CodePointMapData;
use icu_properties::props::{GeneralCategory, GeneralCategoryGroup};

/// A letter or a number of any script: what `str.isalnum()` of Python accepts. A mark on its own is neither.
pub fn is_letter_or_number(character: char) -> bool {
    if character.is_ascii() {
        return character.is_ascii_alphanumeric();
    }
    let either = GeneralCategoryGroup::Letter.union(GeneralCategoryGroup::Number);
    either.contains(category(character))
}

/// A letter, a number or `_`: `\w` of Python's regular expressions.
pub fn is_word(character: char) -> bool {
    character == '_' || is_letter_or_number(character)
}

/// A combining mark, such as an accent or an Indian vowel sign.
pub fn is_mark(character: char) -> bool {
    GeneralCategoryGroup::Mark.contains(category(character))
}

/// What `str.isdigit()` of Python accepts: decimal digits of any script, and digits in a special place or shape (`²`,
/// `①`).
pub fn is_digit(character: char) -> bool {
    if character.is_ascii() {
        return character.is_ascii_digit();
    }
    category(character) == GeneralCategory::DecimalNumber
        || SPECIAL_DIGITS
            .iter()
            .any(|(first, last)| (*first..=*last).contains(&character))
}

/// What `str.strip()` of Python cuts: white space of Unicode and four separators of ASCII.
pub fn is_white_space(character: char) -> bool {
    character.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&character)
}

fn category(character: char) -> GeneralCategory {
    CodePointMapData::<GeneralCategory>::new().get(character)
}

/// Characters with `Numeric_Type=Digit`. Unicode gives this type to no new character, so the list is final.
const SPECIAL_DIGITS: [(char, char); 20] = [
    ('\u{b2}', '\u{b3}'),
    ('\u{b9}', '\u{b9}'),
    ('\u{1369}', '\u{1371}'),
    ('\u{19da}', '\u{19da}'),
    ('\u{2070}', '\u{2070}'),
    ('\u{2074}', '\u{2079}'),
    ('\u{2080}', '\u{2089}'),
    ('\u{2460}', '\u{2468}'),
    ('\u{2474}', '\u{247c}'),
    ('\u{2488}', '\u{2490}'),
    ('\u{24ea}', '\u{24ea}'),
    ('\u{24f5}', '\u{24fd}'),
    ('\u{24ff}', '\u{24ff}'),
    ('\u{2776}', '\u{277e}'),
    ('\u{2780}', '\u{2788}'),
    ('\u{278a}', '\u{2792}'),
    ('\u{10a40}', '\u{10a43}'),
    ('\u{10e60}', '\u{10e68}'),
    ('\u{11052}', '\u{1105a}'),
    ('\u{1f100}', '\u{1f10a}'),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_and_numbers_of_any_script_are_accepted() {
        for character in "aZ9éßЖ字あ한ªºⅣ²½①١०ǅʰ𐐀𝟗".chars() {
            assert!(is_letter_or_number(character), "{character:?}");
        }
    }

    /// Rust's own `is_alphanumeric` accepts vowel signs and circled letters.
    #[test]
    fn marks_signs_and_emoji_are_not_letters() {
        for character in
            "\u{301}\u{93f}\u{e31}\u{5b0}\u{345}Ⓐ🄰-.@+$€☃😀\u{200b}\u{200d}\u{feff}\u{ad} \u{3000}\n\0"
                .chars()
        {
            assert!(!is_letter_or_number(character), "{character:?}");
        }
    }

    #[test]
    fn an_underscore_is_part_of_a_word_and_no_letter() {
        assert!(is_word('_') && !is_letter_or_number('_'));
        assert!(!is_word('-') && !is_word('\u{301}'));
    }

    #[test]
    fn digits_are_those_of_any_script_and_place() {
        for character in "09٣९９𝟗²₉①⑴⓪❶🄀".chars() {
            assert!(is_digit(character), "{character:?}");
        }
        for character in "a½Ⅳ⑩一〇㉈".chars() {
            assert!(!is_digit(character), "{character:?}");
        }
    }

    #[test]
    fn marks_are_marks() {
        assert!(is_mark('\u{93f}') && is_mark('\u{301}') && !is_mark('a'));
    }

    #[test]
    fn white_space_is_what_python_cuts() {
        for character in " \t\n\u{b}\u{c}\r\u{1c}\u{1f}\u{85}\u{a0}\u{2028}\u{3000}".chars() {
            assert!(is_white_space(character), "{character:?}");
        }
        for character in "a\u{200b}\u{180e}\u{feff}\u{1b}\0".chars() {
            assert!(!is_white_space(character), "{character:?}");
        }
    }
}
