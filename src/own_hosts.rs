//! The names by which this machine's own browser asks for a page. A stranger's page can have its own name lead to our
//! address (DNS rebinding), and would then read what we answer; but its requests bear that name.

use std::net::IpAddr;
use std::sync::Arc;

use actix_web::dev::RequestHead;
use actix_web::http::header::HOST;
use actix_web::http::uri::Authority;

/// Host names without ports: a browser always sends the port that it asks.
#[derive(Clone, Debug)]
pub struct OwnHosts(Arc<[String]>);

impl OwnHosts {
    /// The loopback address that is listened on, this machine's names, and the host of the public URL.
    pub fn new(listen: IpAddr, public_url: &str) -> Self {
        let listen = match listen {
            IpAddr::V4(v4) => v4.to_string(),
            IpAddr::V6(v6) => format!("[{v6}]"),
        };
        let authority = public_url.split_once("://").map_or("", |(_, rest)| rest);
        let authority = authority.split(['/', '?', '#']).next().unwrap_or_default();
        let names = [
            listen.as_str(),
            "127.0.0.1",
            "[::1]",
            "localhost",
            host_of(authority),
        ];
        let names = names.into_iter().filter(|name| !name.is_empty());
        Self(names.map(str::to_ascii_lowercase).collect())
    }

    /// Whether a request names one of them, and no other.
    pub fn are_meant(&self, head: &RequestHead) -> bool {
        let mut sent = head.headers.get_all(HOST);
        let named = match (sent.next(), sent.next()) {
            (Some(host), None) => host.to_str().ok(),
            (None, None) => head.uri.authority().map(Authority::as_str),
            _ => None,
        };
        named.is_some_and(|authority| {
            let host = host_of(authority);
            self.0.iter().any(|own| own.eq_ignore_ascii_case(host))
        })
    }
}

/// Without the port.
fn host_of(authority: &str) -> &str {
    match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => authority,
    }
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    #[test]
    fn only_our_own_names_are_ours() {
        let own = OwnHosts::new("127.0.0.2".parse().unwrap(), "https://Auth.example:8443/x");
        let asked = |host: &str| {
            let request = TestRequest::default()
                .insert_header((HOST, host))
                .to_srv_request();
            own.are_meant(request.head())
        };
        for host in [
            "127.0.0.1:8000",
            "localhost",
            "LOCALHOST:9",
            "[::1]:8000",
            "127.0.0.2",
            "auth.example",
            "auth.example:8443",
        ] {
            assert!(asked(host), "{host}");
        }
        for host in [
            "",
            "evil.example",
            "127.0.0.1.evil.example:8000",
            "localhost.evil.example",
            "evil.example:localhost",
            "127.0.0.1:80@evil.example",
            "[::1].evil.example",
            "localhost:8000, evil.example",
        ] {
            assert!(!asked(host), "{host:?}");
        }
        let both = TestRequest::default()
            .append_header((HOST, "localhost"))
            .append_header((HOST, "evil.example"))
            .to_srv_request();
        assert!(!own.are_meant(both.head()));
        assert!(!own.are_meant(TestRequest::default().to_srv_request().head()));
    }
}
