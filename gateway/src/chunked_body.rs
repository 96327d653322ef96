//! Finds the end of a chunked body, and whether every parser would find it at the same place.
//!
//! Source: RFC 9112 section 7.1, without its tolerances: no white space around a chunk's size, no bare line feeds,
//! bounded lengths of sizes, extensions and trailers. Trailer fields are read over and never forwarded.

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

/// How far a piece of the body was understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Bytes of the piece that belong to the body.
    pub consumed: usize,
    pub is_complete: bool,
}

impl ChunkedBody {
    pub fn new() -> Self {
        Self {
            state: State::Size,
            remaining: 0,
            length: 0,
        }
    }

    /// # Errors
    /// What is wrong, when the bytes are no chunked body.
    pub fn read(&mut self, piece: &[u8]) -> Result<Progress, &'static str> {
        let mut consumed = 0;
        while self.state != State::End {
            let Some(rest) = piece.get(consumed..).filter(|rest| !rest.is_empty()) else {
                break;
            };
            if self.state == State::Data {
                let available = u64::try_from(rest.len()).unwrap_or(u64::MAX).min(self.remaining);
                self.remaining -= available;
                consumed += usize::try_from(available).unwrap_or(rest.len());
                if self.remaining == 0 {
                    self.state = State::DataCr;
                }
            } else if let Some(&byte) = rest.first() {
                self.step(byte)?;
                consumed += 1;
            }
        }
        Ok(Progress {
            consumed,
            is_complete: self.state == State::End,
        })
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

    fn read(body: &str) -> Result<Progress, &'static str> {
        ChunkedBody::new().read(body.as_bytes())
    }

    #[test]
    fn the_end_is_found_wherever_the_pieces_are_cut() {
        let body = "5\r\nhello\r\n7;a=\"b;\\\"c\"\r\n, world\r\n0\r\nX-Sum: 1\r\n\r\n";
        let stream = format!("{body}GET / HTTP/1.1");
        let whole = ChunkedBody::new().read(stream.as_bytes());
        assert_eq!(
            whole,
            Ok(Progress {
                consumed: body.len(),
                is_complete: true
            })
        );
        let mut byte_by_byte = ChunkedBody::new();
        for (index, byte) in body.bytes().enumerate() {
            let progress = byte_by_byte.read(&[byte]).unwrap();
            assert_eq!(
                progress,
                Progress {
                    consumed: 1,
                    is_complete: index + 1 == body.len()
                }
            );
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
