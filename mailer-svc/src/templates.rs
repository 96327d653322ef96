//! Which files the templates of mails are: a folder for each language, in it one for each mail.

use std::path::Path;

use shared::templates::{Sources, TemplateError};
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
    Sources::load(COMPILED_IN, folder, check_name)
}

/// Whether there is a file or a folder of this name.
fn check_name(name: &str, is_file: bool) -> Result<(), String> {
    let parts: Vec<&str> = name.split('/').collect();
    match parts.as_slice() {
        [LAYOUT] | [_, DURATIONS] if is_file => Ok(()),
        [language] if !is_file && language.parse::<LanguageIdentifier>().is_ok() => Ok(()),
        [_] => Err("a folder named after a language is expected here, such as en, or layout.html".to_owned()),
        [_, mail] if !is_file && mails().contains(mail) => Ok(()),
        [_, _] => Err(format!(
            "a language has {DURATIONS} and the folders {}",
            mails().join(", ")
        )),
        [_, _, part] if is_file && PARTS.contains(part) => Ok(()),
        _ => Err(format!("a mail consists of {}", PARTS.join(", "))),
    }
}
