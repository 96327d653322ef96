//! Laws of the wire: a second parser reads the same, a body is the same however it arrives, and what is written is what
//! is read.
#![expect(clippy::indexing_slicing, reason = "a test that cannot go on fails there")]

use std::net::IpAddr;

use gateway::fuzzing::{self, ChunkedReading};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

fn name() -> impl Strategy<Value = String> {
    "x-[a-z0-9!#$%&'*+.^_`|~-]{1,12}"
}

/// What a field's value may hold; it neither begins nor ends with white space.
fn value() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![8 => 0x21..0x7f_u8, 1 => Just(b' '), 1 => Just(b'\t'), 1 => 0x80..=0xff_u8];
    vec(byte, 0..40).prop_map(|bytes| bytes.trim_ascii().to_vec())
}

fn target() -> impl Strategy<Value = String> {
    "/[a-z0-9._~!$&'()*+,;=:@/%-]{0,30}(\\?[a-z0-9=&/?%-]{0,20})?"
}

fn method() -> impl Strategy<Value = &'static str> {
    prop_oneof![
        Just("GET"),
        Just("HEAD"),
        Just("POST"),
        Just("PUT"),
        Just("DELETE"),
        Just("OPTIONS"),
        Just("PATCH"),
        Just("PROPFIND")
    ]
}

/// Header lines in which something may be wrong.
fn odd_line() -> impl Strategy<Value = Vec<u8>> {
    const LINES: [&[u8]; 26] = [
        b"Content-Length: 5",
        b"content-length : 5",
        b"Content-Length: +5",
        b"Content-Length: 5, 5",
        b"Content-Length: 5\x0b",
        b"Transfer-Encoding: chunked",
        b"Transfer-Encoding : chunked",
        b"Transfer-Encoding: chunked, identity",
        b"Transfer-Encoding:\x0bchunked",
        b"X-A: a\rTransfer-Encoding: chunked",
        b"X-A: a\nTransfer-Encoding: chunked",
        b" X-A: folded",
        b"\tX-A: folded",
        b"X-A",
        b": a",
        b"X A: a",
        b"X(A): a",
        b"X-A: a\0b",
        b"X-A: a\x7fb",
        b"Host: b",
        b"Host : b",
        b"Expect: 100-continue",
        b"Connection: close, x-a",
        b"Upgrade: websocket",
        b"Trailer: Content-Length",
        b"",
    ];
    prop_oneof![
        3 => (0..LINES.len()).prop_map(|line| LINES[line].to_vec()),
        1 => vec(any::<u8>(), 0..20),
    ]
}

fn lines(fields: &[(String, Vec<u8>)]) -> Vec<u8> {
    fuzzing::write_header_lines(
        fields
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_slice())),
    )
}

fn sorted(mut fields: Vec<(String, Vec<u8>)>) -> Vec<(String, Vec<u8>)> {
    fields.sort_by(|one, other| one.0.cmp(&other.0));
    fields
}

