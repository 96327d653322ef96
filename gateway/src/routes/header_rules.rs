//! Headers that a route sets or removes, on the way to its upstream and on the way back.

use actix_http::header::{HeaderName, HeaderValue};

use crate::http1::hop_by_hop::HOP_BY_HOP;

/// A route's `request_headers` and `response_headers`. Removed first, then set, in place of all others of the name; what
/// the gateway itself sets comes after both.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeaderRules {
    pub request_set: Vec<(HeaderName, HeaderValue)>,
    pub request_remove: Vec<HeaderName>,
    pub response_set: Vec<(HeaderName, HeaderValue)>,
    pub response_remove: Vec<HeaderName>,
}

impl HeaderRules {
    /// Whether there is a rule at all.
    pub fn is_empty(&self) -> bool {
        self.request_set.is_empty()
            && self.request_remove.is_empty()
            && self.response_set.is_empty()
            && self.response_remove.is_empty()
    }
}

/// What a rule may name.
///
/// # Errors
/// Why it may not.
pub fn checked_name(text: &str) -> Result<HeaderName, String> {
    let name =
        HeaderName::from_bytes(text.as_bytes()).map_err(|_| format!("\"{text}\" is no name of a header"))?;
    // Many servers read an underscore as a dash.
    let same = name.as_str().replace('_', "-");
    if same == "host" {
        return Err("host is kept with preserve_host = true, and no rule can change it".to_owned());
    }
    if HOP_BY_HOP.contains(&same.as_str()) {
        return Err(format!(
            "{name} belongs to the connection, and no rule can change it"
        ));
    }
    let is_ours = ["x-auth-", "x-forwarded-", "x-gatehouse-"]
        .iter()
        .any(|prefix| same.starts_with(prefix));
    if is_ours || same == "x-request-id" {
        return Err(format!("{name} is the gateway's own"));
    }
    Ok(name)
}

/// What a rule may set.
///
/// # Errors
/// Why it may not.
pub fn checked_value(name: &HeaderName, text: &str) -> Result<HeaderValue, String> {
    HeaderValue::from_str(text)
        .ok()
        .filter(|_| text.is_ascii() && text.trim() == text)
        .ok_or_else(|| {
            format!("{name} cannot have this value: it must be visible ASCII, without spaces around it")
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_frames_a_message_or_is_the_gateways_own_cannot_be_changed() {
        for name in [
            "Content-Length",
            "content_length",
            "Transfer-Encoding",
            "connection",
            "Upgrade",
            "Host",
            "X-Auth-User-Id",
            "x_auth_session_id",
            "X-Forwarded-For",
            "X-Request-ID",
            "X-Gatehouse-Client-Address",
            "http2-settings",
            "",
            "a b",
            "a:b",
            "\u{e9}",
        ] {
            assert!(checked_name(name).is_err(), "{name}");
        }
        for name in [
            "Authorization",
            "Server",
            "X-Powered-By",
            "Cache-Control",
            "Cookie",
        ] {
            assert_eq!(checked_name(name).unwrap().as_str(), name.to_ascii_lowercase());
        }
        let name = HeaderName::from_static("x-a");
        for value in ["a\r\nb: c", "a\nb", "\u{e9}", " a", "\0"] {
            assert!(checked_value(&name, value).is_err(), "{value:?}");
        }
        assert_eq!(checked_value(&name, "a, b\tc").unwrap(), "a, b\tc");
    }
}
