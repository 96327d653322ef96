//! What the gateway shows to identity-svc on every request, so that to reach identity-svc's port is not enough to be believed.
//!
//! One secret or, while it is changed, two, separated by white space: the first is sent, each is accepted. Taken up again
//! when its file has changed.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::SystemTime;

use aws_lc_rs::constant_time::verify_slices_are_equal;

use crate::env::Env;
use crate::random;

const NAME: &str = "GATEHOUSE_INTERNAL_SECRET";
const MIN_BYTES: usize = 32;
/// The old one and the new one.
const MOST: usize = 2;

/// The handle. Cheap to clone; all clones take up a change.
#[derive(Clone)]
pub struct InternalSecret {
    file: Option<PathBuf>,
    loaded: Arc<RwLock<Loaded>>,
}

struct Loaded {
    secrets: Arc<[String]>,
    modified: Option<SystemTime>,
}

impl fmt::Debug for InternalSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl InternalSecret {
    /// From `GATEHOUSE_INTERNAL_SECRET` or from the file that `GATEHOUSE_INTERNAL_SECRET_FILE` names; `None` when neither is
    /// set. What is wrong is noted in `env`.
    pub fn from_env(env: &Env) -> Option<Self> {
        let file_name = format!("{NAME}_FILE");
        let file = env.optional_path(&file_name);
        let modified = file.as_deref().and_then(modified);
        let secret = env.secret(NAME)?;
        let secrets = parse(secret.expose()).unwrap_or_else(|problem| {
            let name = if file.is_some() { &file_name } else { NAME };
            env.problem(name, problem);
            Arc::default()
        });
        Some(Self::new(secrets, file, modified))
    }

    /// One that nobody else knows, for gateway and identity-svc in one process.
    pub fn random() -> Self {
        Self::new([random::base64url_256()].into(), None, None)
    }

    fn new(secrets: Arc<[String]>, file: Option<PathBuf>, modified: Option<SystemTime>) -> Self {
        let loaded = Loaded { secrets, modified };
        Self {
            file,
            loaded: Arc::new(RwLock::new(loaded)),
        }
    }

    /// Takes the file up again when it has changed.
    ///
    /// # Errors
    /// One sentence, without the secret; what was loaded stays.
    pub fn reload(&self) -> Result<bool, String> {
        let Some(file) = &self.file else { return Ok(false) };
        let now = modified(file);
        if now
            == self
                .loaded
                .read()
                .unwrap_or_else(PoisonError::into_inner)
                .modified
        {
            return Ok(false);
        }
        let refused = |problem: String| format!("the internal secret {} {problem}", file.display());
        let text = fs::read_to_string(file).map_err(|error| refused(format!("cannot be read: {error}")))?;
        let secrets = parse(&text).map_err(|problem| refused(problem.to_owned()))?;
        let mut loaded = self.loaded.write().unwrap_or_else(PoisonError::into_inner);
        let is_news = loaded.secrets != secrets;
        *loaded = Loaded {
            secrets,
            modified: now,
        };
        Ok(is_news)
    }

    /// Gives the one that is sent, and copies nothing.
    pub fn with_sent<T>(&self, send: impl FnOnce(&str) -> T) -> T {
        let loaded = self.loaded.read().unwrap_or_else(PoisonError::into_inner);
        send(loaded.secrets.first().map_or("", String::as_str))
    }

    /// Whether somebody who shows this may be believed. Takes as long whatever is wrong with it, but for its length.
    pub fn accepts(&self, shown: &[u8]) -> bool {
        self.secrets().iter().fold(false, |accepted, secret| {
            verify_slices_are_equal(secret.as_bytes(), shown).is_ok() | accepted
        })
    }

    fn secrets(&self) -> Arc<[String]> {
        self.loaded
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .secrets
            .clone()
    }
}

fn modified(file: &Path) -> Option<SystemTime> {
    fs::metadata(file).and_then(|metadata| metadata.modified()).ok()
}

/// # Errors
/// What is wrong; completes "NAME ...".
fn parse(text: &str) -> Result<Arc<[String]>, &'static str> {
    let secrets: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
    if secrets.is_empty() || secrets.len() > MOST {
        return Err("must hold one secret or, while it is changed, two, separated by white space");
    }
    if secrets.iter().any(|secret| secret.len() < MIN_BYTES) {
        return Err("is too short: a secret must have at least 32 bytes");
    }
    if !secrets
        .iter()
        .all(|secret| secret.bytes().all(|byte| byte.is_ascii_graphic()))
    {
        return Err("may have letters, digits and signs of ASCII only: it is sent in a header");
    }
    Ok(secrets.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &str = "old-old-old-old-old-old-old-old-old";
    const NEW: &str = "new-new-new-new-new-new-new-new-new";

    #[test]
    fn the_first_is_sent_and_each_is_accepted() {
        let env = Env::from_pairs([(NAME, format!("{NEW} {OLD}"))]);
        let secret = InternalSecret::from_env(&env).unwrap();
        env.finish(&["GATEHOUSE_"]).unwrap();
        assert_eq!(secret.with_sent(str::to_owned), NEW);
        assert!(secret.accepts(NEW.as_bytes()) && secret.accepts(OLD.as_bytes()));
        let both = format!("{NEW} {OLD}");
        for bad in ["", &NEW[1..], "new", &both] {
            assert!(!secret.accepts(bad.as_bytes()), "{bad}");
        }
        assert_eq!(format!("{secret:?}"), "***");
        assert!(!InternalSecret::random().accepts(NEW.as_bytes()));
    }

    #[test]
    fn a_changed_file_is_taken_up_by_all_clones_and_a_bad_one_is_not() {
        let file = std::env::temp_dir().join(random::hex_128());
        let write = |text: &str, second: u64| {
            fs::write(&file, text).unwrap();
            let time = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(second);
            fs::File::options()
                .write(true)
                .open(&file)
                .unwrap()
                .set_modified(time)
                .unwrap();
        };
        write(&format!("{OLD}\n"), 1);
        let env = Env::from_pairs([("GATEHOUSE_INTERNAL_SECRET_FILE", file.to_str().unwrap())]);
        let secret = InternalSecret::from_env(&env).unwrap();
        let clone = secret.clone();
        assert_eq!(secret.reload(), Ok(false));
        write(&format!("{NEW}\n{OLD}\n"), 2);
        assert_eq!(secret.reload(), Ok(true));
        assert_eq!(clone.with_sent(str::to_owned), NEW);
        write("hush-hush", 3);
        let error = secret.reload().unwrap_err();
        assert!(error.contains("too short") && !error.contains("hush"), "{error}");
        assert!(clone.accepts(OLD.as_bytes()));
        fs::remove_file(file).unwrap();
    }

    #[test]
    fn a_secret_that_is_none_is_a_problem_of_the_settings() {
        for bad in ["tiny", "a b c", "пароль-пароль-пароль-пароль-пароль"] {
            let env = Env::from_pairs([(NAME, bad)]);
            InternalSecret::from_env(&env);
            let error = env.finish(&[]).unwrap_err().to_string();
            assert!(error.starts_with(NAME) && !error.contains(bad), "{error}");
        }
        assert!(InternalSecret::from_env(&Env::from_pairs([("A", "b")])).is_none());
    }
}
