//! One budget for each client over the endpoints that guess or send mail (contract, section 12), and those of the routes
//! file's classes.

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::Method;
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage, web};

use super::request_context::RequestContext;
use crate::error::GatewayError;
use crate::request_budget::RateLimit;

/// Whether a request is charged to its client's budget. At an endpoint of the contract every method is, because it checks
/// the budget before the method. The built-in pages lead to the same guesses and mails, once a form is sent.
pub fn is_limited(method: &Method, path: &str) -> bool {
    if let Some(page) = path.strip_prefix("/account/") {
        // One sends a mail, the other asks for a password.
        let is_form = matches!(
            page.strip_suffix('/').unwrap_or(page),
            "verify-email" | "sessions"
        );
        return method == Method::POST && (is_form || page.starts_with("password/"));
    }
    let Some(endpoint) = path.strip_prefix("/api/auth/") else {
        return false;
    };
    let endpoint = endpoint.strip_suffix('/').unwrap_or(endpoint);
    matches!(endpoint, "login" | "logout" | "registration") || endpoint.starts_with("password/")
}

/// The middleware: charges a request to its client's budget. Beyond the budget of a route's class it gets no further;
/// beyond the one of the contract identity-svc is told, which answers in the language of the request.
pub async fn limit(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    charge(&request)?;
    next.call(request).await
}

fn charge(request: &ServiceRequest) -> Result<(), GatewayError> {
    let mut extensions = request.extensions_mut();
    let context = extensions
        .get_mut::<RequestContext>()
        .ok_or(GatewayError::Internal)?;
    let Some(route) = &context.route else {
        return Ok(());
    };
    if route.is_identity {
        if is_limited(request.method(), &context.path) {
            let limit = request.app_data::<web::Data<RateLimit>>();
            context.throttle_wait_seconds = limit.and_then(|limit| limit.charge(context.origin.address));
        }
        if context.throttle_wait_seconds.is_some() {
            route.counts.limited.increment();
        }
        return Ok(());
    }
    let wait_seconds = route
        .rate_limit
        .as_ref()
        .and_then(|limit| limit.charge(context.origin.address));
    match wait_seconds {
        Some(wait_seconds) => {
            route.counts.limited.increment();
            Err(GatewayError::Throttled { wait_seconds })
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_budget_covers_what_the_contract_lists() {
        for path in [
            "login",
            "login/",
            "logout/",
            "registration",
            "registration/",
            "password/change/",
            "password/reset/confirm",
        ] {
            assert!(is_limited(&Method::GET, &format!("/api/auth/{path}")), "{path}");
        }
        for path in [
            "registration/resend-email/",
            "registration/verify-email/",
            "token/refresh/",
            "token/verify/",
            "user/",
            "sessions/revoke-others/",
            "Login/",
            "password",
        ] {
            assert!(!is_limited(&Method::POST, &format!("/api/auth/{path}")), "{path}");
        }
        assert!(!is_limited(&Method::POST, "/login/"));
    }

    #[test]
    fn a_form_of_the_pages_is_charged_and_looking_at_it_is_not() {
        for path in [
            "/account/password/reset",
            "/account/password/reset/confirm/u/t",
            "/account/verify-email/",
            "/account/sessions",
            "/account/sessions/",
        ] {
            assert!(is_limited(&Method::POST, path), "{path}");
            assert!(!is_limited(&Method::GET, path), "{path}");
        }
        // As the contract's own endpoint: the key is beyond guessing, and no mail is sent.
        assert!(!is_limited(&Method::POST, "/account/verify-email/some-key"));
        // Comes with a proof, which is beyond guessing too.
        assert!(!is_limited(&Method::POST, "/account/sessions/end"));
    }
}
