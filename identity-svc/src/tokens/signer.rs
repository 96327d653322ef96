//! Issues and verifies tokens: the handle that handlers hold. Takes new keys up while it runs.

use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::crypto;
use serde::Serialize;
use serde_json::{Map, Value};
use shared::clock::to_ms;
use shared::jwt::{Claims, SigningAlgorithm, TokenError, TokenType};
use shared::random;
use shared::secret::Secret;
use shared::token_names::TokenNames;

use super::key_file::{self, KeysError};
use super::key_ring::{KeyRing, LegacyKey};

/// How tokens are made.
#[derive(Clone, Debug)]
pub struct TokenSettings {
    pub access_lifetime: Duration,
    pub refresh_lifetime: Duration,
    pub algorithm: SigningAlgorithm,
    pub keys_file: PathBuf,
    /// Make the first key of `algorithm` when there is none (embedded mode); otherwise that is an error.
    pub create_keys: bool,
    pub hs256_secret: Option<Secret<String>>,
    pub legacy: Option<LegacyKey>,
    pub names: TokenNames,
    pub limits: SessionLimits,
}

/// How long a session may last, beside the life of its refresh token. `None`: no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SessionLimits {
    /// From the login on, however often it is refreshed.
    pub longest: Option<Duration>,
    /// Without a refresh.
    pub idle: Option<Duration>,
}

impl SessionLimits {
    /// Sessions opened before this are over (Unix milliseconds).
    pub fn opened_after_ms(self, now_ms: i64) -> i64 {
        before(self.longest, now_ms)
    }

    /// Sessions used last before this are over (Unix milliseconds).
    pub fn used_after_ms(self, now_ms: i64) -> i64 {
        before(self.idle, now_ms)
    }
}

fn before(limit: Option<Duration>, now_ms: i64) -> i64 {
    limit.map_or(i64::MIN, |limit| now_ms.saturating_sub(to_ms(limit)))
}

/// The session that tokens are issued for.
#[derive(Clone, Copy, Debug)]
pub struct SessionRef<'a> {
    pub sid: &'a str,
    /// When it was opened (Unix milliseconds): no token outlives its longest life from then on.
    pub created_at_ms: i64,
}

impl<'a> SessionRef<'a> {
    pub fn new(sid: &'a str, created_at_ms: i64) -> Self {
        Self { sid, created_at_ms }
    }
}

/// A token and when it ends.
#[derive(Clone)]
pub struct IssuedToken {
    pub text: String,
    /// Unix time in seconds.
    pub exp: i64,
}

#[derive(Clone)]
pub struct TokenPair {
    pub access: IssuedToken,
    pub refresh: IssuedToken,
}

#[derive(Serialize)]
struct Header<'a> {
    alg: &'static str,
    typ: &'static str,
    kid: &'a str,
}

/// The handle. Cheap to clone.
#[derive(Clone)]
pub struct Tokens {
    settings: Arc<TokenSettings>,
    loaded: Arc<RwLock<Loaded>>,
}

struct Loaded {
    ring: Arc<KeyRing>,
    modified: Option<SystemTime>,
}

impl Tokens {
    /// Loads the keys.
    ///
    /// # Errors
    /// When they are missing or damaged.
    pub fn start(settings: TokenSettings, now_ms: i64) -> Result<Self, KeysError> {
        let loaded = load(&settings, now_ms)?;
        Ok(Self {
            settings: Arc::new(settings),
            loaded: Arc::new(RwLock::new(loaded)),
        })
    }

    /// Takes the keys file up again when it has changed. A damaged one is reported and the old keys stay.
    ///
    /// # Errors
    /// When the new file is damaged.
    pub fn reload(&self, now_ms: i64) -> Result<bool, KeysError> {
        let modified = modified(&self.settings.keys_file);
        if modified
            == self
                .loaded
                .read()
                .unwrap_or_else(PoisonError::into_inner)
                .modified
        {
            return Ok(false);
        }
        let loaded = load(&self.settings, now_ms)?;
        *self.loaded.write().unwrap_or_else(PoisonError::into_inner) = loaded;
        Ok(true)
    }

    pub(super) fn ring(&self) -> Arc<KeyRing> {
        self.loaded
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .ring
            .clone()
    }

