//! Reads the head of an upstream's response. An upstream is one of ours, so what it sends wrongly is an error, not an
//! attack; but two readings of where its body ends are refused all the same.

use actix_http::header::{HeaderMap, HeaderName, HeaderValue};
use actix_http::{Method, StatusCode};
use bytes::Bytes;

use super::request_head::{Lines, is_field_value, is_token_byte, parse_length, trim};

/// The largest head of a response.
pub const MAX_HEAD_BYTES: usize = 64 * 1024;
const MAX_FIELDS: usize = 200;
const BAD_CHARACTER: &str = "a bad character in a header line";

/// How the body of a response ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    NoBody,
    Length(u64),
    Chunked,
    UntilClose,
}

/// What stands before a response's body.
#[derive(Debug)]
pub struct ResponseHead {
    pub status: StatusCode,
    /// Slices of what was received.
    pub headers: HeaderMap,
    pub framing: Framing,
    /// What `Content-Length` says, also where there is no body.
    pub length: Option<u64>,
    /// Whether the connection can carry another request after this response.
    pub keeps_alive: bool,
}

/// Reads a whole head, its empty line included.
///
/// # Errors
/// What is wrong with it.
pub fn parse(head: &Bytes, method: &Method) -> Result<ResponseHead, &'static str> {
    let text = head.strip_suffix(b"\r\n\r\n").unwrap_or(head);
    let mut lines = Lines(Some(text));
    let (status, is_http_11) = status_line(lines.next().unwrap_or_default())?;
    let mut headers = HeaderMap::with_capacity(12);
    let (mut length, mut is_chunked, mut has_close, mut has_keep_alive) = (None, false, false, false);
    for (count, line) in lines.enumerate() {
        let colon = line.iter().position(|&byte| byte == b':');
        let (name, rest) = line.split_at(colon.ok_or("a header line without a colon")?);
        let value = trim(rest.get(1..).unwrap_or_default());
        if name.is_empty() || !name.iter().all(|&byte| is_token_byte(byte)) || !is_field_value(value) {
            return Err(BAD_CHARACTER);
        }
        if count >= MAX_FIELDS {
            return Err("too many header fields");
        }
        if name.eq_ignore_ascii_case(b"content-length") {
            let new = parse_length(value).ok_or("a bad Content-Length")?;
            if length.replace(new).is_some_and(|old| old != new) {
                return Err("two different values of Content-Length");
            }
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            if is_chunked || !value.eq_ignore_ascii_case(b"chunked") {
                return Err("a Transfer-Encoding other than chunked");
            }
            is_chunked = true;
        } else if name.eq_ignore_ascii_case(b"connection") {
            for option in value.split(|&byte| byte == b',').map(trim) {
                has_close |= option.eq_ignore_ascii_case(b"close");
                has_keep_alive |= option.eq_ignore_ascii_case(b"keep-alive");
            }
        }
        let name = HeaderName::from_bytes(name).map_err(|_| BAD_CHARACTER)?;
        let value = HeaderValue::from_maybe_shared(head.slice_ref(value)).map_err(|_| BAD_CHARACTER)?;
        headers.append(name, value);
    }
    if is_chunked && length.is_some() {
        return Err("both Transfer-Encoding and Content-Length");
    }
    let has_no_body = *method == Method::HEAD
        || status.is_informational()
        || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    let framing = match length {
        _ if has_no_body => Framing::NoBody,
        _ if is_chunked => Framing::Chunked,
        Some(length) => Framing::Length(length),
        None => Framing::UntilClose,
    };
    Ok(ResponseHead {
        status,
        headers,
        framing,
        length,
        keeps_alive: framing != Framing::UntilClose && !has_close && (is_http_11 || has_keep_alive),
    })
}

fn status_line(line: &[u8]) -> Result<(StatusCode, bool), &'static str> {
    let is_http_11 = line.starts_with(b"HTTP/1.1 ");
    if !is_http_11 && !line.starts_with(b"HTTP/1.0 ") {
        return Err("no HTTP/1.1");
    }
    let code = line.get(9..12).ok_or("no status")?;
    if !matches!(line.get(12), None | Some(b' ')) || !is_field_value(line) {
        return Err("a bad status");
    }
    let status = StatusCode::from_bytes(code).map_err(|_| "a bad status")?;
    Ok((status, is_http_11))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(head: &str, method: &Method) -> Result<ResponseHead, &'static str> {
        parse(&Bytes::copy_from_slice(head.as_bytes()), method)
    }

    #[test]
    fn the_end_of_a_body_is_known_in_one_way() {
        let framing = |lines: &str| {
            let head = format!("HTTP/1.1 200 OK\r\n{lines}\r\n");
            read(&head, &Method::GET).map(|head| (head.framing, head.keeps_alive))
        };
        assert_eq!(framing("Content-Length: 3\r\n"), Ok((Framing::Length(3), true)));
        assert_eq!(
            framing("Content-Length: 3\r\nContent-Length: 3\r\n"),
            Ok((Framing::Length(3), true))
        );
        assert_eq!(
            framing("Transfer-Encoding: chunked\r\nConnection: Close\r\n"),
            Ok((Framing::Chunked, false))
        );
        assert_eq!(framing(""), Ok((Framing::UntilClose, false)));
        for bad in [
            "Content-Length: 3\r\nContent-Length: 4\r\n",
            "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n",
            "Transfer-Encoding: gzip, chunked\r\n",
            "Content-Length: x\r\n",
            "nonsense\r\n",
            "X: a\rb\r\n",
            " X: a\r\n",
        ] {
            assert!(framing(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn some_responses_have_no_body_whatever_they_say() {
        let lines = "Content-Length: 3\r\n\r\n";
        for (status, method) in [
            ("200", Method::HEAD),
            ("204", Method::GET),
            ("304", Method::GET),
            ("100", Method::GET),
        ] {
            let head = read(&format!("HTTP/1.1 {status} X\r\n{lines}"), &method).unwrap();
            assert_eq!(
                (head.framing, head.length),
                (Framing::NoBody, Some(3)),
                "{status}"
            );
        }
        let old = read(&format!("HTTP/1.0 200\r\n{lines}"), &Method::GET).unwrap();
        assert!(!old.keeps_alive);
        for bad in [
            "HTTP/2 200 OK",
            "HTTP/1.1 20 OK",
            "HTTP/1.1 2000",
            "HTTP/1.1 200 O\rK",
            "SSH-2.0-x",
            "",
        ] {
            assert!(read(&format!("{bad}\r\n\r\n"), &Method::GET).is_err(), "{bad}");
        }
    }
}
