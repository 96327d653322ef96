//! Where the broker is: `amqp://user:password@host:5672/vhost`, or `amqps:` for TLS.

use lapin::uri::{AMQPAuthority, AMQPQueryString, AMQPScheme, AMQPUri, AMQPUserInfo};
use percent_encoding::percent_decode_str;
use url::Url;

use crate::secret::Secret;

/// Both sides say something this often (seconds); a side that is silent twice as long is taken for dead.
const HEARTBEAT_SECONDS: u16 = 10;
/// A mail job has 1 to 2 KiB. The client's buffers are 32 times this, each way, for every connection.
const FRAME_MAX_BYTES: u32 = 16 * 1024;
const CHANNELS_MAX: u16 = 8;

/// Why a URL names no broker; completes "NAME ...". Never repeats the URL, which may hold a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    #[error(
        "is no URL: {0}; it should look like amqp://user:password@host:5672/vhost, \
         with /, ?, # and @ in a password written as %2F, %3F, %23 and %40"
    )]
    NoUrl(String),
    #[error("begins with \"{0}:\", not with amqp: or amqps:")]
    Scheme(String),
    #[error("names no host, as in amqp://user:password@host:5672/vhost")]
    NoHost,
    #[error("has a {0} that is not percent-encoded UTF-8")]
    Encoding(&'static str),
    #[error("has a query or a fragment, which is not supported")]
    Query,
}

/// A checked URL.
#[derive(Clone, Debug)]
pub struct BrokerUrl {
    /// Without the password.
    uri: AMQPUri,
    password: Secret<String>,
    shown: String,
}

impl BrokerUrl {
    /// # Errors
    /// See [`UrlError`].
    pub fn parse(url: &Secret<String>) -> Result<Self, UrlError> {
        let parsed = Url::parse(url.expose()).map_err(|error| UrlError::NoUrl(error.to_string()))?;
        let scheme = match parsed.scheme() {
            "amqp" => AMQPScheme::AMQP,
            "amqps" => AMQPScheme::AMQPS,
            other => return Err(UrlError::Scheme(other.to_owned())),
        };
        if parsed.query().is_some() || parsed.fragment().is_some() {
            return Err(UrlError::Query);
        }
        let host = parsed.host_str().filter(|host| !host.is_empty());
        // An IPv6 address stands in brackets in a URL, and without them everywhere else.
        let host = host.ok_or(UrlError::NoHost)?.trim_matches(['[', ']']);
        let port = parsed.port().unwrap_or_else(|| scheme.default_port());
        let user = match parsed.username() {
            "" => "guest".to_owned(),
            user => decoded(user, "user")?,
        };
        let password = decoded(parsed.password().unwrap_or("guest"), "password")?;
        let vhost = match parsed.path().strip_prefix('/').unwrap_or_default() {
            "" => "/".to_owned(),
            vhost => decoded(vhost, "virtual host")?,
        };
        let shown = format!(
            "{}://{user}@{}:{port}, virtual host {vhost}",
            parsed.scheme(),
            bracketed(host)
        );
        let uri = AMQPUri {
            scheme,
            authority: AMQPAuthority {
                userinfo: AMQPUserInfo {
                    username: user,
                    password: String::new(),
                },
                host: host.to_owned(),
                port,
            },
            vhost,
            query: AMQPQueryString {
                frame_max: Some(FRAME_MAX_BYTES),
                channel_max: Some(CHANNELS_MAX),
                heartbeat: Some(HEARTBEAT_SECONDS),
                ..AMQPQueryString::default()
            },
        };
        Ok(Self {
            uri,
            password: Secret::new(password),
            shown,
        })
    }

    /// The URL for a log line, without the password.
    pub fn shown(&self) -> &str {
        &self.shown
    }

    /// The form that the client library takes, password included.
    pub(super) fn uri(&self) -> AMQPUri {
        let mut uri = self.uri.clone();
        self.password
            .expose()
            .clone_into(&mut uri.authority.userinfo.password);
        uri
    }
}

fn decoded(text: &str, part: &'static str) -> Result<String, UrlError> {
    let decoded = percent_decode_str(text).decode_utf8();
    decoded
        .map(std::borrow::Cow::into_owned)
        .map_err(|_| UrlError::Encoding(part))
}

fn bracketed(host: &str) -> String {
    if host.contains(':') {
        format!("[{host}]")
    } else {
        host.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(url: &str) -> Result<BrokerUrl, UrlError> {
        BrokerUrl::parse(&Secret::new(url.to_owned()))
    }

    #[test]
    fn every_part_has_a_default() {
        let url = parse("amqp://broker").unwrap();
        assert_eq!(url.shown(), "amqp://guest@broker:5672, virtual host /");
        assert_eq!(parse("amqp://broker/").unwrap().uri().vhost, "/");
        assert_eq!(parse("amqps://broker").unwrap().uri().authority.port, 5671);
    }

    #[test]
    fn parts_are_percent_decoded_and_the_password_is_not_shown() {
        let url = parse("amqp://an%40n:p%2Fw%3F@broker:5680/a%2Fb").unwrap();
        let userinfo = &url.uri().authority.userinfo;
        assert_eq!(
            (userinfo.username.as_str(), userinfo.password.as_str()),
            ("an@n", "p/w?")
        );
        assert_eq!(url.uri().vhost, "a/b");
        let printed = format!("{url:?} {}", url.shown());
        assert!(
            !printed.contains("p/w") && !printed.contains("p%2Fw"),
            "{printed}"
        );
    }

    #[test]
    fn an_ipv6_address_is_taken() {
        let url = parse("amqp://[::1]:5672/%2f").unwrap();
        assert_eq!(url.uri().authority.host, "::1");
        assert_eq!(url.shown(), "amqp://guest@[::1]:5672, virtual host /");
    }

    #[test]
    fn what_is_wrong_is_said_without_the_url() {
        assert_eq!(parse("http://h").unwrap_err(), UrlError::Scheme("http".into()));
        assert_eq!(parse("amqp:").unwrap_err(), UrlError::NoHost);
        assert_eq!(parse("amqp:///vhost").unwrap_err(), UrlError::NoHost);
        assert_eq!(
            parse("amqp://u:hush@h/?heartbeat=5").unwrap_err(),
            UrlError::Query
        );
        assert_eq!(
            parse("amqp://u:%ff@h").unwrap_err(),
            UrlError::Encoding("password")
        );
        for bad in [
            "",
            "broker:5672",
            "amqp://u:hush@h:notaport",
            "amqp://u:hu?sh@h",
            "amqp://u:hush@",
        ] {
            let said = parse(bad).unwrap_err().to_string();
            assert!(!said.contains("hush"), "{said}");
        }
    }
}
