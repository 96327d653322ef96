//! Verification of our JSON Web Tokens (RFC 7519, RFC 8725): by identity-svc, and by the gateway at the edge.

use std::collections::HashMap;
use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey, crypto};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use crate::token_names::TokenNames;

/// Longer texts are no tokens of ours; the bound keeps checking cheap.
const MAX_TOKEN_BYTES: usize = 8192;

/// The length of an HS256 signature (RFC 7518 section 3.2).
const HS256_BYTES: usize = 32;

/// How far the clock of the replica that issued a token may be ahead of ours. Never applied to `exp`.
const CLOCK_SKEW_SECONDS: i64 = 5;

/// Why a token is refused; `Display` is the contract's text (section 3), English in every language.
/// The order is the order of the checks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    #[error("Token is invalid")]
    Invalid,
    #[error("Token is expired")]
    Expired,
    #[error("Token has no 'exp' claim")]
    NoExpiry,
    #[error("Token has no id")]
    NoId,
    #[error("Token has no type")]
    NoType,
    #[error("Token has wrong type")]
    WrongType,
    #[error("Token is blacklisted")]
    Blacklisted,
}

/// The value of `token_type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenType {
    Access,
    Refresh,
}

impl TokenType {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Access => "access",
            Self::Refresh => "refresh",
        }
    }
}

/// The claims of a token, in the order in which they are written.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Claims {
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "present"
    )]
    pub token_type: Option<String>,
    /// Unix time in seconds.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "present"
    )]
    pub exp: Option<i64>,
    /// Unix time in seconds.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "present"
    )]
    pub iat: Option<i64>,
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "present"
    )]
    pub nbf: Option<i64>,
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "present"
    )]
    pub jti: Option<String>,
    /// The account's number as text; older issuers wrote a number.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "text_or_number"
    )]
    pub user_id: Option<String>,
    /// The session. Absent in tokens of a former Django site.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "present"
    )]
    pub sid: Option<String>,
    /// The session's generation; refresh tokens only.
    #[serde(
        default,
        rename = "gen",
        skip_serializing_if = "Option::is_none",
        deserialize_with = "present"
    )]
    pub generation: Option<i64>,
    /// Additional claims; kept through a refresh.
    #[serde(flatten)]
    pub additional: Map<String, Value>,
}

/// A claim that is there has its type: `null` is refused, too.
fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

fn text_or_number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum TextOrNumber {
        Text(String),
        Number(i64),
    }
    Ok(Some(match TextOrNumber::deserialize(deserializer)? {
        TextOrNumber::Text(text) => text,
        TextOrNumber::Number(number) => number.to_string(),
    }))
}

/// Header parameters that decide something (RFC 7515 section 4.1). `jku`, `jwk`, `x5u` and `x5c` are not even read.
#[derive(Deserialize)]
struct Header {
    alg: String,
    #[serde(default)]
    kid: Option<String>,
    /// Extensions that must be understood: we understand none (RFC 7515 section 4.1.11).
    #[serde(default)]
    crit: Option<Value>,
}

/// The signature algorithms that a key of ours may have (RFC 7518 section 3.1, RFC 8037 section 3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SigningAlgorithm {
    EdDSA,
    ES256,
    RS256,
    HS256,
}

impl SigningAlgorithm {
    /// The value of `alg` in a token's header.
    pub fn name(self) -> &'static str {
        match self {
            Self::EdDSA => "EdDSA",
            Self::ES256 => "ES256",
            Self::RS256 => "RS256",
            Self::HS256 => "HS256",
        }
    }

    pub fn jose(self) -> Algorithm {
        match self {
            Self::EdDSA => Algorithm::EdDSA,
            Self::ES256 => Algorithm::ES256,
            Self::RS256 => Algorithm::RS256,
            Self::HS256 => Algorithm::HS256,
        }
    }
}

/// A key that signatures are checked with, bound to exactly one algorithm.
#[derive(Clone)]
pub struct VerifyingKey {
    pub algorithm: SigningAlgorithm,
    pub key: DecodingKey,
}

impl fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifyingKey")
            .field("algorithm", &self.algorithm)
            .finish_non_exhaustive()
    }
}

/// All keys that tokens may be signed with now.
#[derive(Clone, Debug, Default)]
pub struct VerifyingKeys {
    by_kid: HashMap<String, VerifyingKey>,
    names: TokenNames,
    /// The key of a former Django site, whose tokens name none.
    unnamed: Option<VerifyingKey>,
}