    pub fn jwks(&self) -> Value {
        self.ring().jwks().clone()
    }

    /// See [`KeyRing::secret_keys`].
    pub fn secret_keys(&self, now_ms: i64) -> Vec<Option<String>> {
        self.ring().secret_keys(now_ms)
    }

    pub fn refresh_lifetime(&self) -> Duration {
        self.settings.refresh_lifetime
    }

    /// The additional claims of a token of a former Django site that its successors get.
    pub fn carried_over(&self, mut additional: Map<String, Value>) -> Map<String, Value> {
        let allowed = self.settings.legacy.as_ref().map(|legacy| &legacy.claims);
        additional.retain(|name, _| allowed.is_some_and(|allowed| allowed.contains(name)));
        additional
    }

    /// When a session that is opened or rotated now ends (Unix milliseconds).
    pub fn session_end_ms(&self, created_at_ms: i64, now_ms: i64) -> i64 {
        let end_ms = now_ms.saturating_add(to_ms(self.settings.refresh_lifetime));
        end_ms.min(self.last_end_ms(created_at_ms))
    }

    /// When the longest life of a session ends (Unix milliseconds).
    fn last_end_ms(&self, created_at_ms: i64) -> i64 {
        let longest = self.settings.limits.longest;
        longest.map_or(i64::MAX, |longest| created_at_ms.saturating_add(to_ms(longest)))
    }

    pub fn limits(&self) -> SessionLimits {
        self.settings.limits
    }

    /// See [`shared::jwt::VerifyingKeys::verify`].
    ///
    /// # Errors
    /// The first check that fails.
    pub fn verify(
        &self,
        token: &str,
        expected: Option<TokenType>,
        now_ms: i64,
    ) -> Result<Claims, TokenError> {
        self.ring()
            .verifying_keys(now_ms)
            .verify(token, expected, now_ms.div_euclid(1000))
    }

    /// An access token for a session.
    ///
    /// # Errors
    /// When the crypto library refuses to sign.
    pub fn issue_access(
        &self,
        user_id: i64,
        session: SessionRef<'_>,
        additional: &Map<String, Value>,
        now_ms: i64,
    ) -> Result<IssuedToken, KeysError> {
        self.issue(TokenType::Access, user_id, session, None, additional, now_ms)
    }

    /// An access token and the refresh token of this generation of the session.
    ///
    /// # Errors
    /// When the crypto library refuses to sign.
    pub fn issue_pair(
        &self,
        user_id: i64,
        session: SessionRef<'_>,
        generation: i64,
        additional: &Map<String, Value>,
        now_ms: i64,
    ) -> Result<TokenPair, KeysError> {
        let access = self.issue_access(user_id, session, additional, now_ms)?;
        let refresh = self.issue(
            TokenType::Refresh,
            user_id,
            session,
            Some(generation),
            additional,
            now_ms,
        )?;
        Ok(TokenPair { access, refresh })
    }

    fn issue(
        &self,
        token_type: TokenType,
        user_id: i64,
        session: SessionRef<'_>,
        generation: Option<i64>,
        additional: &Map<String, Value>,
        now_ms: i64,
    ) -> Result<IssuedToken, KeysError> {
        let lifetime = match token_type {
            TokenType::Access => self.settings.access_lifetime,
            TokenType::Refresh => self.settings.refresh_lifetime,
        };
        let iat = now_ms.div_euclid(1000);
        let exp = iat
            .saturating_add(i64::try_from(lifetime.as_secs()).unwrap_or(i64::MAX))
            .min(self.last_end_ms(session.created_at_ms).div_euclid(1000));
        let mut additional = additional.clone();
        self.settings.names.write(&mut additional);
        let claims = Claims {
            token_type: Some(token_type.as_str().to_owned()),
            exp: Some(exp),
            iat: Some(iat),
            nbf: None,
            jti: Some(random::hex_128()),
            user_id: Some(user_id.to_string()),
            sid: Some(session.sid.to_owned()),
            generation,
            additional,
        };
        let text = self.sign(&claims, now_ms)?;
        Ok(IssuedToken { text, exp })
    }

