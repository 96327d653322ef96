//! Documents lead to what is there: their links, and every path that they name.

use std::collections::BTreeSet;
use std::path::Path;

use crate::source_tree::{all_files, assert_none, files, has_extension, read, root};

/// Documents that a reader looks for.
const DOCUMENTS: &[&str] = &[
    "README.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "LICENSE",
    "LICENSE-MIT",
    "LICENSE-APACHE",
    ".env.example",
    "docs/ARCHITECTURE.md",
    "docs/LOGGING.md",
    "docs/GLOSSARY.md",
    "docs/adr/0000-template.md",
    "docs/AuthApi.md",
];

/// Pages kept as a generator writes them: their links lead to pages that it writes beside them, and that are not kept.
const GENERATED_PAGES: &[&str] = &["docs/AuthApi.md"];

#[test]
fn documents_exist_and_their_links_lead_to_files() {
    let mut broken: Vec<String> = DOCUMENTS
        .iter()
        .filter(|name| !root().join(name).is_file())
        .map(|name| format!("{name} is missing"))
        .collect();
    for name in documents() {
        let folder = root()
            .join(&name)
            .parent()
            .map(Path::to_path_buf)
            .unwrap_or_default();
        for target in link_targets(&read(&name)) {
            if !folder.join(&target).exists() {
                broken.push(format!("{name}: the link to {target} leads nowhere"));
            }
        }
    }
    assert_none(&broken);
}

#[test]
fn every_path_that_a_document_names_exists() {
    let all = all_files();
    let top: BTreeSet<String> = all
        .iter()
        .filter_map(|name| Some(name.split_once('/')?.0.to_owned()))
        .collect();
    let mut broken = Vec::new();
    let mut count = 0;
    for name in documents() {
        for (number, paths) in named_paths(&read(&name), &top) {
            let folders: Vec<&String> = paths.iter().filter(|path| path.contains('/')).collect();
            for path in &paths {
                count += 1;
                let is_there = match path.contains('/') {
                    true => root().join(path).exists(),
                    // A file's bare name means one inside the folders that stand on the same line.
                    false => all.iter().any(|file| {
                        file.ends_with(&format!("/{path}"))
                            && (folders.is_empty() || folders.iter().any(|folder| file.starts_with(*folder)))
                    }),
                };
                if !is_there {
                    broken.push(format!("{name}:{number}: there is no {path}"));
                }
            }
        }
    }
    assert!(count > 0, "no document names a path");
    assert_none(&broken);
}

#[test]
fn every_decision_gives_context_options_choice_and_price() {
    let mut broken = Vec::new();
    for name in files("docs/adr") {
        let text = read(&format!("docs/adr/{name}"));
        for heading in ["## Context", "## Options", "## Choice", "## Price"] {
            if !text.contains(heading) {
                broken.push(format!("docs/adr/{name} lacks \"{heading}\""));
            }
        }
    }
    assert_none(&broken);
}

fn documents() -> impl Iterator<Item = String> {
    let is_checked = |name: &String| has_extension(name, "md") && !GENERATED_PAGES.contains(&name.as_str());
    all_files().into_iter().filter(is_checked)
}

/// Where the links of a Markdown text lead, when that is inside the project.
fn link_targets(text: &str) -> Vec<String> {
    let targets = text
        .split("](")
        .skip(1)
        .filter_map(|rest| rest.split([')', ' ', '#']).next());
    targets
        .filter(|target| !target.is_empty() && !target.contains(':'))
        .map(str::to_owned)
        .collect()
}

/// What each line names between backticks, or in a code block: paths that begin with one of the folders `top`, and bare
/// names of Rust files. Of `docs/adr/<number>.md` the part before the placeholder.
fn named_paths(text: &str, top: &BTreeSet<String>) -> Vec<(usize, Vec<String>)> {
    let mut is_block = false;
    let mut found = Vec::new();
    for (index, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            is_block = !is_block;
            continue;
        }
        let code: Vec<&str> = match is_block {
            true => vec![line],
            false => line.split('`').skip(1).step_by(2).collect(),
        };
        let words = code
            .iter()
            .flat_map(|code| code.split([' ', '(', ')', '"', '\'', ',', '=']));
        let is_path = |word: &&str| {
            let is_ours = word.split_once('/').is_some_and(|(first, _)| top.contains(first));
            let is_source = has_extension(word, "rs") && !word.contains(['<', '*', '/']);
            is_ours || is_source
        };
        let paths: Vec<String> = words
            .filter(is_path)
            .map(|word| before_placeholder(word).to_owned())
            .collect();
        found.push((index + 1, paths));
    }
    found
}

fn before_placeholder(word: &str) -> &str {
    let path = match word.find(['<', '*', '{', '$', '[']) {
        // The folder that the placeholder is in.
        Some(end) => word[..end].rfind('/').map_or("", |slash| &word[..=slash]),
        None => word,
    };
    let path = path.split([':', '#', ';', '|']).next().unwrap_or(path);
    path.trim_end_matches('.')
}