impl VerifyingKeys {
    pub fn insert(&mut self, kid: String, key: VerifyingKey) {
        self.by_kid.insert(kid, key);
    }

    /// Demands `iss` and `aud` from now on.
    pub fn demand(&mut self, names: TokenNames) {
        self.names = names;
    }

    pub fn set_unnamed(&mut self, key: VerifyingKey) {
        self.unnamed = Some(key);
    }

    /// Whether `kid` is known; the gateway fetches the key set again when it is not.
    pub fn contains(&self, kid: &str) -> bool {
        self.by_kid.contains_key(kid)
    }

    /// Checks signature, times and the claims that every token has; `expected` also checks `token_type`.
    ///
    /// # Errors
    /// The first check that fails, in the contract's order.
    pub fn verify(
        &self,
        token: &str,
        expected: Option<TokenType>,
        now_seconds: i64,
    ) -> Result<Claims, TokenError> {
        let claims = self.check_signature(token)?;
        check_claims(&claims, expected, now_seconds)?;
        Ok(claims)
    }

    /// Whether the key of this name has signed a message that is no token. Messages must begin with something that no
    /// token begins with. `signature` is base64url.
    pub fn has_signed(&self, kid: &str, message: &[u8], signature: &str) -> bool {
        self.by_kid.get(kid).is_some_and(|key| {
            crypto::verify(signature, message, &key.key, key.algorithm.jose()).unwrap_or(false)
        })
    }

    fn check_signature(&self, token: &str) -> Result<Claims, TokenError> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(TokenError::Invalid);
        }
        let (signing_input, signature) = token.rsplit_once('.').ok_or(TokenError::Invalid)?;
        let (header, payload) = signing_input.split_once('.').ok_or(TokenError::Invalid)?;
        let header: Header = from_segment(header)?;
        if header.crit.is_some() {
            return Err(TokenError::Invalid);
        }
        let key = match &header.kid {
            Some(kid) => self.by_kid.get(kid),
            None => self.unnamed.as_ref(),
        };
        let key = key.ok_or(TokenError::Invalid)?;
        if header.alg != key.algorithm.name() {
            return Err(TokenError::Invalid);
        }
        match crypto::verify(
            signature,
            signing_input.as_bytes(),
            &key.key,
            key.algorithm.jose(),
        ) {
            Ok(true) => {}
            Ok(false) | Err(_) => return Err(TokenError::Invalid),
        }
        let claims: Claims = from_segment(payload)?;
        if header.kid.is_some() && !self.names.are_in(&claims.additional) {
            return Err(TokenError::Invalid);
        }
        Ok(claims)
    }
}

/// What a token's header says, unchecked: only good for looking a key up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peeked {
    pub kid: Option<String>,
    pub alg: String,
}

/// Reads a token's header without checking anything. `None`: it is no token.
pub fn peek(token: &str) -> Option<Peeked> {
    let (header, _) = token.split_once('.')?;
    if token.len() > MAX_TOKEN_BYTES {
        return None;
    }
    let Header { kid, alg, .. } = from_segment(header).ok()?;
    Some(Peeked { kid, alg })
}

/// The `kid` a token names, unchecked.
pub fn unverified_kid(token: &str) -> Option<String> {
    peek(token)?.kid
}

/// The claims of a token whose key is not here, when they pass every check that needs none. Whoever has the key must still
/// check the signature.
///
/// # Errors
/// Why no key can make it good.
pub fn check_without_key(
    token: &str,
    expected: Option<TokenType>,
    now_seconds: i64,
) -> Result<Claims, TokenError> {
    let mut parts = token.split('.');
    let (Some(header), Some(payload), Some(signature), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(TokenError::Invalid);
    };
    if token.len() > MAX_TOKEN_BYTES {
        return Err(TokenError::Invalid);
    }
    let header: Header = from_segment(header)?;
    let signature = URL_SAFE_NO_PAD
        .decode(signature)
        .map_err(|_| TokenError::Invalid)?;
    let is_short = header.alg == SigningAlgorithm::HS256.name() && signature.len() != HS256_BYTES;
    if header.crit.is_some() || is_short || signature.is_empty() {
        return Err(TokenError::Invalid);
    }
    let claims = from_segment(payload)?;
    check_claims(&claims, expected, now_seconds)?;
    Ok(claims)
}

