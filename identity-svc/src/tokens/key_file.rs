//! The file of signing keys: JSON, readable by its owner only, replaced as a whole.
//!
//! ```json
//! {"keys": [{"kid": "2026-11-24-5f0c", "algorithm": "EdDSA", "created_at_ms": 1795500000000,
//!            "active_from_ms": 1795500060000, "private_key": "-----BEGIN PRIVATE KEY-----\n..."}]}
//! ```
//! `private_key` is PKCS#8 as PEM; for HS256 it is the secret itself.

use std::fs;
use std::io;
use std::path::Path;

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, RsaKeyPair};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use shared::jwt::SigningAlgorithm;
use shared::{private_file, random};

#[derive(Clone, Serialize, Deserialize)]
pub struct StoredKey {
    pub kid: String,
    pub algorithm: SigningAlgorithm,
    pub created_at_ms: i64,
    /// It is published at once and signs from then on, so that every replica knows it before it is needed.
    pub active_from_ms: i64,
    /// Never printed: this type has no `Debug`.
    pub private_key: String,
}

#[derive(Serialize, Deserialize)]
struct KeyFile {
    keys: Vec<StoredKey>,
}

/// What is wrong with the keys. One sentence for the operator, without key material.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    #[error("cannot read the keys file {path}: {reason}")]
    Read { path: String, reason: String },
    #[error("cannot write the keys file {path}: {reason}")]
    Write { path: String, reason: String },
    #[error(
        "the keys file {path} is damaged: {reason}; put a backup in its place, or move it away to start with new \
         keys, which logs everybody out"
    )]
    Damaged { path: String, reason: String },
    #[error("there is no {algorithm} key in {path}; make one with `keys rotate`")]
    NoKey { path: String, algorithm: &'static str },
    #[error("cannot make a key: the crypto library refused")]
    Generate,
    #[error("the HS256 secret is too short: it must have at least 32 bytes (RFC 7518 section 3.2)")]
    ShortSecret,
}

/// The keys in the file, none when it is not there.
pub fn load(path: &Path) -> Result<Vec<StoredKey>, KeysError> {
    let text = match fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => {
            return Err(KeysError::Read {
                path: path.display().to_string(),
                reason: error.to_string(),
            });
        }
    };
    private_file::tighten(path);
    let file: KeyFile = serde_json::from_slice(&text).map_err(|error| KeysError::Damaged {
        path: path.display().to_string(),
        // Not the error's own text, which may quote the file.
        reason: format!("no such JSON at line {}, column {}", error.line(), error.column()),
    })?;
    Ok(file.keys)
}

/// Replaces the file as a whole: a crash leaves the old one or the new one.
pub fn save(path: &Path, keys: &[StoredKey]) -> Result<(), KeysError> {
    let failed = |error: io::Error| KeysError::Write {
        path: path.display().to_string(),
        reason: error.to_string(),
    };
    let json =
        serde_json::to_vec_pretty(&KeyFile { keys: keys.to_vec() }).map_err(|error| failed(error.into()))?;
    private_file::replace(path, &json).map_err(failed)
}

/// Makes a key with a random name.
pub fn generate(
    algorithm: SigningAlgorithm,
    now_ms: i64,
    active_from_ms: i64,
) -> Result<StoredKey, KeysError> {
    let random = random::hex_128();
    let kid = random.get(..16).unwrap_or(&random).to_owned();
    let private_key = match algorithm {
        SigningAlgorithm::EdDSA => {
            let pair = Ed25519KeyPair::generate().map_err(|_| KeysError::Generate)?;
            pem(pair.to_pkcs8v1().map_err(|_| KeysError::Generate)?.as_ref())
        }
        SigningAlgorithm::ES256 => {
            let pair =
                EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).map_err(|_| KeysError::Generate)?;
            pem(pair.to_pkcs8v1().map_err(|_| KeysError::Generate)?.as_ref())
        }
        SigningAlgorithm::RS256 => {
            let pair = RsaKeyPair::generate(KeySize::Rsa2048).map_err(|_| KeysError::Generate)?;
            pem(pair.as_der().map_err(|_| KeysError::Generate)?.as_ref())
        }
        SigningAlgorithm::HS256 => random::base64url_256() + &random::base64url_256(),
    };
    Ok(StoredKey {
        kid,
        algorithm,
        created_at_ms: now_ms,
        active_from_ms,
        private_key,
    })
}

/// RFC 7468 section 10.
fn pem(pkcs8: &[u8]) -> String {
    let text = STANDARD.encode(pkcs8);
    let mut pem = String::from("-----BEGIN PRIVATE KEY-----\n");
    for (index, character) in text.chars().enumerate() {
        if index > 0 && index % 64 == 0 {
            pem.push('\n');
        }
        pem.push(character);
    }
    pem.push_str("\n-----END PRIVATE KEY-----\n");
    pem
}
