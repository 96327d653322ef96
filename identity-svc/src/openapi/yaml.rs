//! The document as YAML: block style, strings in JSON's quotes, which are YAML's too (YAML 1.2 section 7.3.1), so that
//! no text can be taken for anything else.

use serde_json::Value;

pub fn to_yaml(document: &Value) -> String {
    let mut out = String::new();
    write(&mut out, document, 0, false);
    out
}

/// `is_item`: the first line follows a list's dash.
fn write(out: &mut String, value: &Value, depth: usize, is_item: bool) {
    match value {
        Value::Object(members) if !members.is_empty() => {
            for (index, (name, member)) in members.iter().enumerate() {
                if index > 0 || !is_item {
                    indent(out, depth);
                }
                out.push_str(&key(name));
                out.push(':');
                write_below(out, member, depth);
            }
        }
        Value::Array(items) if !items.is_empty() => {
            for (index, item) in items.iter().enumerate() {
                if index > 0 || !is_item {
                    indent(out, depth);
                }
                out.push_str("- ");
                write(out, item, depth + 1, true);
            }
        }
        scalar => {
            out.push_str(&scalar.to_string());
            out.push('\n');
        }
    }
}

fn write_below(out: &mut String, value: &Value, depth: usize) {
    let is_block = match value {
        Value::Object(members) => !members.is_empty(),
        Value::Array(items) => !items.is_empty(),
        _ => false,
    };
    out.push(if is_block { '\n' } else { ' ' });
    write(out, value, depth + 1, false);
}

fn indent(out: &mut String, depth: usize) {
    for _ in 0..depth {
        out.push_str("  ");
    }
}

/// Plain where that cannot be misread: `200` would be a number, `on` a truth.
fn key(name: &str) -> String {
    let is_plain = name.starts_with(|char: char| char.is_ascii_alphabetic() || char == '/')
        && name
            .chars()
            .all(|char| char.is_ascii_alphanumeric() || "/_-{}".contains(char))
        && !["y", "n", "yes", "no", "on", "off", "true", "false", "null"]
            .contains(&name.to_ascii_lowercase().as_str());
    if is_plain {
        name.to_owned()
    } else {
        Value::from(name).to_string()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_kind_of_value_has_its_form() {
        let document = json!({
            "openapi": "3.0.3",
            "/a/{id}/": {"on": true, "200": null},
            "list": [{"a": 1, "b": []}, [1, "x: #\n"], {}],
            "security": [{"jwtAuth": []}, {}],
        });
        let expected = r#"openapi: "3.0.3"
/a/{id}/:
  "on": true
  "200": null
list:
  - a: 1
    b: []
  - - 1
    - "x: #\n"
  - {}
security:
  - jwtAuth: []
  - {}
"#;
        assert_eq!(to_yaml(&document), expected);
    }
}
