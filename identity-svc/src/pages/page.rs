//! One page for one request: its language, its template, and the headers that keep its address and content to itself.

use std::collections::BTreeMap;
use std::future::{Ready, ready};
use std::sync::Arc;

use actix_web::dev::Payload;
use actix_web::http::header::{self, HeaderValue};
use actix_web::http::{Method, StatusCode};
use actix_web::{FromRequest, HttpMessage, HttpRequest, HttpResponse, ResponseError, web};
use minijinja::context;
use minijinja::value::Value;
use shared::brand::Brand;
use shared::random;

use super::logo::Logo;
use super::templates::{PagesError, Templates};
use crate::domain::field_errors::FieldErrors;
use crate::domain::languages::Catalogue;
use crate::domain::texts::Text;
use crate::http::{ApiError, AppState, Context};

/// What all pages share: made at start.
#[derive(Clone)]
pub struct Pages {
    templates: Arc<Templates>,
    pub(super) logo: Option<Arc<Logo>>,
}

impl Pages {
    /// # Errors
    /// What is wrong with the operator's templates or logo.
    pub fn load(
        folder: Option<&std::path::Path>,
        brand: &Brand,
        texts: &Arc<Catalogue>,
    ) -> Result<Self, PagesError> {
        let logo = brand.logo_file.as_deref().map(Logo::read).transpose()?;
        Ok(Self {
            templates: Arc::new(Templates::load(folder, brand, logo.is_some(), texts)?),
            logo: logo.map(Arc::new),
        })
    }
}

#[derive(serde::Deserialize)]
struct Query {
    lang: Option<String>,
}

/// A page in the making, in the language of its request or of its address (`?lang=ru`). Handlers take it as they take a body.
pub struct Page {
    pages: web::Data<Pages>,
    pub state: web::Data<AppState>,
    /// Of the request, with the language that was chosen: a mail comes in it too.
    pub context: Context,
    is_language_chosen: bool,
    pub method: Method,
    /// The route, without the secrets of its address.
    route: String,
}

impl Page {
    fn of(request: &HttpRequest) -> Option<Self> {
        let state = request.app_data::<web::Data<AppState>>()?.clone();
        let mut context = request.extensions().get::<Context>().cloned()?;
        let query = web::Query::<Query>::from_query(request.query_string());
        let wanted = query.ok().and_then(|query| query.into_inner().lang);
        let chosen = wanted.and_then(|tag| state.texts.languages().find(|known| known.tag() == tag));
        context.language = chosen.unwrap_or(context.language);
        Some(Self {
            pages: request.app_data::<web::Data<Pages>>()?.clone(),
            state,
            context,
            is_language_chosen: chosen.is_some(),
            method: request.method().clone(),
            route: request.match_pattern().unwrap_or_default(),
        })
    }

    /// The client's budget, which the gateway keeps (contract section 12).
    pub fn check_budget(&self) -> Result<(), ApiError> {
        match self.context.throttle_wait_seconds {
            Some(wait_seconds) => Err(ApiError::Throttled {
                wait_seconds: wait_seconds.max(1),
            }),
            None => Ok(()),
        }
    }

    /// Another page of ours, in the language that was chosen.
    pub fn link(&self, path: &str) -> String {
        match self.is_language_chosen {
            true => format!("{path}?lang={}", self.context.language),
            false => path.to_owned(),
        }
    }

    /// The sentences for each field, as templates take them. `None` when nothing is wrong.
    pub fn errors(&self, errors: &FieldErrors) -> Option<Value> {
        let say = |text: &Text| self.state.texts.text(text, self.context.language);
        let fields: BTreeMap<&str, Vec<String>> = errors
            .iter()
            .map(|(field, texts)| (field, texts.iter().map(say).collect()))
            .collect();
        (!fields.is_empty()).then(|| Value::from(fields))
    }

    /// A page that says something: `words` names its text, and with `-title` its heading.
    pub fn message(&self, status: StatusCode, words: &str, next: Option<(String, &str)>) -> HttpResponse {
        let tone = if status.is_success() { "good" } else { "bad" };
        let next = next.map(|(href, words)| context! { href => href, words => words });
        let title = format!("{words}-title");
        self.answer(
            status,
            "message.html",
            context! { title => title, words => words, tone => tone, next => next },
        )
    }

    /// A refusal that no field is to blame for. What went wrong is in the log, once.
    pub fn refusal(&self, error: &ApiError) -> HttpResponse {
        if let Some(cause) = error.cause() {
            let route = self.route.as_str();
            log::error!(request_id:% = self.context.request_id, route; "page failed: {cause}");
        }
        if *error == ApiError::NotFound {
            return self.message(StatusCode::NOT_FOUND, "lost", None);
        }
        let detail = self.state.texts.text(&error.detail(), self.context.language);
        let facts =
            context! { title => "problem-title", words => "problem", tone => "bad", detail => detail };
        let mut response = self.answer(error.status_code(), "message.html", facts);
        if let Some(wait) = error.error_response().headers().get(header::RETRY_AFTER) {
            response.headers_mut().insert(header::RETRY_AFTER, wait.clone());
        }
        response
    }

    pub fn answer(&self, status: StatusCode, template: &str, facts: Value) -> HttpResponse {
        self.answer_with(status, template, facts, "'none'")
    }

    /// A page whose script sends requests to this site.
    pub fn answer_that_calls_the_api(
        &self,
        status: StatusCode,
        template: &str,
        facts: Value,
    ) -> HttpResponse {
        self.answer_with(status, template, facts, "'self'")
    }

    fn answer_with(&self, status: StatusCode, template: &str, facts: Value, connect: &str) -> HttpResponse {
        let nonce = random::base64url_128();
        let (texts, language) = (&self.state.texts, self.context.language);
        let name = |language| texts.page_text("language-name", language);
        // Another language is a link to the same address, which would lose what was sent.
        let languages: Vec<Value> = match self.method.is_safe() {
            true => texts
                .languages()
                .map(|language| context! { tag => language.tag(), name => name(language) })
                .collect(),
            false => Vec::new(),
        };
        let html = match self
            .pages
            .templates
            .render(template, language, &languages, &nonce, facts)
        {
            Ok(html) => html,
            Err(error) => return HttpResponse::from_error(ApiError::Internal(error.to_string())),
        };
        let policy = format!(
            "default-src 'none'; style-src 'nonce-{nonce}'; script-src 'nonce-{nonce}'; img-src 'self'; \
             connect-src {connect}; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
        );
        HttpResponse::build(status)
            .content_type("text/html; charset=utf-8")
            .insert_header((header::CONTENT_SECURITY_POLICY, policy))
            // The address holds a one-time secret.
            .insert_header((header::REFERRER_POLICY, "no-referrer"))
            .insert_header((header::CONTENT_LANGUAGE, HeaderValue::from_static(language.tag())))
            .body(html)
    }
}

impl FromRequest for Page {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Self::of(request).ok_or_else(|| ApiError::Internal("a page without its parts".to_owned())))
    }
}
