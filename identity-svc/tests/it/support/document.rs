//! The served OpenAPI document, which answers are held against.

use std::collections::BTreeSet;

use awc::http::Method;
use serde_json::{Value, json};

use super::{Answer, Body, TestApp};

/// The document, and which operations have been seen to succeed.
pub struct Document {
    pub whole: Value,
    pub seen: BTreeSet<String>,
}

impl Document {
    pub async fn of(app: &TestApp) -> Self {
        let answer = app.send(Method::GET, "/api/schema/", &[], Body::Nothing).await;
        assert_eq!(answer.status, 200);
        Self {
            whole: answer.body,
            seen: BTreeSet::new(),
        }
    }

    pub fn operations(&self) -> Vec<(String, String)> {
        let mut all = Vec::new();
        for (path, methods) in self.whole["paths"].as_object().unwrap() {
            for method in methods.as_object().unwrap().keys() {
                all.push((method.to_uppercase(), path.clone()));
            }
        }
        all
    }

    pub fn operation(&self, method: &str, path: &str) -> &Value {
        let operation = &self.whole["paths"][path][method.to_lowercase()];
        assert!(operation.is_object(), "{method} {path} is not documented");
        operation
    }

    pub fn is_private(&self, method: &str, path: &str) -> bool {
        self.operation(method, path)["security"] == json!([{ "jwtAuth": [] }])
    }

    /// Asserts that the document describes this answer: its status, its body to the last property, its headers.
    pub fn describes(&mut self, method: &str, path: &str, answer: &Answer) {
        let responses = &self.operation(method, path)["responses"];
        let response = &responses[answer.status.to_string()];
        assert!(
            response.is_object(),
            "{method} {path}: {answer:?} is not documented"
        );
        let schema = &response["content"]["application/json"]["schema"];
        if schema.is_object() {
            let problem = self.problem(schema, &answer.body);
            assert_eq!(problem, None, "{method} {path}: {answer:?}");
        }
        for (name, described) in response["headers"].as_object().into_iter().flatten() {
            let is_missing = answer.header(name).is_empty();
            assert!(
                described["required"] == json!(false) || !is_missing,
                "{method} {path}: {name}"
            );
        }
        if answer.status < 300 {
            self.seen.insert(format!("{method} {path}"));
        }
    }

    /// Where a value differs from its schema. Stricter than JSON Schema: a property has to be described.
    fn problem(&self, schema: &Value, value: &Value) -> Option<String> {
        if let Some(reference) = schema["$ref"].as_str() {
            let target = self.whole.pointer(reference.trim_start_matches('#')).unwrap();
            return self.problem(target, value);
        }
        let fits = match schema["type"].as_str()? {
            "object" => value.is_object(),
            "array" => value.is_array(),
            "string" => value.is_string(),
            "integer" => value.is_i64(),
            "boolean" => value.is_boolean(),
            other => panic!("a type that this test does not know: {other}"),
        };
        if !fits {
            return Some(format!("{value} is no {}", schema["type"]));
        }
        if let Some(allowed) = schema["enum"].as_array()
            && !allowed.contains(value)
        {
            return Some(format!("{value} is none of {allowed:?}"));
        }
        for item in value.as_array().into_iter().flatten() {
            if let Some(problem) = self.problem(&schema["items"], item) {
                return Some(problem);
            }
        }
        let required = schema["required"].as_array().into_iter().flatten();
        for name in required.filter_map(Value::as_str) {
            if value.get(name).is_none() {
                return Some(format!("{name} is missing"));
            }
        }
        for (name, member) in value.as_object().into_iter().flatten() {
            match schema["properties"].get(name) {
                None => return Some(format!("{name} is not described")),
                Some(property) => {
                    if let Some(problem) = self.problem(property, member) {
                        return Some(format!("{name}: {problem}"));
                    }
                }
            }
        }
        None
    }
}
