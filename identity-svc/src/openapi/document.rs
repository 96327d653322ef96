//! The OpenAPI document: operations and components, put together for one language.
//!
//! Source: OpenAPI 3.0.3, which the generators of existing clients read.

use std::collections::BTreeMap;

use actix_web::ResponseError;
use actix_web::http::StatusCode;
use actix_web::http::header;
use serde_json::{Map, Value, json};

use super::operation::{Given, Link, Operation, Security, Taken};
use super::operations::operations;
use super::schemas;
use crate::domain::languages::{Catalogue, Language};
use crate::domain::texts::Text;
use crate::http::ApiError;
use crate::settings::Settings;

/// In the contract's order, which the published client shows.
const MEDIA_TYPES: [&str; 3] = [
    "multipart/form-data",
    "application/x-www-form-urlencoded",
    "application/json",
];

/// The document in a language, as these settings make it.
pub fn document(settings: &Settings, texts: &Catalogue, language: Language) -> Value {
    let mut builder = Builder {
        texts,
        language,
        components: BTreeMap::new(),
    };
    let mut paths = Map::new();
    let operations = operations(settings);
    for operation in &operations {
        let described = builder.operation(operation);
        let path = paths
            .entry(operation.path)
            .or_insert_with(|| Value::Object(Map::new()));
        if let Value::Object(methods) = path {
            methods.insert(operation.method.to_owned(), described);
        }
    }
    let mut tags: Vec<&str> = operations.iter().map(|operation| operation.tag).collect();
    tags.dedup();
    let tag = |name: &&str| json!({ "name": name, "description": builder.say(&format!("api-tag-{name}")) });
    json!({
        "openapi": "3.0.3",
        "info": {
            "title": format!("{} API", settings.brand.name),
            "version": env!("CARGO_PKG_VERSION"),
            "description": builder.say("api-about"),
        },
        "tags": tags.iter().map(tag).collect::<Vec<_>>(),
        "paths": paths,
        "components": {
            "schemas": builder.components,
            "securitySchemes": {
                "jwtAuth": {
                    "type": "oauth2",
                    "flows": { "password": { "tokenUrl": "/api/auth/login/", "scopes": {} } },
                },
            },
        },
    })
}

struct Builder<'a> {
    texts: &'a Catalogue,
    language: Language,
    /// By name, as the contract has them.
    components: BTreeMap<String, Value>,
}

