//! The checks before an endpoint, in the contract's order (section 2): Accept, authentication, throttle, method.

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::Method;
use actix_web::http::header::{self, HeaderMap, HeaderValue};
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage, HttpResponse, web};
use serde_json::json;

use super::AppState;
use super::bearer::{self, CurrentUser};
use super::context::Context;
use super::error::ApiError;
use crate::domain::texts::Text;

/// What an endpoint demands.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    pub methods: &'static [Method],
    /// The value of `Allow`.
    pub allow: &'static str,
    /// Whether a good access token is required.
    pub is_private: bool,
    /// Whether it counts against the client's budget (contract section 12).
    pub is_budgeted: bool,
}

impl Rule {
    pub const fn public_post() -> Self {
        Self {
            methods: &[Method::POST],
            allow: "POST, OPTIONS",
            is_private: false,
            is_budgeted: false,
        }
    }

    pub const fn budgeted(self) -> Self {
        Self {
            is_budgeted: true,
            ..self
        }
    }

    pub const fn private(self) -> Self {
        Self {
            is_private: true,
            ..self
        }
    }
}

pub async fn gate(
    rule: Rule,
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse, Error> {
    let mut response = match check(rule, &request).await {
        Ok(Passed::ToEndpoint) => next.call(request).await?.map_into_boxed_body(),
        Ok(Passed::Options) => request.into_response(describe()),
        Err(refusal) => request.error_response(refusal),
    };
    response
        .headers_mut()
        .insert(header::ALLOW, HeaderValue::from_static(rule.allow));
    Ok(response)
}

enum Passed {
    ToEndpoint,
    Options,
}

async fn check(rule: Rule, request: &ServiceRequest) -> Result<Passed, ApiError> {
    if !accepts_json(request.headers()) {
        return Err(ApiError::NotAcceptable);
    }
    if rule.is_private {
        let state = request.app_data::<web::Data<AppState>>();
        let state = state.ok_or_else(|| ApiError::Internal("an application without state".to_owned()))?;
        let user = bearer::authenticate(request.headers(), state).await?;
        let user = user.ok_or_else(|| ApiError::unauthenticated(Text::NotAuthenticated, None))?;
        request.extensions_mut().insert::<CurrentUser>(user);
    }
    if rule.is_budgeted {
        let wait = request
            .extensions()
            .get::<Context>()
            .and_then(|context| context.throttle_wait_seconds);
        if let Some(wait_seconds) = wait {
            return Err(ApiError::Throttled {
                wait_seconds: wait_seconds.max(1),
            });
        }
    }
    if rule.methods.contains(request.method()) {
        return Ok(Passed::ToEndpoint);
    }
    if request.method() == Method::OPTIONS {
        return Ok(Passed::Options);
    }
    Err(ApiError::MethodNotAllowed(request.method().as_str().to_owned()))
}

/// Whether `application/json` is among what the client takes. Parameters, `q` included, are not looked at (as in
/// Django REST framework); no header means anything, an empty one nothing.
fn accepts_json(headers: &HeaderMap) -> bool {
    let mut is_given = false;
    for value in headers.get_all(header::ACCEPT) {
        is_given = true;
        let Ok(text) = value.to_str() else { continue };
        for range in text.split(',') {
            let range = range.split(';').next().unwrap_or_default().trim();
            if ["application/json", "application/*", "*/*"]
                .iter()
                .any(|good| range.eq_ignore_ascii_case(good))
            {
                return true;
            }
        }
    }
    !is_given
}

/// `OPTIONS`: what goes in and what comes out.
fn describe() -> HttpResponse {
    let body = json!({
        "renders": ["application/json"],
        "parses": ["multipart/form-data", "application/x-www-form-urlencoded", "application/json"],
    });
    HttpResponse::Ok()
        .content_type("application/json")
        .body(body.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_that_takes_json_in_any_form_is_served() {
        let accepts = |values: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(header::ACCEPT, HeaderValue::from_static(value));
            }
            accepts_json(&headers)
        };
        for good in [
            "*/*",
            "application/*;q=0.1",
            "text/html, Application/JSON;version=9",
            "text/html,*/*;q=0",
        ] {
            assert!(accepts(&[good]), "{good}");
        }
        assert!(accepts(&[]) && accepts(&["text/html", "application/json"]));
        for bad in ["", "text/html", "application/xml", "image/*", "nonsense", "*"] {
            assert!(!accepts(&[bad]), "{bad}");
        }
    }
}
