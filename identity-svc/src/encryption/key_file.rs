//! The file of encryption keys: JSON, readable by its owner only, replaced as a whole.
//!
//! ```json
//! {"keys": [{"id": "5f0c19d2a4e3b871", "created_at_ms": 1795500000000, "active_from_ms": 1795500060000, "key": "q83v.."}]}
//! ```
//! `key` is 32 random bytes as base64url.

use std::fs;
use std::io;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use shared::{private_file, random};

#[derive(Clone, Serialize, Deserialize)]
pub struct StoredKey {
    pub id: String,
    pub created_at_ms: i64,
    /// It reads at once and encrypts from then on, so that every replica knows it before it is needed.
    pub active_from_ms: i64,
    /// Never printed: this type has no `Debug`.
    key: String,
}

impl StoredKey {
    /// `None`: no key of ours.
    pub(super) fn bytes(&self) -> Option<[u8; 32]> {
        let is_id = !self.id.is_empty() && self.id.bytes().all(|byte| byte.is_ascii_alphanumeric());
        let bytes = URL_SAFE_NO_PAD.decode(&self.key).ok()?;
        bytes.try_into().ok().filter(|_| is_id)
    }
}

#[derive(Serialize, Deserialize)]
struct KeyFile {
    keys: Vec<StoredKey>,
}

/// What is wrong with the keys. One sentence for the operator, without key material.
#[derive(Debug, thiserror::Error)]
pub enum EncryptionKeysError {
    #[error("cannot read the file of encryption keys {path}: {reason}")]
    Read { path: String, reason: String },
    #[error("cannot write the file of encryption keys {path}: {reason}")]
    Write { path: String, reason: String },
    #[error(
        "the file of encryption keys {path} is damaged: {reason}; put a backup in its place: what was encrypted with its \
         keys cannot be read without them"
    )]
    Damaged { path: String, reason: String },
    #[error("there is no encryption key in {path}; make one with `encryption-keys rotate`")]
    NoKey { path: String },
    #[error("the crypto library refused an encryption key")]
    Library,
}

/// The keys in the file, none when it is not there.
pub fn load(path: &Path) -> Result<Vec<StoredKey>, EncryptionKeysError> {
    let text = match fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => {
            return Err(EncryptionKeysError::Read {
                path: path.display().to_string(),
                reason: error.to_string(),
            });
        }
    };
    private_file::tighten(path);
    let file: KeyFile = serde_json::from_slice(&text).map_err(|error| EncryptionKeysError::Damaged {
        path: path.display().to_string(),
        // Not the error's own text, which may quote the file.
        reason: format!("no such JSON at line {}, column {}", error.line(), error.column()),
    })?;
    Ok(file.keys)
}

/// Replaces the file as a whole: a crash leaves the old one or the new one.
pub fn save(path: &Path, keys: &[StoredKey]) -> Result<(), EncryptionKeysError> {
    let failed = |error: io::Error| EncryptionKeysError::Write {
        path: path.display().to_string(),
        reason: error.to_string(),
    };
    let json =
        serde_json::to_vec_pretty(&KeyFile { keys: keys.to_vec() }).map_err(|error| failed(error.into()))?;
    private_file::replace(path, &json).map_err(failed)
}

/// Makes a key with a random name.
pub fn generate(now_ms: i64, active_from_ms: i64) -> StoredKey {
    StoredKey {
        id: random::hex(&random::bytes::<8>()),
        created_at_ms: now_ms,
        active_from_ms,
        key: random::base64url_256(),
    }
}
