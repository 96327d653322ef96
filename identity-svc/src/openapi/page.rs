//! The page at `/api/docs/`: the document for people, with a form for each operation that a script sends.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use minijinja::context;
use minijinja::value::Value as Fact;
use serde_json::Value;

use super::{Documents, SCHEMA, member};
use crate::pages::Page;

pub async fn show(page: Page, documents: web::Data<Documents>) -> HttpResponse {
    let Some(rendered) = documents.0.get(&page.context.language) else {
        return page.refusal(&crate::http::ApiError::NotFound);
    };
    let facts = context! { title => "docs-title", schema => page.link(&format!("{SCHEMA}/")), ..rendered.page.clone() };
    page.answer_that_calls_the_api(StatusCode::OK, "docs.html", facts)
}

/// What the template takes.
pub fn facts(document: &Value) -> Fact {
    let tags = member(document, "tags").as_array();
    let groups: Vec<Fact> = tags
        .into_iter()
        .flatten()
        .map(|tag| {
            let name = text(tag, "name");
            context! { about => text(tag, "description"), operations => operations(document, &name) }
        })
        .collect();
    context! { groups => groups }
}

fn operations(document: &Value, tag: &str) -> Vec<Fact> {
    let mut facts = Vec::new();
    let paths = member(document, "paths").as_object();
    for (path, methods) in paths.into_iter().flatten() {
        for (method, operation) in methods.as_object().into_iter().flatten() {
            let tags = member(operation, "tags").as_array();
            if tags.is_some_and(|tags| tags.iter().any(|other| other == tag)) {
                facts.push(self::operation(document, path, method, operation));
            }
        }
    }
    facts
}

fn operation(document: &Value, path: &str, method: &str, operation: &Value) -> Fact {
    let security = member(operation, "security").as_array();
    let is_private = security.is_some_and(|ways| !ways.iter().any(|way| way == &serde_json::json!({})));
    let content = member(member(operation, "requestBody"), "content");
    let body = member(content, "application/json");
    let parameters = member(operation, "parameters").as_array();
    let names: Vec<String> = parameters
        .into_iter()
        .flatten()
        .map(|one| text(one, "name"))
        .collect();
    context! {
        id => text(operation, "operationId"), method => method.to_uppercase(), path => path,
        summary => text(operation, "summary"), about => text(operation, "description"),
        is_private => is_private, parameters => names,
        media_types => content.as_object().map(|types| types.keys().cloned().collect::<Vec<_>>()),
        fields => fields(document, member(body, "schema"), member(body, "example")),
        answers => answers(operation),
    }
}

fn fields(document: &Value, schema: &Value, example: &Value) -> Vec<Fact> {
    let schema = schema.pointer("/allOf/0").unwrap_or(schema);
    let reference = text(schema, "$ref");
    let schema = document
        .pointer(reference.trim_start_matches('#'))
        .unwrap_or(&Value::Null);
    let required = member(schema, "required").as_array();
    let properties = member(schema, "properties").as_object();
    let field = |(name, property): (&String, &Value)| {
        context! {
            name => name, max => member(property, "maxLength").as_u64(),
            is_email => member(property, "format") == "email",
            is_secret => name.contains("password"),
            is_required => required.is_some_and(|required| required.iter().any(|other| other == name)),
            example => text(example, name),
        }
    };
    properties.into_iter().flatten().map(field).collect()
}

fn answers(operation: &Value) -> Vec<Fact> {
    let responses = member(operation, "responses").as_object();
    let answer = |(status, response): (&String, &Value)| {
        let media_type = member(member(response, "content"), "application/json");
        let mut examples: Vec<String> = Vec::new();
        examples.extend(media_type.get("example").map(|body| format!("{body:#}")));
        let named = member(media_type, "examples").as_object();
        examples.extend(
            named
                .into_iter()
                .flatten()
                .map(|(_, example)| member(example, "value").to_string()),
        );
        let headers = member(response, "headers").as_object();
        context! {
            status => status, about => text(response, "description"), examples => examples,
            headers => headers.map(|headers| headers.keys().cloned().collect::<Vec<_>>()),
        }
    };
    responses.into_iter().flatten().map(answer).collect()
}

fn text(value: &Value, name: &str) -> String {
    member(value, name).as_str().unwrap_or_default().to_owned()
}
