//! The address of a service behind the gateway.

use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;

use actix_http::Uri;
use actix_http::uri::{Authority, Scheme};

/// The address of a service: `http://host:port` or `https://host:port`, without a path.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct UpstreamUrl {
    authority: Authority,
    is_tls: bool,
}

#[derive(Debug, thiserror::Error)]
#[error("not of the form http://host:port or https://host:port")]
pub struct BadUpstreamUrl;

impl FromStr for UpstreamUrl {
    type Err = BadUpstreamUrl;

    fn from_str(text: &str) -> Result<Self, BadUpstreamUrl> {
        let uri: Uri = text.parse().map_err(|_| BadUpstreamUrl)?;
        let has_path = uri.path_and_query().is_some_and(|path| path.as_str() != "/");
        let is_tls = uri.scheme() == Some(&Scheme::HTTPS);
        match uri.authority() {
            Some(authority)
                if (is_tls || uri.scheme() == Some(&Scheme::HTTP))
                    && !has_path
                    && !authority.as_str().contains('@')
                    && authority.port_u16() != Some(0)
                    && !authority.host().is_empty() =>
            {
                Ok(Self {
                    authority: authority.clone(),
                    is_tls,
                })
            }
            _ => Err(BadUpstreamUrl),
        }
    }
}

impl TryFrom<SocketAddr> for UpstreamUrl {
    type Error = BadUpstreamUrl;

    fn try_from(address: SocketAddr) -> Result<Self, BadUpstreamUrl> {
        format!("http://{address}").parse()
    }
}

impl fmt::Display for UpstreamUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.is_tls { "https" } else { "http" };
        write!(f, "{scheme}://{}", self.authority)
    }
}

impl UpstreamUrl {
    /// Host and port, as the `Host` field names them.
    pub fn authority(&self) -> &str {
        self.authority.as_str()
    }

    /// Whether it is `https://`.
    pub fn is_tls(&self) -> bool {
        self.is_tls
    }

    /// Whether both are the same host and port.
    pub fn is_same_place(&self, other: &Self) -> bool {
        let ((host, port), (other_host, other_port)) = (self.host_and_port(), other.host_and_port());
        port == other_port && host.eq_ignore_ascii_case(other_host)
    }

    /// What to connect to: a name or an address without brackets, and a port.
    pub(super) fn host_and_port(&self) -> (&str, u16) {
        let host = self.authority.host();
        let host = host
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'))
            .unwrap_or(host);
        let default = if self.is_tls { 443 } else { 80 };
        (host, self.authority.port_u16().unwrap_or(default))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_upstream_is_a_host_and_a_port() {
        for good in [
            "http://127.0.0.1:8001",
            "http://identity:8001/",
            "http://[::1]:8001",
            "https://identity.example",
        ] {
            assert_eq!(
                good.parse::<UpstreamUrl>().unwrap().to_string(),
                good.trim_end_matches('/')
            );
        }
        for bad in [
            "",
            "127.0.0.1:8001",
            "ftp://a:1",
            "https://a:1/x",
            "http://a:1/x",
            "http://a:1?x",
            "http://u:p@a:1",
            "http://a:0",
            "http://",
        ] {
            assert!(bad.parse::<UpstreamUrl>().is_err(), "{bad}");
        }
        let port = |text: &str| text.parse::<UpstreamUrl>().unwrap().host_and_port().1;
        assert_eq!(
            (port("http://a"), port("https://a"), port("https://a:8443")),
            (80, 443, 8443)
        );
        let address: SocketAddr = "[::1]:80".parse().unwrap();
        assert_eq!(
            UpstreamUrl::try_from(address).unwrap().to_string(),
            "http://[::1]:80"
        );
    }
}
