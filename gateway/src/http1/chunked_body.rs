//! Takes a chunked body apart, and finds out whether every parser would find its end at the same place.
//!
//! Source: RFC 9112 section 7.1, without its tolerances: no white space around a chunk's size, no bare line feeds,
//! bounded lengths of sizes, extensions and trailers. Trailer fields are read over and never forwarded.

use bytes::{Buf, Bytes, BytesMut};

const MAX_SIZE_DIGITS: u32 = 15;
const MAX_EXTENSION_BYTES: u32 = 1024;
const MAX_TRAILER_BYTES: u32 = 8192;

/// Reads a chunked body piece by piece, as it arrives.
#[derive(Debug)]
pub struct ChunkedBody {
    state: State,
    /// Bytes of the present chunk that are still to come.
    remaining: u64,
    /// Digits of the present size, bytes of the present extensions, or bytes of all trailers.
    length: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Size,
    Extension { quoted: bool, escaped: bool },
    SizeLf,
    Data,
    DataCr,
    DataLf,
    TrailerStart,
    Trailer,
    TrailerLf,
    EndLf,
    End,
}

/// What comes next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decoded {
    Data(Bytes),
    /// Nothing before more has arrived.
    Incomplete,
    /// The body is complete; what is left in the input comes after it.
    End,
}

impl ChunkedBody {
    pub fn new() -> Self {
        Self {
            state: State::Size,
            remaining: 0,
            length: 0,
        }
    }

    pub fn is_complete(&self) -> bool {
        self.state == State::End
    }

