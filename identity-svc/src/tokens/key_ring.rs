//! The keys in use: which one signs now, and which ones verify.

use std::path::Path;

use aws_lc_rs::hmac;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{DecodingKey, EncodingKey};
use serde_json::{Value, json};
use shared::jwt::{SigningAlgorithm, VerifyingKey, VerifyingKeys};
use shared::secret::Secret;
use shared::token_names::TokenNames;

use super::key_file::{KeysError, StoredKey};
use super::shared_secret;

/// A key that signs from `active_from_ms` on.
pub struct SigningKey {
    pub kid: String,
    pub algorithm: SigningAlgorithm,
    pub active_from_ms: i64,
    pub key: EncodingKey,
}

/// The signing key of a former Django site, and until when its tokens are taken.
#[derive(Clone, Debug)]
pub struct LegacyKey {
    pub secret: Secret<String>,
    pub until_ms: i64,
    /// Additional claims that tokens get which take the place of its tokens. All others are dropped: what they mean here,
    /// nobody has said.
    pub claims: Vec<String>,
}

pub struct KeyRing {
    signing: Vec<SigningKey>,
    verifying: VerifyingKeys,
    verifying_with_legacy: VerifyingKeys,
    legacy_until_ms: i64,
    secret_kids: Vec<String>,
    jwks: Value,
}

impl KeyRing {
    /// `stored` are the keys of the file, `hs256_secret` the one from the settings, which needs no file.
    ///
    /// # Errors
    /// When a key is damaged, or none of `algorithm` is there.
    pub fn build(
        stored: &[StoredKey],
        hs256_secret: Option<&Secret<String>>,
        legacy: Option<&LegacyKey>,
        algorithm: SigningAlgorithm,
        names: &TokenNames,
        path: &Path,
    ) -> Result<Self, KeysError> {
        let mut keys: Vec<SigningKey> = Vec::new();
        for key in stored {
            keys.push(signing_key(key, path)?);
        }
        if let Some(secret) = hs256_secret {
            keys.push(from_secret(secret)?);
        }
        let mut verifying = VerifyingKeys::default();
        verifying.demand(names.clone());
        let mut published: Vec<Value> = Vec::new();
        for key in &keys {
            let (verifying_key, jwk) = public_half(key, path)?;
            verifying.insert(key.kid.clone(), verifying_key);
            published.extend(jwk);
        }
        let mut verifying_with_legacy = verifying.clone();
        if let Some(legacy) = legacy {
            let key = DecodingKey::from_secret(legacy.secret.expose().as_bytes());
            verifying_with_legacy.set_unnamed(VerifyingKey {
                algorithm: SigningAlgorithm::HS256,
                key,
            });
        }
        let secret_kids = keys
            .iter()
            .filter(|key| key.algorithm == SigningAlgorithm::HS256)
            .map(|key| key.kid.clone())
            .collect();
        let mut signing: Vec<SigningKey> = keys
            .into_iter()
            .filter(|key| key.algorithm == algorithm)
            .collect();
        signing.sort_by_key(|key| key.active_from_ms);
        if signing.is_empty() {
            return Err(KeysError::NoKey {
                path: path.display().to_string(),
                algorithm: algorithm.name(),
            });
        }
        let legacy_until_ms = legacy.map_or(i64::MIN, |legacy| legacy.until_ms);
        Ok(Self {
            signing,
            verifying,
            verifying_with_legacy,
            legacy_until_ms,
            secret_kids,
            jwks: json!({ "keys": published }),
        })
    }

    /// The newest key that is active; before any is (a clock that runs behind), the oldest one.
    pub fn signing_key(&self, now_ms: i64) -> Option<&SigningKey> {
        let active = self.signing.iter().rev().find(|key| key.active_from_ms <= now_ms);
        active.or_else(|| self.signing.first())
    }

    pub fn verifying_keys(&self, now_ms: i64) -> &VerifyingKeys {
        if now_ms < self.legacy_until_ms {
            &self.verifying_with_legacy
        } else {
            &self.verifying
        }
    }

