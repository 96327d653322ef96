//! Where templates come from: compiled in, each replaceable by a file of the operator's folder.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::Path;
use std::{fs, io};

use unic_langid::LanguageIdentifier;

/// What every language has beside its mails.
pub const DURATIONS: &str = "durations.ftl";

/// The frame of the HTML of all mails.
pub const LAYOUT: &str = "layout.html";

/// The three parts of a mail.
pub const PARTS: [&str; 3] = ["subject.txt", "body.txt", "body.html"];

/// The language that has everything and stands in for unknown ones.
pub const FALLBACK_LANGUAGE: &str = "en";

/// `("en/verify_email/body.txt", source)` of every file under `templates/`.
const COMPILED_IN: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/templates.rs"));

/// Why templates cannot be used. Each names its file as the operator knows it.
#[derive(Debug, thiserror::Error)]
pub enum TemplateError {
    #[error("{file}, line {line}: {reason}")]
    Mistake {
        file: String,
        line: usize,
        reason: String,
    },
    #[error("{file} is not a template: {expected}")]
    UnknownFile { file: String, expected: String },
    #[error("{file} is missing: {why}")]
    Missing { file: String, why: String },
    #[error("cannot read {file}: {source}")]
    Unreadable { file: String, source: io::Error },
}

/// One template.
#[derive(Clone, Debug)]
pub struct Source {
    pub text: Cow<'static, str>,
    /// Its name for people: the path of an operator's file.
    pub file: String,
}

/// All templates by name: `en/verify_email/body.txt`, `en/durations.ftl`.
pub type Sources = BTreeMap<String, Source>;

/// The mails that exist: those of the fallback language.
pub fn mails() -> Vec<&'static str> {
    let mut mails: Vec<&str> = COMPILED_IN
        .iter()
        .filter_map(|(name, _)| {
            name.strip_prefix(FALLBACK_LANGUAGE)?
                .strip_prefix('/')?
                .strip_suffix("/subject.txt")
        })
        .collect();
    mails.sort_unstable();
    mails
}

/// The compiled-in templates, replaced one by one by those in `folder`.
///
/// # Errors
/// When the folder holds a file that is no template, or one that cannot be read.
pub fn load(folder: Option<&Path>) -> Result<Sources, TemplateError> {
    let mut sources = Sources::new();
    for (name, text) in COMPILED_IN {
        let source = Source {
            text: Cow::Borrowed(*text),
            file: format!("compiled-in template {name}"),
        };
        sources.insert((*name).to_owned(), source);
    }
    if let Some(folder) = folder {
        for language in visible_names(folder)? {
            if language == LAYOUT {
                sources.insert(language, read(&folder.join(LAYOUT))?);
                continue;
            }
            load_language(folder, &language, &mut sources)?;
        }
    }
    Ok(sources)
}

fn load_language(folder: &Path, language: &str, sources: &mut Sources) -> Result<(), TemplateError> {
    let path = folder.join(language);
    let is_language = language.parse::<LanguageIdentifier>().is_ok();
    if !path.is_dir() || !is_language {
        return Err(unknown(
            &path,
            "a folder named after a language is expected here, such as en, or layout.html".to_owned(),
        ));
    }
    let mails = mails();
    for name in visible_names(&path)? {
        let path = path.join(&name);
        if name == DURATIONS {
            sources.insert(format!("{language}/{name}"), read(&path)?);
        } else if mails.contains(&name.as_str()) && path.is_dir() {
            for part in visible_names(&path)? {
                let path = path.join(&part);
                if !PARTS.contains(&part.as_str()) {
                    return Err(unknown(&path, format!("a mail consists of {}", PARTS.join(", "))));
                }
                sources.insert(format!("{language}/{name}/{part}"), read(&path)?);
            }
        } else {
            return Err(unknown(
                &path,
                format!("a language has {DURATIONS} and the folders {}", mails.join(", ")),
            ));
        }
    }
    Ok(())
}

fn unknown(path: &Path, expected: String) -> TemplateError {
    TemplateError::UnknownFile {
        file: path.display().to_string(),
        expected,
    }
}

fn unreadable(path: &Path, source: io::Error) -> TemplateError {
    TemplateError::Unreadable {
        file: path.display().to_string(),
        source,
    }
}

fn read(path: &Path) -> Result<Source, TemplateError> {
    let text = fs::read_to_string(path).map_err(|error| unreadable(path, error))?;
    Ok(Source {
        text: Cow::Owned(text),
        file: path.display().to_string(),
    })
}

/// The names in `folder`, sorted. Names that begin with a dot are what editors and mounted volumes leave there.
fn visible_names(folder: &Path) -> Result<Vec<String>, TemplateError> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).map_err(|error| unreadable(folder, error))? {
        let name = entry
            .map_err(|error| unreadable(folder, error))?
            .file_name()
            .to_string_lossy()
            .into_owned();
        if !name.starts_with('.') {
            names.push(name);
        }
    }
    names.sort_unstable();
    Ok(names)
}
