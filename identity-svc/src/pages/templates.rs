//! The templates of the pages: compiled in, each replaceable by a file of the operator's folder, and all tried at start.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::{fs, io};

use minijinja::value::Value;
use minijinja::{AutoEscape, Environment, Error, ErrorKind, State, UndefinedBehavior, context};
use shared::brand::{Brand, Palette};
use shared::html::escaped;

use crate::domain::languages::{Catalogue, Language};

const LAYOUT: &str = "layout.html";
const STYLE: &str = "page.css";
const SCRIPT: &str = "page.js";

const COMPILED_IN: [(&str, &str); 10] = [
    (LAYOUT, include_str!("../../templates/layout.html")),
    ("confirm.html", include_str!("../../templates/confirm.html")),
    ("ask.html", include_str!("../../templates/ask.html")),
    (
        "new_password.html",
        include_str!("../../templates/new_password.html"),
    ),
    (
        "sessions_login.html",
        include_str!("../../templates/sessions_login.html"),
    ),
    ("sessions.html", include_str!("../../templates/sessions.html")),
    ("message.html", include_str!("../../templates/message.html")),
    ("docs.html", include_str!("../../templates/docs.html")),
    (STYLE, include_str!("../../templates/page.css")),
    (SCRIPT, include_str!("../../templates/page.js")),
];

/// What a form cannot do without: `(template, what its HTML has to contain)`.
const NEEDED: [(&str, &[&str]); 5] = [
    ("confirm.html", &["<form method=\"post\""]),
    (
        "ask.html",
        &["<form method=\"post\"", "name=\"email\"", "sample error"],
    ),
    (
        "new_password.html",
        &[
            "<form method=\"post\"",
            "name=\"new_password1\"",
            "name=\"new_password2\"",
            "sample error",
        ],
    ),
    (
        "sessions_login.html",
        &[
            "<form method=\"post\" action=\"/sample\"",
            "name=\"username\"",
            "name=\"password\"",
            "sample error",
        ],
    ),
    (
        "sessions.html",
        &[
            "<form method=\"post\" action=\"/sample\"",
            "name=\"proof\" value=\"sample proof\"",
            "name=\"end\" value=\"sample id\"",
            "name=\"end\" value=\"all\"",
        ],
    ),
];

/// Why the pages cannot be used. Each names its file as the operator knows it.
#[derive(Debug, thiserror::Error)]
pub enum PagesError {
    #[error("{file}, line {line}: {reason}")]
    Mistake {
        file: String,
        line: usize,
        reason: String,
    },
    #[error("{file} is not a template of the pages: there are {expected}")]
    UnknownFile { file: String, expected: String },
    #[error("cannot read {file}: {reason}")]
    Unreadable { file: String, reason: io::Error },
    #[error("GATEHOUSE_BRAND_LOGO_FILE names {file}, which {reason}")]
    Logo { file: String, reason: &'static str },
}

/// All pages, parsed and tried.
pub struct Templates {
    environment: Environment<'static>,
    files: BTreeMap<&'static str, String>,
    style: String,
    script: String,
}

impl Templates {
    /// # Errors
    /// The first mistake.
    pub fn load(
        folder: Option<&Path>,
        brand: &Brand,
        has_logo: bool,
        texts: &Arc<Catalogue>,
    ) -> Result<Self, PagesError> {
        let mut sources = Vec::new();
        let mut files = BTreeMap::new();
        if let Some(folder) = folder {
            check_names(folder)?;
        }
        for (name, text) in COMPILED_IN {
            let replacement = folder
                .map(|folder| folder.join(name))
                .filter(|path| path.exists());
            let (text, file) = match replacement {
                Some(path) => (read(&path)?, path.display().to_string()),
                None => (text.to_owned(), format!("compiled-in page {name}")),
            };
            files.insert(name, file);
            sources.push((name, text));
        }
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::SemiStrict);
        environment.set_auto_escape_callback(|_| AutoEscape::Html);
        environment.set_formatter(|out, state, value| {
            if matches!(state.auto_escape(), AutoEscape::Html) && !value.is_safe() && !value.is_undefined() {
                out.write_str(&escaped(&value.to_string())).map_err(Error::from)
            } else {
                minijinja::escape_formatter(out, state, value)
            }
        });
        let catalogue = texts.clone();
        environment.add_function("text", move |state: &State<'_, '_>, key: &str| {
            say(&catalogue, state, key)
        });
        let logo = has_logo.then_some("/account/logo");
        environment.add_global(
            "brand",
            context! { name => brand.name.as_str(), url => brand.url.as_deref(), logo => logo },
        );
        let (mut style, mut script) = (Palette::of(brand.color).css_variables(), String::new());
        for (name, text) in sources {
            match name {
                STYLE => style.push_str(&text),
                SCRIPT => script = text,
                _ => environment
                    .add_template_owned(name, text)
                    .map_err(|error| mistake(&files, name, &error))?,
            }
        }
        let templates = Self {
            environment,
            files,
            style,
            script,
        };
        templates.check_embedded(&[(STYLE, &templates.style), (SCRIPT, &templates.script)])?;
        templates.try_all(texts)?;
        Ok(templates)
    }

