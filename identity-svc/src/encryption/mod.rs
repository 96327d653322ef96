//! Encryption of what is stored and must be read back: the mail jobs in `outbox`. AES-256-GCM, with the table, the column
//! and the row as associated data, so that nothing stored in one place can be read in another.
//!
//! Stored form: `enc1.<key id>.<base64url of nonce, ciphertext and tag>`. What does not begin so is clear text of a release
//! before this one, and is read as it is.

pub mod key_file;

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::SystemTime;

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use key_file::{EncryptionKeysError, StoredKey};

const PREFIX: &str = "enc1.";

/// Where the keys are, and what is done with them.
#[derive(Clone, Debug)]
pub struct EncryptionSettings {
    pub keys_file: PathBuf,
    /// Make the first key when there is none (embedded mode); otherwise that is an error.
    pub create_keys: bool,
    /// Off: what is encrypted is read, and new rows are written in clear, for a release before this one that still runs.
    pub encrypts: bool,
}

/// Where a value is stored. A value can be read only as what it was written as.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    pub table: &'static str,
    pub column: &'static str,
    /// What names the row, and never changes.
    pub row: &'a str,
}

impl<'a> Place<'a> {
    /// The payload of a mail job.
    pub fn outbox_payload(job_id: &'a str) -> Self {
        Self {
            table: "outbox",
            column: "payload",
            row: job_id,
        }
    }

    fn associated_data(self) -> Aad<Vec<u8>> {
        Aad::from([self.table, self.column, self.row].join("\0").into_bytes())
    }
}

/// Why a stored value cannot be written or read.
#[derive(Clone, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum EncryptionError {
    #[error("it is encrypted with the key {0}, which is not in the file of encryption keys")]
    UnknownKey(String),
    #[error("it cannot be decrypted with its key {0}: it is damaged, or the key is another one of that name")]
    Damaged(String),
    #[error("the crypto library refused to encrypt")]
    Encrypt,
}

/// The handle. Cheap to clone.
#[derive(Clone)]
pub struct Encryption {
    settings: Arc<EncryptionSettings>,
    loaded: Arc<RwLock<Loaded>>,
}

impl std::fmt::Debug for Encryption {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Encryption")
    }
}

struct Loaded {
    /// In the order in which they become active.
    keys: Arc<Vec<Key>>,
    modified: Option<SystemTime>,
}

struct Key {
    id: String,
    active_from_ms: i64,
    cipher: RandomizedNonceKey,
}

impl Encryption {
    /// Loads the keys.
    ///
    /// # Errors
    /// When they are missing or damaged.
    pub fn start(settings: EncryptionSettings, now_ms: i64) -> Result<Self, EncryptionKeysError> {
        let path = &settings.keys_file;
        if settings.create_keys && key_file::load(path)?.is_empty() {
            key_file::save(path, &[key_file::generate(now_ms, now_ms)])?;
            log::info!(file:% = path.display(); "made an encryption key");
        }
        let loaded = load(path)?;
        Ok(Self {
            settings: Arc::new(settings),
            loaded: Arc::new(RwLock::new(loaded)),
        })
    }

    /// With a key of its own that no file has: for tests.
    ///
    /// # Errors
    /// When the crypto library refuses the key.
    pub fn in_memory() -> Result<Self, EncryptionKeysError> {
        let key = usable(&key_file::generate(0, i64::MIN), Path::new("memory"))?;
        let settings = EncryptionSettings {
            keys_file: PathBuf::new(),
            create_keys: false,
            encrypts: true,
        };
        let loaded = Loaded {
            keys: Arc::new(vec![key]),
            modified: None,
        };
        Ok(Self {
            settings: Arc::new(settings),
            loaded: Arc::new(RwLock::new(loaded)),
        })
    }

    /// Takes the keys file up again when it has changed.
    ///
    /// # Errors
    /// When the new file is damaged or empty: the keys that are loaded stay.
    pub fn reload(&self) -> Result<bool, EncryptionKeysError> {
        let path = &self.settings.keys_file;
        let known = self
            .loaded
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .modified;
        if modified(path) == known {
            return Ok(false);
        }
        let loaded = load(path)?;
        *self.loaded.write().unwrap_or_else(PoisonError::into_inner) = loaded;
        Ok(true)
    }

