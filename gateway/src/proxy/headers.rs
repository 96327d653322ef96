//! Which header fields pass: hop-by-hop ones go first, ours are added last, and nobody else can send ours.

use std::io::Write;
use std::net::IpAddr;

use bytes::{Bytes, BytesMut};
use shared::headers::{AUTH_SESSION_ID, AUTH_USER_ID, CLIENT_ADDRESS, REQUEST_ID, THROTTLE_WAIT};
use shared::request_id::RequestId;

use crate::client_address::TrustedProxies;
use crate::edge_auth::Caller;
use crate::http1::request_head::{is_host, trim};
use crate::http1::write;
use crate::message::{Fields, Head};

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
    pub is_https: bool,
    host: Option<Bytes>,
}

impl Origin {
    /// Believes `X-Forwarded-*` only when `peer` is one of our own proxies.
    pub fn of(fields: &Fields, peer: IpAddr, is_tls: bool, trusted: &TrustedProxies) -> Self {
        let sent_host = || fields.get("host").cloned();
        if !trusted.contains(peer.to_canonical()) {
            return Self {
                address: peer.to_canonical(),
                is_https: is_tls,
                host: sent_host(),
            };
        }
        let addresses = fields
            .all(X_FORWARDED_FOR)
            .map(|value| std::str::from_utf8(value).unwrap_or("?"));
        let scheme = fields.all(X_FORWARDED_PROTO).next_back();
        let host = fields
            .all(X_FORWARDED_HOST)
            .next_back()
            .filter(|value| is_host(value));
        Self {
            address: trusted.client(peer, addresses),
            is_https: scheme.map_or(is_tls, |scheme| scheme.eq_ignore_ascii_case(b"https")),
            host: host.cloned().or_else(sent_host),
        }
    }
}

/// The id the client sent, when it has the form of one, or a new one.
pub fn request_id(fields: &Fields) -> RequestId {
    RequestId::accept(fields.text(REQUEST_ID))
}

/// What the gateway adds to a request, beside what it always says.
#[derive(Debug, Default)]
pub struct Additions<'a> {
    /// For identity-svc: the client's budget is used up for so many seconds.
    pub throttle_wait: Option<i64>,
    /// Who the client is, checked.
    pub caller: Option<&'a Caller>,
}

/// Writes the fields of a request to an upstream, but for those of its framing: what the client sent, without what is
/// of one hop or ours; then ours.
pub fn to_upstream(
    out: &mut BytesMut,
    head: &Head,
    origin: &Origin,
    id: &RequestId,
    additions: &Additions<'_>,
) {
    let nominated = nominated(&head.fields);
    for field in head.fields.iter() {
        if !is_of_this_hop(&field.name, &nominated) && !is_reserved(&field.name) {
            write::write_field(out, field);
        }
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
        write::line(out, X_FORWARDED_HOST.as_bytes(), host);
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

/// The fields of an upstream's answer that go to the client.
pub fn from_upstream(answer: &Fields) -> Fields {
    let nominated = nominated(answer);
    let mut fields = Fields::with_capacity(answer.len() + 4);
    for field in answer.iter() {
        let is = |name: &str| field.name.eq_ignore_ascii_case(name.as_bytes());
        let names_versions = is("server") || is("x-powered-by") || is("via");
        if !names_versions && !is_of_this_hop(&field.name, &nominated) && !is_reserved(&field.name) {
            fields.push(field.name.clone(), field.value.clone());
        }
    }
    fields
}

/// What every answer carries, whoever wrote it.
pub fn finish(fields: &mut Fields, id: &RequestId) {
    fields.set("x-content-type-options", "nosniff");
    fields.set(REQUEST_ID, Bytes::copy_from_slice(id.as_str().as_bytes()));
}

/// The names that `Connection` lists.
fn nominated(fields: &Fields) -> Vec<Bytes> {
    let mut names = Vec::new();
    for value in fields.all("connection") {
        for name in value.split(|&byte| byte == b',').map(trim) {
            if !name.is_empty()
                && !name.eq_ignore_ascii_case(b"keep-alive")
                && !name.eq_ignore_ascii_case(b"close")
            {
                names.push(value.slice_ref(name));
            }
        }
    }
    names
}

fn is_one_of(name: &[u8], names: &[&str]) -> bool {
    names
        .iter()
        .any(|known| name.eq_ignore_ascii_case(known.as_bytes()))
}

fn is_of_this_hop(name: &[u8], nominated: &[Bytes]) -> bool {
    is_one_of(name, &HOP_BY_HOP)
        || (nominated.iter().any(|other| other.eq_ignore_ascii_case(name)) && !is_one_of(name, &END_TO_END))
}

/// Whether `name` is one of the gateway's own, in any spelling that a server might take for it: CGI and its heirs
/// read `_`, and some `.`, as `-`.
fn is_reserved(name: &[u8]) -> bool {
    let first = name.iter().find(|byte| byte.is_ascii_alphanumeric());
    if !matches!(first.map(u8::to_ascii_lowercase), Some(b'x' | b'f' | b'c' | b't')) {
        return false;
    }
    // Longer than every name below; what does not fit makes no difference.
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
    is_one_of(trimmed, &RESERVED)
        || RESERVED_PREFIXES
            .iter()
            .any(|prefix| plain.starts_with(prefix.as_bytes()))
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
            assert!(is_reserved(name.as_bytes()), "{name}");
        }
        for name in [
            "authorization",
            "x-author",
            "x-authenticated-user",
            "accept",
            "x-gate",
            "traceparent",
        ] {
            assert!(!is_reserved(name.as_bytes()), "{name}");
        }
    }

    #[test]
    fn connection_takes_away_what_it_may() {
        let text = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close, X-Hop, Authorization\r\n\
                    Connection: content-type\r\nX-Hop: 1\r\nAuthorization: Bearer a\r\nContent-Type: a/b\r\n\
                    TE: trailers\r\nX-End: 1\r\n\r\n";
        let head = crate::old_gate::old_head(text);
        let address = IpAddr::from([192, 0, 2, 1]);
        let origin = Origin::of(&head.fields, address, false, &TrustedProxies::default());
        let mut out = BytesMut::new();
        to_upstream(
            &mut out,
            &head,
            &origin,
            &RequestId::random(),
            &Additions::default(),
        );
        let lines = String::from_utf8(out.to_vec()).unwrap().to_ascii_lowercase();
        let mut names: Vec<&str> = lines.lines().filter_map(|line| line.split(':').next()).collect();
        names.sort_unstable();
        assert_eq!(
            names,
            [
                "authorization",
                "content-type",
                "x-end",
                "x-forwarded-for",
                "x-forwarded-host",
                "x-forwarded-proto",
                "x-gatehouse-client-address",
                "x-request-id",
            ]
        );
    }
}