impl Builder<'_> {
    fn say(&self, key: &str) -> String {
        self.texts.page_text(key, self.language)
    }

    fn operation(&mut self, operation: &Operation) -> Value {
        let mut described = Map::new();
        let mut add = |name: &str, value: Value| {
            described.insert(name.to_owned(), value);
        };
        add("operationId", operation.id.into());
        let about = format!("api-{}-about", operation.words);
        let own = Some(self.say(&about)).filter(|text| *text != about);
        if let Some(description) = operation.description.map(ToOwned::to_owned).or(own) {
            add("description", description.into());
        }
        add("tags", json!([operation.tag]));
        if let Some(parameters) = path_parameters(operation.path) {
            add("parameters", parameters);
        }
        if let Some(taken) = &operation.taken {
            add("requestBody", self.request_body(taken));
        }
        match operation.security {
            Security::Ignored => {}
            Security::Optional => add("security", json!([{ "jwtAuth": [] }, {}])),
            Security::Required => add("security", json!([{ "jwtAuth": [] }])),
        }
        add("responses", self.responses(operation));
        add("summary", self.say(&format!("api-{}", operation.words)).into());
        described.into()
    }

    fn request_body(&mut self, taken: &Taken) -> Value {
        let schema = schemas::request(taken.component, &taken.forms);
        self.components.insert(taken.component.to_owned(), schema);
        let reference = json!({ "$ref": schemas::reference(taken.component) });
        // Testers that learn from the texts of refusals (schemathesis) would take "may not be blank" for "required" and
        // "not a string" for "no number": what stands within `allOf` they leave as it is.
        let schema = match schemas::takes_numbers(taken.component) {
            true => json!({ "allOf": [reference] }),
            false => reference,
        };
        let mut content = Map::new();
        // Every form has the shape of an object; where no field is required, none is refused for its shape.
        let is_any_form_good = !taken.forms.iter().any(|form| form.is_required);
        for media_type in MEDIA_TYPES {
            if is_any_form_good && media_type != "application/json" {
                continue;
            }
            content.insert(
                media_type.to_owned(),
                json!({ "schema": schema, "example": taken.example }),
            );
        }
        // An empty body is an empty object (contract section 2).
        let is_required = taken.forms.iter().any(|form| form.is_required);
        json!({ "content": content, "required": is_required })
    }

    fn responses(&mut self, operation: &Operation) -> Value {
        let mut responses = Map::new();
        responses.insert(operation.status.as_str().to_owned(), self.good(operation));
        let mut by_status: BTreeMap<u16, Vec<&ApiError>> = BTreeMap::new();
        for refusal in &operation.refusals {
            by_status
                .entry(refusal.status_code().as_u16())
                .or_default()
                .push(refusal);
        }
        for (status, refusals) in by_status {
            responses.insert(status.to_string(), self.bad(operation, status, &refusals));
        }
        responses.into()
    }

    fn good(&mut self, operation: &Operation) -> Value {
        let mut response = Map::new();
        response.insert(
            "description".to_owned(),
            self.say(&format!("api-status-{}", operation.status.as_str()))
                .into(),
        );
        let (component, example, optional): (_, _, &[&str]) = match &operation.given {
            Given::Nothing => ("", Value::Null, &[]),
            Given::Detail(text) => (
                "RestAuthDetail",
                json!({ "detail": self.texts.text(text, self.language) }),
                &[],
            ),
            Given::Component {
                name,
                example,
                optional,
            } => (*name, example.clone(), optional),
        };
        if !component.is_empty() {
            let schema = schemas::answer(component, &example, optional);
            self.components.insert(component.to_owned(), schema);
            self.add_parts(component, &example);
            response.insert(
                "content".to_owned(),
                content(component, &json!({ "example": example })),
            );
        }
        if !operation.links.is_empty() {
            let links = operation.links.iter();
            let links: Map<String, Value> = links
                .map(|link| (link.name.to_owned(), self.link(link)))
                .collect();
            response.insert("links".to_owned(), links.into());
        }
        response.into()
    }

    /// What has a name of its own within an answer.
    fn add_parts(&mut self, component: &str, example: &Value) {
        let (part, name, optional): (_, _, &[&str]) = match component {
            "JWT" => (
                example.pointer("/user"),
                "UserDetails",
                &["first_name", "last_name"],
            ),
            "SessionList" => (example.pointer("/sessions/0"), "Session", &[]),
            _ => return,
        };
        if let Some(part) = part {
            let schema = schemas::answer(name, part, optional);
            self.components.insert(name.to_owned(), schema);
        }
    }

    fn link(&self, link: &Link) -> Value {
        let mut described = Map::new();
        described.insert("operationId".to_owned(), link.operation_id.into());
        if let Some((name, expression)) = link.parameter {
            described.insert("parameters".to_owned(), json!({ name: expression }));
        }
        if let Some(body) = link.body {
            described.insert("requestBody".to_owned(), body.into());
        }
        let words = format!("api-link-{}", link.name);
        described.insert("description".to_owned(), self.say(&words).into());
        described.into()
    }

    fn bad(&mut self, operation: &Operation, status: u16, refusals: &[&ApiError]) -> Value {
        let mut response = Map::new();
        let mut description = self.say(&format!("api-status-{status}"));
        let mut examples = Map::new();
        for refusal in refusals {
            let body = refusal.body(self.texts, self.language);
            examples.insert(example_name(refusal).to_owned(), json!({ "value": body }));
        }
        let component = self.error_component(operation, status);
        if operation.describes_no_body {
            let first = examples.values().next().and_then(|example| example.get("value"));
            let shown = first.map(ToString::to_string).unwrap_or_default();
            description = format!("{description} `{component}`: `{shown}`");
        }
        response.insert("description".to_owned(), description.into());
        let headers = headers(status, refusals);
        if !headers.is_empty() {
            response.insert("headers".to_owned(), headers.into());
        }
        if !operation.describes_no_body {
            response.insert(
                "content".to_owned(),
                content(&component, &json!({ "examples": examples })),
            );
        }
        response.into()
    }

    /// The component of a refusal's body; added when it is not there yet.
    fn error_component(&mut self, operation: &Operation, status: u16) -> String {
        let (name, schema) = match (status, &operation.taken) {
            (400, Some(taken)) => {
                let request = taken.component.trim_end_matches("Request");
                (format!("{request}Errors"), schemas::field_errors(&taken.forms))
            }
            (400, None) => ("BodyErrors".to_owned(), schemas::field_errors(&[])),
            (401, _) => {
                let full = ApiError::bearer_refused(shared::jwt::TokenError::Expired);
                let body = full.body(self.texts, self.language);
                let schema = schemas::answer("AuthenticationError", &body, &["code", "messages"]);
                ("AuthenticationError".to_owned(), schema)
            }
            _ => (
                "ErrorDetail".to_owned(),
                schemas::answer("ErrorDetail", &json!({ "detail": "" }), &[]),
            ),
        };
        self.components.entry(name.clone()).or_insert(schema);
        name
    }
}

