//! The texts of every language under `locales/`, compiled in, and the choice among them for one request.

use std::fmt;

use fluent_bundle::concurrent::FluentBundle;
use fluent_bundle::{FluentArgs, FluentResource};
use unic_langid::LanguageIdentifier;

use crate::domain::texts::{Fact, Text};

/// A folder of `locales/`; the list is written by `build.rs`.
struct Locale {
    tag: &'static str,
    sources: &'static [&'static str],
}

const LOCALES: &[Locale] = include!(concat!(env!("OUT_DIR"), "/locales.rs"));

/// A language that has a folder under `locales/`.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub struct Language(&'static str);

impl Language {
    /// What everything falls back to.
    pub const ENGLISH: Self = Self("en");

    /// The language tag, as in `Content-Language`: `en`, `ru`.
    pub fn tag(self) -> &'static str {
        self.0
    }
}

impl fmt::Display for Language {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// Why the compiled-in texts cannot be used. A test makes sure that no build has one.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum CatalogueError {
    #[error("locales/{0}: the folder's name is not a language tag")]
    BadTag(&'static str),
    #[error("locales/{language}: {problem}")]
    BadTexts { language: &'static str, problem: String },
    #[error("locales/en is missing")]
    NoEnglish,
}

/// The texts of all languages. Shared by all threads.
pub struct Catalogue {
    english: FluentBundle<FluentResource>,
    others: Vec<(Language, FluentBundle<FluentResource>)>,
}

impl fmt::Debug for Catalogue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.languages()).finish()
    }
}

impl Catalogue {
    /// # Errors
    /// When a folder of `locales/` has no language's name, or a file in it does not parse or repeats a key.
    pub fn compiled_in() -> Result<Self, CatalogueError> {
        let mut english = None;
        let mut others = Vec::new();
        for locale in LOCALES {
            let bundle = read(locale)?;
            if locale.tag == Language::ENGLISH.tag() {
                english = Some(bundle);
            } else {
                others.push((Language(locale.tag), bundle));
            }
        }
        Ok(Self {
            english: english.ok_or(CatalogueError::NoEnglish)?,
            others,
        })
    }

    /// English first.
    pub fn languages(&self) -> impl Iterator<Item = Language> {
        std::iter::once(Language::ENGLISH).chain(self.others.iter().map(|(language, _)| *language))
    }

    /// The sentence in this language, in English where the language lacks it.
    pub fn text(&self, text: &Text, language: Language) -> String {
        self.sentence(text.key(), &text.facts(), language)
    }

    /// A text of the built-in pages, by its key in `locales/<language>/pages.ftl`. Not escaped for HTML. An unknown
    /// key is its own text, so that a misspelt one is seen and breaks nothing.
    pub fn page_text(&self, key: &str, language: Language) -> String {
        self.sentence(key, &[], language)
    }

    /// The best language for an `Accept-Language` header: the highest q-value, the first among equals. `ru-RU` counts
    /// as `ru`. `*`, unknown languages, q=0, no header and garbage lead to English.
    pub fn negotiate(&self, accept_language: Option<&str>) -> Language {
        let mut best = Language::ENGLISH;
        let mut best_weight = 0;
        for range in accept_language.unwrap_or_default().split(',') {
            let mut parts = range.split(';').map(str::trim);
            let tag = parts.next().unwrap_or_default();
            let weight = parts
                .next()
                .map_or(Some(FULL_WEIGHT), weight_in_thousandths)
                .unwrap_or(0);
            if weight <= best_weight {
                continue;
            }
            if let Some(language) = self.best_match(tag) {
                best = language;
                best_weight = weight;
            }
        }
        best
    }

    /// `*` stands for the default. `pt-BR` is satisfied by `pt-BR`, `pt` and, failing both, another `pt-..`.
    fn best_match(&self, tag: &str) -> Option<Language> {
        if tag == "*" {
            return Some(Language::ENGLISH);
        }
        if tag.is_empty() || tag.len() > MAX_TAG_BYTES {
            return None;
        }
        let mut wanted = tag;
        loop {
            if let Some(language) = self
                .languages()
                .find(|language| language.tag().eq_ignore_ascii_case(wanted))
            {
                return Some(language);
            }
            match wanted.rsplit_once('-') {
                Some((shorter, _)) => wanted = shorter,
                None => break,
            }
        }
        self.languages().find(|language| {
            language
                .tag()
                .split_once('-')
                .is_some_and(|(primary, _)| primary.eq_ignore_ascii_case(wanted))
        })
    }

    fn sentence(&self, key: &str, facts: &[(&'static str, Fact<'_>)], language: Language) -> String {
        let translated = self.others.iter().find(|(other, _)| *other == language);
        translated
            .and_then(|(_, bundle)| format(bundle, key, facts))
            .or_else(|| format(&self.english, key, facts))
            .unwrap_or_else(|| key.to_owned())
    }
}

/// Longer language ranges are no language of ours; Django ignores them too.
const MAX_TAG_BYTES: usize = 500;

const FULL_WEIGHT: u16 = 1000;

/// Reads `q=0.8` as 800. Source: RFC 9110 section 12.4.2, at most three decimals.
fn weight_in_thousandths(parameter: &str) -> Option<u16> {
    let (name, value) = parameter.split_once('=')?;
    if !name.trim_end().eq_ignore_ascii_case("q") {
        return None;
    }
    let value = value.trim_start();
    let (whole, decimals) = value.split_once('.').unwrap_or((value, ""));
    if decimals.len() > 3 || !decimals.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let thousandths = format!("{decimals:0<3}").parse::<u16>().ok()?;
    match whole {
        "0" => Some(thousandths),
        "1" if thousandths == 0 => Some(FULL_WEIGHT),
        _ => None,
    }
}

