//! Requests and answers inside the gateway, whatever protocol they came by. Fields stay slices of what was received.

use actix_http::body::MessageBody;
use actix_http::header::{HeaderMap, HeaderName, HeaderValue};
use actix_http::{Method, StatusCode};
use actix_web::HttpResponse;
use bytes::Bytes;

use crate::upstream::{AnswerBody, UpstreamConnection};

/// One header field. Its name is as it was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    pub name: Bytes,
    pub value: Bytes,
}

/// Header fields in their order. Names are compared without regard to case.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fields(Vec<Field>);

impl Fields {
    pub fn with_capacity(capacity: usize) -> Self {
        Self(Vec::with_capacity(capacity))
    }

    pub fn iter(&self) -> impl Iterator<Item = &Field> {
        self.0.iter()
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The first value of `name`.
    pub fn get(&self, name: &str) -> Option<&Bytes> {
        self.all(name).next()
    }

    /// The first value of `name`, when it is text.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.get(name).and_then(|value| std::str::from_utf8(value).ok())
    }

    /// All values of `name`.
    pub fn all(&self, name: &str) -> impl DoubleEndedIterator<Item = &Bytes> {
        let is_it = move |field: &&Field| field.name.eq_ignore_ascii_case(name.as_bytes());
        self.0.iter().filter(is_it).map(|field| &field.value)
    }

    pub fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// Adds a field beside others of its name.
    pub fn push(&mut self, name: Bytes, value: Bytes) {
        self.0.push(Field { name, value });
    }

    /// Sets a field in place of all others of its name. `value` must hold what a field's value may hold.
    pub fn set(&mut self, name: &'static str, value: impl Into<Bytes>) {
        self.remove(name);
        self.push(Bytes::from_static(name.as_bytes()), value.into());
    }

    /// Sets a field unless there is one of its name.
    pub fn set_default(&mut self, name: &'static str, value: &'static str) {
        if !self.has(name) {
            self.push(
                Bytes::from_static(name.as_bytes()),
                Bytes::from_static(value.as_bytes()),
            );
        }
    }

    pub fn to_header_map(&self) -> HeaderMap {
        let mut headers = HeaderMap::with_capacity(self.0.len());
        for field in &self.0 {
            let name = HeaderName::from_bytes(&field.name);
            if let (Ok(name), Ok(value)) = (name, HeaderValue::from_bytes(&field.value)) {
                headers.append(name, value);
            }
        }
        headers
    }

    pub fn remove(&mut self, name: &str) {
        self.0
            .retain(|field| !field.name.eq_ignore_ascii_case(name.as_bytes()));
    }
}

/// How the length of a request's body is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    NoBody,
    Length(u64),
    /// Only its end tells.
    Unknown,
}

/// The head of a request that was found to be well-formed.
#[derive(Clone, Debug)]
pub struct Head {
    pub method: Method,
    /// Path and query, printable ASCII, beginning with a slash.
    pub target: Bytes,
    pub fields: Fields,
    pub framing: Framing,
    /// Whether the client asks for an upgrade to WebSocket.
    pub is_websocket: bool,
}

impl Head {
    pub fn path(&self) -> &str {
        self.split_target().0
    }

    /// The query with its question mark; empty when there is none.
    pub fn query(&self) -> &str {
        self.split_target().1
    }

    fn split_target(&self) -> (&str, &str) {
        let target = std::str::from_utf8(&self.target).unwrap_or("/");
        let query_start = target.find('?').unwrap_or(target.len());
        target.split_at(query_start)
    }
}

/// An answer on its way to a client.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub fields: Fields,
    pub body: Body,
    /// Whether the connection must end after it (HTTP/1.1).
    pub closes: bool,
}

#[derive(Debug)]
pub enum Body {
    /// None, and no length either: 204, 304.
    None,
    /// None, because HEAD was asked; this long otherwise.
    HeadOf(Option<u64>),
    Whole(Bytes),
    /// Passed on piece by piece.
    Upstream(Box<AnswerBody>),
    /// The connection belongs to the two ends from here on.
    Tunnel(Box<UpstreamConnection>),
}

impl Answer {
    pub fn new(status: StatusCode, body: Body) -> Self {
        Self {
            status,
            fields: Fields::with_capacity(8),
            body,
            closes: false,
        }
    }

    /// A whole answer of the gateway's own, in JSON: nobody may keep it, and no page may show it.
    pub fn json(status: StatusCode, body: impl Into<Bytes>) -> Self {
        let mut answer = Self::new(status, Body::Whole(body.into()));
        for (name, value) in [
            ("content-type", "application/json"),
            ("cache-control", "no-store"),
            (
                "content-security-policy",
                "default-src 'none'; frame-ancestors 'none'",
            ),
            ("x-frame-options", "DENY"),
            ("referrer-policy", "no-referrer"),
        ] {
            let (name, value) = (name.as_bytes(), value.as_bytes());
            answer
                .fields
                .push(Bytes::from_static(name), Bytes::from_static(value));
        }
        answer
    }
}

/// A response with a whole body.
impl From<HttpResponse> for Answer {
    fn from(response: HttpResponse) -> Self {
        let mut answer = Self::new(response.status(), Body::None);
        for (name, value) in response.headers() {
            answer.fields.push(
                Bytes::copy_from_slice(name.as_str().as_bytes()),
                Bytes::copy_from_slice(value.as_bytes()),
            );
        }
        answer.body = Body::Whole(response.into_body().try_into_bytes().unwrap_or_default());
        answer
    }
}
