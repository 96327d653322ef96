//! Folders of minijinja templates: compiled in, each replaceable by a file of the operator's folder. Every mistake names its
//! file as the operator knows it.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::Path;
use std::{fs, io};

use minijinja::{AutoEscape, Environment, UndefinedBehavior, Value};

use crate::html::escaped;

/// Why templates cannot be used.
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

/// The text of a template.
#[derive(Clone, Debug)]
pub struct Source {
    pub text: Cow<'static, str>,
    /// Its name for people: the path of an operator's file.
    pub file: String,
}

/// All files by name: `layout.html`, `en/verify_email/body.txt`. What is no template (style, Fluent texts) stands here too.
#[derive(Clone, Debug)]
pub struct Sources(BTreeMap<String, Source>);

impl Sources {
    /// The files of `compiled_in`, replaced and added to by those in `folder`. `check` is asked about every file (`true`) and
    /// folder (`false`) of it; its error says what is expected there, since a misspelt name would otherwise be ignored in
    /// silence. Names that begin with a dot are what editors and mounted volumes leave there.
    ///
    /// # Errors
    /// When `check` has one, or a file cannot be read.
    pub fn load(
        compiled_in: &[(&'static str, &'static str)],
        folder: Option<&Path>,
        check: impl Fn(&str, bool) -> Result<(), String>,
    ) -> Result<Self, TemplateError> {
        let of_program = |(name, text): &(&'static str, &'static str)| {
            let source = Source {
                text: Cow::Borrowed(text),
                file: format!("compiled-in template {name}"),
            };
            ((*name).to_owned(), source)
        };
        let mut sources = Self(compiled_in.iter().map(of_program).collect());
        if let Some(folder) = folder {
            sources.read_folder(folder, "", &check)?;
        }
        Ok(sources)
    }

    pub fn get(&self, name: &str) -> Option<&Source> {
        self.0.get(name)
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// "There is a mistake in the file that is known as `name`."
    pub fn mistake(&self, name: &str, line: usize, reason: impl Into<String>) -> TemplateError {
        TemplateError::Mistake {
            file: self.get(name).map_or(name, |source| &source.file).to_owned(),
            line,
            reason: reason.into(),
        }
    }

    fn read_folder(
        &mut self,
        folder: &Path,
        prefix: &str,
        check: &impl Fn(&str, bool) -> Result<(), String>,
    ) -> Result<(), TemplateError> {
        let unreadable = |path: &Path, source| TemplateError::Unreadable {
            file: path.display().to_string(),
            source,
        };
        let listed = || {
            let entries = fs::read_dir(folder)?;
            let names = entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
            names.collect::<io::Result<Vec<String>>>()
        };
        let mut names = listed().map_err(|error| unreadable(folder, error))?;
        // The first mistake is the same on every file system.
        names.sort_unstable();
        for name in names.iter().filter(|name| !name.starts_with('.')) {
            let (path, full_name) = (folder.join(name), format!("{prefix}{name}"));
            let is_file = !path.is_dir();
            check(&full_name, is_file).map_err(|expected| TemplateError::UnknownFile {
                file: path.display().to_string(),
                expected,
            })?;
            if is_file {
                let text = fs::read_to_string(&path).map_err(|error| unreadable(&path, error))?;
                let source = Source {
                    text: Cow::Owned(text),
                    file: path.display().to_string(),
                };
                self.0.insert(full_name, source);
            } else {
                self.read_folder(&path, &format!("{full_name}/"), check)?;
            }
        }
        Ok(())
    }
}

/// Parsed templates. In those whose name ends in `.html` values are escaped.
#[derive(Debug)]
pub struct Templates {
    environment: Environment<'static>,
    sources: Sources,
}

impl Templates {
    /// Parses those of `sources` whose names end in `.html` or `.txt`.
    ///
    /// # Errors
    /// The first mistake.
    pub fn parse(sources: Sources, undefined: UndefinedBehavior) -> Result<Self, TemplateError> {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(undefined);
        environment.set_auto_escape_callback(|name| match is_html(name) {
            true => AutoEscape::Html,
            false => AutoEscape::None,
        });
        environment.set_formatter(|out, state, value| {
            if matches!(state.auto_escape(), AutoEscape::Html) && !value.is_safe() && !value.is_undefined() {
                out.write_str(&escaped(&value.to_string()))
                    .map_err(minijinja::Error::from)
            } else {
                minijinja::escape_formatter(out, state, value)
            }
        });
        let is_template = |name: &&str| is_html(name) || has_extension(name, "txt");
        for name in sources.names().filter(is_template) {
            let text = sources.get(name).map_or("", |source| &source.text).to_owned();
            environment
                .add_template_owned(name.to_owned(), text)
                .map_err(|error| mistake(&sources, name, &error))?;
        }
        Ok(Self { environment, sources })
    }

