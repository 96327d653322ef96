//! The table: which path goes to which upstream. Whatever matches no route is 404.

use crate::upstream::UpstreamUrl;

/// Pages that the gateway serves itself, when embedded mode gives it some.
const PAGES_PREFIX: &str = "/dev/";

/// One line of the table.
#[derive(Clone, Debug)]
pub struct Route {
    /// `/api/auth/` takes every path below it; without a last slash, exactly this path.
    pub prefix: String,
    pub upstream: UpstreamUrl,
    /// identity-svc is a part of this product: its endpoints have a budget for each client, and to clients every
    /// failure of it, refused, cut or frozen, is one thing: 503.
    pub is_identity: bool,
}

/// All lines; the first that matches counts.
#[derive(Clone, Debug)]
pub struct Routes(Vec<Route>);

impl Routes {
    /// What identity-svc shows to the world, and then `others`. Its `/internal/` is in no line.
    pub fn new(identity: &UpstreamUrl, others: Vec<Route>) -> Self {
        let to_identity = |prefix: &str| Route {
            prefix: prefix.to_owned(),
            upstream: identity.clone(),
            is_identity: true,
        };
        let mut routes: Vec<Route> = ["/api/auth/", "/account/", "/.well-known/jwks.json"]
            .into_iter()
            .map(to_identity)
            .collect();
        routes.extend(others);
        Self(routes)
    }

    /// The route of `path`, as it was sent. A path that a server might read as another one has none.
    pub fn find(&self, path: &str) -> Option<&Route> {
        let route = self.0.iter().find(|route| route.matches(path))?;
        is_plain(path).then_some(route)
    }
}

impl Route {
    fn matches(&self, path: &str) -> bool {
        if self.prefix.ends_with('/') {
            path.starts_with(&self.prefix)
        } else {
            path == self.prefix
        }
    }
}

/// Whether the gateway itself may have a page at `path`.
pub fn is_page(path: &str) -> bool {
    path.starts_with(PAGES_PREFIX) && is_plain(path)
}

/// Whether `path` means the same to everybody: no empty segment, no `.` or `..`, no backslash, no `;`, and none of
/// them, no slash and no control character in percent-encoding, also when it is decoded more than once.
fn is_plain(path: &str) -> bool {
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

    fn has_route(path: &str) -> bool {
        Routes::new(&"http://127.0.0.1:1".parse().unwrap(), Vec::new())
            .find(path)
            .is_some()
    }

    #[test]
    fn the_table_has_what_clients_may_reach() {
        for path in [
            "/api/auth/login/",
            "/api/auth/login",
            "/api/auth/x",
            "/account/verify-email/a.b-c_d~",
            "/.well-known/jwks.json",
            "/account/%D1%8F%20",
            "/account/100%25",
            "/account/50%25%20off",
        ] {
            assert!(has_route(path), "{path}");
        }
        for path in [
            "/",
            "/api/auth",
            "/account",
            "/internal/users",
            "/API/auth/login/",
            "/.well-known/jwks.json/",
            "/api/",
            "*",
            "",
        ] {
            assert!(!has_route(path), "{path}");
        }
    }

    #[test]
    fn a_path_that_could_mean_another_one_has_no_route() {
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
            assert!(!has_route(&format!("/api/auth/{tail}")), "{tail}");
            assert!(!is_page(&format!("/dev/{tail}")), "{tail}");
        }
        assert!(is_page("/dev/mailbox") && !is_page("/devious") && !is_page("/api/auth/"));
    }
}
