//! Fills the templates of a mail with the arguments of its job.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use minijinja::{UndefinedBehavior, Value, context};
use shared::brand::{Palette, Scheme};
use shared::email_job::{Arguments, Link, Mail};
use shared::templates::{TemplateError, Templates};
use unic_langid::LanguageIdentifier;

use crate::durations::Durations;
use crate::templates::{self, DURATIONS, FALLBACK_LANGUAGE, PARTS};

/// The texts of a mail.
#[derive(Debug, PartialEq, Eq)]
pub struct Rendered {
    pub language: String,
    /// One line.
    pub subject: String,
    pub text: String,
    pub html: String,
}

/// All templates, parsed and tried.
pub struct Renderer {
    templates: Templates,
    site_name: String,
    palette: Palette,
    durations: BTreeMap<String, Durations>,
    /// Language and mail of every complete mail.
    complete: BTreeSet<(String, String)>,
}

impl Renderer {
    /// Reads, parses and tries all templates.
    ///
    /// # Errors
    /// The first mistake, with file, line and reason.
    pub fn load(folder: Option<&Path>, site_name: &str, palette: Palette) -> Result<Self, TemplateError> {
        let sources = templates::load(folder)?;
        let mut renderer = Self {
            templates: Templates::parse(sources, UndefinedBehavior::Strict)?,
            site_name: one_line(site_name),
            palette,
            durations: BTreeMap::new(),
            complete: BTreeSet::new(),
        };
        renderer.take_languages()?;
        renderer.try_all()?;
        Ok(renderer)
    }

    pub fn languages(&self) -> impl Iterator<Item = &str> {
        self.durations.keys().map(String::as_str)
    }

    /// The mail in its job's language, or in the nearest that has it: `ru-RU` is `ru`, and what is unknown is English.
    ///
    /// # Errors
    /// When a template fails on these arguments, which the trial at start makes improbable. Says nothing of the arguments.
    pub fn render(&self, mail: &Mail) -> Result<Rendered, TemplateError> {
        let language = self.language_for(mail.template(), mail.arguments().language);
        self.render_in(&language, mail.template(), &mail.arguments())
    }

    fn language_for(&self, mail: &str, wanted: &str) -> String {
        let has = |language: &str| self.complete.contains(&(language.to_owned(), mail.to_owned()));
        let primary = wanted
            .split(['-', '_'])
            .next()
            .unwrap_or_default()
            .to_ascii_lowercase();
        [wanted, primary.as_str()]
            .into_iter()
            .find(|language| has(language))
            .unwrap_or(FALLBACK_LANGUAGE)
            .to_owned()
    }

    fn render_in(
        &self,
        language: &str,
        mail: &str,
        arguments: &Arguments<'_>,
    ) -> Result<Rendered, TemplateError> {
        let valid_for = self
            .durations
            .get(language)
            .zip(arguments.valid_seconds)
            .map(|(durations, seconds)| durations.text(Duration::from_secs(seconds)))
            .unwrap_or_default();
        let arguments = context! {
            site_name => self.site_name.as_str(),
            language => language,
            username => one_line(arguments.username),
            address => one_line(arguments.to),
            link => arguments.link.expose(),
            valid_for => valid_for,
            brand => self.palette.brand.to_string(),
            on_brand => self.palette.on_brand.to_string(),
            light => colors(&self.palette.light),
            dark => colors(&self.palette.dark),
        };
        let part = |part: &str| {
            let name = format!("{language}/{mail}/{part}");
            self.templates.render(&name, &arguments)
        };
        let [subject, text, html] = PARTS.map(part);
        // The engine drops a template's last line break, which a text should have.
        let whole = |body: String| body.trim_end().to_owned() + "\n";
        Ok(Rendered {
            language: language.to_owned(),
            subject: one_line(&subject?),
            text: whole(text?),
            html: whole(html?),
        })
    }

    /// Notes which mails are complete in which language; a language may lack a mail, but no part of one.
    fn take_languages(&mut self) -> Result<(), TemplateError> {
        let sources = self.templates.sources();
        let languages: BTreeSet<&str> = sources
            .names()
            .filter_map(|name| Some(name.split_once('/')?.0))
            .collect();
        for language in languages {
            let name = format!("{language}/{DURATIONS}");
            let Some(source) = sources.get(&name) else {
                return Err(missing(
                    name,
                    format!("the words for valid_for in language {language}"),
                ));
            };
            let parsed = Durations::parse(
                language.parse::<LanguageIdentifier>().unwrap_or_default(),
                &source.text,
            );
            let durations = parsed.map_err(|mistake| sources.mistake(&name, mistake.line, mistake.reason))?;
            self.durations.insert(language.to_owned(), durations);

            for mail in templates::mails() {
                let names = PARTS.map(|part| format!("{language}/{mail}/{part}"));
                let lacking: Vec<&String> = names.iter().filter(|name| sources.get(name).is_none()).collect();
                match lacking.as_slice() {
                    [] => drop(self.complete.insert((language.to_owned(), mail.to_owned()))),
                    all if all.len() == PARTS.len() => {}
                    [first, ..] => {
                        return Err(missing(
                            (*first).clone(),
                            format!("{mail} has other parts in this language"),
                        ));
                    }
                }
            }
        }
        Ok(())
    }

    /// Renders every mail with sample arguments, and looks for the link where readers and programs expect it.
    fn try_all(&self) -> Result<(), TemplateError> {
        let link = "https://app.example/confirm/sample";
        for (language, mail) in &self.complete {
            let sample = Arguments {
                to: "ann@example.org",
                language,
                username: "ann",
                link: &Link::new(link.to_owned()),
                valid_seconds: Some(259_200),
            };
            let rendered = self.render_in(language, mail, &sample)?;
            let must = |part: &str, is_so: bool, reason: &str| match is_so {
                true => Ok(()),
                false => {
                    Err(self
                        .templates
                        .sources()
                        .mistake(&format!("{language}/{mail}/{part}"), 1, reason))
                }
            };
            must(
                "subject.txt",
                !rendered.subject.is_empty(),
                "the subject is empty",
            )?;
            let stands_alone = rendered.text.lines().any(|line| line == link);
            must("body.txt", stands_alone, "{{ link }} must stand alone on a line")?;
            must("body.html", rendered.html.contains(link), "{{ link }} must occur")?;
        }
        Ok(())
    }
}

/// The colours of one scheme, by name.
fn colors(scheme: &Scheme) -> Value {
    context! {
        ground => scheme.ground.to_string(),
        card => scheme.card.to_string(),
        text => scheme.text.to_string(),
        soft => scheme.soft.to_string(),
        line => scheme.line.to_string(),
        accent => scheme.accent.to_string(),
    }
}

fn missing(file: String, why: String) -> TemplateError {
    TemplateError::Missing { file, why }
}

/// Text on one line: control characters, which could forge a header, become spaces; spaces are not doubled.
fn one_line(text: &str) -> String {
    let words = text
        .split(|c: char| c.is_whitespace() || c.is_control())
        .filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join(" ")
}
