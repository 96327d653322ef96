//! The API's OpenAPI document at `/api/schema/`, and a page at `/api/docs/` to read it and try it.
//!
//! Made at start from what the server does: request fields from the bodies that read them, answers from the types that
//! serialise, refusals from `ApiError`. tests/it/http/openapi.rs holds document and server against each other.

mod document;
mod operation;
mod operations;
mod page;
mod schemas;
mod yaml;

use std::collections::HashMap;
use std::sync::Arc;

use actix_web::http::header::{self, HeaderMap};
use actix_web::{HttpRequest, HttpResponse, guard, web};
use bytes::Bytes;
use serde_json::Value;

use crate::domain::languages::{Catalogue, Language};
use crate::http::{ApiError, AppState, Context};
use crate::settings::Settings;

const SCHEMA: &str = "/api/schema";
const DOCS: &str = "/api/docs";

/// The document in every language, in both formats.
#[derive(Clone)]
pub struct Documents(Arc<HashMap<Language, Rendered>>);

struct Rendered {
    json: Bytes,
    yaml: Bytes,
    page: minijinja::value::Value,
}

impl Documents {
    pub fn new(settings: &Settings, texts: &Catalogue) -> Self {
        let render = |language| {
            let document = document::document(settings, texts, language);
            let rendered = Rendered {
                json: format!("{document:#}\n").into(),
                yaml: yaml::to_yaml(&document).into(),
                page: page::facts(&document),
            };
            (language, rendered)
        };
        Self(Arc::new(texts.languages().map(render).collect()))
    }
}

/// The routes of document and page. The last slash may be left out.
/// Without documents there are none: both addresses are unknown.
pub fn configure(documents: Option<Documents>) -> impl FnOnce(&mut web::ServiceConfig) {
    let both = |path: &str| vec![path.to_owned(), format!("{path}/")];
    let read = || web::route().guard(guard::Any(guard::Get()).or(guard::Head()));
    move |config| {
        let Some(documents) = documents else { return };
        config.app_data(web::Data::new(documents));
        let resource = |path: &str| web::resource(both(path)).default_service(web::to(wrong_method));
        config.service(resource(SCHEMA).route(read().to(schema)));
        config.service(resource(DOCS).route(read().to(page::show)));
    }
}

#[derive(serde::Deserialize)]
struct Query {
    lang: Option<String>,
    format: Option<String>,
}

/// `?lang=ru` and `?format=yaml` go before `Accept-Language` and `Accept`.
async fn schema(
    request: HttpRequest,
    state: web::Data<AppState>,
    documents: web::Data<Documents>,
    context: Context,
) -> Result<HttpResponse, ApiError> {
    let query = web::Query::<Query>::from_query(request.query_string());
    let (lang, format) = query.map_or((None, None), |query| {
        (query.0.lang.clone(), query.0.format.clone())
    });
    let chosen = lang.and_then(|tag| state.texts.languages().find(|known| known.tag() == tag));
    let language = chosen.unwrap_or(context.language);
    let is_yaml = match format.as_deref() {
        Some("yaml") => true,
        Some("json") => false,
        _ => wants_yaml(request.headers())?,
    };
    let rendered = documents.0.get(&language).ok_or(ApiError::NotFound)?;
    let (content_type, body) = match is_yaml {
        true => ("application/yaml", &rendered.yaml),
        false => ("application/json", &rendered.json),
    };
    Ok(HttpResponse::Ok()
        .content_type(content_type)
        .insert_header((header::CONTENT_LANGUAGE, language.tag()))
        .insert_header((header::ALLOW, "GET, HEAD"))
        .body(body.clone()))
}

/// The first of the client's media types that there is a format for.
///
/// Source: RFC 9512 for `application/yaml`; Django's schema views say `application/vnd.oai.openapi` for YAML.
fn wants_yaml(headers: &HeaderMap) -> Result<bool, ApiError> {
    let mut is_given = false;
    for value in headers.get_all(header::ACCEPT) {
        is_given = true;
        for range in value.to_str().unwrap_or_default().split(',') {
            let range = range
                .split(';')
                .next()
                .unwrap_or_default()
                .trim()
                .to_ascii_lowercase();
            match range.as_str() {
                "application/json" | "application/vnd.oai.openapi+json" | "application/*" | "*/*" => {
                    return Ok(false);
                }
                "application/yaml" | "application/x-yaml" | "text/yaml" | "application/vnd.oai.openapi" => {
                    return Ok(true);
                }
                _ => {}
            }
        }
    }
    if is_given {
        Err(ApiError::NotAcceptable)
    } else {
        Ok(false)
    }
}

async fn wrong_method(request: HttpRequest) -> HttpResponse {
    let error = ApiError::MethodNotAllowed(request.method().as_str().to_owned());
    let mut response = HttpResponse::from_error(error);
    response
        .headers_mut()
        .insert(header::ALLOW, header::HeaderValue::from_static("GET, HEAD"));
    response
}

/// A member of the document, wherever it is.
fn member<'a>(value: &'a Value, name: &str) -> &'a Value {
    value.get(name).unwrap_or(&Value::Null)
}
