//! Services behind the gateway: where they are, and the client that speaks to them.

use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;
use std::time::Duration;

use actix_web::http::Uri;
use actix_web::http::uri::{Authority, PathAndQuery, Scheme};
use awc::error::{ConnectError, SendRequestError};
use awc::{Client, Connector};

use crate::error::GatewayError;

/// Requests of one worker that may be under way at once; more are answered 503, since a queue would only be slower.
pub(crate) const MAX_IN_FLIGHT: usize = 1024;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// Below what servers keep idle connections for, so that the gateway is the one that closes them: a request sent into
/// a connection that the other side is just closing cannot be repeated.
const IDLE_CONNECTION: Duration = Duration::from_secs(15);
const CONNECTION_LIFE: Duration = Duration::from_secs(600);

/// The address of a service: `http://host:port`, without a path.
#[derive(Clone, Debug, PartialEq, Eq)]
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
    /// What stands in the settings when they name none that could be used; they are refused then.
    pub(crate) fn nowhere() -> Self {
        Self(Authority::from_static("invalid.invalid"))
    }

    /// The same path and query there.
    pub(crate) fn join(&self, path: Option<&PathAndQuery>) -> Result<Uri, GatewayError> {
        let path = path.cloned().unwrap_or_else(|| PathAndQuery::from_static("/"));
        Uri::builder()
            .scheme(Scheme::HTTP)
            .authority(self.0.clone())
            .path_and_query(path)
            .build()
            .map_err(|_| GatewayError::BadRequest("bad target"))
    }
}

/// A client with its own pool of connections; one for each worker. It adds nothing to a request, follows no redirect,
/// decompresses nothing and repeats nothing.
pub(crate) fn client(timeout: Duration) -> Client {
    let connector = Connector::new()
        .timeout(CONNECT_TIMEOUT.min(timeout))
        .conn_keep_alive(IDLE_CONNECTION)
        .conn_lifetime(CONNECTION_LIFE)
        .limit(MAX_IN_FLIGHT);
    Client::builder()
        .connector(connector)
        .timeout(timeout)
        .no_default_headers()
        .disable_redirects()
        .finish()
}

/// What clients are told when an upstream gave no answer.
pub(crate) fn failure(error: &SendRequestError) -> GatewayError {
    match error {
        SendRequestError::Timeout | SendRequestError::Connect(ConnectError::Timeout) => {
            GatewayError::GatewayTimeout
        }
        // awc says "disconnected" of a connection that ended between the request and its answer.
        SendRequestError::Connect(ConnectError::Disconnected) => GatewayError::BadGateway,
        SendRequestError::Connect(_) => GatewayError::Unavailable,
        _ => GatewayError::BadGateway,
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
