//! The address of a service behind the gateway.

use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;

use actix_http::Uri;
use actix_http::uri::{Authority, Scheme};

/// The address of a service: `http://host:port`, without a path.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct UpstreamUrl(Authority);

#[derive(Debug, thiserror::Error)]
#[error("not of the form http://host:port")]
pub struct BadUpstreamUrl;

impl FromStr for UpstreamUrl {
    type Err = BadUpstreamUrl;

    fn from_str(text: &str) -> Result<Self, BadUpstreamUrl> {
        let uri: Uri = text.parse().map_err(|_| BadUpstreamUrl)?;
        let has_path = uri.path_and_query().is_some_and(|path| path.as_str() != "/");
        match uri.authority() {
            Some(authority)
                if uri.scheme() == Some(&Scheme::HTTP)
                    && !has_path
                    && !authority.as_str().contains('@')
                    && authority.port_u16() != Some(0)
                    && !authority.host().is_empty() =>
            {
                Ok(Self(authority.clone()))
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
        write!(f, "http://{}", self.0)
    }
}

impl UpstreamUrl {
    /// Host and port, as the `Host` field names them.
    pub fn authority(&self) -> &str {
        self.0.as_str()
    }

    /// What to connect to: a name or an address without brackets, and a port.
    pub(super) fn host_and_port(&self) -> (&str, u16) {
        let host = self.0.host();
        let host = host
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'))
            .unwrap_or(host);
        (host, self.0.port_u16().unwrap_or(80))
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
        ] {
            assert_eq!(
                good.parse::<UpstreamUrl>().unwrap().to_string(),
                good.trim_end_matches('/')
            );
        }
        for bad in [
            "",
            "127.0.0.1:8001",
            "https://a:1",
            "http://a:1/x",
            "http://a:1?x",
            "http://u:p@a:1",
            "http://a:0",
            "http://",
        ] {
            assert!(bad.parse::<UpstreamUrl>().is_err(), "{bad}");
        }
        let address: SocketAddr = "[::1]:80".parse().unwrap();
        assert_eq!(
            UpstreamUrl::try_from(address).unwrap().to_string(),
            "http://[::1]:80"
        );
    }
}
