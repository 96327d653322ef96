//! `Body<T>`: JSON, form and multipart into the same typed body, with the API's own 400, 413 and 415
//! (contract section 2).

use std::future::Future;
use std::pin::Pin;

use actix_web::dev::Payload;
use actix_web::http::header;
use actix_web::{FromRequest, HttpRequest};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;

use super::error::ApiError;
use super::fields::{FieldReader, FieldValue, RawFields};
use crate::domain::field_errors::FieldErrors;
use crate::domain::texts::Text;

/// The largest body that is read: what the reference takes.
pub const MAX_BODY_BYTES: usize = 2_621_440;

/// A request body of typed fields.
pub trait RequestBody: Sized {
    /// Reads the fields; what is wrong with one is noted in `fields`, and its value does not matter then.
    fn read(fields: &mut FieldReader<'_>) -> Self;
}

/// A body whose fields were read. What is wrong with them may be answered together with what only the database
/// knows, so the errors come along.
pub struct Body<T> {
    value: T,
    errors: FieldErrors,
}

impl<T> Body<T> {
    /// The body, when all its fields are good.
    pub fn valid(self) -> Result<T, ApiError> {
        if self.errors.is_empty() {
            Ok(self.value)
        } else {
            Err(ApiError::Validation(self.errors))
        }
    }

    /// For endpoints that add errors of their own before they answer.
    pub fn into_parts(self) -> (T, FieldErrors) {
        (self.value, self.errors)
    }
}

impl<T: RequestBody + 'static> FromRequest for Body<T> {
    type Error = ApiError;
    type Future = Pin<Box<dyn Future<Output = Result<Self, ApiError>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let content_type = request
            .headers()
            .get(header::CONTENT_TYPE)
            .map(|value| String::from_utf8_lossy(value.as_bytes()).into());
        let payload = payload.take();
        Box::pin(async move {
            let bytes = read_all(payload).await?;
            let raw = parse(content_type, bytes).await?;
            let mut reader = FieldReader::new(&raw);
            let value = T::read(&mut reader);
            Ok(Self {
                value,
                errors: reader.into_errors(),
            })
        })
    }
}

async fn read_all(mut payload: Payload) -> Result<Bytes, ApiError> {
    let mut bytes = BytesMut::new();
    while let Some(chunk) = payload.next().await {
        let chunk = chunk.map_err(|_| {
            ApiError::Malformed(Text::JsonParseError {
                reason: "incomplete".to_owned(),
            })
        })?;
        if bytes.len() + chunk.len() > MAX_BODY_BYTES {
            return Err(ApiError::TooLarge);
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes.freeze())
}

async fn parse(content_type: Option<String>, bytes: Bytes) -> Result<RawFields, ApiError> {
    if bytes.is_empty() {
        return Ok(RawFields::default());
    }
    let content_type = content_type.unwrap_or_default();
    let essence = content_type
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    match essence.as_str() {
        "application/json" => parse_json(&bytes),
        "application/x-www-form-urlencoded" => Ok(parse_form(&bytes)),
        "multipart/form-data" => parse_multipart(&content_type, bytes).await,
        _ => Err(ApiError::UnsupportedMediaType(content_type)),
    }
}

fn parse_json(bytes: &[u8]) -> Result<RawFields, ApiError> {
    let malformed = |reason: String| ApiError::Malformed(Text::JsonParseError { reason });
    let text = std::str::from_utf8(bytes).map_err(|error| malformed(error.to_string()))?;
    RawFields::from_json(text).map_err(|error| malformed(error.to_string()))
}

fn parse_form(bytes: &[u8]) -> RawFields {
    let mut fields = RawFields::default();
    for (name, value) in form_urlencoded::parse(bytes) {
        fields.insert(name.into_owned(), FieldValue::Text(value.into_owned()));
    }
    fields
}

async fn parse_multipart(content_type: &str, bytes: Bytes) -> Result<RawFields, ApiError> {
    let malformed = |error: multer::Error| {
        ApiError::Malformed(Text::MultipartParseError {
            reason: error.to_string(),
        })
    };
    let boundary = multer::parse_boundary(content_type).map_err(malformed)?;
    let stream = futures_util::stream::once(std::future::ready(Ok::<_, std::convert::Infallible>(bytes)));
    let mut multipart = multer::Multipart::new(stream, boundary);
    let mut fields = RawFields::default();
    while let Some(field) = multipart.next_field().await.map_err(malformed)? {
        let Some(name) = field.name().map(str::to_owned) else {
            continue;
        };
        let is_file = field.file_name().is_some();
        let value = field.bytes().await.map_err(malformed)?;
        // A file is no text, whatever is in it.
        let value = if is_file {
            FieldValue::File
        } else {
            FieldValue::Text(String::from_utf8_lossy(&value).into())
        };
        fields.insert(name, value);
    }
    Ok(fields)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Login {
        username: String,
        password: String,
    }

    impl RequestBody for Login {
        fn read(fields: &mut FieldReader<'_>) -> Self {
            Self {
                username: fields.required("username"),
                password: fields.required("password"),
            }
        }
    }

    async fn read(content_type: &str, body: &str) -> Result<(String, String), ApiError> {
        let (request, mut payload) = actix_web::test::TestRequest::post()
            .insert_header((header::CONTENT_TYPE, content_type))
            .set_payload(body.to_owned())
            .to_http_parts();
        let login = Body::<Login>::from_request(&request, &mut payload)
            .await?
            .valid()?;
        Ok((login.username, login.password))
    }

    #[actix_web::test]
    async fn the_three_formats_give_the_same_body() {
        for (username, password) in [("ann", "pa&ss=w+rd%41"), ("Юзер", "п ароль"), ("a\"b\\c", "💎{}")]
        {
            let expected = Ok((username.to_owned(), password.to_owned()));
            let json = serde_json::json!({"username": username, "password": password}).to_string();
            assert_eq!(read("Application/JSON; charset=utf-8", &json).await, expected);
            let form = form_urlencoded::Serializer::new(String::new())
                .append_pair("username", "other")
                .append_pair("username", username)
                .append_pair("password", password)
                .finish();
            assert_eq!(read("application/x-www-form-urlencoded", &form).await, expected);
            let part = |name, value| {
                format!("--B\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
            };
            let multipart = part("username", username) + &part("password", password) + "--B--\r\n";
            assert_eq!(
                read("multipart/form-data; boundary=B", &multipart).await,
                expected
            );
        }
    }

    #[actix_web::test]
    async fn what_is_no_body_is_refused() {
        let unsupported = |kind: &str| Err(ApiError::UnsupportedMediaType(kind.to_owned()));
        for kind in [
            "text/plain",
            "text/json",
            "application/vnd.api+json",
            ";;;",
            "text/plain; charset=utf-8",
        ] {
            assert_eq!(read(kind, "{}").await, unsupported(kind));
        }
        for bad in [
            "{",
            "{\"a\": NaN}",
            "\u{feff}{}",
            "{} x",
            "{'a': 1}",
            "{\"username\": \"\\ud800\"}",
        ] {
            let error = read("application/json", bad).await.unwrap_err();
            assert!(
                matches!(error, ApiError::Malformed(Text::JsonParseError { .. })),
                "{bad}: {error:?}"
            );
        }
        for kind in ["multipart/form-data", "multipart/form-data; boundary="] {
            let error = read(kind, "x").await.unwrap_err();
            assert!(
                matches!(error, ApiError::Malformed(Text::MultipartParseError { .. })),
                "{kind}: {error:?}"
            );
        }
    }
}
