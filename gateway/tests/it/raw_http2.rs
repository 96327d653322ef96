//! An HTTP/2 client that writes frames itself, for those that no library sends. Of the responses it understands the
//! status, the bytes of the body and how they end.
//!
//! Source: RFC 9113 for the frames, RFC 7541 for the header blocks, of which it writes literals only.

use std::collections::BTreeMap;

use gateway::Running;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::CertificateDer;

use crate::support::PATIENCE;
use crate::tls;

pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const PING: u8 = 6;
pub const GOAWAY: u8 = 7;
pub const WINDOW_UPDATE: u8 = 8;

pub const END_STREAM: u8 = 1;
pub const ACK: u8 = 1;
pub const END_HEADERS: u8 = 4;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// What a response's window is at the beginning, unless a test says otherwise.
const OPEN_WINDOW: u32 = 1 << 24;

/// What has come on one stream.
#[derive(Clone, Debug, Default)]
pub struct Stream {
    /// 0 before the head of the response.
    pub status: u16,
    pub body_bytes: usize,
    pub is_ended: bool,
    /// The code of its `RST_STREAM`.
    pub reset: Option<u32>,
}

impl Stream {
    pub fn is_over(&self) -> bool {
        self.is_ended || self.reset.is_some()
    }
}

pub struct RawHttp2 {
    socket: TlsStream<TcpStream>,
    pub streams: BTreeMap<u32, Stream>,
    pub is_closed: bool,
    /// Whether it answers PING, as it should.
    pub answers_pings: bool,
    /// The last stream and the code of a GOAWAY.
    pub goaway: Option<(u32, u32)>,
}

impl RawHttp2 {
    pub async fn connect(gateway: &Running, trusted: &CertificateDer<'static>) -> Self {
        Self::connect_with_window(gateway, trusted, OPEN_WINDOW).await
    }

    /// `window` is how much of each response's body is taken.
    pub async fn connect_with_window(
        gateway: &Running,
        trusted: &CertificateDer<'static>,
        window: u32,
    ) -> Self {
        let socket = tls::connect(gateway, trusted, "h2").await.unwrap();
        let mut client = Self {
            socket,
            streams: BTreeMap::new(),
            is_closed: false,
            answers_pings: true,
            goaway: None,
        };
        let mut settings = Vec::new();
        // SETTINGS_HEADER_TABLE_SIZE 0: what the server writes refers to nothing that it wrote before.
        for (id, value) in [(1_u16, 0), (4, window)] {
            settings.extend_from_slice(&id.to_be_bytes());
            settings.extend_from_slice(&value.to_be_bytes());
        }
        let mut bytes = PREFACE.to_vec();
        bytes.extend(frame(SETTINGS, 0, 0, &settings));
        bytes.extend(frame(WINDOW_UPDATE, 0, 0, &OPEN_WINDOW.to_be_bytes()));
        client.send(&bytes).await;
        client
    }

    /// Sends although the other side may have closed already.
    pub async fn send(&mut self, bytes: &[u8]) {
        let sent = timeout(PATIENCE, self.socket.write_all(bytes)).await.unwrap();
        self.is_closed |= sent.is_err();
    }

    /// A request without a body.
    pub async fn get(&mut self, stream: u32, path: &str) {
        let block = request("GET", path, &[]);
        self.send(&frame(HEADERS, END_HEADERS | END_STREAM, stream, &block))
            .await;
    }

