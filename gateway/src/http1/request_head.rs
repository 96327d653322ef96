//! Decides whether a request's head may reach the parser: only what every HTTP parser reads in the same way does.
//!
//! Stricter than RFC 9112 where it lets a recipient be tolerant (bare line feeds, repeated equal lengths, absolute
//! targets), because each tolerance is a way to hide one request inside another from whatever stands before or after.

use std::net::Ipv6Addr;

use actix_http::header::{HeaderMap, HeaderName, HeaderValue};
use actix_http::{Method, Uri};
use bytes::Bytes;

use crate::error::GatewayError;

/// The largest head, from the method to the empty line.
pub const MAX_HEAD_BYTES: usize = 32 * 1024;
/// The longest registered one, `UPDATEREDIRECTREF`, has 17.
const MAX_METHOD_BYTES: usize = 20;
const MAX_TARGET_BYTES: usize = 8 * 1024;
pub const MAX_FIELDS: usize = 90;

/// How the length of a request's body is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyLength {
    /// The request has no body, which is not the same as an empty one.
    None,
    Known(u64),
    /// Only its end tells.
    Unknown,
}

/// A request's head without its headers, and what is about its connection only.
#[derive(Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is one fact about the connection"
)]
pub struct RequestHead {
    pub method: Method,
    /// Path and query, printable ASCII, beginning with a slash.
    pub target: Uri,
    pub body: BodyLength,
    pub is_http_11: bool,
    /// Whether the connection may go on after the response.
    pub keeps_alive: bool,
    /// Whether the client waits for "100 Continue" before it sends the body.
    pub expects_continue: bool,
    /// Whether it asks for an upgrade to WebSocket.
    pub is_websocket: bool,
    /// Whether it asks for another protocol than WebSocket, which it will not get.
    pub asks_upgrade: bool,
}

/// The state of the search for a head's end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Search {
    /// The head is this long, the empty line included.
    Found(usize),
    /// Nothing up to here ends it; go on from here with more.
    Partial(usize),
}

/// Looks for the empty line in `input`, from `start` on, which an earlier search returned.
///
/// # Errors
/// When a line ends in a bare line feed, so that nobody waits for an end that will not come.
pub fn find_end(input: &[u8], start: usize) -> Result<Search, GatewayError> {
    let mut position = start;
    while let Some(offset) = input
        .get(position..)
        .and_then(|rest| rest.iter().position(|&byte| byte == b'\n'))
    {
        let end = position + offset + 1;
        let head = input.get(..end).unwrap_or_default();
        if head.ends_with(b"\r\n\r\n") {
            return Ok(Search::Found(end));
        }
        if !head.ends_with(b"\r\n") {
            return Err(GatewayError::BadRequest("a line ends in a bare line feed"));
        }
        position = end;
    }
    Ok(Search::Partial(position))
}

/// Checks and reads a whole head, its empty line included; its header fields are added to `headers`.
///
/// # Errors
/// What to answer instead of reading on.
pub fn parse(head: &Bytes, headers: &mut HeaderMap) -> Result<RequestHead, GatewayError> {
    let text = head.strip_suffix(b"\r\n\r\n").unwrap_or(head);
    let mut lines = Lines(Some(text));
    let request_line = lines.next().unwrap_or_default();
    let (method, target, is_http_11) = check_request_line(request_line)?;
    let mut facts = Facts::default();
    for (count, line) in lines.enumerate() {
        if count >= MAX_FIELDS {
            return Err(GatewayError::HeaderTooLarge);
        }
        let (name, value) = split_field(line)?;
        facts.take(name, value)?;
        let name = HeaderName::from_bytes(name).map_err(|_| GatewayError::BadRequest("bad header name"))?;
        let value = HeaderValue::from_maybe_shared(head.slice_ref(value))
            .map_err(|_| GatewayError::BadRequest("bad character in a header value"))?;
        headers.append(name, value);
    }
    let body = facts.body_length(is_http_11, method == Method::POST)?;
    if facts.is_websocket && (!is_http_11 || !facts.has_upgrade_option || body != BodyLength::None) {
        return Err(GatewayError::BadRequest("a WebSocket upgrade that is none"));
    }
    Ok(RequestHead {
        method,
        target: Uri::from_maybe_shared(head.slice_ref(target))
            .map_err(|_| GatewayError::BadRequest("bad character in the target"))?,
        body,
        is_http_11,
        keeps_alive: is_http_11 && !facts.has_close,
        expects_continue: facts.expects_continue && is_http_11 && body != BodyLength::None,
        is_websocket: facts.is_websocket,
        asks_upgrade: facts.asks_upgrade,
    })
}

