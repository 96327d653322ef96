//! The HTML of the mailbox page. It needs no script and loads nothing; what a mail says is escaped or sandboxed.

use std::sync::Arc;

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use minijinja::{Environment, Value, context};
use shared::brand::Palette;
use shared::html::escaped;
use shared::random;

use super::folder::{self, List, StoredMail};

const LIST: &str = "mailbox.html";
const MAIL: &str = "mailbox_mail.html";
const STYLE: &str = include_str!("../../pages/mailbox.css");

/// The two pages, parsed, and their look.
#[derive(Clone)]
pub struct Pages {
    environment: Arc<Environment<'static>>,
    style: String,
    site_name: String,
}

impl Pages {
    pub fn new(site_name: &str, palette: &Palette) -> Self {
        let mut environment = Environment::new();
        for (name, source) in [
            (LIST, include_str!("../../pages/mailbox.html")),
            (MAIL, include_str!("../../pages/mailbox_mail.html")),
        ] {
            if let Err(error) = environment.add_template(name, source) {
                log::error!("compiled-in page {name}: {error}");
            }
        }
        Self {
            environment: Arc::new(environment),
            style: palette.css_variables() + STYLE,
            site_name: site_name.to_owned(),
        }
    }

    pub fn list(&self, list: &List, is_newest: bool, origin: &str) -> HttpResponse {
        let mails: Vec<Value> = list
            .mails
            .iter()
            .map(|mail| {
                context! {
                    file => mail.file.as_str(),
                    time => mail.time.as_str(),
                    to => mail.to.as_str(),
                    subject => mail.subject.as_str(),
                }
            })
            .collect();
        let older = list
            .mails
            .last()
            .filter(|_| list.has_older)
            .map(|mail| mail.file.as_str());
        let arguments = context! { mails => mails, total => list.total, is_newest => is_newest, older => older, origin => origin };
        self.page(StatusCode::OK, LIST, arguments)
    }

    /// One mail: its headers, its text with links to click, its HTML in a frame. What is no mail is shown as it is.
    pub fn mail(&self, mail: &StoredMail) -> HttpResponse {
        let file = mail.file.as_str();
        let Some(message) = mail.parsed() else {
            let arguments = context! {
                title => file,
                file => file,
                note => "This file is not readable as a mail. Here it is as it stands.",
                text_title => "Content",
                text => String::from_utf8_lossy(&mail.bytes).into_owned(),
            };
            return self.page(StatusCode::OK, MAIL, arguments);
        };
        let headers: Vec<Value> = folder::headers(&message)
            .into_iter()
            .map(|(name, value)| context! { name => name, value => value })
            .collect();
        let arguments = context! {
            title => message.subject().unwrap_or("(no subject)"),
            file => file,
            headers => headers,
            text_title => "Text",
            text => Value::from_safe_string(with_links(&message.body_text(0).unwrap_or_default())),
            has_html => mail.html().is_some(),
        };
        self.page(StatusCode::OK, MAIL, arguments)
    }

    pub fn notice(&self, status: StatusCode, title: &str, note: &str) -> HttpResponse {
        self.page(status, MAIL, context! { title => title, note => note })
    }

    fn page(&self, status: StatusCode, name: &str, arguments: Value) -> HttpResponse {
        let nonce = random::hex_128();
        let policy = format!(
            "default-src 'none'; style-src 'nonce-{nonce}'; frame-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        );
        let style = Value::from_safe_string(self.style.clone());
        let common = context! { nonce => nonce, style => style, site_name => self.site_name.as_str() };
        let filled = self
            .environment
            .get_template(name)
            .and_then(|page| page.render(context! { ..common, ..arguments }));
        let body = filled.unwrap_or_else(|error| {
            log::error!("mailbox page: {error}");
            "The page could not be built; the log says why.".to_owned()
        });
        response(status, "text/html; charset=utf-8", &policy, body.into_bytes())
    }
}

/// The mail's own HTML, in a frame that may open links in new windows and do nothing else.
pub fn mails_own_html(html: &str) -> HttpResponse {
    const POLICY: &str = "sandbox allow-popups allow-popups-to-escape-sandbox allow-top-navigation-by-user-activation; \
                          default-src 'none'; style-src 'unsafe-inline'; img-src data:; form-action 'none'; frame-ancestors 'self'";
    // Without the base, a link would open inside the frame.
    let base = "<base target=\"_blank\">";
    let body = match html.find("<head>") {
        Some(start) => {
            let (before, after) = html.split_at(start + "<head>".len());
            format!("{before}{base}{after}")
        }
        None => format!("{base}{html}"),
    };
    response(
        StatusCode::OK,
        "text/html; charset=utf-8",
        POLICY,
        body.into_bytes(),
    )
}

pub fn source(mail: StoredMail) -> HttpResponse {
    response(
        StatusCode::OK,
        "text/plain; charset=utf-8",
        "sandbox; default-src 'none'",
        mail.bytes,
    )
}

fn response(status: StatusCode, content_type: &str, policy: &str, body: Vec<u8>) -> HttpResponse {
    HttpResponse::build(status)
        .content_type(content_type)
        .insert_header((CONTENT_SECURITY_POLICY, policy))
        .insert_header((X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .insert_header((CACHE_CONTROL, "no-store"))
        // A link in a mail holds a secret, and so does the address it is opened from.
        .insert_header((REFERRER_POLICY, "no-referrer"))
        .body(body)
}

/// Text as HTML, its web links as links.
fn with_links(text: &str) -> String {
    let mut html = String::new();
    for word in text.split_inclusive(char::is_whitespace) {
        let bare = word.trim_end();
        if bare.starts_with("https://") || bare.starts_with("http://") {
            let link = escaped(bare);
            for piece in [
                "<a href=\"",
                &link,
                "\" target=\"_blank\" rel=\"noopener\">",
                &link,
                "</a>",
            ] {
                html.push_str(piece);
            }
            html.push_str(word.get(bare.len()..).unwrap_or_default());
        } else {
            html.push_str(&escaped(word));
        }
    }
    html
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_web_links_become_links() {
        assert_eq!(
            with_links("see\nhttps://a.example/?b=1&c=\"2\"\njavascript:alert(1) <b>"),
            "see\n<a href=\"https://a.example/?b=1&amp;c=&quot;2&quot;\" target=\"_blank\" rel=\"noopener\">\
             https://a.example/?b=1&amp;c=&quot;2&quot;</a>\njavascript:alert(1) &lt;b&gt;"
        );
    }
}