    /// Takes the next piece of data out of `input`.
    ///
    /// # Errors
    /// What is wrong, when the bytes are no chunked body.
    pub fn decode(&mut self, input: &mut BytesMut) -> Result<Decoded, &'static str> {
        while self.state != State::End {
            if self.state == State::Data && !input.is_empty() {
                let available = u64::try_from(input.len()).unwrap_or(u64::MAX);
                let length = usize::try_from(available.min(self.remaining)).unwrap_or(input.len());
                self.remaining -= available.min(self.remaining);
                if self.remaining == 0 {
                    self.state = State::DataCr;
                }
                return Ok(Decoded::Data(input.split_to(length).freeze()));
            }
            let Some(&byte) = input.first() else {
                return Ok(Decoded::Incomplete);
            };
            self.step(byte)?;
            input.advance(1);
        }
        Ok(Decoded::End)
    }

    fn step(&mut self, byte: u8) -> Result<(), &'static str> {
        self.state = match (self.state, byte) {
            (State::Size, _) => self.size(byte)?,
            (State::Extension { quoted: false, .. }, b'\r') => State::SizeLf,
            (State::Extension { quoted, escaped }, _) => self.extension(byte, quoted, escaped)?,
            (State::SizeLf, b'\n') => {
                self.length = 0;
                if self.remaining > 0 {
                    State::Data
                } else {
                    State::TrailerStart
                }
            }
            (State::DataCr, b'\r') => State::DataLf,
            (State::DataLf, b'\n') => State::Size,
            (State::TrailerStart, b'\r') => State::EndLf,
            (State::TrailerStart | State::Trailer, b'\n') => return Err("bad line end in a trailer"),
            (State::Trailer, b'\r') => State::TrailerLf,
            (State::TrailerStart | State::Trailer, _) => {
                self.count(MAX_TRAILER_BYTES, "trailers are too long")?;
                State::Trailer
            }
            (State::TrailerLf, b'\n') => State::TrailerStart,
            (State::EndLf, b'\n') => State::End,
            (State::SizeLf | State::DataCr | State::DataLf | State::TrailerLf | State::EndLf, _) => {
                return Err("bad line end in a chunked body");
            }
            (State::Data | State::End, _) => self.state,
        };
        Ok(())
    }

    fn size(&mut self, byte: u8) -> Result<State, &'static str> {
        let digit = match byte {
            b'0'..=b'9' => byte - b'0',
            b'a'..=b'f' => byte - b'a' + 10,
            b'A'..=b'F' => byte - b'A' + 10,
            b'\r' if self.length > 0 => return Ok(State::SizeLf),
            b';' if self.length > 0 => {
                self.length = 0;
                return Ok(State::Extension {
                    quoted: false,
                    escaped: false,
                });
            }
            _ => return Err("bad chunk size"),
        };
        if self.length == 0 {
            self.remaining = 0;
        }
        self.count(MAX_SIZE_DIGITS, "bad chunk size")?;
        self.remaining = self.remaining * 16 + u64::from(digit);
        Ok(State::Size)
    }

    fn extension(&mut self, byte: u8, quoted: bool, escaped: bool) -> Result<State, &'static str> {
        if byte != b'\t' && byte.is_ascii_control() {
            return Err("bad chunk extension");
        }
        self.count(MAX_EXTENSION_BYTES, "chunk extensions are too long")?;
        Ok(match byte {
            _ if escaped => State::Extension {
                quoted,
                escaped: false,
            },
            b'\\' if quoted => State::Extension {
                quoted,
                escaped: true,
            },
            b'"' => State::Extension {
                quoted: !quoted,
                escaped: false,
            },
            _ => State::Extension {
                quoted,
                escaped: false,
            },
        })
    }

    fn count(&mut self, limit: u32, problem: &'static str) -> Result<(), &'static str> {
        self.length += 1;
        if self.length > limit { Err(problem) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The data, and whether the body is complete, when it arrives in pieces of this size.
    fn read_in_pieces(body: &str, size: usize) -> Result<(String, String), &'static str> {
        let (mut decoder, mut data, mut input) = (ChunkedBody::new(), String::new(), BytesMut::new());
        for piece in body.as_bytes().chunks(size) {
            input.extend_from_slice(piece);
            while let Decoded::Data(bytes) = decoder.decode(&mut input)? {
                data += std::str::from_utf8(&bytes).unwrap();
            }
        }
        Ok((data, String::from_utf8(input.to_vec()).unwrap()))
    }

    fn read(body: &str) -> Result<(String, String), &'static str> {
        read_in_pieces(body, body.len())
    }

    #[test]
    fn the_end_is_found_wherever_the_pieces_are_cut() {
        let body = "5\r\nhello\r\n7;a=\"b;\\\"c\"\r\n, world\r\n0\r\nX-Sum: 1\r\n\r\n";
        let stream = format!("{body}GET / HTTP/1.1");
        for size in [1, 2, 3, 7, stream.len()] {
            let (data, rest) = read_in_pieces(&stream, size).unwrap();
            assert_eq!((data.as_str(), rest.as_str()), ("hello, world", "GET / HTTP/1.1"));
        }
    }

    #[test]
    fn what_parsers_disagree_about_is_refused() {
        for bad in [
            "0xd\r\n",
            "+d\r\n",
            "-1\r\n",
            "0_d\r\n",
            " d\r\n",
            "d \r\n",
            "d\t\r\n",
            "\r\n",
            "g\r\n",
            "1000000000000000d\r\n",
            "d;a\nb\r\n",
            "d;a\rb\r\n",
            "2 ext\r\n",
            "5;a=\"b\r\n",
            "d\n",
            "3\r\nabcd\r\n",
            "1\r\na\n",
            "0\r\n\n",
            "0\r\nX: 1\n\r\n",
            "0\r\nX\rY: 1\r\n\r\n",
            "0\r\n\rx",
            "d;\0\r\n",
        ] {
            assert!(read(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn lengths_are_bounded() {
        assert!(read(&format!("1;{}\r\n", "x".repeat(1024))).is_ok());
        assert!(read(&format!("1;{}\r\n", "x".repeat(1025))).is_err());
        assert!(read(&format!("0\r\n{}", "X: 1\r\n".repeat(3000))).is_err());
        assert!(read("00000000000000d\r\n").is_ok());
        assert!(read("000000000000000d\r\n").is_err());
    }
}
