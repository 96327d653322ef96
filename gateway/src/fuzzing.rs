//! What property tests and fuzz targets may see of the parsers: bytes in, plain values out, and functions that check what
//! must hold of any bytes whatever. Built with the feature `fuzzing` only, and no part of the crate's interface.
//!
//! Each `check_` function takes one input of the fuzz target of its name, panics when something does not hold, and says
//! whether the input was accepted. See `docs/adr/0008-what-the-wire-owns-and-how-it-is-tested.md`.

use std::io;
use std::net::IpAddr;

use actix_http::Method;
use actix_http::header::HeaderMap;
use bytes::{Bytes, BytesMut};
use futures_util::FutureExt;

use crate::http1::chunked_body::{ChunkedBody, Decoded};
use crate::http1::request_head::{self, Search};
use crate::http1::{response_head, write};
use crate::routes;
use crate::server::{http2_exchange, proxy_protocol};

/// More than any head that is accepted has.
const HEADERS: usize = 256;

/// A head as somebody read it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// Method and target, or the status.
    pub start: Vec<String>,
    /// Names in lower case; sorted by name, and in their order where names are equal.
    pub headers: Vec<(String, Vec<u8>)>,
    /// Of the head, its empty line included.
    pub bytes: usize,
}

impl Head {
    fn new<'a>(
        start: Vec<String>,
        headers: impl IntoIterator<Item = (&'a [u8], &'a [u8])>,
        bytes: usize,
    ) -> Self {
        let lower = |name: &[u8]| String::from_utf8_lossy(name).to_ascii_lowercase();
        let mut headers: Vec<_> = headers
            .into_iter()
            .map(|(name, value)| (lower(name), request_head::trim(value).to_vec()))
            .collect();
        headers.sort_by(|one, other| one.0.cmp(&other.0));
        Self {
            start,
            headers,
            bytes,
        }
    }
}

/// The request head that `input` begins with; `None` when it is refused or not complete.
pub fn read_request_head(input: &[u8]) -> Option<Head> {
    let bytes = end_of_head(input)?;
    let mut headers = HeaderMap::new();
    let head = Bytes::copy_from_slice(input.get(..bytes)?);
    let head = request_head::parse(&head, &mut headers).ok()?;
    let start = vec![head.method.to_string(), head.target.to_string()];
    Some(Head::new(start, pairs(&headers), bytes))
}

/// The response head that `input` begins with; `None` when it is refused or not complete.
pub fn read_response_head(input: &[u8], method: &str) -> Option<Head> {
    let bytes = end_of_head(input)?;
    let head = Bytes::copy_from_slice(input.get(..bytes)?);
    let method = Method::from_bytes(method.as_bytes()).ok()?;
    let head = response_head::parse(&head, &method).ok()?;
    let start = vec![head.status.as_str().to_owned()];
    Some(Head::new(start, pairs(&head.headers), bytes))
}

fn pairs(headers: &HeaderMap) -> impl Iterator<Item = (&[u8], &[u8])> {
    headers
        .iter()
        .map(|(name, value)| (name.as_str().as_bytes(), value.as_bytes()))
}

/// A head of HTTP/2 as the gateway reads it; `start` is method, path and authority. `None` when it is refused,
/// or when already the layer below would refuse it.
pub fn read_http2_head(start: [&str; 3], fields: &[(&str, &[u8])], is_end_of_stream: bool) -> Option<Head> {
    let [method, path, authority] = start;
    let uri = http_1::Uri::builder().scheme("https").authority(authority);
    let mut request = http_1::Request::builder()
        .method(method)
        .uri(uri.path_and_query(path).build().ok()?);
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    let (parts, ()) = request.body(()).ok()?.into_parts();
    let mut headers = HeaderMap::new();
    let head = http2_exchange::read_head(&parts, is_end_of_stream, &mut headers).ok()?;
    let start = vec![head.method.to_string(), head.target.to_string()];
    Some(Head::new(start, pairs(&headers), 0))
}

/// Header lines as the gateway writes them.
pub fn write_header_lines<'a>(lines: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> Vec<u8> {
    let mut out = BytesMut::new();
    for (name, value) in lines {
        write::line(&mut out, name.as_bytes(), value);
    }
    out.to_vec()
}

/// A chunked body as the gateway writes it, of these pieces.
pub fn write_chunked<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut out = BytesMut::new();
    for piece in pieces {
        write::chunk(&mut out, piece);
    }
    write::last_chunk(&mut out);
    out.to_vec()
}