    /// The stored form of a text.
    ///
    /// # Errors
    /// When the crypto library refuses.
    pub fn encrypt(&self, place: Place<'_>, text: &str, now_ms: i64) -> Result<String, EncryptionError> {
        if !self.settings.encrypts {
            return Ok(text.to_owned());
        }
        let keys = self.keys();
        let key = active(&keys, now_ms).ok_or(EncryptionError::Encrypt)?;
        let mut sealed = text.as_bytes().to_vec();
        let nonce = key
            .cipher
            .seal_in_place_append_tag(place.associated_data(), &mut sealed)
            .map_err(|_| EncryptionError::Encrypt)?;
        let bytes = [nonce.as_ref().as_slice(), &sealed].concat();
        Ok(format!("{PREFIX}{}.{}", key.id, URL_SAFE_NO_PAD.encode(bytes)))
    }

    /// The text of a stored value.
    ///
    /// # Errors
    /// When its key is unknown, or it is not what was written here.
    pub fn decrypt(&self, place: Place<'_>, stored: &str) -> Result<String, EncryptionError> {
        let Some((id, sealed)) = parts(stored) else {
            return Ok(stored.to_owned());
        };
        let mut keys = self.keys();
        if !keys.iter().any(|key| key.id == id) {
            // Another replica may know a new key a little earlier.
            if let Err(error) = self.reload() {
                log::error!("keep the encryption keys that are loaded: {error}");
            }
            keys = self.keys();
        }
        let key = keys.iter().find(|key| key.id == id);
        let key = key.ok_or_else(|| EncryptionError::UnknownKey(id.to_owned()))?;
        open(&key.cipher, place, sealed).ok_or_else(|| EncryptionError::Damaged(id.to_owned()))
    }

    /// What every value begins with that was encrypted with the key that is used now.
    pub fn prefix_now(&self, now_ms: i64) -> Option<String> {
        active(&self.keys(), now_ms).map(|key| prefix_of(&key.id))
    }

    fn keys(&self) -> Arc<Vec<Key>> {
        self.loaded
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .keys
            .clone()
    }
}

/// What every value begins with that was encrypted with this key.
pub fn prefix_of(key_id: &str) -> String {
    format!("{PREFIX}{key_id}.")
}

/// Key id and the rest; `None`: clear text.
fn parts(stored: &str) -> Option<(&str, &str)> {
    stored.strip_prefix(PREFIX)?.split_once('.')
}

fn open(key: &RandomizedNonceKey, place: Place<'_>, sealed: &str) -> Option<String> {
    let mut bytes = URL_SAFE_NO_PAD.decode(sealed).ok()?;
    let (nonce, sealed) = bytes.split_at_mut_checked(NONCE_LEN)?;
    let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
    let text = key.open_in_place(nonce, place.associated_data(), sealed).ok()?;
    String::from_utf8(text.to_vec()).ok()
}

/// The newest key that is active; before any is (a clock that runs behind), the oldest one.
fn active(keys: &[Key], now_ms: i64) -> Option<&Key> {
    let active = keys.iter().rev().find(|key| key.active_from_ms <= now_ms);
    active.or_else(|| keys.first())
}

fn modified(path: &Path) -> Option<SystemTime> {
    std::fs::metadata(path)
        .and_then(|metadata| metadata.modified())
        .ok()
}

fn load(path: &Path) -> Result<Loaded, EncryptionKeysError> {
    let modified = modified(path);
    let mut stored = key_file::load(path)?;
    if stored.is_empty() {
        return Err(EncryptionKeysError::NoKey {
            path: path.display().to_string(),
        });
    }
    stored.sort_by_key(|key| key.active_from_ms);
    let keys: Result<Vec<Key>, _> = stored.iter().map(|key| usable(key, path)).collect();
    Ok(Loaded {
        keys: Arc::new(keys?),
        modified,
    })
}

