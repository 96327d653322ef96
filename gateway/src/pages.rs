//! Pages that the gateway serves itself, from an actix-web application: embedded mode's mailbox.

use std::rc::Rc;

use actix_http::body::{BoxBody, to_bytes_limited};
use actix_http::header::{HeaderName, HeaderValue};
use actix_http::{Payload, Request, Response};
use actix_service::{IntoServiceFactory, Service, ServiceFactory, map_config};
use actix_web::dev::AppConfig;
use actix_web::http::header;
use actix_web::{App, Error, HttpResponse, web};
use bytes::Bytes;
use futures_util::TryFutureExt;
use futures_util::future::LocalBoxFuture;

use crate::ExtraPages;
use crate::error::GatewayError;
use crate::message::{Answer, Body, Head};
use crate::proxy::old_request_body::RequestBody;

const MAX_PAGE_BYTES: usize = 16 * 1024 * 1024;

type Serve = dyn Fn(Request) -> LocalBoxFuture<'static, Result<Response<BoxBody>, Error>>;

/// One worker's copy of the application.
#[derive(Clone)]
pub struct Pages(Rc<Serve>);

impl Pages {
    /// `None`: the application does not start, which is logged.
    pub async fn start(extra_pages: ExtraPages) -> Option<Self> {
        let app = App::new()
            .configure(move |config| extra_pages(config))
            .default_service(web::to(|| async {
                HttpResponse::NotFound()
                    .content_type("application/json")
                    .insert_header((header::CACHE_CONTROL, "no-store"))
                    .body(format!("{{\"detail\": \"{}\"}}", GatewayError::NotFound))
            }));
        let factory = map_config(app.into_factory(), |()| AppConfig::default());
        let Ok(service) = factory.new_service(()).await else {
            log::error!("the pages of the gateway do not start");
            return None;
        };
        Some(Self(Rc::new(move |request| {
            Box::pin(service.call(request).map_ok(Response::<BoxBody>::from))
        })))
    }

    /// # Errors
    /// What is wrong with the request, or with the page.
    pub async fn answer(&self, head: &Head, body: &mut RequestBody<'_>) -> Result<Answer, GatewayError> {
        let mut whole = Vec::new();
        while let Some(piece) = body.next().await? {
            whole.extend_from_slice(&piece);
        }
        let mut request = Request::with_payload(Payload::from(Bytes::from(whole)));
        let target = std::str::from_utf8(&head.target).unwrap_or("/");
        request.head_mut().uri = target.parse().map_err(|_| GatewayError::NotFound)?;
        request.head_mut().method = head.method.clone();
        for field in head.fields.iter() {
            let name = HeaderName::from_bytes(&field.name);
            if let (Ok(name), Ok(value)) = (name, HeaderValue::from_bytes(&field.value)) {
                request.head_mut().headers_mut().append(name, value);
            }
        }
        let response = (self.0)(request)
            .await
            .unwrap_or_else(|error| error.error_response().into());
        let mut answer = Answer::new(response.status(), Body::None);
        for (name, value) in response.headers() {
            let is_ours = name == header::CONTENT_LENGTH
                || name == header::TRANSFER_ENCODING
                || name == header::CONNECTION;
            if !is_ours {
                let (name, value) = (name.as_str().as_bytes(), value.as_bytes());
                answer
                    .fields
                    .push(Bytes::copy_from_slice(name), Bytes::copy_from_slice(value));
            }
        }
        answer.fields.set_default("x-frame-options", "DENY");
        answer.fields.set_default("referrer-policy", "no-referrer");
        let bytes = to_bytes_limited(response.into_body(), MAX_PAGE_BYTES).await;
        let bytes = bytes.ok().and_then(Result::ok).ok_or_else(|| {
            log::error!(path = head.path(); "a page of the gateway is too large or broken");
            GatewayError::Internal
        })?;
        answer.body = Body::Whole(bytes);
        Ok(answer)
    }
}
