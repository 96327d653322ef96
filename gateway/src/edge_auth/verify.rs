//! The good case of `POST token/verify/`, answered without a call: an access token that is valid, in a JSON body.
//! Whatever is not plainly that goes to identity-svc, so that every refusal has one author.

use std::borrow::Cow;

use actix_http::Method;
use actix_http::header::{self, HeaderMap};
use actix_web::HttpResponse;
use bytes::Bytes;
use serde::Deserialize;

use super::{Checker, NotHere};

#[derive(Deserialize)]
struct Request<'a> {
    #[serde(borrow)]
    token: Cow<'a, str>,
}

/// Whether a request may be answered here, by its head.
pub struct EdgeVerify;

impl EdgeVerify {
    /// `path` is the canonical one.
    pub fn of(method: &Method, path: &str, headers: &HeaderMap) -> Option<Self> {
        let is_it = *method == Method::POST
            && matches!(path, "/api/auth/token/verify/" | "/api/auth/token/verify")
            && is_json(headers)
            && headers
                .get_all(header::ACCEPT)
                .all(|value| takes_json(value.as_bytes()))
            && !headers
                .get_all(header::ACCEPT_LANGUAGE)
                .any(|value| may_name_russian(value.as_bytes()))
            && !headers.contains_key(header::CONTENT_ENCODING);
        is_it.then_some(Self)
    }
}

impl Checker {
    /// Whether the token of this body is good beyond doubt.
    pub async fn is_good(&self, _: &EdgeVerify, body: &[u8]) -> bool {
        let Ok(Request { token }) = serde_json::from_slice(body) else {
            return false;
        };
        if !self.shared.revocations.is_fresh() {
            return false;
        }
        match self.check_here(&token).await {
            // A session, since identity-svc does more for tokens without one.
            Ok(caller) => caller.session_id.is_some(),
            Err(NotHere::Unknown | NotHere::Refused(_)) => false,
        }
    }
}

/// Exactly what identity-svc answers.
pub fn verified() -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((header::CONTENT_TYPE, "application/json"))
        .insert_header((header::ALLOW, "POST, OPTIONS"))
        .insert_header((header::VARY, "Accept, Accept-Language"))
        .insert_header((header::CONTENT_LANGUAGE, "en"))
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .body(Bytes::from_static(b"{}"))
}

fn is_json(headers: &HeaderMap) -> bool {
    let content_type = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    let media_type = content_type.and_then(|text| text.split(';').next());
    media_type.is_some_and(|text| text.trim().eq_ignore_ascii_case("application/json"))
}

/// Whether it plainly takes JSON; of no header at all, this is true.
fn takes_json(accept: &[u8]) -> bool {
    let Ok(accept) = std::str::from_utf8(accept) else {
        return false;
    };
    accept.split(',').any(|range| {
        let range = range.split(';').next().unwrap_or_default().trim();
        ["*/*", "application/json", "application/*"]
            .iter()
            .any(|good| range.eq_ignore_ascii_case(good))
    })
}

/// Every other language is answered in English.
fn may_name_russian(accept_language: &[u8]) -> bool {
    accept_language
        .windows(2)
        .any(|letters| letters.eq_ignore_ascii_case(b"ru"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn may_be_answered_here(lines: &str) -> bool {
        let mut headers = HeaderMap::new();
        for (name, value) in lines.lines().filter_map(|line| line.split_once(": ")) {
            headers.append(name.parse().unwrap(), value.parse().unwrap());
        }
        EdgeVerify::of(&Method::POST, "/api/auth/token/verify/", &headers).is_some()
    }

    #[test]
    fn only_plain_requests_are_answered_here() {
        for good in [
            "Content-Type: application/json\r\n",
            "content-type: Application/JSON; charset=utf-8\r\nAccept: text/html, */*;q=0.1\r\nAccept-Language: de\r\n",
        ] {
            assert!(may_be_answered_here(good), "{good}");
        }
        for other in [
            "",
            "Content-Type: application/x-www-form-urlencoded\r\n",
            "Content-Type: application/json\r\nAccept: text/html\r\n",
            "Content-Type: application/json\r\nAccept-Language: de, RU;q=0.5\r\n",
            "Content-Type: application/json\r\nContent-Encoding: gzip\r\n",
        ] {
            assert!(!may_be_answered_here(other), "{other}");
        }
    }
}
