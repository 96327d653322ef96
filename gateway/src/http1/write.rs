//! How heads are written.

use actix_http::ResponseHead;
use actix_http::header::{
    CONNECTION, CONTENT_LENGTH, DATE, HeaderMap, HeaderName, TRANSFER_ENCODING, UPGRADE,
};
use bytes::{BufMut, BytesMut};

/// What a response's head says of the message itself, and of the connection.
#[derive(Debug)]
pub struct ResponseLines<'a> {
    /// Used unless the response has one of its own.
    pub date: &'a [u8],
    pub content_length: Option<u64>,
    pub is_chunked: bool,
    /// The value of `Connection`.
    pub connection: Option<&'static str>,
    pub is_websocket: bool,
}

/// Writes a response's head; whatever it says itself of length and connection is left out.
pub fn response_head(out: &mut BytesMut, head: &ResponseHead, lines: &ResponseLines<'_>) {
    out.put_slice(b"HTTP/1.1 ");
    out.put_slice(head.status.as_str().as_bytes());
    out.put_u8(b' ');
    out.put_slice(head.reason().as_bytes());
    out.put_slice(b"\r\n");
    header_lines(out, &head.headers);
    if !head.headers.contains_key(DATE) {
        line(out, b"date", lines.date);
    }
    if let Some(length) = lines.content_length {
        number_line(out, b"content-length", length);
    }
    if lines.is_chunked {
        line(out, b"transfer-encoding", b"chunked");
    }
    if let Some(connection) = lines.connection {
        line(out, b"connection", connection.as_bytes());
    }
    if lines.is_websocket {
        line(out, b"upgrade", b"websocket");
    }
    out.put_slice(b"\r\n");
}

fn header_lines(out: &mut BytesMut, headers: &HeaderMap) {
    for (name, value) in headers {
        if !is_of_the_connection(name) {
            line(out, name.as_str().as_bytes(), value.as_bytes());
        }
    }
}

/// Fields that only who writes a message to a connection can know.
pub fn is_of_the_connection(name: &HeaderName) -> bool {
    [CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING, UPGRADE].contains(name)
}

/// One header line. The value must hold what a field's value may hold.
pub fn line(out: &mut BytesMut, name: &[u8], value: &[u8]) {
    out.reserve(name.len() + value.len() + 4);
    out.put_slice(name);
    out.put_slice(b": ");
    out.put_slice(value);
    out.put_slice(b"\r\n");
}

/// A header line with a number.
pub fn number_line(out: &mut BytesMut, name: &[u8], value: u64) {
    line(out, name, itoa::Buffer::new().format(value).as_bytes());
}

/// A piece of a chunked body; the last chunk is written by [`last_chunk`].
pub fn chunk(out: &mut BytesMut, piece: &[u8]) {
    if !piece.is_empty() {
        chunk_size(out, piece.len());
        out.put_slice(piece);
        out.put_slice(b"\r\n");
    }
}

/// What stands before a chunk; `\r\n` stands after it.
pub fn chunk_size(out: &mut BytesMut, bytes: usize) {
    use std::fmt::Write;
    out.reserve(18);
    // Writing to memory does not fail.
    let _ = write!(out, "{bytes:x}\r\n");
}

pub fn last_chunk(out: &mut BytesMut) {
    out.put_slice(b"0\r\n\r\n");
}
