//! Which headers pass: hop-by-hop ones go first, ours are added last, and nobody else can send ours.

use std::io::Write;

use actix_http::header::{HeaderMap, HeaderName, HeaderValue};
use bytes::BytesMut;
use shared::headers::{AUTH_SESSION_ID, AUTH_USER_ID, CLIENT_ADDRESS, REQUEST_ID, THROTTLE_WAIT};
use shared::request_id::RequestId;

use crate::client_address::Origin;
use crate::edge_auth::Caller;
use crate::http1::hop_by_hop::HOP_BY_HOP;
use crate::http1::request_head::trim;
use crate::http1::write;
use crate::routes::HeaderRules;

const X_FORWARDED_FOR: &str = "x-forwarded-for";
const X_FORWARDED_PROTO: &str = "x-forwarded-proto";
const X_FORWARDED_HOST: &str = "x-forwarded-host";

/// Headers that `Connection` cannot take away, because they are meant for whoever answers. Naming them there is not
/// allowed (RFC 9110 section 7.6.1), and would let a client change what the upstream is asked.
const END_TO_END: [&str; 10] = [
    "accept",
    "accept-language",
    "authorization",
    "cache-control",
    "content-encoding",
    "content-language",
    "content-type",
    "cookie",
    "origin",
    "traceparent",
];

/// Beginnings of names that only the gateway may send, and names that other proxies use for the same. Of `X-Auth-`,
/// what says who somebody is; `X-Auth-Token` and `X-Auth-Key` are what a service of one's own checks for itself.
const RESERVED_PREFIXES: [&str; 26] = [
    "x-auth-user",
    "x-auth-session",
    "x-auth-email",
    "x-auth-request",
    "x-auth-sid",
    "x-auth-sub",
    "x-auth-id",
    "x-auth-uid",
    "x-auth-name",
    "x-auth-account",
    "x-auth-client",
    "x-auth-principal",
    "x-auth-claim",
    "x-auth-role",
    "x-auth-group",
    "x-auth-scope",
    "x-auth-permission",
    "x-auth-tenant",
    "x-auth-org",
    "x-auth-staff",
    "x-auth-admin",
    "x-auth-verified",
    "x-gatehouse-",
    "x-forwarded-",
    "x-original-",
    "x-rewrite-",
];
const RESERVED: [&str; 9] = [
    "cf-connecting-ip",
    "forwarded",
    "true-client-ip",
    "x-auth",
    "x-client-ip",
    "x-cluster-client-ip",
    "x-gatehouse",
    "x-real-ip",
    "x-request-id",
];

/// What the gateway adds to a request, beside what it always says.
#[derive(Debug, Default)]
pub struct Additions<'a> {
    /// For identity-svc: the client's budget is used up for so many seconds.
    pub throttle_wait: Option<i64>,
    /// Who the client is, checked.
    pub caller: Option<&'a Caller>,
}