    /// A page in a language. `facts` are those of the template; the rest is the same for all.
    ///
    /// # Errors
    /// The template's, which the trial at start makes improbable.
    pub fn render(
        &self,
        name: &str,
        language: Language,
        languages: &[Value],
        nonce: &str,
        facts: Value,
    ) -> Result<String, PagesError> {
        let common = context! {
            language => language.tag(),
            languages => languages,
            nonce => nonce,
            style => Value::from_safe_string(self.style.clone()),
            script => Value::from_safe_string(self.script.clone()),
        };
        self.environment
            .get_template(name)
            .and_then(|template| template.render(context! { ..facts, ..common }))
            .map_err(|error| mistake(&self.files, name, &error))
    }

    /// What stands inside `<style>` and `<script>` must not end them.
    fn check_embedded(&self, parts: &[(&str, &str)]) -> Result<(), PagesError> {
        for (name, text) in parts {
            if let Some(line) = text.lines().position(|line| line.contains("</")) {
                return Err(self.broken(name, line + 1, "\"</\" must not occur"));
            }
        }
        Ok(())
    }

    /// Renders every page in every language, with errors, and looks for what a form cannot do without.
    fn try_all(&self, texts: &Catalogue) -> Result<(), PagesError> {
        let operation = || {
            let field =
                context! { name => "email", is_required => true, max => 254, example => "ann@example.org" };
            let answer =
                context! { status => "400", about => "sample", headers => ["Allow"], examples => ["{}"] };
            context! {
                id => "sample", method => "POST", path => "/", summary => "sample", about => "sample", is_private => true,
                parameters => ["id"], media_types => ["application/json"], fields => [field], answers => [answer],
            }
        };
        let sample = |words: &str| {
            context! {
                title => "ask-title", words => words, tone => "good", address => "ann@example.org",
                values => context! { email => "ann@example.org", username => "ann" },
                action => "/sample", proof => "sample proof", done => "sessions-ended", notice => "sessions-expired",
                ask => "/", has_more => true,
                sessions => [context! { id => "sample id", device => "", address => "", last_used_at => "", opened_at => "" }],
                next => context! { href => "/", words => "ask-again" },
                schema => "/", groups => [context! { about => "sample", operations => [operation()] }],
                errors => context! {
                    email => ["sample error"], new_password1 => ["sample error"], new_password2 => ["sample error"],
                    username => ["sample error"], password => ["sample error"],
                },
            }
        };
        for language in texts.languages() {
            let languages = [context! { tag => language.tag(), name => "sample" }];
            for (name, _) in COMPILED_IN
                .iter()
                .filter(|(name, _)| ![STYLE, SCRIPT].contains(name))
            {
                let words = if *name == "message.html" {
                    "ask-sent"
                } else {
                    "ask"
                };
                let html = self.render(name, language, &languages, "sample-nonce", sample(words))?;
                let needed = NEEDED.iter().find(|(other, _)| other == name);
                for part in needed.into_iter().flat_map(|(_, parts)| *parts) {
                    if !html.contains(part) {
                        return Err(self.broken(name, 1, &format!("the page lacks {part}")));
                    }
                }
            }
        }
        Ok(())
    }

    fn broken(&self, name: &str, line: usize, reason: &str) -> PagesError {
        PagesError::Mistake {
            file: self.files.get(name).cloned().unwrap_or_default(),
            line,
            reason: reason.to_owned(),
        }
    }
}

