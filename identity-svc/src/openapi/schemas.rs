//! The components of the document. A request's fields are what its body reads, an answer's what its type serialises.

use serde_json::{Map, Value, json};

use crate::http::FieldForm;

/// What neither a form nor an example says of a property: `(component, property, keywords)`.
///
/// Source: the contract's own document (contract section 1).
fn keywords(component: &str, property: &str) -> Value {
    match (component, property) {
        ("RegisterRequest", "password1" | "password2")
        | ("VerifyEmailRequest", "key")
        | ("TokenVerifyRequest", "token") => json!({ "writeOnly": true }),
        ("RestAuthDetail", "detail") | ("TokenRefresh", "access") => json!({ "readOnly": true }),
        ("TokenRefresh", "access_expiration" | "refresh_expiration")
        | ("Session", "created_at" | "last_used_at" | "expires_at") => {
            json!({ "format": "date-time", "readOnly": true })
        }
        ("SessionList", "sessions") => json!({ "items": { "$ref": reference("Session") } }),
        ("JWT", "user") => json!({ "$ref": reference("UserDetails") }),
        ("UserDetails", "pk") => json!({ "readOnly": true, "title": "ID" }),
        // The contract's document has a pattern with `\w` here. In JSON Schema (ECMA-262) that is ASCII, and `юзер` is a name.
        ("UserDetails", "username") => json!({
            "description": "Required. 150 characters or fewer. Letters, digits and @/./+/-/_ only.",
            "maxLength": 150,
        }),
        ("UserDetails", "email") => {
            json!({ "format": "email", "readOnly": true, "title": "Email address" })
        }
        ("UserDetails", "first_name" | "last_name") => json!({ "maxLength": 150 }),
        ("AuthenticationError", "code") => json!({
            "enum": ["bad_authorization_header", "token_not_valid", "user_not_found", "user_inactive"],
        }),
        ("UserDetailsRequest" | "PatchedUserDetailsRequest", _) => {
            json!({ "description": "A string; a number counts as its decimal text." })
        }
        _ => json!({}),
    }
}

pub fn reference(component: &str) -> String {
    format!("#/components/schemas/{component}")
}

/// A number counts as its decimal text (contract section 2). Where one could be taken, the document must not say that it is
/// refused; that costs the type, since OpenAPI 3.0 has no union that all generators read.
pub fn takes_numbers(component: &str) -> bool {
    matches!(component, "UserDetailsRequest" | "PatchedUserDetailsRequest")
}

/// The schema of a request body.
pub fn request(component: &str, forms: &[FieldForm]) -> Value {
    let mut properties = Map::new();
    for form in forms {
        let mut property = Map::new();
        if !takes_numbers(component) {
            property.insert("type".to_owned(), "string".into());
        }
        if form.is_email {
            // A blank is no address, so the name of the format must not be one that tools check.
            let format = if form.may_be_blank {
                "email-or-blank"
            } else {
                "email"
            };
            property.insert("format".to_owned(), format.into());
        }
        extend(&mut property, keywords(component, form.name));
        if !form.may_be_blank {
            property.insert("minLength".to_owned(), 1.into());
        }
        if form.max != usize::MAX {
            property.insert("maxLength".to_owned(), form.max.into());
        }
        properties.insert(form.name.to_owned(), property.into());
    }
    let required = forms.iter().filter(|form| form.is_required).map(|form| form.name);
    object(properties, required)
}

/// The schema of an answer, from one: `optional` names what may be missing from another.
pub fn answer(component: &str, example: &Value, optional: &[&str]) -> Value {
    let mut properties = Map::new();
    let mut required = Vec::new();
    for (name, value) in example.as_object().into_iter().flatten() {
        let mut property = keywords(component, name);
        if property.get("$ref").is_none() {
            let mut typed = of_value(value);
            extend(&mut typed, property);
            property = typed.into();
        }
        properties.insert(name.clone(), property);
        if !optional.contains(&name.as_str()) {
            required.push(name.as_str());
        }
    }
    object(properties, required)
}

/// The body of a 400: texts for each field, or one sentence when the body could not be read at all.
pub fn field_errors(forms: &[FieldForm]) -> Value {
    let texts = json!({ "type": "array", "items": { "type": "string" } });
    let mut properties = Map::new();
    for form in forms {
        properties.insert(form.name.to_owned(), texts.clone());
    }
    properties.insert("non_field_errors".to_owned(), texts);
    properties.insert("detail".to_owned(), json!({ "type": "string" }));
    object(properties, [])
}

fn of_value(value: &Value) -> Map<String, Value> {
    let mut schema = Map::new();
    let kind = match value {
        Value::Bool(_) => "boolean",
        Value::Number(_) => "integer",
        Value::Array(items) => {
            let item = items.first().map(of_value).unwrap_or_default();
            schema.insert("type".to_owned(), "array".into());
            schema.insert("items".to_owned(), item.into());
            return schema;
        }
        Value::Object(_) => {
            let nested = answer("", value, &[]);
            return nested.as_object().cloned().unwrap_or_default();
        }
        Value::Null | Value::String(_) => "string",
    };
    schema.insert("type".to_owned(), kind.into());
    schema
}

fn object<'a>(properties: Map<String, Value>, required: impl IntoIterator<Item = &'a str>) -> Value {
    let mut required: Vec<&str> = required.into_iter().collect();
    required.sort_unstable();
    let mut schema = Map::new();
    schema.insert("type".to_owned(), "object".into());
    schema.insert("properties".to_owned(), properties.into());
    // An empty list is no valid one.
    if !required.is_empty() {
        schema.insert("required".to_owned(), required.into());
    }
    schema.into()
}

fn extend(schema: &mut Map<String, Value>, keywords: Value) {
    if let Value::Object(keywords) = keywords {
        schema.extend(keywords);
    }
}