fn whole(data: Vec<u8>, rest: &[u8]) -> ChunkedReading {
    ChunkedReading {
        data,
        rest: Some(rest.to_vec()),
        is_refused: false,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, rng_seed: RngSeed::Fixed(20_240), ..ProptestConfig::default() })]

    #[test]
    fn a_request_head_is_read_as_it_was_written(
        method in method(), target in target(), fields in vec((name(), value()), 0..12), rest in vec(any::<u8>(), 0..20),
    ) {
        let mut head = format!("{method} {target} HTTP/1.1\r\nhost: a\r\n").into_bytes();
        head.extend(lines(&fields));
        head.extend(b"\r\n");
        let bytes = head.len();
        head.extend(rest);
        let read = fuzzing::read_request_head(&head);
        // A POST says how long its body is.
        if method != "POST" {
            let read = read.unwrap();
            prop_assert_eq!(&read.start, &[method.to_owned(), target]);
            let mut expected = fields;
            expected.push(("host".to_owned(), b"a".to_vec()));
            prop_assert_eq!(read.headers, sorted(expected));
            prop_assert_eq!(read.bytes, bytes);
        }
        fuzzing::check_request_head(&head);
    }

    #[test]
    fn httparse_reads_every_request_head_that_is_accepted_in_the_same_way(
        method in method(), target in target(), fields in vec((name(), value()), 0..4),
        odd in vec(odd_line(), 0..3), break_ in prop_oneof![9 => Just("\r\n"), 1 => Just("\n"), 1 => Just("\r")],
        damage in proptest::option::weighted(0.3, (any::<prop::sample::Index>(), any::<u8>())),
    ) {
        let mut head = format!("{method} {target} HTTP/1.1{break_}Host: a{break_}").into_bytes();
        head.extend(lines(&fields));
        for line in odd {
            head.extend(line);
            head.extend(break_.as_bytes());
        }
        head.extend(break_.as_bytes());
        if let Some((at, byte)) = damage {
            let at = at.index(head.len());
            head[at] = byte;
        }
        head.extend(b"\r\n\r\n");
        fuzzing::check_request_head(&head);
    }

    #[test]
    fn a_response_head_is_read_as_it_was_written(
        status in 100..1000_u16, fields in vec((name(), value()), 0..12), method in method(), odd in vec(odd_line(), 0..2),
    ) {
        let mut head = format!("HTTP/1.1 {status} Some reason\r\n").into_bytes();
        head.extend(lines(&fields));
        let mut damaged = head.clone();
        head.extend(b"\r\n");
        let read = fuzzing::read_response_head(&head, method).unwrap();
        prop_assert_eq!(read.start, [status.to_string()]);
        prop_assert_eq!(read.headers, sorted(fields));
        prop_assert_eq!(read.bytes, head.len());
        prop_assert!(fuzzing::check_response_head(&head));
        for line in odd {
            damaged.extend(line);
            damaged.extend(b"\r\n");
        }
        damaged.extend(b"\r\n");
        fuzzing::check_response_head(&damaged);
    }

    #[test]
    fn a_chunked_body_is_read_as_it_was_written_however_it_arrives(
        pieces in vec(vec(any::<u8>(), 1..50), 0..8), rest in vec(any::<u8>(), 0..20),
        cuts in vec(any::<prop::sample::Index>(), 0..10),
    ) {
        let mut stream = fuzzing::write_chunked(pieces.iter().map(Vec::as_slice));
        stream.extend(&rest);
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(stream.len() + 1)).collect();
        cuts.extend([0, stream.len()]);
        cuts.sort_unstable();
        let arriving = cuts.windows(2).map(|pair| &stream[pair[0]..pair[1]]);
        prop_assert_eq!(fuzzing::read_chunked(arriving), whole(pieces.concat(), &rest));
    }

    #[test]
    fn a_chunked_body_of_somebody_else_has_one_reading(
        chunks in vec((vec(any::<u8>(), 1..20), "(;[a-z]{1,5}(=(\"(\\\\[a-z\"]|[a-z;= ]){0,4}\"|[a-z]{1,5}))?){0,2}", any::<bool>(), 0..4_usize), 0..5),
        trailers in vec("[A-Za-z-]{1,8}: [ -~]{0,20}", 0..3), damage in proptest::option::weighted(0.5, (any::<prop::sample::Index>(), any::<u8>())),
        seed in any::<u8>(),
    ) {
        let mut input = vec![seed];
        for (data, extension, is_upper, zeros) in chunks {
            let size = if is_upper { format!("{:X}", data.len()) } else { format!("{:x}", data.len()) };
            input.extend(format!("{}{size}{extension}\r\n", "0".repeat(zeros)).as_bytes());
            input.extend(data);
            input.extend(b"\r\n");
        }
        input.extend(b"0\r\n");
        for trailer in trailers {
            input.extend(trailer.as_bytes());
            input.extend(b"\r\n");
        }
        input.extend(b"\r\nGET / HTTP/1.1\r\n");
        match damage {
            Some((at, byte)) => {
                let at = at.index(input.len());
                input[at] = byte;
                fuzzing::check_chunked_body(&input);
            }
            None => prop_assert!(fuzzing::check_chunked_body(&input)),
        }
    }

    #[test]
    fn a_proxy_header_names_the_client_and_takes_nothing_of_what_follows(
        client in any::<IpAddr>(), proxy in any::<IpAddr>(), ports in any::<(u16, u16)>(), rest in vec(any::<u8>(), 0..30),
        tlv in vec(any::<u8>(), 0..20),
    ) {
        let family = if client.is_ipv4() { "TCP4" } else { "TCP6" };
        let line = format!("PROXY {family} {client} {proxy} {} {}\r\n", ports.0, ports.1);
        let mut block = b"\r\n\r\n\0\r\nQUIT\n\x21".to_vec();
        let addresses = match client {
            IpAddr::V4(client) => {
                block.push(0x11);
                [&client.octets()[..], &[127, 0, 0, 1]].concat()
            }
            IpAddr::V6(client) => {
                block.push(0x21);
                [&client.octets()[..], &[0; 16]].concat()
            }
        };
        let length = u16::try_from(addresses.len() + 4 + tlv.len()).unwrap();
        block.extend(length.to_be_bytes());
        block.extend(addresses);
        block.extend(ports.0.to_be_bytes());
        block.extend(ports.1.to_be_bytes());
        block.extend(tlv);
        for mut header in [line.into_bytes(), block] {
            let bytes = header.len();
            header.extend(&rest);
            prop_assert_eq!(fuzzing::read_proxy_header(&header).ok(), Some((Some(client), bytes)));
            prop_assert!(fuzzing::check_proxy_header(&header));
        }
    }
}
