//! The PROXY protocol: a line or a block in front of a connection, in which a load balancer says whom it speaks for.
//! Only our own proxies are asked for it; see `haproxy/haproxy: doc/proxy-protocol.txt`.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use tokio::io::{AsyncRead, AsyncReadExt};

const SIGNATURE_2: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";
/// The longest line of version 1, its line break included.
const MAX_LINE_BYTES: usize = 107;

/// Reads the header, and not a byte more. `None`: it names nobody (a health check of the proxy itself).
///
/// # Errors
/// When the connection does not begin with one.
pub async fn read(socket: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<IpAddr>> {
    let mut start = [0; 12];
    socket.read_exact(&mut start).await?;
    if start == SIGNATURE_2 {
        return read_block(socket).await;
    }
    let mut line = start.to_vec();
    while !line.ends_with(b"\r\n") {
        if line.len() >= MAX_LINE_BYTES || !line.starts_with(b"PROXY ") {
            return Err(bad());
        }
        line.push(socket.read_u8().await?);
    }
    parse_line(std::str::from_utf8(&line).map_err(|_| bad())?)
}

async fn read_block(socket: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<IpAddr>> {
    let (version, family) = (socket.read_u8().await?, socket.read_u8().await?);
    let mut block = vec![0; usize::from(socket.read_u16().await?)];
    socket.read_exact(&mut block).await?;
    parse_block(version, family, &block)
}

fn bad() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "no PROXY protocol header")
}

/// `PROXY TCP4 192.0.2.1 192.0.2.2 1024 443`.
fn parse_line(line: &str) -> io::Result<Option<IpAddr>> {
    let mut words = line.trim_end_matches("\r\n").split(' ').skip(1);
    match words.next() {
        Some("UNKNOWN") => Ok(None),
        Some("TCP4" | "TCP6") => {
            let address = words.next().and_then(|word| word.parse().ok());
            address.map(Some).ok_or_else(bad)
        }
        _ => Err(bad()),
    }
}

fn parse_block(version_and_command: u8, family: u8, block: &[u8]) -> io::Result<Option<IpAddr>> {
    match version_and_command {
        0x20 => return Ok(None),
        0x21 => {}
        _ => return Err(bad()),
    }
    match family >> 4 {
        1 => {
            let bytes = block.first_chunk::<4>().ok_or_else(bad)?;
            Ok(Some(Ipv4Addr::from(*bytes).into()))
        }
        2 => {
            let bytes = block.first_chunk::<16>().ok_or_else(bad)?;
            Ok(Some(Ipv6Addr::from(*bytes).into()))
        }
        _ => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_versions_name_the_client() {
        let address = |text: &str| Some(text.parse::<IpAddr>().unwrap());
        let line = |text: &str| parse_line(text).ok();
        assert_eq!(
            line("PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n"),
            Some(address("192.0.2.1"))
        );
        assert_eq!(
            line("PROXY TCP6 2001:db8::1 ::1 1 2\r\n"),
            Some(address("2001:db8::1"))
        );
        assert_eq!(line("PROXY UNKNOWN\r\n"), Some(None));
        assert_eq!(line("PROXY TCP4 nonsense\r\n"), None);
        let block = [192, 0, 2, 1, 10, 0, 0, 1, 0, 1, 0, 2];
        assert_eq!(parse_block(0x21, 0x11, &block).ok(), Some(address("192.0.2.1")));
        assert_eq!(parse_block(0x20, 0x00, &[]).ok(), Some(None));
        assert!(parse_block(0x21, 0x11, &[1]).is_err() && parse_block(0x31, 0x11, &block).is_err());
    }
}
