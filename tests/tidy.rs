//! House rules that a machine can check: who may import whom, pairs that must stay pairs, documents that must exist.
//! Each test names its rule; a failure lists every place that breaks it. The rules and their reasons: `CONTRIBUTING.md`.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use source_tree::{all_files, assert_none, files, folders, is_test_file, read, root, rust_files};

#[path = "tidy/documents.rs"]
mod documents;
#[path = "tidy/imports.rs"]
mod imports;
#[path = "tidy/source_tree.rs"]
mod source_tree;

/// Source files that may be longer than [`MAX_LINES`], each with its reason.
const LONG_FILES: &[(&str, &str)] = &[];

/// Past this, unit tests not counted, a file has two subjects.
const MAX_LINES: usize = 400;

#[test]
fn every_migration_exists_for_both_databases_with_its_way_up_and_down() {
    let databases = ["sqlite", "postgres"];
    let of = |database: &str| folders(&format!("identity-svc/migrations/{database}"));
    let all: BTreeSet<String> = databases.iter().flat_map(|database| of(database)).collect();
    let mut broken = Vec::new();
    for (database, migration) in databases
        .iter()
        .flat_map(|database| all.iter().map(move |name| (database, name)))
    {
        for part in ["up.sql", "down.sql"] {
            let path = format!("identity-svc/migrations/{database}/{migration}/{part}");
            if fs::read_to_string(root().join(&path))
                .unwrap_or_default()
                .trim()
                .is_empty()
            {
                broken.push(format!("{path} is missing or empty"));
            }
        }
    }
    assert!(!all.is_empty(), "there is no migration");
    assert_none(&broken);
}

#[test]
fn every_mail_has_its_three_parts_in_every_language() {
    let languages = folders("mailer-svc/templates");
    let of = |language: &String| folders(&format!("mailer-svc/templates/{language}"));
    let mails: BTreeSet<String> = languages.iter().flat_map(of).collect();
    assert!(!mails.is_empty(), "there is no mail template");
    let mut broken = Vec::new();
    for (language, mail) in languages
        .iter()
        .flat_map(|language| mails.iter().map(move |mail| (language, mail)))
    {
        for part in ["subject.txt", "body.txt", "body.html"] {
            let path = format!("mailer-svc/templates/{language}/{mail}/{part}");
            if !root().join(&path).is_file() {
                broken.push(format!("{path} is missing"));
            }
        }
    }
    assert_none(&broken);
}

#[test]
fn every_translated_text_exists_in_english() {
    let mut broken = Vec::new();
    for language in folders("identity-svc/locales") {
        for file in files(&format!("identity-svc/locales/{language}")) {
            let english = text_names(&format!("identity-svc/locales/en/{file}"));
            let path = format!("identity-svc/locales/{language}/{file}");
            for name in text_names(&path).difference(&english) {
                broken.push(format!("{path}: {name} is not in en/{file}"));
            }
        }
    }
    assert!(
        !text_files("identity-svc/locales/en").is_empty(),
        "there is no English text"
    );
    assert_none(&broken);
}

#[test]
fn every_setting_of_the_example_is_read_by_a_program() {
    let read = setting_names_in_sources();
    let is_read = |name: &String| read.whole.contains(name) || read.put_together.contains(name);
    let broken: Vec<String> = example_settings()
        .into_iter()
        .filter(|name| !is_read(name))
        .collect();
    assert_none(&broken);
}

