//! Around every request: reads its context, gives refusals their body, adds the headers that all answers have.

use std::sync::atomic::Ordering::Relaxed;

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::ConnectionType;
use actix_web::http::header::{self, HeaderName, HeaderValue};
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage, web};
use shared::headers;
use shared::logging::{self, LogContext};

use super::context::Context;
use super::error::ApiError;
use super::{AppState, gateway_check};

pub async fn respond(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let Some(state) = request.app_data::<web::Data<AppState>>().cloned() else {
        return Err(ApiError::Internal("an application without state".to_owned()).into());
    };
    let peer = request.peer_addr().map(|address| address.ip());
    let context = Context::read(request.headers(), peer, &state);
    request.extensions_mut().insert(context.clone());
    // Refusals of handlers and extractors are responses already.
    let ids = LogContext::of_request(context.request_id.as_str());
    let handle = async {
        match gateway_check::is_from_gateway(request.headers(), &state) {
            true => Ok::<_, Error>(next.call(request).await?.map_into_boxed_body()),
            false => Ok(request.into_response(gateway_check::refuse(peer, &state))),
        }
    };
    let response = logging::with_context(ids, handle).await?;
    let mut response = with_error_body(response, &state, &context);
    add_headers(&mut response, &context);
    if state.is_draining.load(Relaxed) {
        // A gateway that knows several replicas by one address keeps its connections otherwise.
        response
            .response_mut()
            .head_mut()
            .set_connection_type(ConnectionType::Close);
    }
    Ok(response)
}

/// The body of a refusal, in the language of its request; and the cause of a 5xx, once, into the log.
fn with_error_body(response: ServiceResponse, state: &AppState, context: &Context) -> ServiceResponse {
    let refusal = response.response().error().map(|error| {
        let known = error.as_error::<ApiError>().cloned();
        // actix-web's own errors are about requests that it cannot read.
        known.unwrap_or_else(|| match error.as_response_error().status_code().as_u16() {
            404 => ApiError::NotFound,
            _ => ApiError::Internal(error.to_string()),
        })
    });
    let Some(refusal) = refusal else { return response };
    if let Some(cause) = refusal.cause() {
        let path = response.request().path();
        log::error!(request_id:% = context.request_id, path; "request failed: {cause}");
    }
    let body = refusal.body(&state.texts, context.language).to_string();
    response.map_body(|head, _| {
        head.headers
            .insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        BoxBody::new(body)
    })
}

fn add_headers(response: &mut ServiceResponse, context: &Context) {
    let response_headers = response.headers_mut();
    // A page may be in a language that its address chose.
    if !response_headers.contains_key(header::CONTENT_LANGUAGE) {
        response_headers.insert(
            header::CONTENT_LANGUAGE,
            HeaderValue::from_static(context.language.tag()),
        );
    }
    response_headers.insert(header::VARY, HeaderValue::from_static("Accept, Accept-Language"));
    response_headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    if !response_headers.contains_key(header::CACHE_CONTROL) {
        response_headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    if let Ok(request_id) = HeaderValue::from_str(context.request_id.as_str()) {
        response_headers.insert(HeaderName::from_static(headers::REQUEST_ID), request_id);
    }
}