/// The claims of a token that somebody else has checked.
pub fn unverified_claims(token: &str) -> Option<Claims> {
    from_segment(token.split('.').nth(1)?).ok()
}

fn from_segment<T: for<'de> Deserialize<'de>>(segment: &str) -> Result<T, TokenError> {
    let json = URL_SAFE_NO_PAD.decode(segment).map_err(|_| TokenError::Invalid)?;
    serde_json::from_slice(&json).map_err(|_| TokenError::Invalid)
}

fn check_claims(claims: &Claims, expected: Option<TokenType>, now_seconds: i64) -> Result<(), TokenError> {
    let is_ahead =
        |time: Option<i64>| time.is_some_and(|time| time > now_seconds.saturating_add(CLOCK_SKEW_SECONDS));
    if is_ahead(claims.iat) || is_ahead(claims.nbf) {
        return Err(TokenError::Invalid);
    }
    // Tokens of a former Django site may lack `iat`; ours never do.
    if claims.iat.is_none() && claims.sid.is_some() {
        return Err(TokenError::Invalid);
    }
    let exp = claims.exp.ok_or(TokenError::NoExpiry)?;
    if exp <= now_seconds {
        return Err(TokenError::Expired);
    }
    if claims.jti.is_none() {
        return Err(TokenError::NoId);
    }
    let Some(expected) = expected else { return Ok(()) };
    match claims.token_type.as_deref() {
        None => Err(TokenError::NoType),
        Some(found) if found == expected.as_str() => Ok(()),
        Some(_) => Err(TokenError::WrongType),
    }
}

#[cfg(test)]
mod tests {
    use jsonwebtoken::EncodingKey;
    use serde_json::json;

    use super::*;

    const SECRET: &[u8] = b"a secret of at least thirty-two bytes";
    const NOW: i64 = 1_800_000_000;

    fn keys() -> VerifyingKeys {
        let mut keys = VerifyingKeys::default();
        let key = VerifyingKey {
            algorithm: SigningAlgorithm::HS256,
            key: DecodingKey::from_secret(SECRET),
        };
        keys.insert("k1".into(), key);
        keys
    }

    fn token(header: &Value, payload: &Value) -> String {
        let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let input = format!("{}.{}", encode(header), encode(payload));
        let key = EncodingKey::from_secret(SECRET);
        let signature = crypto::sign(input.as_bytes(), &key, Algorithm::HS256).unwrap();
        format!("{input}.{signature}")
    }

    fn good() -> Value {
        json!({"token_type": "access", "exp": NOW + 60, "iat": NOW, "jti": "j", "user_id": "7", "sid": "s"})
    }

    #[test]
    fn what_no_key_can_make_good_is_seen_without_one() {
        let header = json!({"alg": "HS256"});
        let check = |token: &str| check_without_key(token, Some(TokenType::Access), NOW);
        let whole = token(&header, &good());
        assert_eq!(check(&whole).unwrap().user_id.as_deref(), Some("7"));
        let (input, _) = whole.rsplit_once('.').unwrap();
        for bad in [
            format!("{input}."),
            format!("{input}.AAAA"),
            format!("{input}.!"),
            input.to_owned(),
            format!("{whole}.x"),
            token(&json!({"alg": "HS256", "crit": ["b64"]}), &good()),
            "a.b.c".to_owned(),
        ] {
            assert_eq!(check(&bad), Err(TokenError::Invalid), "{bad}");
        }
        let with = |name: &str, value: Value| {
            let mut claims = good();
            claims[name] = value;
            check(&token(&header, &claims))
        };
        assert_eq!(with("exp", json!(NOW)), Err(TokenError::Expired));
        assert_eq!(with("token_type", json!("refresh")), Err(TokenError::WrongType));
        assert_eq!(
            check(&token(&header, &json!({"x": 1}))),
            Err(TokenError::NoExpiry)
        );
    }

    fn verify(header: &Value, payload: &Value) -> Result<Claims, TokenError> {
        keys().verify(&token(header, payload), Some(TokenType::Access), NOW)
    }

    fn verify_with(change: impl FnOnce(&mut Map<String, Value>)) -> Result<Claims, TokenError> {
        let mut payload = good();
        change(payload.as_object_mut().unwrap());
        verify(&json!({"alg": "HS256", "kid": "k1"}), &payload)
    }

