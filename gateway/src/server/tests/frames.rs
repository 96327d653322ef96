//! HTTP/2 frames that no library sends. Source: RFC 9113, RFC 7541.

use std::time::Duration;

use tokio::time::timeout;

use super::support::{Client, Server};

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

/// Why a stream or a connection ends.
pub const CANCEL: u32 = 8;
pub const ENHANCE_YOUR_CALM: u32 = 11;

pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = length[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

pub fn reset(stream: u32) -> Vec<u8> {
    frame(RST_STREAM, 0, stream, &CANCEL.to_be_bytes())
}

/// A setting and its value.
pub fn setting(id: u16, value: u32) -> Vec<u8> {
    [&id.to_be_bytes()[..], &value.to_be_bytes()[..]].concat()
}

fn text(out: &mut Vec<u8>, text: &str) {
    assert!(text.len() < 127);
    out.push(u8::try_from(text.len()).unwrap());
    out.extend(text.bytes());
}

/// Literal fields without compression.
pub fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, value) in fields {
        out.push(0);
        text(&mut out, name);
        text(&mut out, value);
    }
    out
}

pub fn request(method: &str, more: &[(&str, &str)]) -> Vec<u8> {
    let first = [
        (":method", method),
        (":scheme", "https"),
        (":authority", "a.example"),
        (":path", "/x"),
    ];
    block(&[&first, more].concat())
}

/// A whole request without a body.
pub fn get(stream: u32) -> Vec<u8> {
    frame(HEADERS, END_HEADERS | END_STREAM, stream, &request("GET", &[]))
}

/// The head of a request with a body.
pub fn post(stream: u32, more: &[(&str, &str)]) -> Vec<u8> {
    frame(HEADERS, END_HEADERS, stream, &request("POST", more))
}

#[derive(Debug)]
pub struct Frame {
    pub kind: u8,
    pub flags: u8,
    pub stream: u32,
    pub payload: Vec<u8>,
}

impl Frame {
    /// The error of a reset or a goodbye.
    pub fn error(&self) -> u32 {
        let at = if self.kind == GOAWAY { 4 } else { 0 };
        u32::from_be_bytes(self.payload[at..at + 4].try_into().unwrap())
    }
}

/// A client that has sent the preface and these settings, and answers nothing by itself.
pub async fn connect(server: &Server, settings: &[u8]) -> Client {
    greeted(Client::connect(server).await, settings).await
}

pub async fn greeted(mut client: Client, settings: &[u8]) -> Client {
    client.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
    client.send(frame(SETTINGS, 0, 0, settings)).await;
    client.send(frame(SETTINGS, ACK, 0, &[])).await;
    client
}

impl Client {
    /// The next frame; `None` when the connection is over.
    pub async fn frame(&mut self) -> Option<Frame> {
        let head = self.exactly_or_end(9).await?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let payload = self.exactly_or_end(usize::try_from(length).unwrap()).await?;
        Some(Frame {
            kind: head[3],
            flags: head[4],
            stream: u32::from_be_bytes(head[5..9].try_into().unwrap()),
            payload,
        })
    }

    /// The next frame that is so.
    pub async fn frame_that(&mut self, is_so: impl Fn(&Frame) -> bool) -> Frame {
        loop {
            let frame = self.frame().await.expect("the connection is over");
            if is_so(&frame) {
                return frame;
            }
        }
    }

    /// All frames until the connection is over.
    pub async fn frames(&mut self) -> Vec<Frame> {
        let mut frames = Vec::new();
        while let Some(frame) = self.frame().await {
            frames.push(frame);
        }
        frames
    }

    /// Sends this again and again until the connection is over, and tells whether that happened in time.
    pub async fn drip(&mut self, bytes: &[u8], pause: Duration) -> bool {
        let dripping = async {
            while self.try_send(bytes).await {
                tokio::time::sleep(pause).await;
            }
        };
        timeout(Duration::from_secs(20), dripping).await.is_ok()
    }
}