/// The sentence in the language of the page. A misspelt name is found by the trial at start.
fn say(texts: &Catalogue, state: &State<'_, '_>, key: &str) -> Result<String, Error> {
    let language = state.lookup("language");
    let tag = language.as_ref().and_then(Value::as_str);
    let sentence = texts.page_text(key, texts.negotiate(tag));
    if sentence == key {
        return Err(Error::new(
            ErrorKind::InvalidOperation,
            format!("there is no text named \"{key}\""),
        ));
    }
    Ok(sentence)
}

fn mistake(files: &BTreeMap<&'static str, String>, name: &str, error: &Error) -> PagesError {
    let kind = error.kind().to_string();
    // A mistake of the layout comes up while another page is rendered.
    let name = error.name().unwrap_or(name);
    PagesError::Mistake {
        file: files.get(name).cloned().unwrap_or_else(|| name.to_owned()),
        line: error.line().unwrap_or(1),
        reason: error
            .detail()
            .map_or(kind.clone(), |detail| format!("{kind}: {detail}")),
    }
}

/// A file with a misspelt name would otherwise be ignored in silence. Names that begin with a dot are what editors and
/// mounted volumes leave there.
fn check_names(folder: &Path) -> Result<(), PagesError> {
    let unreadable = |reason| PagesError::Unreadable {
        file: folder.display().to_string(),
        reason,
    };
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let is_known = COMPILED_IN.iter().any(|(known, _)| *known == name);
        if !name.starts_with('.') && !is_known {
            return Err(PagesError::UnknownFile {
                file: path.display().to_string(),
                expected: COMPILED_IN.map(|(name, _)| name).join(", "),
            });
        }
    }
    Ok(())
}

fn read(path: &Path) -> Result<String, PagesError> {
    fs::read_to_string(path).map_err(|reason| PagesError::Unreadable {
        file: path.display().to_string(),
        reason,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(files: &[(&str, &str)]) -> Result<Templates, String> {
        let folder = std::env::temp_dir().join(format!("gatehouse-pages-{}", shared::random::hex_128()));
        fs::create_dir(&folder).unwrap();
        for (name, text) in files {
            fs::write(folder.join(name), text).unwrap();
        }
        let texts = Arc::new(Catalogue::compiled_in().unwrap());
        let loaded = Templates::load(Some(&folder), &Brand::default(), false, &texts);
        let told = loaded.map_err(|error| {
            let text = error.to_string();
            assert!(
                text.contains(&*folder.to_string_lossy()),
                "names the file: {text}"
            );
            text
        });
        fs::remove_dir_all(&folder).unwrap();
        told
    }

    #[test]
    fn a_folder_replaces_pages_one_by_one() {
        let own =
            "{% extends \"layout.html\" %}{% block content %}<b>own</b><form method=\"post\">{% endblock %}";
        let templates = load(&[("confirm.html", own), (".hidden", "x")]).unwrap();
        let facts = context! { title => "confirm-title" };
        let html = templates
            .render("confirm.html", Language::ENGLISH, &[], "n", facts)
            .unwrap();
        assert!(
            html.contains("<b>own</b>") && html.contains("<h1>Confirm your e-mail address</h1>"),
            "{html}"
        );
    }

    #[test]
    fn a_mistake_in_a_replaced_page_is_named_with_its_line() {
        let said = |files: &[(&str, &str)]| load(files).err().unwrap();
        assert!(said(&[("confirm.html", "\n{% if %}")]).contains("confirm.html, line 2: "));
        assert!(said(&[("confirm.html", "\n\n{{ text(\"no-such\") }}")]).contains("line 3: "));
        assert!(said(&[("layout.html", "{{ text(\"no-such\") }}")]).contains("layout.html, line 1: "));
        assert!(said(&[("confirm.html", "no form")]).contains("the page lacks <form method=\"post\""));
        assert!(
            said(&[("ask.html", "<form method=\"post\"><input name=\"email\">")])
                .contains("lacks sample error")
        );
        assert!(said(&[("page.js", "// </script>")]).contains("page.js, line 1: "));
        assert!(
            said(&[("pages.css", "")]).contains("is not a template of the pages: there are layout.html, ")
        );
    }
}
