//! `GET /.well-known/jwks.json`: the public keys (RFC 7517), for everybody who checks our tokens.

use actix_web::http::header;
use actix_web::{HttpResponse, web};

use super::AppState;

/// Shorter than a new key is published before it signs.
const CACHE: &str = "public, max-age=30";

pub async fn jwks(state: web::Data<AppState>) -> HttpResponse {
    HttpResponse::Ok()
        .content_type("application/json")
        .insert_header((header::CACHE_CONTROL, CACHE))
        .body(state.tokens.jwks().to_string())
}
