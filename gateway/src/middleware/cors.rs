//! Which pages of other origins may read answers (CORS). Off unless origins are configured.

use actix_http::{Method, StatusCode};
use bytes::Bytes;

use crate::message::{Answer, Body, Fields, Head};

const METHODS: &str = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";
/// What a script may read beside the few fields that it always may.
const EXPOSED: &str = "x-request-id, retry-after, www-authenticate, allow, content-language";
const PREFLIGHT_SECONDS: &str = "600";

/// The rule for all routes.
#[derive(Clone, Debug, Default)]
pub struct Cors {
    /// `https://app.example`; `*` alone is every origin.
    pub origins: Vec<String>,
    /// Whether cookies and the like may be sent along; never with `*`.
    pub allows_credentials: bool,
}

impl Cors {
    fn is_any(&self) -> bool {
        self.origins.iter().any(|origin| origin == "*")
    }

    fn allows(&self, origin: &[u8]) -> bool {
        self.is_any() || self.origins.iter().any(|known| known.as_bytes() == origin)
    }

    /// The answer to a browser that asks beforehand; nobody else sees the request then.
    pub fn preflight(&self, head: &Head) -> Option<Answer> {
        let is_preflight = head.method == Method::OPTIONS && head.fields.has("access-control-request-method");
        let origin = head.fields.get("origin").filter(|_| is_preflight)?;
        if !self.allows(origin) {
            return None;
        }
        let mut answer = Answer::new(StatusCode::NO_CONTENT, Body::None);
        answer.fields.set("access-control-allow-methods", METHODS);
        if let Some(names) = head.fields.get("access-control-request-headers") {
            answer.fields.set("access-control-allow-headers", names.clone());
        }
        answer.fields.set("access-control-max-age", PREFLIGHT_SECONDS);
        Some(answer)
    }

    /// What an answer to `origin` carries. Where the gateway has a rule, an upstream's own does not count.
    pub fn finish(&self, origin: Option<&Bytes>, fields: &mut Fields) {
        if self.origins.is_empty() {
            return;
        }
        for name in [
            "access-control-allow-origin",
            "access-control-allow-credentials",
            "access-control-expose-headers",
        ] {
            fields.remove(name);
        }
        if !self.is_any() {
            fields.push(Bytes::from_static(b"vary"), Bytes::from_static(b"Origin"));
        }
        let Some(origin) = origin.filter(|origin| self.allows(origin)) else {
            return;
        };
        if self.is_any() {
            fields.set("access-control-allow-origin", "*");
        } else {
            fields.set("access-control-allow-origin", origin.clone());
            if self.allows_credentials {
                fields.set("access-control-allow-credentials", "true");
            }
        }
        fields.set("access-control-expose-headers", EXPOSED);
    }
}
