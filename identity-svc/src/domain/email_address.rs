//! The form of an e-mail address.
//!
//! Source: Django's `EmailValidator`; contract section 2 "E-mail form". Stricter than Django in three points, for the
//! sake of what a mail can be sent to: no control characters between quotes, nothing but ASCII before the `@` (Django's pattern, which ignores case, lets
//! the Kelvin sign pass for a k), and no signs, spaces or invisible characters in a domain.

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::domain::characters;

/// In characters. A longer address of a good form has an error of its own.
pub const MAX_CHARS: usize = 254;

/// Beyond this, an address has no form. Source: RFC 3696 section 3.
const MAX_FORM_CHARS: usize = 320;
const MAX_LOCAL_CHARS: usize = 64;
const MAX_LABEL_CHARS: usize = 63;
/// Source: RFC 1035 section 3.1, as text.
const MAX_DOMAIN_BYTES: usize = 253;

/// Whether the address has the form of one, whatever its length up to 320 characters.
pub fn is_valid(address: &str) -> bool {
    if address.chars().count() > MAX_FORM_CHARS {
        return false;
    }
    let Some((local, domain)) = address.rsplit_once('@') else {
        return false;
    };
    is_local_part(local) && (is_domain(domain) && ascii_domain(domain).is_some() || is_other_domain(domain))
}

/// Whether mail can be sent to an address of a good form: no more than 64 characters before the `@`
/// (RFC 5321 section 4.5.3.1.1). Asked of new addresses; at a login a longer one just belongs to nobody.
pub fn has_deliverable_length(address: &str) -> bool {
    address
        .rsplit_once('@')
        .is_some_and(|(local, _)| local.len() <= MAX_LOCAL_CHARS)
}

/// The form in which addresses are compared: lower case, the domain in its ASCII form. What is no address with such a
/// domain is in lower case, and nobody's.
pub fn key(address: &str) -> String {
    match address.rsplit_once('@') {
        Some((local, domain)) => match ascii_domain(domain) {
            Some(domain) => format!("{}@{domain}", local.to_lowercase()),
            None => address.to_lowercase(),
        },
        None => address.to_lowercase(),
    }
}

/// The one name of a domain that can be written in several ways: full-width letters, an international name and its
/// punycode, any case. Source: UTS 46, not transitional; mails are sent to the same form.
fn ascii_domain(domain: &str) -> Option<String> {
    let is_encoded_somewhere = domain.split('.').any(is_encoded);
    if domain.is_ascii() && !is_encoded_somewhere {
        return Some(domain.to_ascii_lowercase());
    }
    let ascii = idna::domain_to_ascii(domain).ok()?;
    (ascii.len() <= MAX_DOMAIN_BYTES && is_domain(&ascii)).then_some(ascii)
}

fn is_local_part(local: &str) -> bool {
    match local.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
        Some(quoted) => is_quoted(quoted),
        None => local
            .split('.')
            .all(|atom| !atom.is_empty() && atom.bytes().all(is_atom_byte)),
    }
}

/// `atext` of RFC 5322.
fn is_atom_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(&byte)
}

/// What stands between the quotes: printable ASCII; quotes, backslashes and spaces after a backslash only.
fn is_quoted(text: &str) -> bool {
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        let is_good = match byte {
            b'\\' => bytes
                .next()
                .is_some_and(|escaped| escaped == b' ' || escaped.is_ascii_graphic()),
            b'"' => false,
            other => other.is_ascii_graphic(),
        };
        if !is_good {
            return false;
        }
    }
    true
}

/// At least two labels, the last one a top-level domain.
fn is_domain(domain: &str) -> bool {
    let Some((labels, last)) = domain.rsplit_once('.') else {
        return false;
    };
    labels.split('.').all(is_label) && is_last_label(last)
}

/// 1 to 63 letters, digits and inner hyphens.
fn is_label(label: &str) -> bool {
    !label.is_empty()
        && label.chars().count() <= MAX_LABEL_CHARS
        && !label.starts_with('-')
        && !label.ends_with('-')
        && label.chars().all(|character| {
            character == '-' || character.is_ascii_alphanumeric() || is_international(character)
        })
}