    fn sign(&self, claims: &Claims, now_ms: i64) -> Result<String, KeysError> {
        let ring = self.ring();
        let key = ring.signing_key(now_ms).ok_or(KeysError::Generate)?;
        let header = Header {
            alg: key.algorithm.name(),
            typ: "JWT",
            kid: &key.kid,
        };
        let segment = |json: serde_json::Result<Vec<u8>>| {
            json.map(|json| URL_SAFE_NO_PAD.encode(json))
                .map_err(|_| KeysError::Generate)
        };
        let input = format!(
            "{}.{}",
            segment(serde_json::to_vec(&header))?,
            segment(serde_json::to_vec(claims))?
        );
        let signature = crypto::sign(input.as_bytes(), &key.key, key.algorithm.jose())
            .map_err(|_| KeysError::Generate)?;
        Ok(format!("{input}.{signature}"))
    }
}

fn modified(path: &std::path::Path) -> Option<SystemTime> {
    std::fs::metadata(path)
        .and_then(|metadata| metadata.modified())
        .ok()
}

fn load(settings: &TokenSettings, now_ms: i64) -> Result<Loaded, KeysError> {
    let path = &settings.keys_file;
    let mut stored = key_file::load(path)?;
    let has_own = stored.iter().any(|key| key.algorithm == settings.algorithm);
    // A secret is only in the settings when the algorithm is HS256.
    let needs_one = !has_own && settings.hs256_secret.is_none();
    if needs_one && settings.create_keys {
        stored.push(key_file::generate(settings.algorithm, now_ms, now_ms)?);
        key_file::save(path, &stored)?;
        log::info!(algorithm = settings.algorithm.name(), file:% = path.display(); "made a signing key");
    }
    let hs256_secret = settings.hs256_secret.as_ref();
    let ring = KeyRing::build(
        &stored,
        hs256_secret,
        settings.legacy.as_ref(),
        settings.algorithm,
        &settings.names,
        path,
    )?;
    Ok(Loaded {
        ring: Arc::new(ring),
        modified: modified(path),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(algorithm: SigningAlgorithm) -> TokenSettings {
        TokenSettings {
            access_lifetime: Duration::from_secs(300),
            refresh_lifetime: Duration::from_secs(86_400),
            algorithm,
            keys_file: std::env::temp_dir().join(format!("{}.json", random::hex_128())),
            create_keys: true,
            hs256_secret: None,
            legacy: None,
            names: TokenNames::default(),
            limits: SessionLimits::default(),
        }
    }

    const NOW_MS: i64 = 1_800_000_000_000;
    const SESSION: SessionRef<'_> = SessionRef {
        sid: "s",
        created_at_ms: NOW_MS,
    };

    #[test]
    fn no_token_outlives_the_longest_life_of_its_session() {
        let mut settings = settings(SigningAlgorithm::EdDSA);
        settings.limits.longest = Some(Duration::from_secs(3600));
        let tokens = Tokens::start(settings.clone(), NOW_MS).unwrap();
        let pair = tokens.issue_pair(7, SESSION, 0, &Map::new(), NOW_MS).unwrap();
        let end = NOW_MS / 1000 + 3600;
        assert_eq!((pair.access.exp, pair.refresh.exp), (NOW_MS / 1000 + 300, end));
        let late = tokens
            .issue_access(7, SESSION, &Map::new(), NOW_MS + 3_500_000)
            .unwrap();
        assert_eq!(late.exp, end);
        assert_eq!(tokens.session_end_ms(NOW_MS, NOW_MS + 5000), end * 1000);
        std::fs::remove_file(&settings.keys_file).unwrap();
    }

    #[test]
    fn every_algorithm_issues_what_it_verifies() {
        for algorithm in [
            SigningAlgorithm::EdDSA,
            SigningAlgorithm::ES256,
            SigningAlgorithm::RS256,
            SigningAlgorithm::HS256,
        ] {
            let settings = settings(algorithm);
            let tokens = Tokens::start(settings.clone(), NOW_MS).unwrap();
            let pair = tokens.issue_pair(7, SESSION, 3, &Map::new(), NOW_MS).unwrap();
            let claims = tokens
                .verify(&pair.refresh.text, Some(TokenType::Refresh), NOW_MS)
                .unwrap();
            assert_eq!(
                (claims.user_id.as_deref(), claims.generation),
                (Some("7"), Some(3))
            );
            assert_eq!(
                tokens.verify(&pair.access.text, Some(TokenType::Refresh), NOW_MS),
                Err(TokenError::WrongType)
            );
            assert_eq!(
                tokens.verify(&pair.access.text, None, NOW_MS + 300_000),
                Err(TokenError::Expired)
            );
            let published = tokens.jwks()["keys"].as_array().unwrap().len();
            assert_eq!(published, usize::from(algorithm != SigningAlgorithm::HS256));
            let again = Tokens::start(settings.clone(), NOW_MS).unwrap();
            assert!(
                again.verify(&pair.access.text, None, NOW_MS).is_ok(),
                "keys survive a restart"
            );
            std::fs::remove_file(&settings.keys_file).unwrap();
        }
    }

    #[test]
    fn gateways_are_told_which_keys_are_secrets_and_until_when() {
        let mut settings = settings(SigningAlgorithm::EdDSA);
        let secret = || shared::secret::Secret::new("a secret of at least thirty-two bytes".to_owned());
        let tokens = Tokens::start(settings.clone(), NOW_MS).unwrap();
        assert_eq!(tokens.secret_keys(NOW_MS), []);
        settings.hs256_secret = Some(secret());
        settings.legacy = Some(LegacyKey {
            secret: secret(),
            until_ms: NOW_MS + 1,
            claims: Vec::new(),
        });
        let tokens = Tokens::start(settings.clone(), NOW_MS).unwrap();
        let [Some(_), None] = tokens.secret_keys(NOW_MS)[..] else {
            panic!("{:?}", tokens.secret_keys(NOW_MS))
        };
        assert_eq!(tokens.secret_keys(NOW_MS + 1).len(), 1, "its time is over");
        std::fs::remove_file(&settings.keys_file).unwrap();
    }

    #[test]
    fn another_algorithm_is_a_rotation() {
        let before = settings(SigningAlgorithm::EdDSA);
        let old = Tokens::start(before.clone(), NOW_MS).unwrap();
        let token = old.issue_access(7, SESSION, &Map::new(), NOW_MS).unwrap();
        let after = TokenSettings {
            algorithm: SigningAlgorithm::ES256,
            ..before
        };
        let new = Tokens::start(after.clone(), NOW_MS).unwrap();
        assert!(new.verify(&token.text, None, NOW_MS).is_ok());
        assert_eq!(new.jwks()["keys"].as_array().unwrap().len(), 2);
        std::fs::remove_file(&after.keys_file).unwrap();
    }

    #[test]
    fn a_new_key_is_published_before_it_signs() {
        let settings = settings(SigningAlgorithm::EdDSA);
        let tokens = Tokens::start(settings.clone(), NOW_MS).unwrap();
        let kid = |tokens: &Tokens, now_ms| {
            let token = tokens.issue_access(7, SESSION, &Map::new(), now_ms).unwrap();
            shared::jwt::unverified_kid(&token.text).unwrap()
        };
        let first = kid(&tokens, NOW_MS);
        let mut keys = key_file::load(&settings.keys_file).unwrap();
        keys.push(key_file::generate(SigningAlgorithm::EdDSA, NOW_MS, NOW_MS + 60_000).unwrap());
        key_file::save(&settings.keys_file, &keys).unwrap();
        let reloaded = Tokens::start(settings.clone(), NOW_MS).unwrap();
        assert_eq!(kid(&reloaded, NOW_MS), first);
        assert_eq!(kid(&reloaded, NOW_MS + 60_000), keys[1].kid);
        std::fs::remove_file(&settings.keys_file).unwrap();
    }

    #[test]
    fn a_damaged_file_is_refused_without_quoting_it() {
        let settings = settings(SigningAlgorithm::EdDSA);
        std::fs::write(&settings.keys_file, "{\"keys\": [\"hush-hush\"]}").unwrap();
        let error = Tokens::start(settings.clone(), NOW_MS).err().unwrap().to_string();
        assert!(
            error.contains("damaged") && !error.contains("hush-hush"),
            "{error}"
        );
        std::fs::remove_file(&settings.keys_file).unwrap();
    }
}
