//! Which pages of other origins may read responses (CORS). Off unless origins are configured.

use actix_http::header::{self, HeaderMap, HeaderValue};
use actix_http::{Method, RequestHead};
use actix_web::HttpResponse;

const METHODS: HeaderValue = HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS");
/// What a script may read beside the few headers that it always may.
const EXPOSED: HeaderValue =
    HeaderValue::from_static("x-request-id, retry-after, www-authenticate, allow, content-language");
const PREFLIGHT_SECONDS: HeaderValue = HeaderValue::from_static("600");

/// The rule for all routes.
#[derive(Clone, Debug, Default)]
pub struct Cors {
    /// `https://app.example`; `*` alone is every origin.
    pub origins: Vec<String>,
    /// Whether cookies and the like may be sent along; never with `*`.
    pub allows_credentials: bool,
}

impl Cors {
    pub fn is_off(&self) -> bool {
        self.origins.is_empty()
    }

    pub fn is_any(&self) -> bool {
        self.origins.iter().any(|origin| origin == "*")
    }

    pub fn allows(&self, origin: &HeaderValue) -> bool {
        self.is_any()
            || self
                .origins
                .iter()
                .any(|known| known.as_bytes() == origin.as_bytes())
    }

    /// The response to a browser that asks beforehand; nobody else sees the request then.
    pub fn preflight(&self, request: &RequestHead) -> Option<HttpResponse> {
        if self.is_off() || request.method != Method::OPTIONS {
            return None;
        }
        let headers = &request.headers;
        let is_preflight = headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
        let origin = headers.get(header::ORIGIN).filter(|_| is_preflight)?;
        if !self.allows(origin) {
            return None;
        }
        let mut response = HttpResponse::NoContent();
        response.insert_header((header::ACCESS_CONTROL_ALLOW_METHODS, METHODS));
        if let Some(names) = headers.get(header::ACCESS_CONTROL_REQUEST_HEADERS) {
            response.insert_header((header::ACCESS_CONTROL_ALLOW_HEADERS, names.clone()));
        }
        response.insert_header((header::ACCESS_CONTROL_MAX_AGE, PREFLIGHT_SECONDS));
        Some(response.finish())
    }

    /// What a response to `origin` carries. Where the gateway has a rule, an upstream's own does not count.
    pub fn finish(&self, origin: Option<&HeaderValue>, headers: &mut HeaderMap) {
        if self.is_off() {
            return;
        }
        for name in [
            header::ACCESS_CONTROL_ALLOW_ORIGIN,
            header::ACCESS_CONTROL_ALLOW_CREDENTIALS,
            header::ACCESS_CONTROL_EXPOSE_HEADERS,
        ] {
            headers.remove(name);
        }
        if !self.is_any() {
            headers.append(header::VARY, HeaderValue::from_static("Origin"));
        }
        let Some(origin) = origin.filter(|origin| self.allows(origin)) else {
            return;
        };
        if self.is_any() {
            headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
        } else {
            headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
            if self.allows_credentials {
                headers.insert(
                    header::ACCESS_CONTROL_ALLOW_CREDENTIALS,
                    HeaderValue::from_static("true"),
                );
            }
        }
        headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
    }
}