/// At least two characters and no ASCII digits, or an encoded international name.
fn is_last_label(label: &str) -> bool {
    let has_digits = label.contains(|character: char| character.is_ascii_digit());
    is_label(label) && label.chars().nth(1).is_some() && (!has_digits || is_encoded(label))
}

/// `xn--` and the name in punycode.
fn is_encoded(label: &str) -> bool {
    label.split_at_checked(4).is_some_and(|(prefix, name)| {
        prefix.eq_ignore_ascii_case("xn--")
            && !name.is_empty()
            && name.chars().all(|character| character.is_ascii_alphanumeric())
    })
}

/// Letters, marks and digits beyond ASCII, on the basic plane as in Django, and the two middle dots that domain names
/// may have (RFC 5892 appendix A).
fn is_international(character: char) -> bool {
    let is_on_basic_plane = ('\u{a1}'..='\u{ffff}').contains(&character);
    is_on_basic_plane
        && (characters::is_letter_or_number(character)
            || characters::is_mark(character)
            || matches!(character, '·' | '・'))
}

fn is_other_domain(domain: &str) -> bool {
    domain == "localhost" || is_address_literal(domain)
}

/// `[127.0.0.1]`, `[::1]`. Source: RFC 5321 section 4.1.3, without the tag `IPv6:`, as in Django.
fn is_address_literal(domain: &str) -> bool {
    let Some(literal) = domain.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) else {
        return false;
    };
    literal.parse::<Ipv4Addr>().is_ok() || literal.parse::<Ipv6Addr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_that_mail_can_be_sent_to_are_accepted() {
        let accepted = [
            "ann@example.org",
            "a@b.co",
            "ann.lee+tag@mail.example.co",
            "A_N-N@Example.ORG",
            "o'hara@example.org",
            "!#$%&*/=?^`{|}~@example.org",
            "1@1a.example.org",
            "ann@123.com",
            "\"ann\"@example.org",
            "\"a@b\"@example.org",
            "\"a\\\"b\\ c\"@example.org",
            "\"\"@example.org",
            "ann@localhost",
            "ann@[127.0.0.1]",
            "ann@[::1]",
            "ann@[1:2:3:4:5:6:7:8]",
            "ann@[::ffff:10.0.0.1]",
            "ann@пример.рф",
            "ann@भारत.भारत",
            "ann@हिन्दी.भारत",
            "ann@xn--e1afmkfd.xn--p1ai",
            "ann@xn--e1afmkfd.xn--80ao21a",
            "ann@x.xn--vermgensberater-ctb",
            "ann@col·legi.cat",
            "ann@a--b.org",
        ];
        for address in accepted {
            assert!(is_valid(address), "{address:?}");
        }
    }

    #[test]
    fn anything_else_is_refused() {
        let refused = [
            "",
            "x",
            "@",
            "ann",
            "ann@",
            "@example.org",
            "ann@b",
            "ann@@example.org",
            "ann@a@example.org",
            ".ann@example.org",
            "ann.@example.org",
            "a..b@example.org",
            "ann@.org",
            "ann@.example.org",
            "ann@example..org",
            "ann@example.org.",
            "ann@-x.org",
            "ann@x-.org",
            "ann@x.-org",
            "ann@x.org-",
            "ann lee@example.org",
            "ann@exam ple.org",
            "ann@exam_ple.org",
            "ann@exam!ple.org",
            "ann\t@example.org",
            "ann@x.c",
            "ann@x.c0m",
            "ann@1.2.3.4",
            "ann@x.xn--",
            "ann@x.xn--a-1",
            "ann@LOCALHOST",
            "ann@[127.0.0.1",
            "ann@[127.0.0.01]",
            "ann@[1.2.3]",
            "ann@[IPv6:::1]",
            "ann@[:::]",
            "ann@[]",
            "ann@[fe80::1%eth0]",
            "\"@example.org",
            "\"a\"b\"@example.org",
            "\"a\\\"@example.org",
            "\"a b\"@example.org",
            "a\"b\"@example.org",
            "<ann@example.org>",
            "Ann <ann@example.org>",
            "ann@example.org,bob@example.org",
            "ann@example.org;bob@example.org",
            "ann(c)@example.org",
            "ann@example.org (c)",
            "юзер@example.org",
        ];
        for address in refused {
            assert!(!is_valid(address), "{address:?}");
        }
    }

    #[test]
    fn nothing_can_break_the_line_of_a_mail_header() {
        for end in [
            "\n",
            "\r",
            "\r\nBcc: eve@evil.example",
            "\u{b}",
            "\u{c}",
            "\u{85}",
            "\u{2028}x",
            "\u{2029}x",
            "\0",
            "%0a",
        ] {
            assert!(!is_valid(&format!("ann@example.org{end}")), "{end:?}");
            assert!(
                !is_valid(&format!("\"ann{}\"@example.org", end.replace('%', "\n"))),
                "{end:?}"
            );
        }
        assert!(!is_valid("\"a\\\nb\"@example.org"));
        assert!(!is_valid("\"a\u{7f}\"@example.org"));
    }

    /// Where Django is more generous.
    #[test]
    fn invisible_characters_signs_and_letters_like_ascii_are_refused() {
        for address in [
            "ann@exa\u{200b}mple.org",
            "ann@exa\u{ad}mple.org",
            "ann@exa\u{2028}mple.org",
            "ann@example。co.org",
            "ann@☃.net",
            "ann@😀.org",
            "\u{212a}im@example.org",
            "ſam@example.org",
            "ann@exam\u{a0}ple.org",
        ] {
            assert!(!is_valid(address), "{address:?}");
        }
    }

    #[test]
    fn parts_have_lengths() {
        assert!(has_deliverable_length(&format!("{}@example.org", "a".repeat(64))));
        assert!(!has_deliverable_length(&format!(
            "{}@example.org",
            "a".repeat(65)
        )));
        assert!(is_valid(&format!("ann@{}.org", "a".repeat(63))));
        assert!(!is_valid(&format!("ann@{}.org", "a".repeat(64))));
        assert!(is_valid(&format!("ann@x.{}", "я".repeat(50))));
        assert!(
            !is_valid(&format!("ann@x.{}", "я".repeat(63))),
            "too long in ASCII"
        );
        assert!(!is_valid(&format!("ann@x.{}", "я".repeat(64))));
    }

    #[test]
    fn over_254_characters_is_still_a_form_and_over_320_is_none() {
        let domain_of = |length: usize| format!("{}org", "a.".repeat((length - 3) / 2));
        let address = format!("b@{}", domain_of(253));
        assert_eq!(address.len(), 255);
        assert!(address.len() > MAX_CHARS && is_valid(&address));
        assert!(is_valid(&format!("bcd@{}", domain_of(315))));
        assert!(!is_valid(&format!("b@{}", domain_of(319))));
    }

    #[test]
    fn long_garbage_is_refused_at_once() {
        for garbage in [
            "@".repeat(100_000),
            "a.".repeat(100_000),
            "\"\\".repeat(100_000),
            "ж".repeat(100_000),
        ] {
            assert!(!is_valid(&garbage));
        }
    }

    #[test]
    fn the_spellings_of_a_domain_have_one_compared_form() {
        for (address, form) in [
            ("Ann.LEE@Example.ORG", "ann.lee@example.org"),
            ("Ann@Пример.РФ", "ann@xn--e1afmkfd.xn--p1ai"),
            ("ann@XN--E1AFMKFD.xn--p1ai", "ann@xn--e1afmkfd.xn--p1ai"),
            ("ann@ｅｘａｍｐｌｅ.org", "ann@example.org"),
            ("ann@ｅxample.ＯＲＧ", "ann@example.org"),
            ("ann@bücher.example", "ann@xn--bcher-kva.example"),
            ("ann@bu\u{308}cher.example", "ann@xn--bcher-kva.example"),
            ("ann@straße.example", "ann@xn--strae-oqa.example"),
            ("ann@localhost", "ann@localhost"),
            ("ann@[::FFFF:10.0.0.1]", "ann@[::ffff:10.0.0.1]"),
            ("Nobody", "nobody"),
            ("JOB-1@", "job-1@"),
        ] {
            assert_eq!(key(address), form, "{address:?}");
            assert_eq!(key(form), form, "{form:?}");
        }
    }

    #[test]
    fn a_domain_without_an_ascii_form_is_no_domain() {
        for address in ["ann@xn--a.org", "ann@\u{301}a.org", "ann@א1a.org"] {
            assert!(!is_valid(address), "{address:?}");
            assert_eq!(key(address), address.to_lowercase(), "it is nobody's");
        }
    }
}