    /// The keys that are shared secrets, by name; `None` is one whose tokens name no key. What they signed, nobody but this
    /// service can check.
    pub fn secret_keys(&self, now_ms: i64) -> Vec<Option<String>> {
        let named = self.secret_kids.iter().cloned().map(Some);
        let unnamed = (now_ms < self.legacy_until_ms).then_some(None);
        named.chain(unnamed).collect()
    }

    /// The public keys (RFC 7517 section 5); a shared secret is not among them.
    pub fn jwks(&self) -> &Value {
        &self.jwks
    }
}

fn damaged(path: &Path, kid: &str, algorithm: SigningAlgorithm) -> KeysError {
    let reason = format!("key {kid} is no {} key", algorithm.name());
    KeysError::Damaged {
        path: path.display().to_string(),
        reason,
    }
}

fn signing_key(stored: &StoredKey, path: &Path) -> Result<SigningKey, KeysError> {
    let pem = stored.private_key.as_bytes();
    let key = match stored.algorithm {
        SigningAlgorithm::EdDSA => EncodingKey::from_ed_pem(pem),
        SigningAlgorithm::ES256 => EncodingKey::from_ec_pem(pem),
        SigningAlgorithm::RS256 => EncodingKey::from_rsa_pem(pem),
        SigningAlgorithm::HS256 if pem.len() < shared_secret::MIN_BYTES => {
            return Err(KeysError::ShortSecret);
        }
        SigningAlgorithm::HS256 => Ok(EncodingKey::from_secret(pem)),
    };
    let key = key.map_err(|_| damaged(path, &stored.kid, stored.algorithm))?;
    let signing_key = SigningKey {
        kid: stored.kid.clone(),
        algorithm: stored.algorithm,
        active_from_ms: stored.active_from_ms,
        key,
    };
    // A key that cannot sign must be noticed now, not at the first login.
    jsonwebtoken::crypto::sign(b"probe", &signing_key.key, stored.algorithm.jose())
        .map_err(|_| damaged(path, &stored.kid, stored.algorithm))?;
    Ok(signing_key)
}

/// The key from the settings. Its name is derived from it, so that all replicas agree, and tells nothing of it.
fn from_secret(secret: &Secret<String>) -> Result<SigningKey, KeysError> {
    let bytes = secret.expose().as_bytes();
    if bytes.len() < shared_secret::MIN_BYTES {
        return Err(KeysError::ShortSecret);
    }
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, bytes), b"gatehouse key id");
    let kid = shared::random::hex(tag.as_ref().get(..8).unwrap_or_default());
    let key = EncodingKey::from_secret(bytes);
    Ok(SigningKey {
        kid,
        algorithm: SigningAlgorithm::HS256,
        active_from_ms: i64::MIN,
        key,
    })
}

fn public_half(key: &SigningKey, path: &Path) -> Result<(VerifyingKey, Option<Value>), KeysError> {
    let failed = || damaged(path, &key.kid, key.algorithm);
    if key.algorithm == SigningAlgorithm::HS256 {
        let decoding_key = DecodingKey::from_secret(key.key.as_bytes());
        return Ok((
            VerifyingKey {
                algorithm: key.algorithm,
                key: decoding_key,
            },
            None,
        ));
    }
    let mut jwk = Jwk::from_encoding_key(&key.key, key.algorithm.jose()).map_err(|_| failed())?;
    let decoding_key = DecodingKey::from_jwk(&jwk).map_err(|_| failed())?;
    jwk.common.key_id = Some(key.kid.clone());
    jwk.common.public_key_use = Some(jsonwebtoken::jwk::PublicKeyUse::Signature);
    let published = serde_json::to_value(&jwk).map_err(|_| failed())?;
    Ok((
        VerifyingKey {
            algorithm: key.algorithm,
            key: decoding_key,
        },
        Some(published),
    ))
}
