//! Who the client is: the peer, unless the peer is one of our own proxies and says whom it speaks for.

use std::net::IpAddr;
use std::str::FromStr;

use actix_http::header::{self, HeaderMap, HeaderValue};
use ipnet::IpNet;

use crate::http1::request_head::is_host;
use crate::server::app_service::ClientConnection;

const X_FORWARDED_FOR: &str = "x-forwarded-for";
const X_FORWARDED_PROTO: &str = "x-forwarded-proto";
const X_FORWARDED_HOST: &str = "x-forwarded-host";

/// The proxies in front of the gateway whose `X-Forwarded-For` is believed.
#[derive(Clone, Debug, Default)]
pub struct TrustedProxies(Vec<IpNet>);

#[derive(Debug, thiserror::Error)]
#[error("\"{0}\" is neither an address nor a network such as 10.0.0.0/8")]
pub struct BadNetwork(String);

/// An address, or all addresses that begin with the same bits: `10.0.0.0/8`.
pub fn parse_network(text: &str) -> Result<IpNet, BadNetwork> {
    let network = text.parse::<IpNet>().ok();
    network
        .or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from))
        .ok_or_else(|| BadNetwork(text.to_owned()))
}

impl FromStr for TrustedProxies {
    type Err = BadNetwork;

    /// Addresses and networks, separated by commas.
    fn from_str(text: &str) -> Result<Self, BadNetwork> {
        let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
        parts.map(parse_network).collect::<Result<_, _>>().map(Self)
    }
}

impl TrustedProxies {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(&address))
    }

    /// The client behind `peer`: the right-most address of `forwarded_for` (the values of `X-Forwarded-For`, in their
    /// order) that is not one of our proxies. What stands left of it, or of something unreadable, anybody can have
    /// written.
    pub fn client<'a>(
        &self,
        peer: IpAddr,
        forwarded_for: impl DoubleEndedIterator<Item = &'a str>,
    ) -> IpAddr {
        let mut client = peer.to_canonical();
        if !self.contains(client) {
            return client;
        }
        for text in forwarded_for.rev().flat_map(|value| value.rsplit(',')) {
            let Some(address) = parse_address(text.trim()) else {
                break;
            };
            client = address;
            if !self.contains(client) {
                break;
            }
        }
        client
    }
}

/// Who asks, and how: what the gateway tells upstreams in its own headers.
#[derive(Clone, Debug)]
pub struct Origin {
    pub address: IpAddr,
    pub is_https: bool,
    pub host: Option<HeaderValue>,
}

impl Origin {
    /// Believes `X-Forwarded-*` only when the peer is one of our own proxies.
    pub fn of(headers: &HeaderMap, client: &ClientConnection, trusted: &TrustedProxies) -> Self {
        let peer = client.address.to_canonical();
        let sent_host = headers.get(header::HOST);
        if !trusted.contains(peer) {
            return Self {
                address: peer,
                is_https: client.is_tls,
                host: sent_host.cloned(),
            };
        }
        let addresses = headers
            .get_all(X_FORWARDED_FOR)
            .map(|value| value.to_str().unwrap_or("?"));
        let scheme = headers.get_all(X_FORWARDED_PROTO).next_back();
        let host = headers
            .get_all(X_FORWARDED_HOST)
            .next_back()
            .filter(|value| is_host(value.as_bytes()));
        Self {
            address: trusted.client(peer, addresses),
            is_https: scheme.map_or(client.is_tls, |scheme| {
                scheme.as_bytes().eq_ignore_ascii_case(b"https")
            }),
            host: host.or(sent_host).cloned(),
        }
    }
}

/// An address, with or without a port: `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]:80`.
fn parse_address(text: &str) -> Option<IpAddr> {
    let bracketed = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let address = bracketed.unwrap_or(text).parse::<IpAddr>().ok();
    let with_port = || {
        text.parse::<std::net::SocketAddr>()
            .ok()
            .map(|socket| socket.ip())
    };
    address.or_else(with_port).map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(trusted: &str, peer: &str, forwarded_for: &[&str]) -> String {
        let trusted: TrustedProxies = trusted.parse().unwrap();
        trusted
            .client(peer.parse().unwrap(), forwarded_for.iter().copied())
            .to_string()
    }

    #[test]
    fn a_stranger_cannot_say_who_it_is() {
        assert_eq!(client("", "198.51.100.7", &["192.0.2.1"]), "198.51.100.7");
        assert_eq!(
            client("10.0.0.0/8", "198.51.100.7", &["192.0.2.1"]),
            "198.51.100.7"
        );
        assert_eq!(client("", "::ffff:198.51.100.7", &[]), "198.51.100.7");
    }

    #[test]
    fn behind_our_proxies_the_right_most_other_address_is_the_client() {
        let trusted = "10.0.0.0/8, 2001:db8:1::/48";
        assert_eq!(client(trusted, "10.0.0.1", &["192.0.2.1"]), "192.0.2.1");
        assert_eq!(
            client(trusted, "10.0.0.1", &["6.6.6.6, 192.0.2.1,10.1.2.3"]),
            "192.0.2.1"
        );
        assert_eq!(
            client(trusted, "10.0.0.1", &["6.6.6.6", "192.0.2.1", "10.1.2.3"]),
            "192.0.2.1"
        );
        assert_eq!(
            client(trusted, "::ffff:10.0.0.1", &["[2001:db8::1]:443"]),
            "2001:db8::1"
        );
        assert_eq!(client(trusted, "2001:db8:1::9", &["192.0.2.1:80"]), "192.0.2.1");
        assert_eq!(client(trusted, "10.0.0.1", &[]), "10.0.0.1");
        assert_eq!(
            client(trusted, "10.0.0.1", &["6.6.6.6, nonsense, 10.9.9.9"]),
            "10.9.9.9"
        );
        assert_eq!(client(trusted, "10.0.0.1", &["6.6.6.6,"]), "10.0.0.1");
    }

    #[test]
    fn networks_are_compared_by_their_first_bits() {
        let contains = |network: &str, address: &str| {
            network
                .parse::<TrustedProxies>()
                .unwrap()
                .contains(address.parse().unwrap())
        };
        assert!(contains("0.0.0.0/0", "1.2.3.4") && !contains("0.0.0.0/0", "::1"));
        assert!(contains("192.0.2.128/25", "192.0.2.200") && !contains("192.0.2.128/25", "192.0.2.1"));
        assert!(contains("::1", "::1") && !contains("::1", "::2") && contains("::/0", "::2"));
        for bad in ["10.0.0.0/33", "10.0.0/8", "::/129", "localhost", "10.0.0.0/"] {
            assert!(bad.parse::<TrustedProxies>().is_err(), "{bad}");
        }
    }
}
