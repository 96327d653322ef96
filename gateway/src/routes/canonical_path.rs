//! Whether a path means the same to everybody who reads it, decoded or not.

/// Whether `path` means the same to everybody: no empty segment, no `.` or `..`, no backslash, no `;`, and none of
/// them, no slash and no control character in percent-encoding, also when it is decoded more than once.
pub fn is_plain(path: &str) -> bool {
    if path.contains(['\\', ';']) || path.contains("//") {
        return false;
    }
    if path.split('/').any(|segment| segment == "." || segment == "..") {
        return false;
    }
    !path.contains('%') || has_plain_encoding(path)
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
    use super::*;

    #[test]
    fn a_path_that_could_mean_another_one_is_not_plain() {
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
        ] {
            assert!(!is_plain(&format!("/api/auth/{tail}")), "{tail}");
        }
        for good in [
            "/",
            "/a.b-c_d~",
            "/account/%D1%8F%20",
            "/account/100%25",
            "/50%25%20off/",
        ] {
            assert!(is_plain(good), "{good}");
        }
    }
}