/// Settings that `docker-compose.yml` does not take, since they are its own to decide or only of embedded mode.
const NOT_OF_COMPOSE: &[&str] = &[
    "GATEHOUSE_DATA_DIR",
    "GATEHOUSE_GATEWAY_LISTEN",
    "GATEHOUSE_GATEWAY_ADMIN_LISTEN",
    "GATEHOUSE_GATEWAY_TLS_CERTIFICATE_FILE",
    "GATEHOUSE_GATEWAY_TLS_KEY_FILE",
    "GATEHOUSE_IDENTITY_LISTEN",
    "GATEHOUSE_IDENTITY_ADMIN_LISTEN",
    "GATEHOUSE_IDENTITY_CREATE_KEYS",
    "GATEHOUSE_MAILER_ADMIN_LISTEN",
    "GATEHOUSE_MAILER_SMTP_PASSWORD",
    "GATEHOUSE_MAILER_TEMPLATES_DIR",
    "GATEHOUSE_IDENTITY_TEMPLATES_DIR",
    "GATEHOUSE_BRAND_LOGO_FILE",
];

#[test]
fn compose_takes_every_setting_of_the_example() {
    let compose = read("docker-compose.yml");
    let is_taken = |name: &String| {
        let forms = [format!("{name}:"), format!("{name}_FILE:")];
        compose
            .lines()
            .any(|line| forms.iter().any(|form| line.trim_start().starts_with(form)))
            || compose.contains(&format!("${{{name}:-"))
            || NOT_OF_COMPOSE.contains(&name.as_str())
    };
    let broken: Vec<String> = example_settings()
        .into_iter()
        .filter(|name| !is_taken(name))
        .collect();
    assert_none(&broken);
}

#[test]
fn every_setting_that_a_program_reads_is_in_the_example() {
    let listed = example_settings();
    let is_listed = |name: &str| {
        listed.contains(name)
            || name
                .strip_suffix("_FILE")
                .is_some_and(|secret| listed.contains(secret))
    };
    let broken: Vec<String> = setting_names_in_sources()
        .whole
        .into_iter()
        .filter(|name| !is_listed(name))
        .collect();
    assert_none(&broken);
}

#[test]
fn every_source_file_says_what_it_is_for() {
    let begins_well = |text: &str| text.starts_with("//!") || text.starts_with("// @generated");
    let is_exempt = |name: &str| is_test_file(name) || name.ends_with("build.rs");
    let sources = rust_files().into_iter().filter(|file| !is_exempt(&file.name));
    let broken: Vec<String> = sources
        .filter(|file| !begins_well(&file.text))
        .map(|file| file.name)
        .collect();
    assert_none(&broken);
}

#[test]
fn no_source_file_has_two_subjects() {
    let sources = rust_files();
    let mut broken = Vec::new();
    for file in &sources {
        let length = file.length();
        let reason = LONG_FILES
            .iter()
            .find(|(name, _)| *name == file.name)
            .map(|(_, reason)| reason);
        match reason {
            None if length > MAX_LINES => {
                broken.push(format!(
                    "{} has {length} lines; {MAX_LINES} are the most",
                    file.name
                ));
            }
            Some(_) if length <= MAX_LINES => broken.push(format!("{} need not be in LONG_FILES", file.name)),
            Some(&"") => broken.push(format!("{} has no reason in LONG_FILES", file.name)),
            _ => {}
        }
    }
    assert_none(&broken);
}

#[test]
fn every_actor_begins_with_its_card() {
    let mut broken = Vec::new();
    for file in rust_files() {
        if is_test_file(&file.name) || !file.code().any(|(_, line)| line.contains(" Actor for ")) {
            continue;
        }
        let card: String = file
            .text
            .lines()
            .take_while(|line| line.starts_with("//!"))
            .collect();
        for entry in ["Owns:", "Receives:", "Bound:", "On panic:"] {
            if !card.contains(entry) {
                broken.push(format!("{}: the card lacks \"{entry}\"", file.name));
            }
        }
    }
    assert_none(&broken);
}

