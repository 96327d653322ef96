//! What a built-in page carries from one form to the next in place of a cookie: a signed note that the password of an
//! account was entered a short while ago.
//!
//! It is no JWT, on purpose: services behind the gateway check ours by their signature, and some look no further. The
//! text has two parts where a JWT has three, and what is signed begins with a word that is no JWT header, so that
//! neither can be made into the other.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::crypto;
use serde::{Deserialize, Serialize};

use super::Tokens;
use super::key_file::KeysError;

/// Long enough to go through a list, short enough for a browser left open.
const LIFETIME_SECONDS: i64 = 600;
const PREFIX: &str = "page-proof";
/// Ours are half as long.
const MAX_BYTES: usize = 1024;

/// Whose password was entered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PageProof {
    pub user_id: i64,
    /// When the account's proofs ended last, before this one: it ends at the next time.
    pub valid_from_ms: i64,
}

#[derive(Serialize, Deserialize)]
struct Signed {
    kid: String,
    /// Unix time in seconds.
    exp: i64,
    #[serde(flatten)]
    proof: PageProof,
}

impl Tokens {
    /// The text for a form.
    ///
    /// # Errors
    /// When the crypto library refuses to sign.
    pub fn issue_page_proof(&self, proof: PageProof, now_ms: i64) -> Result<String, KeysError> {
        let ring = self.ring();
        let key = ring.signing_key(now_ms).ok_or(KeysError::Generate)?;
        let signed = Signed {
            kid: key.kid.clone(),
            exp: now_ms.div_euclid(1000).saturating_add(LIFETIME_SECONDS),
            proof,
        };
        let json = serde_json::to_vec(&signed).map_err(|_| KeysError::Generate)?;
        let payload = URL_SAFE_NO_PAD.encode(json);
        let input = format!("{PREFIX}.{payload}");
        let signature = crypto::sign(input.as_bytes(), &key.key, key.algorithm.jose())
            .map_err(|_| KeysError::Generate)?;
        Ok(format!("{payload}.{signature}"))
    }

    /// `None`: it is none of ours, or has ended. Whether the password is still the same is the caller's to see.
    pub fn verify_page_proof(&self, text: &str, now_ms: i64) -> Option<PageProof> {
        if text.len() > MAX_BYTES {
            return None;
        }
        let (payload, signature) = text.split_once('.')?;
        let json = URL_SAFE_NO_PAD.decode(payload).ok()?;
        let signed: Signed = serde_json::from_slice(&json).ok()?;
        let input = format!("{PREFIX}.{payload}");
        let ring = self.ring();
        let keys = ring.verifying_keys(now_ms);
        let is_good =
            keys.has_signed(&signed.kid, input.as_bytes(), signature) && now_ms.div_euclid(1000) < signed.exp;
        is_good.then_some(signed.proof)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::Map;
    use shared::jwt::{SigningAlgorithm, TokenError, TokenType};
    use shared::random;

    use super::*;
    use crate::tokens::TokenSettings;
    use crate::tokens::{SessionLimits, SessionRef};
    use shared::token_names::TokenNames;

    const NOW_MS: i64 = 1_800_000_000_000;
    const PROOF: PageProof = PageProof {
        user_id: 7,
        valid_from_ms: 1_799_999_999_999,
    };

    fn with_tokens(algorithm: SigningAlgorithm, test: impl Fn(&Tokens)) {
        let keys_file = std::env::temp_dir().join(format!("{}.json", random::hex_128()));
        let settings = TokenSettings {
            access_lifetime: Duration::from_secs(300),
            refresh_lifetime: Duration::from_secs(86_400),
            algorithm,
            keys_file: keys_file.clone(),
            create_keys: true,
            hs256_secret: None,
            legacy: None,
            names: TokenNames::default(),
            limits: SessionLimits::default(),
        };
        test(&Tokens::start(settings, NOW_MS).unwrap());
        std::fs::remove_file(keys_file).unwrap();
    }

    #[test]
    fn a_proof_is_good_for_ten_minutes_under_every_algorithm() {
        for algorithm in [
            SigningAlgorithm::EdDSA,
            SigningAlgorithm::ES256,
            SigningAlgorithm::RS256,
            SigningAlgorithm::HS256,
        ] {
            with_tokens(algorithm, |tokens| {
                let text = tokens.issue_page_proof(PROOF, NOW_MS).unwrap();
                assert!(text.len() < MAX_BYTES, "{algorithm:?}: {}", text.len());
                let verified = |after_ms| tokens.verify_page_proof(&text, NOW_MS + after_ms);
                assert_eq!(verified(599_999), Some(PROOF));
                assert_eq!(verified(600_000), None);
            });
        }
    }

    #[test]
    fn a_changed_proof_is_none() {
        with_tokens(SigningAlgorithm::EdDSA, |tokens| {
            let text = tokens.issue_page_proof(PROOF, NOW_MS).unwrap();
            let (payload, signature) = text.split_once('.').unwrap();
            let json = URL_SAFE_NO_PAD.decode(payload).unwrap();
            let other = String::from_utf8(json)
                .unwrap()
                .replace("\"user_id\":7", "\"user_id\":8");
            let other = URL_SAFE_NO_PAD.encode(other);
            for bad in [
                "",
                ".",
                "x",
                payload,
                &format!("{payload}."),
                &format!("{other}.{signature}"),
                &format!("{PREFIX}.{text}"),
            ] {
                assert_eq!(tokens.verify_page_proof(bad, NOW_MS), None, "{bad}");
            }
        });
    }

    #[test]
    fn a_proof_is_no_token_and_a_token_is_no_proof() {
        for algorithm in [SigningAlgorithm::EdDSA, SigningAlgorithm::HS256] {
            with_tokens(algorithm, |tokens| {
                let proof = tokens.issue_page_proof(PROOF, NOW_MS).unwrap();
                for text in [proof.clone(), format!("{PREFIX}.{proof}")] {
                    for expected in [None, Some(TokenType::Access), Some(TokenType::Refresh)] {
                        assert_eq!(tokens.verify(&text, expected, NOW_MS), Err(TokenError::Invalid));
                    }
                }
                let pair = tokens
                    .issue_pair(
                        7,
                        SessionRef {
                            sid: "s",
                            created_at_ms: NOW_MS,
                        },
                        0,
                        &Map::new(),
                        NOW_MS,
                    )
                    .unwrap();
                for token in [pair.access.text, pair.refresh.text] {
                    assert_eq!(tokens.verify_page_proof(&token, NOW_MS), None);
                    let tail = token.split_once('.').unwrap().1;
                    assert_eq!(tokens.verify_page_proof(tail, NOW_MS), None);
                }
            });
        }
    }
}
