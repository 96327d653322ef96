//! The project's files as the rules look at them.

use std::fs;
use std::path::{Path, PathBuf};

/// A Rust source; `name` is its path from the project's root, with `/`.
pub struct SourceFile {
    pub name: String,
    pub text: String,
}

impl SourceFile {
    /// How many lines there are before the unit tests, which stand at the end of a file.
    pub fn length(&self) -> usize {
        self.lines().count()
    }

    /// The numbered lines of the program itself: without comments and without the unit tests.
    pub fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        self.lines()
            .filter(|(_, line)| !line.trim_start().starts_with("//"))
    }

    fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        let numbered = self
            .text
            .lines()
            .enumerate()
            .map(|(index, line)| (index + 1, line));
        numbered.take_while(|(_, line)| line.trim() != "#[cfg(test)]")
    }
}

pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

pub fn read(name: &str) -> String {
    fs::read_to_string(root().join(name)).unwrap_or_default()
}

pub fn is_test_file(name: &str) -> bool {
    name.starts_with("tests/")
        || name.contains("/tests/")
        || name.starts_with("benches/")
        || name.contains("/benches/")
}

pub fn rust_files() -> Vec<SourceFile> {
    let names = all_files().into_iter().filter(|name| has_extension(name, "rs"));
    names
        .map(|name| SourceFile {
            text: read(&name),
            name,
        })
        .collect()
}

pub fn has_extension(name: &str, extension: &str) -> bool {
    Path::new(name).extension().is_some_and(|end| end == extension)
}

/// Every file of the project, sorted; nothing that a build or a run of it made.
pub fn all_files() -> Vec<String> {
    let mut found = Vec::new();
    walk("", &mut found);
    found.sort();
    found
}

fn walk(folder: &str, found: &mut Vec<String>) {
    let made = ["target", ".git", "node_modules", "__pycache__", ".venv"];
    let own_data = folder
        .is_empty()
        .then_some(["data", ".env"])
        .into_iter()
        .flatten();
    let skipped: Vec<&str> = made.into_iter().chain(own_data).collect();
    let join = |name: &str| {
        if folder.is_empty() {
            name.to_owned()
        } else {
            format!("{folder}/{name}")
        }
    };
    found.extend(
        files(folder)
            .iter()
            .filter(|name| !skipped.contains(&name.as_str()))
            .map(|name| join(name)),
    );
    for name in folders(folder)
        .iter()
        .filter(|name| !skipped.contains(&name.as_str()))
    {
        walk(&join(name), found);
    }
}

pub fn files(folder: &str) -> Vec<String> {
    entries(folder, false)
}

pub fn folders(folder: &str) -> Vec<String> {
    entries(folder, true)
}

fn entries(folder: &str, want_folders: bool) -> Vec<String> {
    let Ok(listing) = fs::read_dir(root().join(folder)) else {
        return Vec::new();
    };
    let entries = listing
        .flatten()
        .filter(|entry| entry.path().is_dir() == want_folders);
    let mut names: Vec<String> = entries
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect();
    names.sort();
    names
}

/// Whether the code of `line` holds `word` as a whole word: `Addr` is in `Addr<Db>`, not in `SocketAddr`, and nothing
/// is in a string literal. A word that ends in `::` may go on.
pub fn names_word(line: &str, word: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    line.split('"').step_by(2).any(|code| {
        code.match_indices(word).any(|(start, _)| {
            let before = code.get(..start).and_then(|text| text.chars().next_back());
            let after = code
                .get(start + word.len()..)
                .and_then(|text| text.chars().next());
            !before.is_some_and(is_part) && (word.ends_with("::") || !after.is_some_and(is_part))
        })
    })
}

/// Fails with every place that breaks a rule, one a line.
#[track_caller]
pub fn assert_none<T: AsRef<str>>(broken: &[T]) {
    let lines: Vec<&str> = broken.iter().map(AsRef::as_ref).collect();
    assert!(
        lines.is_empty(),
        "{} broken:\n  {}",
        lines.len(),
        lines.join("\n  ")
    );
}