#[test]
fn nothing_depends_on_the_machine_it_was_written_on() {
    // Taken apart, so that this file does not find itself.
    let forbidden = [["/wo", "rk/"], ["/ro", "ot/"], ["/Us", "ers/"]].map(|parts| parts.concat());
    let mut broken = Vec::new();
    for name in all_files() {
        let Ok(text) = fs::read_to_string(root().join(&name)) else {
            continue;
        };
        for (number, line) in text.lines().enumerate() {
            for word in forbidden.iter().filter(|word| line.contains(word.as_str())) {
                broken.push(format!("{name}:{}: {word}", number + 1));
            }
        }
    }
    let lock = read("Cargo.lock");
    let foreign = lock
        .lines()
        .filter(|line| line.starts_with("source = ") && !line.contains("github.com/rust-lang/"));
    broken.extend(foreign.map(|line| format!("Cargo.lock: {line}")));
    assert_none(&broken);
}

#[test]
fn no_file_holds_an_unfinished_merge() {
    let marks = ["<".repeat(7) + " ", ">".repeat(7) + " "];
    let mut broken = Vec::new();
    for name in all_files() {
        let text = fs::read_to_string(root().join(&name)).unwrap_or_default();
        let is_mark = |line: &str| marks.iter().any(|mark| line.starts_with(mark.as_str()));
        if text.lines().any(is_mark) {
            broken.push(name);
        }
    }
    assert_none(&broken);
}

/// The names of the settings that `.env.example` lists, set or commented out.
fn example_settings() -> BTreeSet<String> {
    let text = read(".env.example");
    let lines = text
        .lines()
        .filter_map(|line| line.trim_start_matches('#').split_once('='));
    lines
        .map(|(name, _)| name.to_owned())
        .filter(|name| is_setting_name(name))
        .collect()
}

/// The names of settings that the programs read; tests and comments do not count. Whole names in string literals, and
/// names that a file puts together: from `"GATEHOUSE_GATEWAY_{name}_SECONDS"` and `"BODY"`.
fn setting_names_in_sources() -> Settings {
    let mut settings = Settings::default();
    for file in rust_files().iter().filter(|file| !is_test_file(&file.name)) {
        let literals: BTreeSet<&str> = file
            .code()
            .flat_map(|(_, line)| line.split('"').skip(1).step_by(2))
            .collect();
        settings.whole.extend(
            literals
                .iter()
                .filter(|text| is_setting_name(text))
                .map(|text| (*text).to_owned()),
        );
        for (before, after) in literals.iter().filter_map(|text| split_at_placeholder(text)) {
            settings
                .put_together
                .extend(literals.iter().map(|text| format!("{before}{text}{after}")));
        }
    }
    settings
}

#[derive(Default)]
struct Settings {
    whole: BTreeSet<String>,
    /// Some of these are no settings: any literal of the file may fill the placeholder.
    put_together: BTreeSet<String>,
}

/// `("GATEHOUSE_GATEWAY_", "_SECONDS")` of `GATEHOUSE_GATEWAY_{name}_SECONDS`.
fn split_at_placeholder(text: &str) -> Option<(&str, &str)> {
    let (before, rest) = text.split_once('{')?;
    let (_, after) = rest.split_once('}')?;
    before.starts_with("GATEHOUSE_").then_some((before, after))
}

fn is_setting_name(text: &str) -> bool {
    let rest = text.strip_prefix("GATEHOUSE_").unwrap_or_default();
    let is_allowed = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
    !rest.is_empty() && !rest.ends_with('_') && rest.chars().all(is_allowed)
}

/// The messages that a Fluent file defines.
fn text_names(path: &str) -> BTreeSet<String> {
    let text = read(path);
    let lines = text
        .lines()
        .filter(|line| line.starts_with(|c: char| c.is_ascii_alphabetic()));
    lines
        .filter_map(|line| line.split_once('='))
        .map(|(name, _)| name.trim().to_owned())
        .collect()
}

fn text_files(folder: &str) -> Vec<String> {
    files(folder)
        .into_iter()
        .filter(|name| Path::new(name).extension().is_some_and(|end| end == "ftl"))
        .collect()
}
