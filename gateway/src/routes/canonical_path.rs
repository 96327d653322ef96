//! The one way to write a path. It is made once for each request, and nothing else is read afterwards.
//!
//! RFC 3986, section 6.2.2: an escape of an unreserved character (`%61`) is the character itself, and the digits of all
//! other escapes are capitals. What two servers could read as two paths has no canonical form, and gets no further.

use std::ops::Deref;
use std::rc::Rc;

/// A path that every server reads alike, without its query. Clones share it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CanonicalPath(Rc<str>);

impl CanonicalPath {
    /// The canonical form of `raw`, a path as it was sent. `None` when it could be read as another one: it does not begin
    /// with a slash; an empty segment, `.` or `..`; a backslash or `;`; one of these, a slash or a control character in
    /// percent-encoding, also when it is decoded more than once; an escape that is none, or of no UTF-8; a character that
    /// no path holds.
    pub fn of(raw: &str) -> Option<Self> {
        if !raw.starts_with('/') || !raw.bytes().all(is_path_byte) {
            return None;
        }
        if !raw.contains('%') {
            return has_plain_segments(raw).then(|| Self(raw.into()));
        }
        let path = with_canonical_escapes(raw)?;
        (has_plain_segments(&path) && has_plain_encoding(&path)).then(|| Self(path.into()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Deref for CanonicalPath {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl From<CanonicalPath> for Rc<str> {
    fn from(path: CanonicalPath) -> Self {
        path.0
    }
}

/// Visible ASCII, and nothing that ends a path or begins its parameters, or that some server takes for a slash.
fn is_path_byte(byte: u8) -> bool {
    byte.is_ascii_graphic() && !b"?#\\;".contains(&byte)
}

fn has_plain_segments(path: &str) -> bool {
    !path.contains("//") && !path.split('/').any(|segment| matches!(segment, "." | ".."))
}

fn with_canonical_escapes(raw: &str) -> Option<String> {
    let mut path = String::with_capacity(raw.len());
    let mut parts = raw.split('%');
    path.push_str(parts.next()?);
    for part in parts {
        let byte = escaped_byte(part.as_bytes())?;
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            path.push(char::from(byte));
        } else {
            path.push('%');
            path.push_str(&part.get(..2)?.to_ascii_uppercase());
        }
        path.push_str(part.get(2..)?);
    }
    Some(path)
}

fn has_plain_encoding(path: &str) -> bool {
    let Some(mut decoded) = decode(path.as_bytes()) else {
        return false;
    };
    if std::str::from_utf8(&decoded).is_err() {
        return false;
    }
    // Whoever decodes twice reads more; a percent sign that now begins nothing stands for itself.
    while decoded.contains(&b'%') {
        match decode(&decoded) {
            Some(again) => decoded = again,
            None => return !has_escape(&decoded),
        }
    }
    true
}

/// Decodes once; nothing when there is a wrong escape, or one of a character that separates or ends something.
fn decode(path: &[u8]) -> Option<Vec<u8>> {
    let mut decoded = Vec::with_capacity(path.len());
    let mut parts = path.split(|&byte| byte == b'%');
    decoded.extend(parts.next()?);
    for part in parts {
        let byte = escaped_byte(part)?;
        if byte.is_ascii_control() || b"./\\;".contains(&byte) {
            return None;
        }
        decoded.push(byte);
        decoded.extend(part.iter().skip(2));
    }
    Some(decoded)
}

/// Decodes what is an escape, once; nothing when there is none.
pub(super) fn decode_once(path: &[u8]) -> Option<Vec<u8>> {
    if !has_escape(path) {
        return None;
    }
    let mut decoded = Vec::with_capacity(path.len());
    let mut parts = path.split(|&byte| byte == b'%');
    decoded.extend(parts.next()?);
    for part in parts {
        if let Some(byte) = escaped_byte(part) {
            decoded.push(byte);
            decoded.extend(part.iter().skip(2));
        } else {
            decoded.push(b'%');
            decoded.extend(part);
        }
    }
    Some(decoded)
}

fn has_escape(path: &[u8]) -> bool {
    path.split(|&byte| byte == b'%')
        .skip(1)
        .any(|part| escaped_byte(part).is_some())
}

fn escaped_byte(part: &[u8]) -> Option<u8> {
    let digits = part
        .get(..2)
        .filter(|digits| digits.iter().all(u8::is_ascii_hexdigit))?;
    u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_path_that_could_mean_another_one_has_no_canonical_form() {
        for tail in [
            "../internal/users",
            "..",
            ".",
            "./login/",
            "/login/",
            "login//",
            "%2e%2e/internal/",
            "%2E./internal/",
            "..%2finternal",
            "x%5c..",
            "..\\internal",
            "login/..;/internal",
            "login;x=1/",
            "login/%00",
            "login/%0d%0aX:1",
            "%252e%252e/internal",
            "%25252e%25252e%25252finternal",
            "%c0%ae%c0%ae/internal",
            "%zz",
            "login/%",
            "login/%2",
            "%3b",
            "%7f",
            "a%2",
            "a?b",
            "a#b",
            "a b",
            "\u{e9}",
        ] {
            assert_eq!(CanonicalPath::of(&format!("/api/auth/{tail}")), None, "{tail}");
        }
        for none in ["", "*", "a/", "%2Fa", "http://a/b"] {
            assert_eq!(CanonicalPath::of(none), None, "{none}");
        }
    }

    #[test]
    fn escapes_of_what_may_stand_for_itself_are_decoded_and_the_others_are_capitals() {
        for (raw, canonical) in [
            ("/", "/"),
            ("/a.b-c_d~", "/a.b-c_d~"),
            ("/%61%2d%2E%5f%7e%39", "/a-._~9"),
            ("/account/%d1%8f%20", "/account/%D1%8F%20"),
            ("/account/100%25", "/account/100%25"),
            ("/50%25%20off/", "/50%25%20off/"),
            ("/a%2bb@c:d,e%3a", "/a%2Bb@c:d,e%3A"),
            ("/v1%2e2/x", "/v1.2/x"),
        ] {
            assert_eq!(CanonicalPath::of(raw).as_deref(), Some(canonical), "{raw}");
        }
    }

    fn decoded(path: &str) -> Vec<u8> {
        decode_once(path.as_bytes()).unwrap_or_else(|| path.as_bytes().to_vec())
    }

    /// Paths out of what has a meaning in one, and of letters that spell `admin`.
    fn raw_paths() -> impl Strategy<Value = String> {
        let piece = prop::sample::select(vec![
            "/", "a", "dmin", "%61", "%64min", "%2D", "%2d", ".", "%2e", "%2F", "%5c", "%25", "61", "%",
            "%c3%a9", "%C3", ":", "%3a", "+", "%2B", "~", "A", ";", "\\", "%00", " ", "?",
        ]);
        prop::collection::vec(piece, 0..12).prop_map(|pieces| format!("/{}", pieces.concat()))
    }

    proptest! {
        #[test]
        fn a_canonical_path_is_its_own_canonical_form(raw in raw_paths()) {
            if let Some(path) = CanonicalPath::of(&raw) {
                prop_assert_eq!(CanonicalPath::of(&path), Some(path.clone()));
                prop_assert!(path.bytes().all(|byte| byte.is_ascii_graphic()));
            }
        }

        #[test]
        fn whoever_decodes_it_sees_the_path_that_was_sent(raw in raw_paths()) {
            if let Some(path) = CanonicalPath::of(&raw) {
                prop_assert_eq!(decoded(&path), decoded(&raw));
                let seen = String::from_utf8(decoded(&path)).unwrap();
                prop_assert!(has_plain_segments(&seen) && seen.matches('/').count() == raw.matches('/').count());
            }
        }
    }
}
