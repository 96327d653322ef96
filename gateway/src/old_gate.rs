//! The old pipeline behind the new wire, until the actix-web application takes its place.

use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use actix_http::body::{BodyStream, BoxBody, SizedStream};
use actix_http::header::{CONTENT_LENGTH, EXPECT, HeaderName, HeaderValue};
use actix_http::{ConnectionType, HttpMessage, Payload, Request, Response, Version};
use bytes::Bytes;
use futures_util::{Stream, stream};

use crate::error::GatewayError;
use crate::gate::{Client, Worker};
use crate::message::{Answer, Body, Fields, Framing, Head};
use crate::proxy::request_body::Source;
use crate::proxy::websocket::Tunnel;
use crate::server::app_service::{AppService, BodyLength, ClientConnection, WebSocketUpgrade, gateway_error};

pub fn app_service(worker: Rc<Worker>) -> AppService {
    let rejecting = worker.clone();
    AppService::new(
        move |request| {
            let worker = worker.clone();
            Box::pin(async move { call(&worker, request).await })
        },
        move |error, client| response(rejecting.refuse(error, &old_client(client))),
    )
}

fn old_client(client: ClientConnection) -> Client {
    Client {
        address: client.address,
        is_tls: client.is_tls,
    }
}

async fn call(worker: &Worker, mut request: Request) -> Response<BoxBody> {
    let mut fields = Fields::with_capacity(request.headers().len());
    for (name, value) in request.headers() {
        let (name, value) = (name.as_str().as_bytes(), value.as_bytes());
        fields.push(Bytes::copy_from_slice(name), Bytes::copy_from_slice(value));
    }
    let extensions = request.extensions();
    let client = extensions.get().copied().map(old_client);
    let framing = match extensions.get() {
        Some(BodyLength::Known(bytes)) => Framing::Length(*bytes),
        Some(BodyLength::Unknown) => Framing::Unknown,
        Some(BodyLength::None) | None => Framing::NoBody,
    };
    let head = Head {
        method: request.method().clone(),
        target: Bytes::copy_from_slice(
            request
                .uri()
                .path_and_query()
                .map_or("/", |it| it.as_str())
                .as_bytes(),
        ),
        fields,
        framing,
        is_websocket: extensions.contains::<WebSocketUpgrade>(),
    };
    drop(extensions);
    let mut body = PayloadSource {
        is_waited_for: request.version() == Version::HTTP_11 && request.headers().contains_key(EXPECT),
        payload: request.take_payload(),
    };
    let Some(client) = client else {
        return response(GatewayError::Internal.answer());
    };
    response(worker.answer(head, &mut body, &client).await)
}

struct PayloadSource {
    payload: Payload,
    is_waited_for: bool,
}

impl Source for PayloadSource {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, GatewayError>> {
        match ready!(Pin::new(&mut self.payload).poll_next(cx)) {
            Some(Ok(piece)) => Poll::Ready(Ok(Some(piece))),
            Some(Err(error)) => Poll::Ready(Err(gateway_error(&error))),
            None => Poll::Ready(Ok(None)),
        }
    }

    fn is_waited_for(&self) -> bool {
        self.is_waited_for
    }
}

fn response(answer: Answer) -> Response<BoxBody> {
    let mut response = Response::new(answer.status);
    for field in answer.fields.iter() {
        if let (Ok(name), Ok(value)) = (
            HeaderName::from_bytes(&field.name),
            HeaderValue::from_bytes(&field.value),
        ) {
            response.headers_mut().append(name, value);
        }
    }
    if answer.closes {
        response.head_mut().set_connection_type(ConnectionType::Close);
    }
    match answer.body {
        Body::None => response.set_body(BoxBody::new(actix_http::body::None::new())),
        Body::HeadOf(length) => {
            if let Some(length) = length {
                response.headers_mut().insert(CONTENT_LENGTH, length.into());
            }
            response.set_body(BoxBody::new(actix_http::body::None::new()))
        }
        Body::Whole(bytes) => response.set_body(BoxBody::new(bytes)),
        Body::Upstream(body) => {
            let length = body.length();
            let pieces = stream::unfold(Some(body), |body| async {
                let mut body = body?;
                match body.next().await {
                    Ok(Some(piece)) => Some((Ok(piece), Some(body))),
                    Ok(None) => None,
                    Err(cause) => {
                        log::warn!("an upstream's answer is torn: {cause}");
                        Some((Err(cause), None))
                    }
                }
            });
            let pieces: Pin<Box<dyn Stream<Item = Result<Bytes, String>>>> = Box::pin(pieces);
            match length {
                Some(length) => response.set_body(BoxBody::new(SizedStream::new(length, pieces))),
                None => response.set_body(BoxBody::new(BodyStream::new(pieces))),
            }
        }
        Body::Tunnel(upstream) => {
            response.extensions_mut().insert(Tunnel::new(*upstream));
            response
        }
    }
}

/// The old head of a request.
#[cfg(test)]
pub fn old_head(text: impl Into<String>) -> Head {
    let mut request = Request::new();
    let text = Bytes::from(text.into());
    let head = crate::http1::request_head::parse(&text, request.headers_mut()).unwrap();
    let mut fields = Fields::default();
    for (name, value) in request.headers() {
        let (name, value) = (name.as_str().as_bytes(), value.as_bytes());
        fields.push(Bytes::copy_from_slice(name), Bytes::copy_from_slice(value));
    }
    Head {
        method: head.method,
        target: Bytes::from(head.target.to_string()),
        fields,
        framing: match head.body {
            BodyLength::None => Framing::NoBody,
            BodyLength::Known(bytes) => Framing::Length(bytes),
            BodyLength::Unknown => Framing::Unknown,
        },
        is_websocket: head.is_websocket,
    }
}
