//! The HTML of the built-in pages: one frame, and the few parts that go into it. Everything is escaped here.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header;
use shared::random;

use crate::domain::field_errors::FieldErrors;
use crate::http::{AppState, Context};

const STYLE: &str = include_str!("page.css");

/// A page in the making, in the language of its request.
pub struct Page<'a> {
    state: &'a AppState,
    context: &'a Context,
}

impl<'a> Page<'a> {
    pub fn new(state: &'a AppState, context: &'a Context) -> Self {
        Self { state, context }
    }

    fn text(&self, key: &str) -> String {
        escape(&self.state.texts.page_text(key, self.context.language))
    }

    pub fn paragraph(&self, key: &str) -> String {
        format!("<p>{}</p>", self.text(key))
    }

    /// A form that POSTs to its own address.
    pub fn button_form(&self, fields: &str, button_key: &str) -> String {
        format!(
            "<form method=\"post\">{fields}<button type=\"submit\">{}</button></form>",
            self.text(button_key)
        )
    }

    /// A password field with its label, its errors and perhaps a hint, tied together for screen readers.
    pub fn password_field(
        &self,
        name: &str,
        label_key: &str,
        errors: &FieldErrors,
        hint_key: Option<&str>,
    ) -> String {
        let texts = errors
            .iter()
            .filter(|(field, _)| *field == name)
            .flat_map(|(_, texts)| texts);
        let say = |text| escape(&self.state.texts.text(text, self.context.language));
        let problems: Vec<String> = texts.map(say).collect();
        let is_wrong = !problems.is_empty();
        let problems = problems.join("</li><li>");
        let hint = hint_key.map(|key| format!("<p class=\"hint\" id=\"{name}-hint\">{}</p>", self.text(key)));
        let mut described_by: Vec<String> = Vec::new();
        if is_wrong {
            described_by.push(format!("{name}-errors"));
        }
        if hint.is_some() {
            described_by.push(format!("{name}-hint"));
        }
        let described = match described_by.is_empty() {
            true => String::new(),
            false => format!(" aria-describedby=\"{}\"", described_by.join(" ")),
        };
        let errors = match is_wrong {
            true => {
                format!("<ul class=\"errors\" id=\"{name}-errors\" role=\"alert\"><li>{problems}</li></ul>")
            }
            false => String::new(),
        };
        format!(
            "<label for=\"{name}\">{label}</label><input type=\"password\" id=\"{name}\" name=\"{name}\" required \
             autocomplete=\"new-password\" maxlength=\"128\" aria-invalid=\"{is_wrong}\"{described}>{errors}{hint}",
            label = self.text(label_key),
            hint = hint.unwrap_or_default(),
        )
    }

    /// A page that only says something.
    pub fn message(&self, status: StatusCode, title_key: &str, text_key: &str) -> HttpResponse {
        self.answer(status, title_key, &self.paragraph(text_key))
    }

    pub fn answer(&self, status: StatusCode, title_key: &str, content: &str) -> HttpResponse {
        let (language, title, nonce) = (
            self.context.language.tag(),
            self.text(title_key),
            random::base64url_128(),
        );
        let html = format!(
            "<!doctype html><html lang=\"{language}\"><head><meta charset=\"utf-8\">\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
             <meta name=\"robots\" content=\"noindex\"><title>{title}</title><style nonce=\"{nonce}\">{STYLE}</style>\
             </head><body><main><h1>{title}</h1>{content}</main></body></html>"
        );
        let policy = format!(
            "default-src 'none'; style-src 'nonce-{nonce}'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
        );
        HttpResponse::build(status)
            .content_type("text/html; charset=utf-8")
            .insert_header((header::CONTENT_SECURITY_POLICY, policy))
            // The address holds a one-time secret.
            .insert_header((header::REFERRER_POLICY, "no-referrer"))
            .body(html)
    }
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_in_a_text_is_text() {
        assert_eq!(escape("<b a='1'>\"&"), "&lt;b a=&#39;1&#39;&gt;&quot;&amp;");
    }
}
