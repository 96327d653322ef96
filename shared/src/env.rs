//! Settings from the environment: read once, at start, and every mistake is reported, not only the first.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use crate::secret::{Secret, without_password};

/// A snapshot of the environment that remembers which variables were read and what was wrong with them.
#[derive(Debug, Default)]
pub struct Env {
    variables: BTreeMap<String, String>,
    defaults: BTreeMap<String, String>,
    read: RefCell<BTreeSet<String>>,
    /// Those of `read` whose values are never shown.
    secrets: RefCell<BTreeSet<String>>,
    problems: RefCell<Vec<String>>,
}

/// Everything that is wrong with the settings: one sentence a line, each naming its variable.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.join("\n"))]
pub struct SettingsError(pub Vec<String>);

/// Settings for the log, secrets as `***`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary(Vec<(String, String)>);

impl Summary {
    /// Writes one line.
    pub fn log(&self) {
        let pairs: Vec<String> = self
            .0
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        log::info!(settings = pairs.join(" "); "starts with these settings");
    }
}

impl Env {
    /// Values that are no Unicode cannot be settings of ours, and are left out.
    pub fn from_process() -> Self {
        let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        };
        Self {
            variables: std::env::vars_os().filter_map(text).collect(),
            ..Self::default()
        }
    }

    /// For tests: an environment of exactly these variables.
    pub fn from_pairs<K: Into<String>, V: Into<String>>(pairs: impl IntoIterator<Item = (K, V)>) -> Self {
        let variables = pairs
            .into_iter()
            .map(|(name, value)| (name.into(), value.into()))
            .collect();
        Self {
            variables,
            ..Self::default()
        }
    }

    /// Another default for `name` than the one its reader gives; embedded mode differs from production only here.
    #[must_use]
    pub fn with_default(mut self, name: &str, value: impl Into<String>) -> Self {
        self.defaults.insert(name.to_owned(), value.into());
        self
    }

    /// The value of `name`; empty counts as not set.
    pub fn optional(&self, name: &str) -> Option<String> {
        self.read.borrow_mut().insert(name.to_owned());
        let value = self.variables.get(name).or_else(|| self.defaults.get(name))?;
        Some(value.trim().to_owned()).filter(|text| !text.is_empty())
    }

    pub fn text(&self, name: &str, default: &str) -> String {
        self.optional(name).unwrap_or_else(|| default.to_owned())
    }

    /// The value of `name`; a problem when it is not set. `why` completes "NAME is required: ...".
    pub fn required(&self, name: &str, why: &str) -> String {
        self.optional(name).unwrap_or_else(|| {
            self.problem(name, &format!("is required: {why}"));
            String::new()
        })
    }

    pub fn optional_path(&self, name: &str) -> Option<PathBuf> {
        self.optional(name).map(PathBuf::from)
    }

    /// A value of a type that reads itself from text; the type's error completes "NAME: ...".
    pub fn parsed<T: FromStr<Err: Display>>(&self, name: &str, default: T) -> T {
        self.optional_parsed(name).unwrap_or(default)
    }

    pub fn optional_parsed<T: FromStr<Err: Display>>(&self, name: &str) -> Option<T> {
        let text = self.optional(name)?;
        match text.parse() {
            Ok(value) => Some(value),
            Err(error) => {
                self.problem(name, &format!("is \"{text}\": {error}"));
                None
            }
        }
    }

    /// A whole number inside `allowed`.
    pub fn number(&self, name: &str, default: u64, allowed: std::ops::RangeInclusive<u64>) -> u64 {
        let Some(text) = self.optional(name) else {
            return default;
        };
        match text.parse() {
            Ok(value) if allowed.contains(&value) => value,
            _ => {
                let (low, high) = (allowed.start(), allowed.end());
                self.problem(
                    name,
                    &format!("is \"{text}\", not a whole number from {low} to {high}"),
                );
                default
            }
        }
    }

    /// A duration in whole seconds inside `allowed`; the variable's name ends in `_SECONDS`.
    pub fn seconds(&self, name: &str, default: u64, allowed: std::ops::RangeInclusive<u64>) -> Duration {
        Duration::from_secs(self.number(name, default, allowed))
    }

    /// `on` or `off` (also `true`, `false`, `1`, `0`).
    pub fn switch(&self, name: &str, default: bool) -> bool {
        let Some(text) = self.optional(name) else {
            return default;
        };
        match text.to_ascii_lowercase().as_str() {
            "on" | "true" | "1" | "yes" => true,
            "off" | "false" | "0" | "no" => false,
            _ => {
                self.problem(name, &format!("is \"{text}\", not \"on\" or \"off\""));
                default
            }
        }
    }

    /// One of the words of `choices`, each with its value.
    pub fn choice<T: Clone>(&self, name: &str, default: T, choices: &[(&str, T)]) -> T {
        let Some(text) = self.optional(name) else {
            return default;
        };
        if let Some((_, value)) = choices.iter().find(|(word, _)| word.eq_ignore_ascii_case(&text)) {
            return value.clone();
        }
        let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
        self.problem(name, &format!("is \"{text}\", not one of: {}", words.join(", ")));
        default
    }

    /// A secret from `NAME`, or from the file that `NAME_FILE` names (a mounted secret); both at once are a problem.
    pub fn secret(&self, name: &str) -> Option<Secret<String>> {
        let file_name = format!("{name}_FILE");
        self.secrets.borrow_mut().insert(name.to_owned());
        let value = self.optional(name);
        let path = self.optional(&file_name);
        match (value, path) {
            (Some(_), Some(_)) => {
                self.problem(name, &format!("and {file_name} are both set; keep one"));
                None
            }
            (Some(value), None) => Some(Secret::new(value)),
            (None, Some(path)) => match std::fs::read_to_string(&path) {
                Ok(text) if !text.trim().is_empty() => {
                    Some(Secret::new(text.trim_end_matches(['\r', '\n']).to_owned()))
                }
                Ok(_) => {
                    self.problem(&file_name, &format!("names {path}, which is empty"));
                    None
                }
                Err(error) => {
                    self.problem(
                        &file_name,
                        &format!("names {path}, which cannot be read: {error}"),
                    );
                    None
                }
            },
            (None, None) => None,
        }
    }

    /// Notes what is wrong with `name`; the sentence becomes "NAME `what`". Two services may read one setting, and say it
    /// once.
    pub fn problem(&self, name: &str, what: &str) {
        let sentence = format!("{name} {what}");
        let mut problems = self.problems.borrow_mut();
        if !problems.contains(&sentence) {
            problems.push(sentence);
        }
    }

    /// What was read and is not left to its default, for one line at the start. To be taken before [`Env::finish`].
    pub fn summary(&self) -> Summary {
        let secrets = self.secrets.borrow();
        let shown = |name: &String| {
            let value = self
                .variables
                .get(name)
                .or_else(|| self.defaults.get(name))?
                .trim();
            let shown = match secrets.contains(name) {
                _ if value.is_empty() => return None,
                true => "***".to_owned(),
                false => without_password(value),
            };
            Some((name.clone(), shown))
        };
        Summary(self.read.borrow().iter().filter_map(shown).collect())
    }

    /// Ends the reading: fails with everything noted, and with every set variable that begins with one of
    /// `prefixes` and that nobody read, since a misspelt setting would otherwise be ignored in silence.
    ///
    /// # Errors
    /// All problems at once.
    pub fn finish(self, prefixes: &[&str]) -> Result<(), SettingsError> {
        let read = self.read.into_inner();
        let mut problems = self.problems.into_inner();
        for name in self.variables.keys() {
            let is_ours = prefixes.iter().any(|prefix| name.starts_with(prefix));
            if is_ours && !read.contains(name) {
                problems.push(format!("{name} is not a setting; .env.example lists them all"));
            }
        }
        if problems.is_empty() {
            Ok(())
        } else {
            Err(SettingsError(problems))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_problems_are_reported_at_once() {
        let env = Env::from_pairs([("GH_A", "x"), ("GH_B", "maybe"), ("GH_TYPO", "1"), ("OTHER", "1")]);
        env.number("GH_A", 5, 1..=9);
        env.switch("GH_B", true);
        env.required("GH_C", "there is no default");
        let error = env.finish(&["GH_"]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "GH_A is \"x\", not a whole number from 1 to 9\n\
             GH_B is \"maybe\", not \"on\" or \"off\"\n\
             GH_C is required: there is no default\n\
             GH_TYPO is not a setting; .env.example lists them all"
        );
    }

    #[test]
    fn a_secret_may_come_from_a_file_and_loses_its_last_line_break() {
        let path = std::env::temp_dir().join(crate::random::hex_128());
        std::fs::write(&path, "hush\n").unwrap();
        let env = Env::from_pairs([("GH_KEY_FILE", path.to_str().unwrap())]);
        assert_eq!(env.secret("GH_KEY").unwrap().expose(), "hush");
        std::fs::remove_file(path).unwrap();
        env.finish(&["GH_"]).unwrap();
    }

    #[test]
    fn the_summary_has_what_was_set_and_read_and_no_secret() {
        let env = Env::from_pairs([
            ("GH_KEY", "hush"),
            ("GH_URL", "smtp://ann:hush@host:25"),
            ("GH_A", " 1 "),
            ("GH_EMPTY", ""),
            ("OTHER", "1"),
        ])
        .with_default("GH_B", "2");
        env.secret("GH_KEY");
        for name in ["GH_URL", "GH_A", "GH_B", "GH_EMPTY", "GH_UNSET"] {
            env.optional(name);
        }
        let Summary(pairs) = env.summary();
        let pairs: Vec<(&str, &str)> = pairs.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        let url = "smtp://ann:***@host:25";
        assert_eq!(
            pairs,
            [("GH_A", "1"), ("GH_B", "2"), ("GH_KEY", "***"), ("GH_URL", url)]
        );
    }

    #[test]
    fn a_default_of_embedded_mode_yields_to_the_environment() {
        let env = Env::from_pairs([("GH_A", "1")])
            .with_default("GH_A", "2")
            .with_default("GH_B", "3");
        assert_eq!(
            (env.text("GH_A", "0"), env.text("GH_B", "0")),
            ("1".into(), "3".into())
        );
    }
}
