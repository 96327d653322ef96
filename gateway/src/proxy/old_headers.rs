//! Between the old types of requests and responses and actix's, until the old ones go.

use std::net::IpAddr;

use actix_http::header::{HeaderName, HeaderValue};
use actix_web::http::header::HeaderMap;
use actix_web::{HttpRequest, HttpResponse};
use bytes::{Bytes, BytesMut};
use shared::headers::REQUEST_ID;
use shared::request_id::RequestId;

use super::headers::{self, Additions, Origin};
use crate::client_address::TrustedProxies;
use crate::edge_auth::EdgeVerify;
use crate::message::{Answer, Body, Fields, Framing, Head};

pub fn header_map(fields: &Fields) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(fields.len());
    for field in fields.iter() {
        let value = HeaderValue::from_maybe_shared(field.value.clone());
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(&field.name), value) {
            headers.append(name, value);
        }
    }
    headers
}

fn fields(headers: &HeaderMap) -> Fields {
    let mut fields = Fields::with_capacity(headers.len() + 4);
    for (name, value) in headers {
        fields.push(
            Bytes::copy_from_slice(name.as_str().as_bytes()),
            Bytes::copy_from_slice(value.as_bytes()),
        );
    }
    fields
}

pub fn origin_of(fields: &Fields, peer: IpAddr, is_tls: bool, trusted: &TrustedProxies) -> Origin {
    Origin::of(&header_map(fields), peer, is_tls, trusted)
}

pub fn request_id(fields: &Fields) -> RequestId {
    RequestId::accept(fields.text(REQUEST_ID))
}

pub fn to_upstream(
    out: &mut BytesMut,
    head: &Head,
    origin: &Origin,
    id: &RequestId,
    additions: &Additions<'_>,
) {
    headers::to_upstream(out, &header_map(&head.fields), origin, id, additions);
}

pub fn from_upstream(answer: HeaderMap) -> Fields {
    fields(&headers::from_upstream(answer))
}

pub fn finish(fields: &mut Fields, id: &RequestId) {
    fields.set("x-content-type-options", "nosniff");
    fields.set(REQUEST_ID, Bytes::copy_from_slice(id.as_str().as_bytes()));
}

pub fn edge_verify(request: &HttpRequest, path: &str) -> Option<EdgeVerify> {
    if !path.starts_with("/api/auth/token/verify") {
        return None;
    }
    EdgeVerify::of(&Head {
        method: request.method().clone(),
        target: Bytes::copy_from_slice(path.as_bytes()),
        fields: fields(request.headers()),
        framing: Framing::Unknown,
        is_websocket: false,
    })
}

pub fn response(answer: Answer) -> HttpResponse {
    let body = match answer.body {
        Body::Whole(bytes) => bytes,
        Body::None | Body::HeadOf(_) | Body::Upstream(_) | Body::Tunnel(_) => Bytes::new(),
    };
    let mut response = HttpResponse::build(answer.status).body(body);
    *response.headers_mut() = header_map(&answer.fields);
    response
}