/// Name and value of a header line.
fn split_field(line: &[u8]) -> Result<(&[u8], &[u8]), GatewayError> {
    let Some(colon) = line.iter().position(|&byte| byte == b':') else {
        return Err(GatewayError::BadRequest("a header line without a colon"));
    };
    let (name, rest) = line.split_at(colon);
    if name.is_empty() || !name.iter().all(|&byte| is_token_byte(byte)) {
        return Err(GatewayError::BadRequest("bad header name"));
    }
    let value = trim(rest.get(1..).unwrap_or_default());
    if !is_field_value(value) {
        return Err(GatewayError::BadRequest("bad character in a header value"));
    }
    Ok((name, value))
}

/// Whether `value` has no control characters but tabs.
pub fn is_field_value(value: &[u8]) -> bool {
    !value.iter().any(|&byte| byte != b'\t' && byte.is_ascii_control())
}

/// The lines of a head, without their `\r\n`. A bare CR or LF stays in its line, where the checks find it.
pub struct Lines<'a>(pub Option<&'a [u8]>);

impl<'a> Iterator for Lines<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let rest = self.0?;
        let end = rest.windows(2).position(|pair| pair == b"\r\n");
        let (line, rest) = match end {
            Some(end) => (rest.get(..end)?, rest.get(end + 2..)),
            None => (rest, None),
        };
        self.0 = rest;
        Some(line)
    }
}

/// Returns method, target and whether the version is HTTP/1.1, and not HTTP/1.0.
fn check_request_line(line: &[u8]) -> Result<(Method, &[u8], bool), GatewayError> {
    let mut words = line.split(|&byte| byte == b' ');
    let (Some(method), Some(target), Some(version), None) =
        (words.next(), words.next(), words.next(), words.next())
    else {
        return Err(GatewayError::BadRequest("bad request line"));
    };
    if method.is_empty() || !method.iter().all(|&byte| is_token_byte(byte)) {
        return Err(GatewayError::BadRequest("bad method"));
    }
    let is_http_11 = match version {
        b"HTTP/1.1" => true,
        b"HTTP/1.0" => false,
        [b'H', b'T', b'T', b'P', b'/', major, b'.', minor]
            if major.is_ascii_digit() && minor.is_ascii_digit() =>
        {
            return Err(GatewayError::VersionNotSupported);
        }
        _ => return Err(GatewayError::BadRequest("bad HTTP version")),
    };
    let method = check_method(method)?;
    check_target(target)?;
    Ok((method, target, is_http_11))
}

/// Methods beyond the usual ones are for the service to refuse, or to serve: those of WebDAV, QUERY.
///
/// # Errors
/// 405 for those that echo or tunnel, 501 for what looks like no method.
pub fn check_method(method: &[u8]) -> Result<Method, GatewayError> {
    Ok(match method {
        b"GET" => Method::GET,
        b"HEAD" => Method::HEAD,
        b"POST" => Method::POST,
        b"PUT" => Method::PUT,
        b"PATCH" => Method::PATCH,
        b"DELETE" => Method::DELETE,
        b"OPTIONS" => Method::OPTIONS,
        b"TRACE" | b"TRACK" | b"CONNECT" => return Err(GatewayError::MethodNotAllowed),
        other if other.len() <= MAX_METHOD_BYTES && other.iter().copied().all(is_method_byte) => {
            Method::from_bytes(other).map_err(|_| GatewayError::NotImplemented)?
        }
        _ => return Err(GatewayError::NotImplemented),
    })
}

/// All registered methods are spelt so (IANA, "HTTP Method Registry").
fn is_method_byte(byte: u8) -> bool {
    byte.is_ascii_uppercase() || byte == b'-'
}

/// # Errors
/// 400 or 414 when it is no plain path with a query.
pub fn check_target(target: &[u8]) -> Result<(), GatewayError> {
    if target.len() > MAX_TARGET_BYTES {
        return Err(GatewayError::UriTooLong);
    }
    if !target.starts_with(b"/") {
        return Err(GatewayError::BadRequest("the target is not a path"));
    }
    let is_target_byte =
        |byte: &u8| matches!(byte, b'!'..=b'~') && !matches!(byte, b'#' | b'<' | b'>' | b'`' | b'\\');
    let query_start = target
        .iter()
        .position(|&byte| byte == b'?')
        .unwrap_or(target.len());
    let (_, query) = target.split_at(query_start);
    if !target.iter().all(is_target_byte) || query.contains(&b'"') {
        return Err(GatewayError::BadRequest("bad character in the target"));
    }
    Ok(())
}

