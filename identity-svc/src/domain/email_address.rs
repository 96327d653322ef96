//! The form of an e-mail address.
//!
//! Source: Django's `EmailValidator`; contract section 2 "E-mail form". Stricter than Django in four points, for the
//! sake of what a mail can be sent to: no more than 64 characters before the `@` (RFC 5321 section 4.5.3.1.1), no
//! control characters between quotes, nothing but ASCII before the `@` (Django's pattern, which ignores case, lets
//! the Kelvin sign pass for a k), and no signs, spaces or invisible characters in a domain.

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::domain::characters;

/// In characters. A longer address of a good form has an error of its own.
pub const MAX_CHARS: usize = 254;

/// Beyond this, an address has no form. Source: RFC 3696 section 3.
const MAX_FORM_CHARS: usize = 320;
const MAX_LOCAL_CHARS: usize = 64;
const MAX_LABEL_CHARS: usize = 63;

/// Whether the address has the form of one, whatever its length up to 320 characters.
pub fn is_valid(address: &str) -> bool {
    if address.chars().count() > MAX_FORM_CHARS {
        return false;
    }
    let Some((local, domain)) = address.rsplit_once('@') else {
        return false;
    };
    is_local_part(local) && (domain == "localhost" || is_domain(domain) || is_address_literal(domain))
}

/// The stored form, in which addresses are compared: lower case.
pub fn key(address: &str) -> String {
    address.to_lowercase()
}

fn is_local_part(local: &str) -> bool {
    if local.len() > MAX_LOCAL_CHARS {
        return false;
    }
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

/// At least two characters and no ASCII digits, except in an encoded international name.
fn is_last_label(label: &str) -> bool {
    let is_encoded = label
        .get(..4)
        .is_some_and(|prefix| prefix.eq_ignore_ascii_case("xn--"));
    is_label(label)
        && label.chars().nth(1).is_some()
        && (!label.contains(|character: char| character.is_ascii_digit()) || (is_encoded && label.is_ascii()))
}

/// Letters, marks and digits beyond ASCII, on the basic plane as in Django.
fn is_international(character: char) -> bool {
    ('\u{a1}'..='\u{ffff}').contains(&character)
        && (characters::is_letter_or_number(character) || characters::is_mark(character))
}

/// `[127.0.0.1]`, `[::1]`. Source: RFC 5321 section 4.1.3, without the tag `IPv6:`, as in Django.
fn is_address_literal(domain: &str) -> bool {
    let Some(literal) = domain.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) else {
        return false;
    };
    literal.parse::<Ipv4Addr>().is_ok() || literal.parse::<Ipv6Addr>().is_ok()
}
