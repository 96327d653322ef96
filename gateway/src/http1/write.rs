//! How heads are written.

use actix_http::StatusCode;
use bytes::{BufMut, BytesMut};

use crate::message::{Answer, Body, Field};

/// How the end of an answer's body is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// By its length, or there is no body.
    Known,
    Chunked,
    /// By the end of the connection; HTTP/1.0.
    Close,
}

/// Writes an answer's head.
pub fn answer_head(
    out: &mut BytesMut,
    answer: &Answer,
    date: &[u8],
    is_http_11: bool,
    keeps_alive: bool,
) -> Ending {
    out.put_slice(b"HTTP/1.1 ");
    status(out, answer.status);
    for field in answer.fields.iter() {
        write_field(out, field);
    }
    if !answer.fields.has("date") {
        line(out, b"date", date);
    }
    let ending = match &answer.body {
        Body::None | Body::HeadOf(None) => Ending::Known,
        Body::HeadOf(Some(length)) => content_length(out, *length),
        Body::Whole(bytes) => content_length(out, u64::try_from(bytes.len()).unwrap_or(u64::MAX)),
        Body::Upstream(body) => match body.length() {
            Some(length) => content_length(out, length),
            None if is_http_11 => {
                line(out, b"transfer-encoding", b"chunked");
                Ending::Chunked
            }
            None => Ending::Close,
        },
        Body::Tunnel(_) => {
            line(out, b"connection", b"upgrade");
            line(out, b"upgrade", b"websocket");
            out.put_slice(b"\r\n");
            return Ending::Known;
        }
    };
    if !keeps_alive || ending == Ending::Close {
        line(out, b"connection", b"close");
    } else if !is_http_11 {
        line(out, b"connection", b"keep-alive");
    }
    out.put_slice(b"\r\n");
    ending
}

fn status(out: &mut BytesMut, status: StatusCode) {
    out.put_slice(status.as_str().as_bytes());
    out.put_u8(b' ');
    out.put_slice(status.canonical_reason().unwrap_or("Unknown").as_bytes());
    out.put_slice(b"\r\n");
}

fn content_length(out: &mut BytesMut, length: u64) -> Ending {
    number_line(out, b"content-length", length);
    Ending::Known
}

pub fn write_field(out: &mut BytesMut, field: &Field) {
    line(out, &field.name, &field.value);
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
        out.put_slice(format!("{:x}\r\n", piece.len()).as_bytes());
        out.put_slice(piece);
        out.put_slice(b"\r\n");
    }
}

pub fn last_chunk(out: &mut BytesMut) {
    out.put_slice(b"0\r\n\r\n");
}