/// What a chunked body was read as.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChunkedReading {
    pub data: Vec<u8>,
    /// What came after its end; `None` when the end was not there.
    pub rest: Option<Vec<u8>>,
    pub is_refused: bool,
}

/// Reads a chunked body that arrives in these pieces.
pub fn read_chunked<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> ChunkedReading {
    let (mut decoder, mut input) = (ChunkedBody::new(), BytesMut::new());
    let mut reading = ChunkedReading::default();
    for piece in pieces {
        input.extend_from_slice(piece);
        loop {
            match decoder.decode(&mut input) {
                Ok(Decoded::Data(bytes)) => reading.data.extend_from_slice(&bytes),
                Ok(Decoded::Incomplete | Decoded::End) => break,
                Err(_) => {
                    reading.is_refused = true;
                    return reading;
                }
            }
        }
    }
    if decoder.is_complete() {
        reading.rest = Some(input.to_vec());
    }
    reading
}

/// The client that a PROXY header names, and how long the header is.
///
/// # Errors
/// When `input` does not begin with one, whole.
pub fn read_proxy_header(input: &[u8]) -> io::Result<(Option<IpAddr>, usize)> {
    let mut rest = input;
    // Bytes that are there are never waited for.
    let read = proxy_protocol::read(&mut rest).now_or_never();
    let client = read.unwrap_or_else(|| Err(io::ErrorKind::WouldBlock.into()))?;
    Ok((client, input.len() - rest.len()))
}

/// httparse reads the same request; the end is found wherever the input is cut.
pub fn check_request_head(input: &[u8]) -> bool {
    check_cuts(input);
    let Some(ours) = read_request_head(input) else {
        return false;
    };
    let mut headers = [httparse::EMPTY_HEADER; HEADERS];
    let mut request = httparse::Request::new(&mut headers);
    let end = request.parse(input);
    let bytes = match end {
        Ok(httparse::Status::Complete(bytes)) => bytes,
        other => panic!("accepted here, by httparse {other:?}: {ours:?}"),
    };
    let start = [request.method, request.path].map(|word| word.unwrap_or_default().to_owned());
    let fields = request
        .headers
        .iter()
        .map(|header| (header.name.as_bytes(), header.value));
    assert_eq!(ours, Head::new(start.to_vec(), fields, bytes));
    check_single_framing(&ours);
    true
}

/// httparse reads the same response, whatever was asked.
pub fn check_response_head(input: &[u8]) -> bool {
    let Some(ours) = read_response_head(input, "GET") else {
        return false;
    };
    assert_eq!(Some(&ours), read_response_head(input, "HEAD").as_ref());
    let mut headers = [httparse::EMPTY_HEADER; HEADERS];
    let mut response = httparse::Response::new(&mut headers);
    let end = response.parse(input);
    let bytes = match end {
        Ok(httparse::Status::Complete(bytes)) => bytes,
        other => panic!("accepted here, by httparse {other:?}: {ours:?}"),
    };
    let fields = response
        .headers
        .iter()
        .map(|header| (header.name.as_bytes(), header.value));
    let start = vec![response.code.unwrap_or_default().to_string()];
    assert_eq!(ours, Head::new(start, fields, bytes));
    true
}

/// The first byte chooses where the rest is cut: a body is read in the same way however it arrives, as httparse's sizes
/// have it, and again after it was written anew.
pub fn check_chunked_body(input: &[u8]) -> bool {
    let Some((&seed, stream)) = input.split_first() else {
        return false;
    };
    let whole = read_chunked([stream]);
    let size = usize::from(seed % 16) + 1;
    assert_eq!(whole, read_chunked(stream.chunks(size)));
    let Some(rest) = &whole.rest else { return false };
    assert_eq!(
        Some((&whole.data, rest)),
        second_reading(stream).as_ref().map(|(data, rest)| (data, rest))
    );
    let mut written = write_chunked(whole.data.chunks(size));
    written.extend_from_slice(rest);
    assert_eq!(read_chunked([written.as_slice()]), whole);
    true
}

