//! The `Authorization` header (contract section 3).

use actix_http::header::{self, HeaderMap};

use super::refusal::Refusal;

/// The token: the word `Bearer`, exactly so, and one more word. `None`: no header, or one of another scheme, which
/// counts as none.
///
/// # Errors
/// When it is `Bearer` and not one more word.
pub fn bearer_token(headers: &HeaderMap) -> Result<Option<&str>, Refusal> {
    let Some(value) = headers.get(header::AUTHORIZATION) else {
        return Ok(None);
    };
    let mut words = value
        .as_bytes()
        .split(u8::is_ascii_whitespace)
        .filter(|word| !word.is_empty());
    if words.next() != Some(b"Bearer") {
        return Ok(None);
    }
    match (words.next(), words.next()) {
        (Some(token), None) => Ok(Some(std::str::from_utf8(token).unwrap_or(""))),
        _ => Err(Refusal::BearerMalformed),
    }
}

#[cfg(test)]
mod tests {
    use actix_http::header::HeaderValue;

    use super::*;

    #[test]
    fn the_word_is_bearer_exactly_so() {
        let read = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::AUTHORIZATION, HeaderValue::from_static(value));
            bearer_token(&headers).map(|token| token.map(ToOwned::to_owned))
        };
        assert_eq!(read("Bearer a.b.c"), Ok(Some("a.b.c".to_owned())));
        assert_eq!(read("  Bearer   a.b.c "), Ok(Some("a.b.c".to_owned())));
        for none in ["bearer a", "BEARER a", "JWT a", "Basic YTpi", "", "Bearera"] {
            assert_eq!(read(none), Ok(None), "{none}");
        }
        for bad in ["Bearer", "Bearer a b"] {
            assert_eq!(read(bad), Err(Refusal::BearerMalformed), "{bad}");
        }
        assert_eq!(bearer_token(&HeaderMap::new()), Ok(None));
    }
}