fn content(component: &str, examples: &Value) -> Value {
    let mut media_type = Map::new();
    media_type.insert(
        "schema".to_owned(),
        json!({ "$ref": schemas::reference(component) }),
    );
    if let Value::Object(examples) = examples {
        media_type.extend(examples.clone());
    }
    json!({ "application/json": media_type })
}

/// The name of the text that the refusal says.
fn example_name(refusal: &ApiError) -> &'static str {
    let said = match refusal {
        ApiError::Validation(errors) => errors
            .iter()
            .next()
            .and_then(|(_, texts)| texts.first().map(Text::key)),
        _ => None,
    };
    said.unwrap_or_else(|| refusal.detail().key())
}

/// The headers that come with a refusal: those that the refusal sends, and `Allow`, which every answer has.
fn headers(status: u16, refusals: &[&ApiError]) -> Map<String, Value> {
    let mut headers = Map::new();
    let mut add = |name: &str, kind: &str, is_required: bool| {
        let described = json!({ "schema": { "type": kind }, "required": is_required });
        headers.insert(name.to_owned(), described);
    };
    let sent = |name: header::HeaderName| {
        let mut sent = refusals
            .iter()
            .map(|refusal| refusal.error_response().headers().contains_key(&name));
        let is_always = sent.clone().all(|is_sent| is_sent);
        sent.any(|is_sent| is_sent).then_some(is_always)
    };
    if let Some(is_always) = sent(header::WWW_AUTHENTICATE) {
        add("WWW-Authenticate", "string", is_always);
    }
    if let Some(is_always) = sent(header::RETRY_AFTER) {
        add("Retry-After", "integer", is_always);
    }
    if status == StatusCode::METHOD_NOT_ALLOWED.as_u16() {
        add("Allow", "string", true);
    }
    headers
}

/// `{id}` and the like; all are texts.
fn path_parameters(path: &str) -> Option<Value> {
    let names = path.split('{').skip(1).filter_map(|rest| rest.split('}').next());
    let parameters: Vec<Value> = names
        .map(|name| json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string" } }))
        .collect();
    (!parameters.is_empty()).then(|| parameters.into())
}