fn usable(stored: &StoredKey, path: &Path) -> Result<Key, EncryptionKeysError> {
    let bytes = stored.bytes().ok_or_else(|| EncryptionKeysError::Damaged {
        path: path.display().to_string(),
        reason: format!("key {} is no base64url of 32 bytes, or has a bad id", stored.id),
    })?;
    let cipher = RandomizedNonceKey::new(&AES_256_GCM, &bytes).map_err(|_| EncryptionKeysError::Library)?;
    Ok(Key {
        id: stored.id.clone(),
        active_from_ms: stored.active_from_ms,
        cipher,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_MS: i64 = 1_800_000_000_000;

    fn settings() -> EncryptionSettings {
        EncryptionSettings {
            keys_file: std::env::temp_dir().join(format!("{}.json", shared::random::hex_128())),
            create_keys: true,
            encrypts: true,
        }
    }

    #[test]
    fn what_was_encrypted_is_read_in_its_place_and_nowhere_else() {
        let settings = settings();
        let encryption = Encryption::start(settings.clone(), NOW_MS).unwrap();
        let place = Place::outbox_payload("job-1");
        let stored = encryption.encrypt(place, "{\"link\": \"hush\"}", NOW_MS).unwrap();
        assert!(stored.starts_with("enc1.") && !stored.contains("hush"));
        assert_ne!(
            stored,
            encryption.encrypt(place, "{\"link\": \"hush\"}", NOW_MS).unwrap()
        );
        let again = Encryption::start(settings.clone(), NOW_MS).unwrap();
        assert_eq!(again.decrypt(place, &stored).unwrap(), "{\"link\": \"hush\"}");
        let (id, _) = parts(&stored).unwrap();
        let damaged = Err(EncryptionError::Damaged(id.to_owned()));
        let elsewhere = Place {
            column: "other",
            ..place
        };
        for place in [Place::outbox_payload("job-2"), elsewhere] {
            assert_eq!(encryption.decrypt(place, &stored), damaged);
        }
        let cut = &stored[..stored.len() - 4];
        for text in [cut, &format!("enc1.{id}."), &format!("enc1.{id}.!")] {
            assert_eq!(encryption.decrypt(place, text), damaged, "{text}");
        }
        std::fs::remove_file(&settings.keys_file).unwrap();
    }

    #[test]
    fn clear_text_of_an_earlier_release_is_read_and_can_still_be_written() {
        let settings = settings();
        let off = EncryptionSettings {
            encrypts: false,
            ..settings.clone()
        };
        let encryption = Encryption::start(off, NOW_MS).unwrap();
        let place = Place::outbox_payload("job");
        assert_eq!(encryption.encrypt(place, "{}", NOW_MS).unwrap(), "{}");
        assert_eq!(encryption.decrypt(place, "{}").unwrap(), "{}");
        let on = Encryption::start(settings.clone(), NOW_MS).unwrap();
        let stored = on.encrypt(place, "{}", NOW_MS).unwrap();
        assert_eq!(encryption.decrypt(place, &stored).unwrap(), "{}", "it reads both");
        std::fs::remove_file(&settings.keys_file).unwrap();
    }

    #[test]
    fn a_new_key_encrypts_from_its_time_on_and_old_ones_go_on_reading() {
        let settings = settings();
        let running = Encryption::start(settings.clone(), NOW_MS).unwrap();
        let place = Place::outbox_payload("job");
        let old = running.encrypt(place, "old", NOW_MS).unwrap();
        let mut keys = key_file::load(&settings.keys_file).unwrap();
        keys.push(key_file::generate(NOW_MS, NOW_MS + 1000));
        key_file::save(&settings.keys_file, &keys).unwrap();
        let replica = Encryption::start(settings.clone(), NOW_MS).unwrap();
        let before = replica.encrypt(place, "x", NOW_MS).unwrap();
        assert!(
            before.starts_with(&prefix_of(&keys[0].id)),
            "it is published first"
        );
        let after = replica.encrypt(place, "new", NOW_MS + 1000).unwrap();
        assert!(after.starts_with(&prefix_of(&keys[1].id)));
        assert_eq!(
            running.decrypt(place, &after).unwrap(),
            "new",
            "taken up when it is met"
        );
        assert_eq!(replica.decrypt(place, &old).unwrap(), "old");
        let unknown = format!("enc1.{}.AAAA", "0".repeat(16));
        assert_eq!(
            running.decrypt(place, &unknown),
            Err(EncryptionError::UnknownKey("0".repeat(16)))
        );
        std::fs::remove_file(&settings.keys_file).unwrap();
    }

    #[test]
    fn a_damaged_or_missing_file_is_refused_without_quoting_it() {
        let settings = EncryptionSettings {
            create_keys: false,
            ..settings()
        };
        let start = || {
            Encryption::start(settings.clone(), NOW_MS)
                .err()
                .unwrap()
                .to_string()
        };
        assert!(start().contains("encryption-keys rotate"), "{}", start());
        for text in [
            "{\"keys\": [\"hush-hush\"]}",
            "{\"keys\": [{\"id\": \"a\", \"created_at_ms\": 0, \"active_from_ms\": 0, \"key\": \"hush-hush\"}]}",
        ] {
            std::fs::write(&settings.keys_file, text).unwrap();
            assert!(
                start().contains("damaged") && !start().contains("hush-hush"),
                "{}",
                start()
            );
        }
        std::fs::remove_file(&settings.keys_file).unwrap();
    }
}