/// What HTTP/2 accepts means the same when it is written as HTTP/1.1. The first byte says whether the headers end the
/// stream; then come lines: method, path, authority, and fields as `name:value`.
pub fn check_http2_head(input: &[u8]) -> bool {
    let Some((&flags, text)) = input.split_first() else {
        return false;
    };
    let mut lines = text.split(|&byte| byte == b'\n');
    let mut word = || lines.next().and_then(|line| std::str::from_utf8(line).ok());
    let (Some(method), Some(path), Some(authority)) = (word(), word(), word()) else {
        return false;
    };
    let mut fields = Vec::new();
    for line in lines {
        let Some(colon) = line.iter().position(|&byte| byte == b':') else {
            return false;
        };
        let (name, value) = line.split_at(colon);
        let Ok(name) = std::str::from_utf8(name) else {
            return false;
        };
        fields.push((name, value.get(1..).unwrap_or_default()));
    }
    let Some(ours) = read_http2_head([method, path, authority], &fields, flags & 1 == 1) else {
        return false;
    };
    check_single_framing(&ours);
    let mut written = format!("{} HTTP/1.1\r\n", ours.start.join(" ")).into_bytes();
    written.extend(write_header_lines(
        ours.headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_slice())),
    ));
    // A POST without a body says so in HTTP/1.1.
    let has_length = ours.headers.iter().any(|(name, _)| name == "content-length");
    let adds_length = method == "POST" && !has_length;
    if adds_length {
        written.extend_from_slice(b"content-length: 0\r\n");
    }
    written.extend_from_slice(b"\r\n");
    let Some(mut again) = read_request_head(&written) else {
        panic!("accepted by HTTP/2, refused by HTTP/1.1: {ours:?}");
    };
    if adds_length {
        again.headers.retain(|(name, _)| name != "content-length");
    }
    assert_eq!((&again.start, &again.headers), (&ours.start, &ours.headers));
    true
}

/// A header is taken exactly, with no byte of what follows it.
pub fn check_proxy_header(input: &[u8]) -> bool {
    let Ok((client, bytes)) = read_proxy_header(input) else {
        return false;
    };
    let head = input.get(..bytes).unwrap_or_default();
    assert_eq!(read_proxy_header(head).ok(), Some((client, bytes)));
    let cut = head.get(..bytes - 1).unwrap_or_default();
    assert!(read_proxy_header(cut).is_err(), "half a header is none");
    true
}

/// A file is read, or refused with the place of what is wrong.
pub fn check_routes_file(input: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(input) else {
        return false;
    };
    match routes::parse("routes.toml", text) {
        Ok(file) => {
            assert!(file.routes.iter().all(|route| !route.upstreams.is_empty()));
            true
        }
        Err(error) => {
            let text = error.to_string();
            let line = text
                .strip_prefix("routes.toml:")
                .and_then(|rest| rest.split(':').next());
            assert!(
                line.is_some_and(|line| line.parse::<usize>().is_ok()),
                "no line: {text}"
            );
            false
        }
    }
}

/// Where the head ends that `input` begins with.
fn end_of_head(input: &[u8]) -> Option<usize> {
    match request_head::find_end(input, 0) {
        Ok(Search::Found(bytes)) => Some(bytes),
        Ok(Search::Partial(_)) | Err(_) => None,
    }
}

fn check_cuts(input: &[u8]) {
    let Some(bytes) = end_of_head(input) else {
        return;
    };
    for cut in [1, bytes / 3, bytes / 2, bytes.saturating_sub(2), bytes - 1] {
        let Ok(Search::Partial(position)) = request_head::find_end(input.get(..cut).unwrap_or_default(), 0)
        else {
            panic!("a head that ends at {bytes} ends at {cut} already");
        };
        assert_eq!(request_head::find_end(input, position), Ok(Search::Found(bytes)));
    }
}

fn check_single_framing(head: &Head) {
    let count = |wanted: &str| head.headers.iter().filter(|(name, _)| name == wanted).count();
    let framings = count("content-length") + count("transfer-encoding");
    assert!(framings <= 1, "a body with two lengths: {head:?}");
    assert!(count("host") <= 1, "two hosts: {head:?}");
}

/// A chunked body read with httparse, for a body that is known to be well-formed.
fn second_reading(mut input: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    let mut data = Vec::new();
    loop {
        let Ok(httparse::Status::Complete((start, size))) = httparse::parse_chunk_size(input) else {
            return None;
        };
        input = input.get(start..)?;
        if size == 0 {
            break;
        }
        let size = usize::try_from(size).ok()?;
        data.extend_from_slice(input.get(..size)?);
        input = input.get(size..)?.strip_prefix(b"\r\n")?;
    }
    // Trailers are read over as lines, whatever they say.
    loop {
        let end = input.windows(2).position(|pair| pair == b"\r\n")?;
        input = input.get(end + 2..)?;
        if end == 0 {
            return Some((data, input.to_vec()));
        }
    }
}
