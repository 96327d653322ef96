//! Access tokens are checked here, with identity-svc's public keys and its list of ended sessions: no call a request.

mod bearer;
mod forward;
mod identity_client;
pub mod key_set;
mod questions;
mod refusal;
pub mod revocations;
pub mod secret_keys;
mod session;
mod token_cache;
mod verify;

use std::cell::RefCell;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix_http::header::HeaderMap;
use bytes::Bytes;
use shared::clock::Clock;
use shared::jwt::{Claims, TokenError, TokenType, peek};
use shared::metrics::{Counter, Registry};

pub use bearer::bearer_token;
pub use forward::{FORWARD_PATHS, forward_response};
pub use identity_client::IdentityClient;
pub use refusal::Refusal;
pub use session::{PasswordChanges, Session};
pub use verify::{EdgeVerify, verified};

use crate::http1::request_head::is_field_value;
use crate::upstream::{ClientKey, ClientShares};
use key_set::KeySet;
use questions::{Questions, UNDER_WAY_OF_A_CLIENT};
use revocations::Revocations;
use secret_keys::SecretKeys;
use token_cache::TokenCache;

/// For how long identity-svc's word about a token that cannot be checked here counts.
const ASKED: Duration = Duration::from_secs(2);
/// Tokens of one generation that are remembered; a worker holds two, at most some tens of megabytes.
const REMEMBERED_TOKENS: usize = 32_768;

/// Who a checked access token speaks for. Both are printable and can stand in a header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    pub user_id: Bytes,
    /// None in tokens of a former Django site.
    pub session_id: Option<Bytes>,
    /// When the token expires.
    pub expires_at_seconds: i64,
}

/// What becomes of tokens while the list of ended sessions is too old to be relied on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenStale {
    /// identity-svc is asked about each.
    Ask,
    /// 503.
    Refuse,
}

/// What all workers share.
#[derive(Debug)]
pub struct EdgeAuth {
    pub keys: KeySet,
    pub revocations: Revocations,
    pub secret_keys: SecretKeys,
    password_changes: PasswordChanges,
    pub when_stale: WhenStale,
    pub clock: Clock,
    question_shares: ClientShares,
    hits: Counter,
    misses: Counter,
    asked: Counter,
}

impl EdgeAuth {
    pub fn new(
        keys: KeySet,
        (revocations, secret_keys): (Revocations, SecretKeys),
        when_stale: WhenStale,
        clock: Clock,
        metrics: &Registry,
    ) -> Self {
        let checks = |how| {
            metrics.counter(
                "gatehouse_gateway_token_checks_total",
                "Access tokens checked, by how: from the cache, with a key, or by asking identity-svc.",
                &[("how", how)],
            )
        };
        Self {
            keys,
            revocations,
            secret_keys,
            password_changes: PasswordChanges::default(),
            when_stale,
            clock,
            question_shares: ClientShares::new(UNDER_WAY_OF_A_CLIENT),
            hits: checks("cache"),
            misses: checks("key"),
            asked: checks("identity"),
        }
    }
}

/// One worker's way to check tokens.
pub struct Checker {
    shared: Arc<EdgeAuth>,
    cache: RefCell<TokenCache<Checked>>,
    questions: Questions,
    identity: IdentityClient,
}

/// What is remembered of a token that was found good.
#[derive(Clone, Debug)]
struct Checked {
    caller: Rc<Caller>,
    /// Of a token that identity-svc was asked about: until when its word counts.
    asked_until: Option<Instant>,
    /// The key set that it was checked with.
    key_set: u64,
}

impl Checker {
    pub fn new(shared: Arc<EdgeAuth>, identity: IdentityClient) -> Self {
        let questions = Questions::new(shared.question_shares.clone(), shared.asked.clone());
        Self {
            shared,
            cache: RefCell::new(TokenCache::new(REMEMBERED_TOKENS)),
            questions,
            identity,
        }
    }

    /// Checks the `Authorization` header of a request from `client`. `None`: there is none, or one of another scheme, which
    /// counts as none.
    ///
    /// # Errors
    /// Why the token is refused.
    pub async fn check(&self, headers: &HeaderMap, client: IpAddr) -> Result<Option<Rc<Caller>>, Refusal> {
        match bearer_token(headers)? {
            Some(token) => self.check_token(token, client.into()).await.map(Some),
            None => Ok(None),
        }
    }

    /// The session of `caller`, for what outlives its request.
    pub fn session(&self, caller: &Caller) -> Session {
        Session {
            id: caller.session_id.clone(),
            expires_at_seconds: caller.expires_at_seconds,
            opened: Instant::now(),
            revocations: self.shared.revocations.clone(),
            password_changes: self.shared.password_changes.clone(),
            clock: self.shared.clock.clone(),
        }
    }

    /// identity-svc has just taken a change of the password from who sent `headers`.
    pub fn password_changed(&self, headers: &HeaderMap) {
        let token = bearer_token(headers).ok().flatten();
        let session = token
            .and_then(shared::jwt::unverified_claims)
            .and_then(|claims| claims.sid);
        if let Some(session) = session {
            self.shared.password_changes.note(session.into());
        }
    }