/// Writes the headers of a request to an upstream, but for those of its framing: what the client sent, without what is
/// of one hop or ours, and as the route's rules have it; then ours.
pub fn to_upstream(
    out: &mut BytesMut,
    headers: &HeaderMap,
    rules: &HeaderRules,
    origin: &Origin,
    id: &RequestId,
    additions: &Additions<'_>,
) {
    let nominated = nominated(headers);
    for (name, value) in headers {
        let is_changed =
            rules.request_remove.contains(name) || rules.request_set.iter().any(|(set, _)| set == name);
        if !is_changed && !is_of_this_hop(name, &nominated) && !is_reserved(name) {
            write::line(out, name.as_str().as_bytes(), value.as_bytes());
        }
    }
    for (name, value) in &rules.request_set {
        write::line(out, name.as_str().as_bytes(), value.as_bytes());
    }
    write::line(out, REQUEST_ID.as_bytes(), id.as_str().as_bytes());
    let mut address = [0; 48];
    let mut rest: &mut [u8] = &mut address;
    // An address has at most 39 characters.
    let _ = write!(rest, "{}", origin.address);
    let length = 48 - rest.len();
    let address = address.get(..length).unwrap_or_default();
    write::line(out, CLIENT_ADDRESS.as_bytes(), address);
    write::line(out, X_FORWARDED_FOR.as_bytes(), address);
    let scheme: &[u8] = if origin.is_https { b"https" } else { b"http" };
    write::line(out, X_FORWARDED_PROTO.as_bytes(), scheme);
    if let Some(host) = &origin.host {
        write::line(out, X_FORWARDED_HOST.as_bytes(), host.as_bytes());
    }
    if let Some(wait_seconds) = additions.throttle_wait {
        write::number_line(out, THROTTLE_WAIT.as_bytes(), wait_seconds.unsigned_abs());
    }
    if let Some(caller) = additions.caller {
        write::line(out, AUTH_USER_ID.as_bytes(), &caller.user_id);
        if let Some(session_id) = &caller.session_id {
            write::line(out, AUTH_SESSION_ID.as_bytes(), session_id);
        }
    }
}

/// The headers of an upstream's response that go to the client, as the route's rules have it.
pub fn from_upstream(mut headers: HeaderMap, rules: &HeaderRules) -> HeaderMap {
    let nominated = nominated(&headers);
    headers.retain(|name, _| {
        let names_versions = matches!(name.as_str(), "server" | "x-powered-by" | "via");
        !names_versions && !is_of_this_hop(name, &nominated) && !is_reserved(name)
    });
    for name in &rules.response_remove {
        headers.remove(name);
    }
    for (name, value) in &rules.response_set {
        headers.insert(name.clone(), value.clone());
    }
    headers
}

/// The values of `Connection` that name headers.
fn nominated(headers: &HeaderMap) -> Vec<HeaderValue> {
    headers
        .get_all("connection")
        .filter(|value| options(value).next().is_some())
        .cloned()
        .collect()
}

/// The names that a value of `Connection` lists.
fn options(value: &HeaderValue) -> impl Iterator<Item = &[u8]> {
    value
        .as_bytes()
        .split(|&byte| byte == b',')
        .map(trim)
        .filter(|name| {
            !name.is_empty()
                && !name.eq_ignore_ascii_case(b"keep-alive")
                && !name.eq_ignore_ascii_case(b"close")
        })
}

fn is_of_this_hop(name: &HeaderName, nominated: &[HeaderValue]) -> bool {
    let name = name.as_str();
    let mut names = nominated.iter().flat_map(options);
    HOP_BY_HOP.contains(&name)
        || (names.any(|other| other.eq_ignore_ascii_case(name.as_bytes())) && !END_TO_END.contains(&name))
}

/// Whether `name` is one of the gateway's own, in any spelling that a server might take for it: CGI and its heirs
/// read `_`, and some `.`, as `-`.
fn is_reserved(name: &HeaderName) -> bool {
    let name = name.as_str().as_bytes();
    let first = name.iter().find(|byte| byte.is_ascii_alphanumeric());
    if !matches!(first, Some(b'x' | b'f' | b'c' | b't')) {
        return false;
    }
    // Longer than every name above; what does not fit makes no difference.
    let mut plain = [0; 32];
    let mut length: usize = 0;
    for &byte in name {
        let previous = length.checked_sub(1).and_then(|last| plain.get(last)).copied();
        let next = match byte.is_ascii_alphanumeric() {
            true => byte.to_ascii_lowercase(),
            false if matches!(previous, None | Some(b'-')) => continue,
            false => b'-',
        };
        let Some(place) = plain.get_mut(length) else { break };
        *place = next;
        length += 1;
    }
    let plain = plain.get(..length).unwrap_or_default();
    let trimmed = plain.strip_suffix(b"-").unwrap_or(plain);
    RESERVED.iter().any(|reserved| trimmed == reserved.as_bytes())
        || RESERVED_PREFIXES
            .iter()
            .any(|prefix| plain.starts_with(prefix.as_bytes()))
}

