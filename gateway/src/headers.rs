//! Which header fields pass: hop-by-hop ones go first, ours are added last, and nobody else can send ours.

use std::net::IpAddr;

use actix_http::RequestHead;
use actix_http::header::{self, HeaderMap, HeaderName, HeaderValue};
use shared::headers::{CLIENT_ADDRESS, REQUEST_ID, THROTTLE_WAIT};
use shared::request_id::RequestId;

use crate::client_address::TrustedProxies;
use crate::request_head::is_host;

const X_FORWARDED_FOR: &str = "x-forwarded-for";
const X_FORWARDED_PROTO: &str = "x-forwarded-proto";
const X_FORWARDED_HOST: &str = "x-forwarded-host";

/// Fields of one hop, or that the next hop's client sets by itself. Source: RFC 9110 section 7.6.1.
const HOP_BY_HOP: [&str; 13] = [
    "connection",
    "content-length",
    "expect",
    "host",
    "http2-settings",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Fields that `Connection` cannot take away, because they are meant for whoever answers. Naming them there is not
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

/// Beginnings of names that only the gateway may send, and names that other proxies use for the same.
const RESERVED_PREFIXES: [&str; 5] = [
    "x-auth-",
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

/// Who asks, and how: what the gateway tells upstreams in its own fields.
#[derive(Clone, Debug)]
pub struct Origin {
    pub address: IpAddr,
    scheme: &'static str,
    host: Option<HeaderValue>,
}

impl Origin {
    /// Believes `X-Forwarded-*` only when `peer` is one of our own proxies.
    pub fn of(head: &RequestHead, peer: IpAddr, trusted: &TrustedProxies) -> Self {
        let is_trusted = trusted.contains(peer.to_canonical());
        let values: Vec<&str> = head
            .headers()
            .get_all(X_FORWARDED_FOR)
            .map(|value| value.to_str().unwrap_or("?"))
            .collect();
        let forwarded = |name: &str| head.headers().get_all(name).last().filter(|_| is_trusted);
        let is_https =
            forwarded(X_FORWARDED_PROTO).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"https"));
        let host = forwarded(X_FORWARDED_HOST).filter(|value| is_host(value.as_bytes()));
        Self {
            address: trusted.client(peer, values.into_iter()),
            scheme: if is_https { "https" } else { "http" },
            host: host.or_else(|| head.headers().get(header::HOST)).cloned(),
        }
    }
}

/// The id the client sent, when it has the form of one, or a new one.
pub fn request_id(head: &RequestHead) -> RequestId {
    RequestId::accept(
        head.headers()
            .get(REQUEST_ID)
            .and_then(|value| value.to_str().ok()),
    )
}

/// The fields of the request to an upstream. `throttle_wait` is for identity-svc: the client's budget is used up for
/// so many seconds.
pub fn to_upstream(
    head: &RequestHead,
    origin: &Origin,
    id: &RequestId,
    throttle_wait: Option<i64>,
) -> HeaderMap {
    let nominated = nominated(head.headers());
    let mut headers = HeaderMap::with_capacity(head.headers().len() + 6);
    for (name, value) in head.headers() {
        let name_text = name.as_str();
        if !is_of_this_hop(name_text, &nominated) && !is_reserved(name_text) {
            headers.append(name.clone(), value.clone());
        }
    }
    let mut set = |name: &'static str, value: HeaderValue| {
        headers.insert(HeaderName::from_static(name), value);
    };
    set(REQUEST_ID, text(id.as_str()));
    let address = text(&origin.address.to_string());
    set(CLIENT_ADDRESS, address.clone());
    set(X_FORWARDED_FOR, address);
    set(X_FORWARDED_PROTO, HeaderValue::from_static(origin.scheme));
    if let Some(host) = &origin.host {
        set(X_FORWARDED_HOST, host.clone());
    }
    if let Some(wait_seconds) = throttle_wait {
        set(THROTTLE_WAIT, HeaderValue::from(wait_seconds));
    }
    headers
}

/// The fields of an upstream's answer that go to the client.
pub fn from_upstream(answer: &HeaderMap) -> HeaderMap {
    let nominated = nominated(answer);
    let mut headers = HeaderMap::with_capacity(answer.len() + 2);
    for (name, value) in answer {
        let name_text = name.as_str();
        let names_versions = matches!(name_text, "server" | "x-powered-by" | "via");
        if !is_of_this_hop(name_text, &nominated) && !names_versions && !is_reserved(name_text) {
            headers.append(name.clone(), value.clone());
        }
    }
    headers
}

/// What every answer carries, whoever wrote it.
pub fn finish(headers: &mut HeaderMap, id: &RequestId) {
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    headers.insert(HeaderName::from_static(REQUEST_ID), text(id.as_str()));
}

/// The names that `Connection` lists, in lower case.
fn nominated(headers: &HeaderMap) -> Vec<String> {
    let values = headers
        .get_all(header::CONNECTION)
        .filter_map(|value| value.to_str().ok());
    values
        .flat_map(|value| value.split(','))
        .map(|name| name.trim().to_ascii_lowercase())
        .collect()
}

fn is_of_this_hop(name: &str, nominated: &[String]) -> bool {
    HOP_BY_HOP.contains(&name) || (nominated.iter().any(|other| other == name) && !END_TO_END.contains(&name))
}

/// Whether `name` is one of the gateway's own, in any spelling that a server might take for it: CGI and its heirs
/// read `_`, and some `.`, as `-`.
fn is_reserved(name: &str) -> bool {
    let mut plain = String::with_capacity(name.len());
    for character in name.chars() {
        if character.is_ascii_alphanumeric() {
            plain.push(character.to_ascii_lowercase());
        } else if !plain.is_empty() && !plain.ends_with('-') {
            plain.push('-');
        }
    }
    let plain = plain.trim_end_matches('-');
    RESERVED.contains(&plain) || RESERVED_PREFIXES.iter().any(|prefix| plain.starts_with(prefix))
}

/// Ids and addresses have only characters that a header value may have.
fn text(value: &str) -> HeaderValue {
    HeaderValue::from_str(value).unwrap_or_else(|_| HeaderValue::from_static("?"))
}

#[cfg(test)]
mod tests {
    use super::*;

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
            assert!(is_reserved(name), "{name}");
        }
        for name in [
            "authorization",
            "x-author",
            "x-authenticated-user",
            "accept",
            "x-gate",
            "traceparent",
        ] {
            assert!(!is_reserved(name), "{name}");
        }
    }

    #[test]
    fn connection_takes_away_what_it_may() {
        let mut head = RequestHead::default();
        for (name, value) in [
            ("connection", "close, X-Hop, Authorization"),
            ("connection", "content-type"),
            ("x-hop", "1"),
            ("authorization", "Bearer a"),
            ("content-type", "a/b"),
            ("te", "trailers"),
            ("x-end", "1"),
        ] {
            head.headers_mut()
                .append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        let origin = Origin::of(&head, IpAddr::from([192, 0, 2, 1]), &TrustedProxies::default());
        let headers = to_upstream(&head, &origin, &RequestId::random(), None);
        let mut names: Vec<&str> = headers.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        assert_eq!(
            names,
            [
                "authorization",
                "content-type",
                "x-end",
                "x-forwarded-for",
                "x-forwarded-proto",
                "x-gatehouse-client-address",
                "x-request-id",
            ]
        );
    }
}