    pub async fn reset(&mut self, stream: u32) {
        // CANCEL
        self.send(&frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes()))
            .await;
    }

    /// Waits until the stream's response is over, or the connection.
    pub async fn response(&mut self, stream: u32) -> Stream {
        self.read_until(|client| client.of(stream).is_over()).await;
        self.of(stream)
    }

    pub fn of(&self, stream: u32) -> Stream {
        self.streams.get(&stream).cloned().unwrap_or_default()
    }

    pub async fn until_closed(&mut self) {
        self.read_until(|_| false).await;
        assert!(self.is_closed);
    }

    /// Reads frames until it is so, or until the connection is closed.
    pub async fn read_until(&mut self, is_so: impl Fn(&Self) -> bool) {
        while !is_so(self) && !self.is_closed {
            if timeout(PATIENCE, self.read_frame()).await.unwrap().is_err() {
                self.is_closed = true;
            }
        }
    }

    async fn read_frame(&mut self) -> std::io::Result<()> {
        let mut head = [0; 9];
        self.socket.read_exact(&mut head).await?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let (kind, flags) = (head[3], head[4]);
        let id = number(&head[5..9]) & 0x7fff_ffff;
        let mut payload = vec![0; usize::try_from(length).unwrap()];
        self.socket.read_exact(&mut payload).await?;
        match kind {
            SETTINGS if flags & ACK == 0 => self.send(&frame(SETTINGS, ACK, 0, b"")).await,
            PING if flags & ACK == 0 && self.answers_pings => self.send(&frame(PING, ACK, 0, &payload)).await,
            GOAWAY => self.goaway = Some((number(&payload[..4]) & 0x7fff_ffff, number(&payload[4..8]))),
            HEADERS | DATA | RST_STREAM => {
                let stream = self.streams.entry(id).or_default();
                match kind {
                    HEADERS if stream.status == 0 => stream.status = status_of(&payload),
                    DATA => stream.body_bytes += payload.len(),
                    RST_STREAM => stream.reset = Some(number(&payload)),
                    _ => {}
                }
                stream.is_ended |= kind != RST_STREAM && flags & END_STREAM != 0;
            }
            _ => {}
        }
        Ok(())
    }
}

fn number(bytes: &[u8]) -> u32 {
    u32::from_be_bytes(bytes.try_into().unwrap())
}

pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut bytes = vec![length[1], length[2], length[3], kind, flags];
    bytes.extend_from_slice(&stream.to_be_bytes());
    bytes.extend_from_slice(payload);
    bytes
}

/// The header block of a request for `https://gate.example` with these fields after the pseudo-headers.
pub fn request(method: &str, path: &str, fields: &[(&str, &str)]) -> Vec<u8> {
    let pseudo = [
        (":method", method),
        (":scheme", "https"),
        (":authority", "gate.example"),
        (":path", path),
    ];
    block(pseudo.iter().chain(fields))
}

/// Fields as literals without indexing, not compressed.
pub fn block<'a>(fields: impl IntoIterator<Item = &'a (&'a str, &'a str)>) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (name, value) in fields {
        bytes.push(0);
        for text in [name, value] {
            bytes.extend(length(text.len()));
            bytes.extend_from_slice(text.as_bytes());
        }
    }
    bytes
}

/// An integer with a prefix of seven bits.
fn length(number: usize) -> Vec<u8> {
    if number < 127 {
        return vec![u8::try_from(number).unwrap()];
    }
    let (mut bytes, mut rest) = (vec![127], number - 127);
    while rest >= 128 {
        bytes.push(u8::try_from(rest % 128).unwrap() | 0x80);
        rest /= 128;
    }
    bytes.push(u8::try_from(rest).unwrap());
    bytes
}

/// The status that a response's header block begins with.
fn status_of(block: &[u8]) -> u16 {
    // The encoder tells first that its table is of size 0.
    let start = block.iter().position(|byte| byte & 0xe0 != 0x20).unwrap();
    let block = &block[start..];
    match block[0] {
        indexed @ 0x88..=0x8e => [200, 204, 206, 304, 400, 404, 500][usize::from(indexed - 0x88)],
        // A literal whose name is `:status`, indexed or not; its value is three digits, perhaps in Huffman's code.
        0x48 | 0x08 | 0x18 => {
            let size = usize::from(block[1] & 0x7f);
            let value = &block[2..2 + size];
            if block[1] & 0x80 == 0 {
                return std::str::from_utf8(value).unwrap().parse().unwrap();
            }
            let bits = value
                .iter()
                .chain(&[0; 4])
                .take(4)
                .fold(0_u32, |bits, &byte| bits << 8 | u32::from(byte));
            let (mut left, mut status) = (bits, 0);
            for _ in 0..3 {
                // 0, 1 and 2 have five bits, the other digits six.
                let (digit, width) = match left >> 27 {
                    small @ 0..=2 => (small, 5),
                    _ => ((left >> 26) - 0x19 + 3, 6),
                };
                left <<= width;
                status = status * 10 + digit;
            }
            u16::try_from(status).unwrap()
        }
        other => panic!("a header block that begins with {other:#x}"),
    }
}