    async fn check_token(&self, token: &str, client: ClientKey) -> Result<Rc<Caller>, Refusal> {
        let is_fresh = self.shared.revocations.is_fresh();
        if !is_fresh && self.shared.when_stale == WhenStale::Refuse {
            return Err(Refusal::Unavailable);
        }
        // What is plainly no good token costs no question, however old the list is.
        match self.check_here(token).await {
            Ok(caller) if is_fresh => Ok(caller),
            Ok(_) | Err(NotHere::Unknown) => self.ask(token, client).await,
            Err(NotHere::Refused(refusal)) => Err(refusal),
        }
    }

    /// Checks an access token without asking anybody; only a key that is not known is fetched.
    async fn check_here(&self, token: &str) -> Result<Rc<Caller>, NotHere> {
        let digest = token_cache::digest(token);
        let now_seconds = self.shared.clock.now_seconds();
        if let Some(checked) = self.remembered(&digest, now_seconds) {
            self.shared.hits.increment();
            return self.unless_revoked(checked.caller);
        }
        self.shared.misses.increment();
        let header = peek(token).ok_or(NotHere::Refused(Refusal::Token(TokenError::Invalid)))?;
        if header.alg == "HS256" {
            let may_be = self
                .shared
                .secret_keys
                .may_be(header.kid.as_deref(), Instant::now());
            return Err(match may_be {
                true => NotHere::Unknown,
                false => NotHere::Refused(Refusal::Token(TokenError::Invalid)),
            });
        }
        let keys = match &header.kid {
            Some(kid) => self.shared.keys.with(kid).await,
            None => Ok(self.shared.keys.get()),
        };
        let keys = keys.map_err(|_| NotHere::Refused(Refusal::Unavailable))?;
        if keys.number == 0 {
            return Err(NotHere::Unknown);
        }
        let claims = keys
            .keys
            .verify(token, Some(TokenType::Access), now_seconds)
            .map_err(|error| NotHere::Refused(Refusal::Token(error)))?;
        let caller = caller(claims).map_err(NotHere::Refused)?;
        self.remember(digest, &caller, None, keys.number);
        self.unless_revoked(caller)
    }

    fn remember(
        &self,
        digest: token_cache::Digest,
        caller: &Rc<Caller>,
        asked_until: Option<Instant>,
        key_set: u64,
    ) {
        let checked = Checked {
            caller: caller.clone(),
            asked_until,
            key_set,
        };
        self.cache.borrow_mut().insert(digest, checked);
    }

    fn remembered(&self, digest: &token_cache::Digest, now_seconds: i64) -> Option<Checked> {
        let checked = self.cache.borrow_mut().get(digest)?;
        let is_good = checked.caller.expires_at_seconds > now_seconds
            && checked.key_set == self.shared.keys.number()
            && checked.asked_until.is_none_or(|until| Instant::now() < until);
        is_good.then_some(checked)
    }

    fn unless_revoked(&self, caller: Rc<Caller>) -> Result<Rc<Caller>, NotHere> {
        let session = caller.session_id.as_deref();
        match session {
            Some(session) if self.shared.revocations.contains(session) => {
                Err(NotHere::Refused(Refusal::Token(TokenError::Invalid)))
            }
            _ => Ok(caller),
        }
    }

    /// Has identity-svc check a token.
    async fn ask(&self, token: &str, client: ClientKey) -> Result<Rc<Caller>, Refusal> {
        let digest = token_cache::digest(token);
        let now_seconds = self.shared.clock.now_seconds();
        let remembered = self.remembered(&digest, now_seconds);
        if let Some(checked) = remembered.filter(|checked| checked.asked_until.is_some()) {
            return Ok(checked.caller);
        }
        // What no key can make good costs no question. Its signature is for identity-svc to check.
        let claims = shared::jwt::check_without_key(token, Some(TokenType::Access), now_seconds);
        let caller = caller(claims.map_err(Refusal::Token)?)?;
        // Its word is no matter of our keys, but a change of them ends it all the same.
        let key_set = self.shared.keys.number();
        let question = || {
            let (identity, token) = (self.identity.clone(), token.to_owned());
            async move { identity.verify(&token).await }
        };
        self.questions.ask(digest, client, question).await?;
        self.remember(digest, &caller, Some(Instant::now() + ASKED), key_set);
        Ok(caller)
    }
}

/// Whom checked claims speak for.
fn caller(claims: Claims) -> Result<Rc<Caller>, Refusal> {
    let user_id = claims.user_id.ok_or(Refusal::NoUser)?;
    let printable = |text: String| {
        let is_printable = text.is_ascii() && is_field_value(text.as_bytes()) && !text.is_empty();
        let bytes = Bytes::from(text);
        is_printable
            .then_some(bytes)
            .ok_or(Refusal::Token(TokenError::Invalid))
    };
    Ok(Rc::new(Caller {
        user_id: printable(user_id)?,
        session_id: claims.sid.map(printable).transpose()?,
        expires_at_seconds: claims.exp.unwrap_or(0),
    }))
}

/// Why a token was not found good here.
enum NotHere {
    /// Only identity-svc can say.
    Unknown,
    Refused(Refusal),
}