/// What the fields seen so far say about the message itself.
#[derive(Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is one fact about the message")]
struct Facts {
    has_host: bool,
    has_authorization: bool,
    has_content_type: bool,
    has_close: bool,
    has_upgrade_option: bool,
    is_chunked: bool,
    is_websocket: bool,
    asks_upgrade: bool,
    expects_continue: bool,
    content_length: Option<u64>,
}

impl Facts {
    fn take(&mut self, name: &[u8], value: &[u8]) -> Result<(), GatewayError> {
        let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
        match name.len() {
            4 if is("host") => {
                once(&mut self.has_host, "more than one Host")?;
                if !is_host(value) {
                    return Err(GatewayError::BadRequest("bad Host"));
                }
            }
            6 if is("expect") => {
                if !value.eq_ignore_ascii_case(b"100-continue") {
                    return Err(GatewayError::ExpectationFailed);
                }
                self.expects_continue = true;
            }
            7 if is("upgrade") => {
                let is_websocket = value.eq_ignore_ascii_case(b"websocket");
                if !is_websocket && contains_ignore_case(value, b"websocket") {
                    return Err(GatewayError::BadRequest("a WebSocket upgrade that is none"));
                }
                self.is_websocket |= is_websocket;
                self.asks_upgrade |= !is_websocket;
            }
            10 if is("connection") => {
                for option in value.split(|&byte| byte == b',').map(trim) {
                    self.has_close |= option.eq_ignore_ascii_case(b"close");
                    self.has_upgrade_option |= option.eq_ignore_ascii_case(b"upgrade");
                }
            }
            12 if is("content-type") => once(&mut self.has_content_type, "more than one Content-Type")?,
            13 if is("authorization") => once(&mut self.has_authorization, "more than one Authorization")?,
            14 if is("content-length") => {
                let length = parse_length(value).ok_or(GatewayError::BadRequest("bad Content-Length"))?;
                if self.content_length.replace(length).is_some() {
                    return Err(GatewayError::BadRequest("more than one Content-Length"));
                }
            }
            17 if is("transfer-encoding") => {
                once(&mut self.is_chunked, "more than one Transfer-Encoding")?;
                if !value.eq_ignore_ascii_case(b"chunked") {
                    return Err(GatewayError::BadRequest("a Transfer-Encoding other than chunked"));
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn body_length(&self, is_http_11: bool, is_post: bool) -> Result<BodyLength, GatewayError> {
        if is_http_11 && !self.has_host {
            return Err(GatewayError::BadRequest("no Host"));
        }
        if self.is_chunked && self.content_length.is_some() {
            return Err(GatewayError::BadRequest(
                "both Transfer-Encoding and Content-Length",
            ));
        }
        if self.is_chunked && !is_http_11 {
            return Err(GatewayError::BadRequest("Transfer-Encoding in HTTP/1.0"));
        }
        match self.content_length {
            Some(length) => Ok(BodyLength::Known(length)),
            None if self.is_chunked => Ok(BodyLength::Unknown),
            None if is_post && !is_http_11 => Err(GatewayError::BadRequest("no Content-Length in HTTP/1.0")),
            None => Ok(BodyLength::None),
        }
    }
}

fn once(seen: &mut bool, problem: &'static str) -> Result<(), GatewayError> {
    if std::mem::replace(seen, true) {
        Err(GatewayError::BadRequest(problem))
    } else {
        Ok(())
    }
}

/// Digits only: no sign, no list, no other base; and no number that a 64-bit parser would wrap.
pub fn parse_length(value: &[u8]) -> Option<u64> {
    if value.is_empty() || value.len() > 18 || !value.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(value).ok()?.parse().ok()
}

/// A name, an IPv4 address or a bracketed IPv6 address, with or without a port; never a user part or a path.
pub fn is_host(value: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(value) else {
        return false;
    };
    let (host, port) = match text.rfind(':') {
        Some(colon) if !text.ends_with(']') => text.split_at(colon),
        _ => (text, ""),
    };
    let is_good_port = match port.strip_prefix(':') {
        Some(digits) => digits.bytes().all(|byte| byte.is_ascii_digit()) && digits.parse::<u16>().is_ok(),
        None => true,
    };
    let is_name_byte = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b'~');
    let is_good_host = match host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(address) => address.parse::<Ipv6Addr>().is_ok(),
        None => !host.is_empty() && host.len() <= 255 && host.bytes().all(is_name_byte),
    };
    is_good_port && is_good_host
}

/// Source: RFC 9110 section 5.6.2.
pub fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// Without the spaces and tabs around it; `trim_ascii` would also take line ends and form feeds away unseen.
pub fn trim(value: &[u8]) -> &[u8] {
    let is_space = |byte: &u8| matches!(byte, b' ' | b'\t');
    let start = value
        .iter()
        .position(|byte| !is_space(byte))
        .unwrap_or(value.len());
    let end = value
        .iter()
        .rposition(|byte| !is_space(byte))
        .map_or(start, |last| last + 1);
    value.get(start..end).unwrap_or_default()
}

fn contains_ignore_case(value: &[u8], word: &[u8]) -> bool {
    value
        .windows(word.len())
        .any(|window| window.eq_ignore_ascii_case(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_text(head: &str) -> Result<BodyLength, GatewayError> {
        parse(&Bytes::copy_from_slice(head.as_bytes()), &mut HeaderMap::new()).map(|head| head.body)
    }

    fn check_fields(fields: &str) -> Result<BodyLength, GatewayError> {
        check_text(&format!("POST /x HTTP/1.1\r\nHost: a\r\n{fields}\r\n"))
    }

    #[test]
    fn the_length_of_a_body_is_known_in_one_way_only() {
        assert_eq!(check_fields(""), Ok(BodyLength::None));
        assert_eq!(check_fields("Content-Length: 0\r\n"), Ok(BodyLength::Known(0)));
        assert_eq!(
            check_fields("content-length: \t13 \r\n"),
            Ok(BodyLength::Known(13))
        );
        assert_eq!(
            check_fields("Transfer-Encoding: Chunked\r\n"),
            Ok(BodyLength::Unknown)
        );
        for bad in [
            "+13",
            "-13",
            "0xd",
            "1_3",
            "1 3",
            "13abc",
            "",
            "13.0",
            "13, 13",
            "18446744073709551629",
            "\u{b}13",
            "²",
        ] {
            assert_eq!(
                check_fields(&format!("Content-Length: {bad}\r\n"))
                    .unwrap_err()
                    .status(),
                400,
                "{bad}"
            );
        }
        for bad in [
            "Content-Length: 5\r\nContent-Length: 5\r\n",
            "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
            "Transfer-Encoding: xchunked\r\n",
            "Transfer-Encoding: identity\r\n",
            "Transfer-Encoding: chunked, chunked\r\n",
            "Transfer-Encoding: ,chunked\r\n",
            "Transfer-Encoding: \"chunked\"\r\n",
            "Transfer-Encoding: \r\n",
            "Transfer-Encoding : chunked\r\n",
            "Transfer-Encoding\t: chunked\r\n",
            "Transfer-Encoding:\r\n chunked\r\n",
            "Transfer-Encoding: chunked\0\r\n",
        ] {
            assert_eq!(check_fields(bad).unwrap_err().status(), 400, "{bad:?}");
        }
        assert!(check_text("POST /x HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n").is_err());
        assert!(check_text("POST /x HTTP/1.0\r\n\r\n").is_err());
        assert_eq!(check_text("GET /x HTTP/1.0\r\n\r\n"), Ok(BodyLength::None));
    }

    #[test]
    fn a_request_line_has_one_reading() {
        for (bad, status) in [
            ("GET /a b HTTP/1.1", 400),
            ("GET  /a HTTP/1.1", 400),
            ("GET /a\tb HTTP/1.1", 400),
            ("GET /é HTTP/1.1", 400),
            ("GET x HTTP/1.1", 400),
            ("GET /#x HTTP/1.1", 400),
            ("GET http://b/ HTTP/1.1", 400),
            ("GET /\\x HTTP/1.1", 400),
            ("GET / HTTP/9.9", 505),
            ("GET / HTTP/2.0", 505),
            ("GET / HTTP/1.", 400),
            ("GET / HTTP/1.1x", 400),
            ("GET / http/1.1", 400),
            ("GE:T / HTTP/1.1", 400),
            (" / HTTP/1.1", 400),
            ("GET /", 400),
            ("get / HTTP/1.1", 501),
            ("BREW1 / HTTP/1.1", 501),
            ("TRACE / HTTP/1.1", 405),
            ("CONNECT a:1 HTTP/1.1", 405),
            ("OPTIONS * HTTP/1.1", 400),
            ("GET /?\" HTTP/1.1", 400),
        ] {
            let error = check_text(&format!("{bad}\r\nHost: a\r\n\r\n")).unwrap_err();
            assert_eq!(error.status(), status, "{bad}");
        }
        assert_eq!(
            check_text(&format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "a".repeat(8192))),
            Err(GatewayError::UriTooLong)
        );
        assert!(check_text("GET /a%20b;c|{d}?e=[f]^|&g='h' HTTP/1.1\r\nHost: a\r\n\r\n").is_ok());
    }

    #[test]
    fn a_host_is_a_name_or_an_address_exactly_once() {
        for good in ["a", "a.example:8000", "127.0.0.1", "[::1]", "[::1]:80", "A_b-c"] {
            assert!(
                check_text(&format!("GET / HTTP/1.1\r\nHost: {good}\r\n\r\n")).is_ok(),
                "{good}"
            );
        }
        for bad in [
            "", "a@b", "a b", "a/x", "a:b", "a:", "a:99999", "a:1:2", "::1", "[::1", "[x]", "a,b", "a?b", "ü",
        ] {
            assert!(
                check_text(&format!("GET / HTTP/1.1\r\nHost: {bad}\r\n\r\n")).is_err(),
                "{bad}"
            );
        }
        assert!(check_text("GET / HTTP/1.1\r\n\r\n").is_err());
        assert!(check_fields("Host: b\r\n").is_err());
    }

    #[test]
    fn header_lines_have_one_reading() {
        for bad in [
            "nonsense\r\n",
            ": x\r\n",
            " X: a\r\n",
            "X: a\r\n b\r\n",
            "X: a\0b\r\n",
            "X: a\rY: b\r\n",
            "X(A): a\r\n",
            "Xé: a\r\n",
            "X : a\r\n",
            "X: a\u{7f}\r\n",
            "Authorization: a\r\nAuthorization: b\r\n",
            "Content-Type: a\r\nContent-Type: b\r\n",
            "Upgrade: WebSocket\r\n",
            "Upgrade: h2c, websocket\r\nConnection: upgrade\r\n",
        ] {
            assert_eq!(check_fields(bad).unwrap_err().status(), 400, "{bad:?}");
        }
        assert_eq!(
            check_fields("Expect: nonsense\r\n"),
            Err(GatewayError::ExpectationFailed)
        );
        assert_eq!(
            check_fields(&"X: a\r\n".repeat(100)),
            Err(GatewayError::HeaderTooLarge)
        );
        assert!(check_fields("X: a\tb é\r\nExpect: 100-Continue\r\nUpgrade: h2c\r\n").is_ok());
    }

    #[test]
    fn the_end_of_a_head_is_found_however_it_arrives() {
        let head = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
        let mut start = 0;
        for length in 1..head.len() {
            let Ok(Search::Partial(position)) = find_end(&head[..length], start) else {
                panic!("{length}")
            };
            start = position;
        }
        assert_eq!(find_end(head, start), Ok(Search::Found(head.len())));
        assert!(find_end(b"GET / HTTP/1.1\nHost: a\n\n", 0).is_err());
    }

    #[test]
    fn what_is_accepted_arrives_unchanged() {
        let text = "PROPFIND /a%20b/{c}|~?x=[1]&y='2' HTTP/1.1\r\nHOST: a:80\r\nX-One: 1 \r\nx-one:\t\u{fc}, \"2\"\r\n\
                    Connection: keep-alive, Close\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n";
        let mut headers = HeaderMap::new();
        let head = parse(&Bytes::from_static(text.as_bytes()), &mut headers).unwrap();
        assert_eq!(head.method.as_str(), "PROPFIND");
        assert_eq!(head.target.path_and_query().unwrap(), "/a%20b/{c}|~?x=[1]&y='2'");
        assert_eq!(head.body, BodyLength::Known(3));
        assert!(head.is_http_11 && !head.keeps_alive && head.expects_continue);
        let values: Vec<&[u8]> = headers.get_all("x-one").map(HeaderValue::as_bytes).collect();
        assert_eq!(values, [&b"1"[..], "\u{fc}, \"2\"".as_bytes()]);
        assert_eq!(headers.len(), 6);
    }

    #[test]
    fn every_target_that_the_rules_allow_can_be_parsed() {
        for byte in b'!'..=b'~' {
            let target = format!("/{0}?{0}", char::from(byte));
            if check_target(target.as_bytes()).is_ok() {
                let text = format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n");
                assert!(check_text(&text).is_ok(), "{target}");
            }
        }
        let double = check_text("GET //a/b HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(double, Ok(BodyLength::None));
    }
}
