//! What a response says of its own length, for both protocols.

use actix_http::body::{BodySize, BoxBody, MessageBody};
use actix_http::header::CONTENT_LENGTH;
use actix_http::{Response, StatusCode};

use crate::http1::request_head::parse_length;

/// Length and body of a response, as its status and the request's method allow them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outline {
    pub content_length: Option<u64>,
    /// Whether anything may follow the head.
    pub has_body: bool,
}

impl Outline {
    pub fn of(response: &Response<BoxBody>, is_head: bool) -> Self {
        let status = response.status();
        let said = response.headers().get(CONTENT_LENGTH);
        let said = said.and_then(|value| parse_length(value.as_bytes()));
        if status.is_informational() || status == StatusCode::NO_CONTENT {
            return Self {
                content_length: None,
                has_body: false,
            };
        }
        let size = match response.body().size() {
            BodySize::None => Some(0),
            BodySize::Sized(bytes) => Some(bytes),
            BodySize::Stream => None,
        };
        let content_length = match (is_head, status) {
            (_, StatusCode::NOT_MODIFIED) => said,
            // Nobody but whoever would have made the body knows how long it is.
            (true, _) => said.or(size),
            (false, _) => size,
        };
        Self {
            content_length,
            has_body: !is_head && status != StatusCode::NOT_MODIFIED,
        }
    }
}

#[cfg(test)]
mod tests {
    use actix_http::body::{BodyStream, SizedStream};
    use actix_http::header::HeaderValue;
    use bytes::Bytes;
    use futures_util::stream::{Empty, empty};

    use super::*;

    fn nothing() -> Empty<Result<Bytes, std::io::Error>> {
        empty()
    }

    fn outline(status: u16, body: BoxBody, said: Option<&'static str>, is_head: bool) -> (Option<u64>, bool) {
        let mut response = Response::with_body(StatusCode::from_u16(status).unwrap(), body);
        if let Some(said) = said {
            let value = HeaderValue::from_static(said);
            response.headers_mut().insert(CONTENT_LENGTH, value);
        }
        let outline = Outline::of(&response, is_head);
        (outline.content_length, outline.has_body)
    }

    #[test]
    fn the_body_itself_says_how_long_it_is() {
        let none = || BoxBody::new(actix_http::body::None::new());
        assert_eq!(
            outline(200, BoxBody::new("abc"), Some("9"), false),
            (Some(3), true)
        );
        assert_eq!(outline(200, none(), None, false), (Some(0), true));
        assert_eq!(
            outline(200, BoxBody::new(BodyStream::new(nothing())), None, false),
            (None, true)
        );
        let sized = || BoxBody::new(SizedStream::new(7, nothing()));
        assert_eq!(outline(200, sized(), None, false), (Some(7), true));
        assert_eq!(outline(204, sized(), Some("7"), false), (None, false));
    }

    #[test]
    fn without_a_body_the_header_says_how_long_it_would_be() {
        let none = || BoxBody::new(actix_http::body::None::new());
        assert_eq!(outline(200, none(), Some("7"), true), (Some(7), false));
        assert_eq!(outline(200, BoxBody::new("abc"), None, true), (Some(3), false));
        assert_eq!(outline(304, none(), Some("7"), false), (Some(7), false));
        assert_eq!(outline(304, none(), None, false), (None, false));
        assert_eq!(outline(200, none(), Some("7, 7"), true), (Some(0), false));
    }
}
