//! One line for each request, under the target `gateway::access`, written when the last byte of the response is out.
//! No query strings, no bodies, no one-time secrets.

use std::borrow::Cow;
use std::error::Error;
use std::fmt::{self, Write};
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use actix_http::body::{BodySize, BoxBody, MessageBody};
use actix_http::header::HeaderValue;
use actix_http::{Method, StatusCode};
use bytes::Bytes;

use crate::routes::{CanonicalPath, Route};
use crate::upstream::Upstream;

const TARGET: &str = "gateway::access";
/// Below these, paths carry one-time secrets.
const SECRET_PREFIXES: [&str; 2] = ["/account/verify-email/", "/account/password/reset/confirm/"];
/// What is told of a `User-Agent`.
const USER_AGENT_BYTES: usize = 200;

/// How a response came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    /// Its last byte was given to the connection.
    Complete,
    /// What produces the body broke off in the middle.
    Torn,
    /// The client was gone before the last byte, or before the first.
    Aborted,
}

impl Ending {
    fn as_str(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Torn => "torn",
            Self::Aborted => "aborted",
        }
    }
}

/// What is known of a request from its head; `None` is told as `-`.
#[derive(Debug, Default)]
pub struct Asked {
    pub method: Option<Method>,
    /// Canonical.
    pub path: Option<CanonicalPath>,
    pub route: Option<Arc<Route>>,
    pub user_agent: Option<HeaderValue>,
}

/// The line of one request, on its way. It is written when this is dropped, at the latest.
#[derive(Debug)]
pub struct Entry {
    asked: Asked,
    started: Instant,
    address: IpAddr,
    id: HeaderValue,
    /// The status, and how long its head took.
    head: Option<(StatusCode, Duration)>,
    /// Who the response is from, when it is not the gateway itself.
    upstream: Option<Arc<Upstream>>,
    body_bytes: u64,
    ending: Ending,
}

/// nginx's number for a client that did not wait for the response.
pub fn client_closed_request() -> StatusCode {
    StatusCode::from_u16(499).unwrap_or(StatusCode::BAD_REQUEST)
}

impl Entry {
    pub fn new(asked: Asked, started: Instant, address: IpAddr, id: HeaderValue) -> Self {
        Self {
            asked,
            started,
            address,
            id,
            head: None,
            upstream: None,
            body_bytes: 0,
            ending: Ending::Aborted,
        }
    }

    pub fn is_enabled() -> bool {
        log::log_enabled!(target: TARGET, log::Level::Info)
    }

    /// Notes the head of the response, and watches over its body.
    pub fn follow(mut self, status: StatusCode, upstream: Option<Arc<Upstream>>, body: BoxBody) -> BoxBody {
        self.head = Some((status, self.started.elapsed()));
        self.upstream = upstream;
        let has_no_body = matches!(body.size(), BodySize::None | BodySize::Sized(0));
        if has_no_body || self.asked.method == Some(Method::HEAD) {
            // Nothing comes after the head: the line is written now.
            self.ending = Ending::Complete;
            return body;
        }
        BoxBody::new(LoggedBody { body, entry: self })
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let Asked {
            method,
            path,
            route,
            user_agent,
        } = &self.asked;
        let ended = self.started.elapsed();
        let (status, head) = self.head.unwrap_or((client_closed_request(), ended));
        log::info!(
            target: TARGET,
            method = method.as_ref().map_or("-", Method::as_str),
            path:% = path.as_deref().map_or(Cow::Borrowed("-"), without_secrets),
            status = status.as_u16(),
            route = route.as_deref().map_or("-", |route| route.prefix.as_str()),
            upstream:% = Or(self.upstream.as_deref().map(|upstream| &upstream.url)),
            head_ms:% = Milliseconds(head),
            duration_ms:% = Milliseconds(ended),
            response_bytes = self.body_bytes,
            ending = self.ending.as_str(),
            client_address:% = self.address,
            user_agent:% = Or(user_agent.as_ref().map(UserAgent)),
            request_id = self.id.to_str().unwrap_or("-");
            "request"
        );
    }
}

/// A dash in place of nothing.
struct Or<T>(Option<T>);

impl<T: fmt::Display> fmt::Display for Or<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(value) => value.fmt(f),
            None => f.write_char('-'),
        }
    }
}

struct Milliseconds(Duration);

impl fmt::Display for Milliseconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.1}", self.0.as_secs_f64() * 1000.0)
    }
}

/// Quoted, since it holds spaces; cut, and with escapes for what could break or forge a line.
struct UserAgent<'a>(&'a HeaderValue);

impl fmt::Display for UserAgent<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = self.0.as_bytes();
        let told = bytes.get(..USER_AGENT_BYTES).unwrap_or(bytes);
        f.write_char('"')?;
        for &byte in told {
            match byte {
                b'"' | b'\\' => write!(f, "\\{}", char::from(byte))?,
                b' '..=b'~' => f.write_char(char::from(byte))?,
                other => write!(f, "\\x{other:02x}")?,
            }
        }
        f.write_str(if told.len() < bytes.len() { "...\"" } else { "\"" })
    }
}

/// Counts what a client is given of a body, and sees how it ends.
struct LoggedBody {
    body: BoxBody,
    entry: Entry,
}

impl MessageBody for LoggedBody {
    type Error = Box<dyn Error>;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>> {
        let Self { body, entry } = self.get_mut();
        let piece = ready!(Pin::new(&mut *body).poll_next(cx));
        match &piece {
            Some(Ok(piece)) => {
                entry.body_bytes += u64::try_from(piece.len()).unwrap_or(u64::MAX);
                if body.size() == BodySize::Sized(entry.body_bytes) {
                    entry.ending = Ending::Complete;
                }
            }
            // Whoever makes the body says why.
            Some(Err(_)) => entry.ending = Ending::Torn,
            None if entry.ending == Ending::Aborted => entry.ending = Ending::Complete,
            None => {}
        }
        Poll::Ready(piece)
    }
}

fn without_secrets(path: &str) -> Cow<'_, str> {
    match SECRET_PREFIXES
        .iter()
        .find(|prefix| path.len() > prefix.len() && path.starts_with(*prefix))
    {
        Some(prefix) => Cow::Owned(format!("{prefix}***")),
        None => Cow::Borrowed(path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_time_secrets_in_paths_are_hidden() {
        for (path, told) in [
            ("/account/verify-email/abc", "/account/verify-email/***"),
            (
                "/account/password/reset/confirm/uid/token",
                "/account/password/reset/confirm/***",
            ),
            ("/account/verify-email/", "/account/verify-email/"),
            ("/api/auth/login/", "/api/auth/login/"),
        ] {
            assert_eq!(without_secrets(path), told);
        }
    }

    #[test]
    fn a_user_agent_cannot_forge_a_line() {
        let told = |bytes: &[u8]| UserAgent(&HeaderValue::from_bytes(bytes).unwrap()).to_string();
        assert_eq!(told(b"curl/8.5 (x)"), "\"curl/8.5 (x)\"");
        assert_eq!(told(b"a\" status=200\tb\xff"), r#""a\" status=200\x09b\xff""#);
        assert_eq!(told(&[b'x'; 5000]).len(), USER_AGENT_BYTES + 5);
    }
}