fn read(locale: &Locale) -> Result<FluentBundle<FluentResource>, CatalogueError> {
    let tag: LanguageIdentifier = locale
        .tag
        .parse()
        .map_err(|_| CatalogueError::BadTag(locale.tag))?;
    let mut bundle = FluentBundle::new_concurrent(vec![tag]);
    bundle.set_use_isolating(false);
    for source in locale.sources {
        let resource = FluentResource::try_new((*source).to_owned())
            .map_err(|(_, errors)| bad_texts(locale.tag, &errors))?;
        bundle
            .add_resource(resource)
            .map_err(|errors| bad_texts(locale.tag, &errors))?;
    }
    Ok(bundle)
}

fn bad_texts<E: fmt::Display>(language: &'static str, errors: &[E]) -> CatalogueError {
    let problems: Vec<String> = errors.iter().map(ToString::to_string).collect();
    CatalogueError::BadTexts {
        language,
        problem: problems.join("; "),
    }
}

/// `None` when this language lacks the sentence or cannot fill it in.
fn format(
    bundle: &FluentBundle<FluentResource>,
    key: &str,
    facts: &[(&'static str, Fact<'_>)],
) -> Option<String> {
    let pattern = bundle.get_message(key)?.value()?;
    let mut arguments = FluentArgs::new();
    for (name, fact) in facts {
        match fact {
            Fact::Number(number) => arguments.set(*name, *number),
            Fact::Word(word) => arguments.set(*name, *word),
        }
    }
    let mut errors = Vec::new();
    let sentence = bundle.format_pattern(pattern, Some(&arguments), &mut errors);
    errors.is_empty().then(|| sentence.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn negotiated(header: &str) -> &'static str {
        Catalogue::compiled_in().unwrap().negotiate(Some(header)).tag()
    }

    #[test]
    fn the_compiled_in_texts_parse() {
        let catalogue = Catalogue::compiled_in().unwrap();
        let tags: Vec<_> = catalogue.languages().map(Language::tag).collect();
        assert_eq!(tags, ["en", "ru"]);
    }

    #[test]
    fn the_catalogue_can_be_shared_by_threads() {
        fn check<T: Send + Sync>() {}
        check::<Catalogue>();
    }

    #[test]
    fn russian_is_given_to_those_who_prefer_it() {
        for header in [
            "ru",
            "RU",
            "ru-RU",
            "ru-Cyrl-RU",
            "de, ru",
            "ru;q=0.9, en;q=0.8",
            "en;q=0.1,ru;q=0.123",
            "ru , en",
            "en;q=0, ru;q=0.001",
            "de;q=1.0, ru ; Q=0.5, *;q=0.1",
            "ru, en",
        ] {
            assert_eq!(negotiated(header), "ru", "{header:?}");
        }
    }

    #[test]
    fn everybody_else_gets_english() {
        for header in [
            "",
            "en",
            "en-GB, ru;q=0.9",
            "*",
            "*, ru;q=0.5",
            "de",
            "de-DE,fr",
            "ru;q=0",
            "ru;q=0.000",
            "en, ru",
            "rus",
            "r",
            "ruRU",
            "ru;q=0.1,*;q=0.2",
        ] {
            assert_eq!(negotiated(header), "en", "{header:?}");
        }
        assert_eq!(
            Catalogue::compiled_in().unwrap().negotiate(None),
            Language::ENGLISH
        );
    }

    #[test]
    fn garbage_is_passed_over() {
        for header in [
            "ru;q=2",
            "ru;q=-1",
            "ru;q=1.001",
            "ru;q=0.1234",
            "ru;q=",
            "ru;q",
            "ru;x=1",
            "ru;q=NaN",
            ";;;,,,",
            "\u{0}ы-",
            "-",
            "ru-",
        ] {
            let tag = negotiated(header);
            assert!(tag == "en" || header == "ru-", "{header:?}");
        }
        assert_eq!(negotiated("%%%;;=, ru;q=0.3"), "ru");
    }

    #[test]
    fn a_huge_header_does_no_harm() {
        assert_eq!(negotiated(&"ru;q=0.5,".repeat(12_000)), "ru");
        assert_eq!(negotiated(&"a-".repeat(50_000)), "en");
        assert_eq!(negotiated(&",".repeat(100_000)), "en");
        assert_eq!(negotiated(&format!("ru;q={}", "0".repeat(100_000))), "en");
    }

    #[test]
    fn what_a_language_lacks_is_said_in_english() {
        let catalogue = Catalogue::compiled_in().unwrap();
        let russian = catalogue.negotiate(Some("ru"));
        assert_eq!(catalogue.text(&Text::NotAString, russian), "Not a valid string.");
        assert_eq!(catalogue.page_text("no-such-key", russian), "no-such-key");
        assert_eq!(catalogue.page_text("confirm-button", russian), "Подтвердить");
    }

    #[test]
    fn unreadable_texts_are_reported() {
        let locale = |tag, sources| read(&Locale { tag, sources }).map(|_| ()).unwrap_err();
        assert_eq!(locale("no language", &[]), CatalogueError::BadTag("no language"));
        assert!(matches!(
            locale("de", &["= nothing"]),
            CatalogueError::BadTexts { language: "de", .. }
        ));
        assert!(matches!(
            locale("de", &["ok = ja", "ok = gut"]),
            CatalogueError::BadTexts { language: "de", .. }
        ));
    }
}
