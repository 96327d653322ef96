//! Everything the gateway itself can answer instead of an upstream, in the API's own shape: `{"detail": "..."}`.

use actix_http::StatusCode;
use actix_web::http::header;
use actix_web::{HttpResponse, HttpResponseBuilder, ResponseError};

/// After how many seconds a client may try again when an upstream is not there.
const RETRY_AFTER_SECONDS: i64 = 2;

/// Why the gateway answers by itself. The cause behind a 5xx is logged where it is seen; clients get these fixed texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GatewayError {
    /// 400: the request is ambiguous or malformed, so that two parsers could read it differently. Says which part.
    #[error("Malformed request: {0}.")]
    BadRequest(&'static str),
    /// 403: the route is not for the address of this client.
    #[error("You do not have permission to perform this action.")]
    Forbidden,
    /// 404: no route has this path.
    #[error("Not found.")]
    NotFound,
    /// 405: a method that is never forwarded, because it echoes (TRACE) or tunnels (CONNECT).
    #[error("Method not allowed.")]
    MethodNotAllowed,
    /// 408: header or body did not arrive in time.
    #[error("The request took too long to arrive.")]
    RequestTimeout,
    /// 413: the body is, or says it is, over the limit.
    #[error("The request body is too large.")]
    PayloadTooLarge,
    /// 414: the target is over the limit.
    #[error("The request target is too long.")]
    UriTooLong,
    /// 417: an `Expect` other than `100-continue`.
    #[error("The expectation cannot be met.")]
    ExpectationFailed,
    /// 431: the header is over the limit, in bytes or in fields.
    #[error("The request header is too large.")]
    HeaderTooLarge,
    /// 429: the budget of the route's rate class is used up, for so many seconds.
    #[error("Request was throttled. Expected available in {} second{}.", .wait_seconds, plural(*.wait_seconds))]
    Throttled { wait_seconds: i64 },
    /// 500: a bug of the gateway; the panic was contained.
    #[error("Internal error.")]
    Internal,
    /// 501: a method nobody here knows.
    #[error("Unknown method.")]
    NotImplemented,
    /// 502: an upstream closed the connection or sent no HTTP.
    #[error("The service behind the gateway gave no valid answer.")]
    BadGateway,
    /// 503: an upstream cannot be reached, or more is waiting than can be served.
    #[error("Service temporarily unavailable, try again later.")]
    Unavailable,
    /// 504: an upstream did not answer in time.
    #[error("The service behind the gateway did not answer in time.")]
    GatewayTimeout,
    /// 505: not HTTP/1.0 or HTTP/1.1.
    #[error("HTTP version not supported.")]
    VersionNotSupported,
}

fn plural(number: i64) -> &'static str {
    if number == 1 { "" } else { "s" }
}

impl GatewayError {
    pub fn status(self) -> StatusCode {
        match self {
            Self::BadRequest(_) => StatusCode::BAD_REQUEST,
            Self::Forbidden => StatusCode::FORBIDDEN,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::RequestTimeout => StatusCode::REQUEST_TIMEOUT,
            Self::PayloadTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::UriTooLong => StatusCode::URI_TOO_LONG,
            Self::ExpectationFailed => StatusCode::EXPECTATION_FAILED,
            Self::HeaderTooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::Throttled { .. } => StatusCode::TOO_MANY_REQUESTS,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
            Self::NotImplemented => StatusCode::NOT_IMPLEMENTED,
            Self::BadGateway => StatusCode::BAD_GATEWAY,
            Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            Self::GatewayTimeout => StatusCode::GATEWAY_TIMEOUT,
            Self::VersionNotSupported => StatusCode::HTTP_VERSION_NOT_SUPPORTED,
        }
    }

    /// Whether the connection has to end, because the rest of the request is unknown or unwanted.
    fn closes_connection(self) -> bool {
        !matches!(
            self,
            Self::Forbidden
                | Self::NotFound
                | Self::Throttled { .. }
                | Self::BadGateway
                | Self::Unavailable
                | Self::GatewayTimeout
        )
    }

    /// After how many seconds it is worth trying again.
    fn retry_after_seconds(self) -> Option<i64> {
        match self {
            Self::BadGateway | Self::Unavailable | Self::GatewayTimeout => Some(RETRY_AFTER_SECONDS),
            Self::Throttled { wait_seconds } => Some(wait_seconds),
            _ => None,
        }
    }
}

/// Begins a whole response of the gateway's own, in JSON: nobody may keep it, and no page may show it.
pub fn json(status: StatusCode) -> HttpResponseBuilder {
    let mut response = HttpResponse::build(status);
    response
        .insert_header((header::CONTENT_TYPE, "application/json"))
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .insert_header((
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; frame-ancestors 'none'",
        ))
        .insert_header((header::X_FRAME_OPTIONS, "DENY"))
        .insert_header((header::REFERRER_POLICY, "no-referrer"));
    response
}

impl ResponseError for GatewayError {
    fn status_code(&self) -> StatusCode {
        self.status()
    }

    fn error_response(&self) -> HttpResponse {
        let mut response = json(self.status());
        if let Some(seconds) = self.retry_after_seconds() {
            response.insert_header((header::RETRY_AFTER, seconds));
        }
        if *self == Self::MethodNotAllowed {
            response.insert_header((header::ALLOW, "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"));
        }
        if self.closes_connection() {
            response.force_close();
        }
        response.body(format!("{{\"detail\": \"{self}\"}}"))
    }
}