#[cfg(test)]
mod tests {
    use actix_http::header::HeaderValue;

    use super::*;

    fn sent_upstream(headers: &HeaderMap, rules: &HeaderRules) -> String {
        let origin = Origin {
            address: std::net::IpAddr::from([192, 0, 2, 1]),
            is_https: false,
            host: headers.get("host").cloned(),
        };
        let mut out = BytesMut::new();
        let (id, additions) = (RequestId::random(), Additions::default());
        to_upstream(&mut out, headers, rules, &origin, &id, &additions);
        String::from_utf8(out.to_vec()).unwrap()
    }

    #[test]
    fn a_routes_rules_come_after_what_was_sent_and_before_what_is_ours() {
        let mut headers = HeaderMap::new();
        for (name, value) in [("cookie", "a"), ("x-a", "1"), ("x-a", "2"), ("x-b", "3")] {
            headers.append(name.parse().unwrap(), value.parse().unwrap());
        }
        let set = vec![("x-a".parse().unwrap(), HeaderValue::from_static("set"))];
        let rules = HeaderRules {
            request_set: set.clone(),
            request_remove: vec!["cookie".parse().unwrap()],
            response_set: set,
            response_remove: vec!["cookie".parse().unwrap()],
        };
        let lines = sent_upstream(&headers, &rules);
        assert!(
            lines.starts_with("x-b: 3\r\nx-a: set\r\nx-request-id: "),
            "{lines}"
        );
        let back = from_upstream(headers, &rules);
        assert!(!back.contains_key("cookie") && back.get_all("x-a").count() == 1);
    }

    #[test]
    fn reserved_names_are_known_in_every_spelling() {
        for name in [
            "x-auth-user-id",
            "x_auth_user_id",
            "x.auth.user.id",
            "x-auth_user-id",
            "x--auth--user",
            "_x-auth-user",
            "x-auth-",
            "x-auth",
            "x-gatehouse-client-address",
            "x_gatehouse_throttle_wait",
            "x-forwarded-for",
            "x_forwarded_proto",
            "x-forwarded-user",
            "forwarded",
            "x!auth!user",
            "x-request-id",
            "x_request_id",
            "x-original-url",
            "X-Auth-User",
        ] {
            assert!(is_reserved(&name.parse().unwrap()), "{name}");
        }
        for name in [
            "authorization",
            "x-author",
            "x-authenticated-user",
            "accept",
            "x-gate",
            "traceparent",
        ] {
            assert!(!is_reserved(&name.parse().unwrap()), "{name}");
        }
    }

    #[test]
    fn a_services_own_credentials_pass() {
        for name in [
            "x-auth-token",
            "X_Auth_Token",
            "x-auth-key",
            "x-auth-signature",
            "x-auth-timestamp",
        ] {
            assert!(!is_reserved(&name.parse().unwrap()), "{name}");
        }
    }

    #[test]
    fn connection_takes_away_what_it_may() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("host", "a"),
            ("connection", "close, X-Hop, Authorization"),
            ("connection", "content-type"),
            ("x-hop", "1"),
            ("authorization", "Bearer a"),
            ("content-type", "a/b"),
            ("te", "trailers"),
            ("x-end", "1"),
        ] {
            headers.append(name.parse().unwrap(), value.parse().unwrap());
        }
        let lines = sent_upstream(&headers, &HeaderRules::default());
        let mut names: Vec<&str> = lines.lines().filter_map(|line| line.split(':').next()).collect();
        names.sort_unstable();
        let theirs = ["authorization", "content-type", "x-end"];
        let ours = [
            "x-forwarded-for",
            "x-forwarded-host",
            "x-forwarded-proto",
            "x-gatehouse-client-address",
            "x-request-id",
        ];
        assert_eq!(names, [&theirs[..], &ours[..]].concat());
    }
}