    /// For functions and values that all templates may use.
    pub fn environment_mut(&mut self) -> &mut Environment<'static> {
        &mut self.environment
    }

    pub fn sources(&self) -> &Sources {
        &self.sources
    }

    /// Fills a template. Should be tried at start with sample arguments, so that it cannot fail later.
    ///
    /// # Errors
    /// The template's mistake; says nothing of the arguments.
    pub fn render(&self, name: &str, arguments: &Value) -> Result<String, TemplateError> {
        self.environment
            .get_template(name)
            .and_then(|template| template.render(arguments))
            .map_err(|error| mistake(&self.sources, name, &error))
    }
}

fn mistake(sources: &Sources, name: &str, error: &minijinja::Error) -> TemplateError {
    let kind = error.kind().to_string();
    let reason = error
        .detail()
        .map_or(kind.clone(), |detail| format!("{kind}: {detail}"));
    // A mistake of a layout comes up while another template is rendered.
    sources.mistake(error.name().unwrap_or(name), error.line().unwrap_or(1), reason)
}

fn is_html(name: &str) -> bool {
    has_extension(name, "html")
}

fn has_extension(name: &str, extension: &str) -> bool {
    Path::new(name).extension().is_some_and(|end| end == extension)
}

#[cfg(test)]
mod tests {
    use minijinja::context;

    use super::*;

    const COMPILED_IN: &[(&str, &str)] = &[
        (
            "layout.html",
            "<p>{% block content %}{% endblock %}</p>{{ name }}",
        ),
        (
            "en/hello.html",
            "{% extends \"layout.html\" %}{% block content %}Hello {{ name }}{% endblock %}",
        ),
        ("en/hello.txt", "Hello {{ name }}"),
        ("en/page.css", "p { {{ }"),
    ];

    fn folder(files: &[(&str, &str)]) -> std::path::PathBuf {
        let folder = std::env::temp_dir().join(format!("gatehouse-templates-{}", crate::random::hex_128()));
        fs::create_dir_all(folder.join("en")).unwrap();
        for (name, text) in files {
            fs::write(folder.join(name), text).unwrap();
        }
        folder
    }

    fn check(name: &str, is_file: bool) -> Result<(), String> {
        let is_known = COMPILED_IN.iter().any(|(known, _)| *known == name);
        (is_known || !is_file)
            .then_some(())
            .ok_or("there are two".to_owned())
    }

    #[test]
    fn a_folder_replaces_files_one_by_one_and_html_is_escaped() {
        let folder = folder(&[("en/hello.txt", "Hi {{ name }}"), (".hidden", "{% if %}")]);
        let sources = Sources::load(COMPILED_IN, Some(&folder), check).unwrap();
        let templates = Templates::parse(sources, UndefinedBehavior::Strict).unwrap();
        let arguments = context! { name => "<b>" };
        let html = templates.render("en/hello.html", &arguments).unwrap();
        assert_eq!(html, "<p>Hello &lt;b&gt;</p>&lt;b&gt;");
        assert_eq!(templates.render("en/hello.txt", &arguments).unwrap(), "Hi <b>");
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_mistake_names_the_operators_file_and_its_line() {
        let said = |name: &str, text: &str| {
            let folder = folder(&[(name, text)]);
            let loaded = Sources::load(COMPILED_IN, Some(&folder), check)
                .and_then(|sources| Templates::parse(sources, UndefinedBehavior::Strict))
                .and_then(|templates| templates.render("en/hello.html", &context! { name => "" }));
            let error = loaded.unwrap_err().to_string();
            fs::remove_dir_all(&folder).unwrap();
            error.replace(&*folder.to_string_lossy(), "DIR")
        };
        assert!(said("en/hello.txt", "\n{% if %}").starts_with("DIR/en/hello.txt, line 2: syntax error"));
        assert!(said("layout.html", "\n\n{{ nme }}").starts_with("DIR/layout.html, line 3: undefined value"));
        assert_eq!(
            said("en/helo.txt", ""),
            "DIR/en/helo.txt is not a template: there are two"
        );
    }
}