    #[test]
    fn a_good_token_gives_its_claims() {
        let claims = verify_with(|claims| {
            claims.insert("user_id".into(), json!(7));
            claims.insert("x".into(), json!([1]));
        })
        .unwrap();
        assert_eq!(claims.user_id.as_deref(), Some("7"));
        assert_eq!(claims.additional.get("x"), Some(&json!([1])));
    }

    #[test]
    fn the_checks_have_the_contracts_order() {
        let without = |name: &str| verify_with(|claims| drop(claims.remove(name))).unwrap_err();
        assert_eq!(without("exp"), TokenError::NoExpiry);
        assert_eq!(without("jti"), TokenError::NoId);
        assert_eq!(without("token_type"), TokenError::NoType);
        assert_eq!(without("iat"), TokenError::Invalid);
        let with = |name: &str, value: Value| {
            verify_with(|claims| drop(claims.insert(name.into(), value))).unwrap_err()
        };
        assert_eq!(with("exp", json!(NOW)), TokenError::Expired);
        assert_eq!(with("exp", json!(-1)), TokenError::Expired);
        assert_eq!(with("token_type", json!("refresh")), TokenError::WrongType);
        for wrong in [
            json!("9999999999"),
            json!(true),
            json!(null),
            json!([NOW]),
            json!(1_800_000_060.5),
        ] {
            assert_eq!(with("exp", wrong), TokenError::Invalid);
        }
        assert_eq!(with("iat", json!(NOW + 60)), TokenError::Invalid);
        assert_eq!(with("nbf", json!(NOW + 60)), TokenError::Invalid);
    }

    #[test]
    fn the_key_and_its_algorithm_come_from_our_table() {
        for header in [
            json!({"alg": "none", "kid": "k1"}),
            json!({"alg": "hs256", "kid": "k1"}),
            json!({"alg": "HS512", "kid": "k1"}),
            json!({"alg": "HS256"}),
            json!({"alg": "HS256", "kid": "other"}),
            json!({"alg": "HS256", "kid": 1}),
            json!({"alg": "HS256", "kid": "k1", "crit": []}),
            json!({"kid": "k1"}),
        ] {
            assert_eq!(verify(&header, &good()), Err(TokenError::Invalid), "{header}");
        }
    }

    #[test]
    fn issuer_and_audience_are_demanded_of_tokens_that_name_their_key() {
        let names = TokenNames {
            issuer: Some("https://auth.example".into()),
            audience: Some("shop".into()),
        };
        let mut demanding = keys();
        demanding.demand(names.clone());
        demanding.set_unnamed(VerifyingKey {
            algorithm: SigningAlgorithm::HS256,
            key: DecodingKey::from_secret(SECRET),
        });
        let verify = |head: Value, more: Value| {
            let mut payload = good();
            let more = more.as_object().unwrap().clone();
            payload.as_object_mut().unwrap().extend(more);
            demanding.verify(&token(&head, &payload), Some(TokenType::Access), NOW)
        };
        let header = || json!({"alg": "HS256", "kid": "k1"});
        let mut written = Map::new();
        names.write(&mut written);
        for good in [
            Value::Object(written),
            json!({"iss": "https://auth.example", "aud": ["mail", "shop"]}),
        ] {
            assert!(verify(header(), good.clone()).is_ok(), "{good}");
        }
        for bad in [
            json!({}),
            json!({"aud": "shop"}),
            json!({"iss": "https://auth.example"}),
            json!({"iss": "https://auth.example", "aud": "mail"}),
            json!({"iss": "https://auth.example/", "aud": "shop"}),
            json!({"iss": ["https://auth.example"], "aud": "shop"}),
            json!({"iss": "https://auth.example", "aud": []}),
        ] {
            assert_eq!(verify(header(), bad.clone()), Err(TokenError::Invalid), "{bad}");
        }
        assert!(
            verify(json!({"alg": "HS256"}), json!({})).is_ok(),
            "a former site's token"
        );
    }

    #[test]
    fn segments_have_one_spelling() {
        let good = token(&json!({"alg": "HS256", "kid": "k1"}), &good());
        let last = if good.ends_with('A') { "B" } else { "A" };
        for bad in [
            format!("{good}="),
            format!("{good}."),
            format!("{}{last}", &good[..good.len() - 1]),
            "..".into(),
        ] {
            assert_eq!(keys().verify(&bad, None, NOW), Err(TokenError::Invalid), "{bad}");
        }
    }
}
