//! Access tokens are checked here, with identity-svc's public keys and its list of ended sessions: no call a request.

mod bearer;
mod forward;
mod identity_client;
pub mod key_set;
mod refusal;
pub mod revocations;
mod session;
mod token_cache;
mod verify;

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix_http::header::HeaderMap;
use bytes::Bytes;
use shared::clock::Clock;
use shared::jwt::{Claims, TokenError, TokenType, peek};
use shared::metrics::{Counter, Registry};

pub use bearer::bearer_token;
pub use forward::{FORWARD_PATHS, forward};
pub use identity_client::IdentityClient;
pub use refusal::Refusal;
pub use session::Session;
pub use verify::{EdgeVerify, verified};

use crate::http1::request_head::is_field_value;
use key_set::KeySet;
use revocations::Revocations;
use token_cache::TokenCache;

/// For how long identity-svc's word about a token that cannot be checked here counts.
const ASKED: Duration = Duration::from_secs(2);

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
    pub when_stale: WhenStale,
    pub clock: Clock,
    hits: Counter,
    misses: Counter,
    asked: Counter,
}

impl EdgeAuth {
    pub fn new(
        keys: KeySet,
        revocations: Revocations,
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
            when_stale,
            clock,
            hits: checks("cache"),
            misses: checks("key"),
            asked: checks("identity"),
        }
    }
}

/// One worker's way to check tokens.
pub struct Checker {
    shared: Arc<EdgeAuth>,
    cache: RefCell<TokenCache>,
    identity: IdentityClient,
}

/// What is remembered of a token.
#[derive(Clone, Debug)]
pub struct Checked {
    pub caller: Rc<Caller>,
    pub expires_at_seconds: i64,
    /// Of a token that identity-svc was asked about: until when its word counts.
    pub asked_until: Option<Instant>,
    /// The key set that it was checked with.
    pub key_set: u64,
}

impl Checker {
    pub fn new(shared: Arc<EdgeAuth>, identity: IdentityClient) -> Self {
        Self {
            shared,
            cache: RefCell::default(),
            identity,
        }
    }

    /// Checks the `Authorization` header. `None`: there is none, or one of another scheme, which counts as none.
    ///
    /// # Errors
    /// Why the token is refused.
    pub async fn check(&self, headers: &HeaderMap) -> Result<Option<Rc<Caller>>, Refusal> {
        match bearer_token(headers)? {
            Some(token) => self.check_token(token).await.map(Some),
            None => Ok(None),
        }
    }

    /// The session of `caller`, for what outlives its request.
    pub fn session(&self, caller: &Caller) -> Session {
        Session {
            id: caller.session_id.clone(),
            expires_at_seconds: caller.expires_at_seconds,
            revocations: self.shared.revocations.clone(),
            clock: self.shared.clock.clone(),
        }
    }

    async fn check_token(&self, token: &str) -> Result<Rc<Caller>, Refusal> {
        if !self.shared.revocations.is_fresh() {
            return match self.shared.when_stale {
                WhenStale::Ask => self.ask(token).await,
                WhenStale::Refuse => Err(Refusal::Unavailable),
            };
        }
        match self.check_here(token).await {
            Ok(caller) => Ok(caller),
            Err(NotHere::Unknown) => self.ask(token).await,
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
        let keys = match (&header.kid, header.alg.as_str()) {
            // Its key is a secret, which only identity-svc has.
            (_, "HS256") => return Err(NotHere::Unknown),
            (Some(kid), _) => self.shared.keys.with(kid).await,
            (None, _) => self.shared.keys.get(),
        };
        let claims = keys
            .keys
            .verify(token, Some(TokenType::Access), now_seconds)
            .map_err(|error| NotHere::Refused(Refusal::Token(error)))?;
        let checked = self.checked(claims, None).map_err(NotHere::Refused)?;
        let caller = checked.caller.clone();
        self.cache.borrow_mut().insert(digest, checked);
        self.unless_revoked(caller)
    }

    fn remembered(&self, digest: &token_cache::Digest, now_seconds: i64) -> Option<Checked> {
        let checked = self.cache.borrow_mut().get(digest)?;
        let is_good = checked.expires_at_seconds > now_seconds
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

    fn checked(&self, claims: Claims, asked_until: Option<Instant>) -> Result<Checked, Refusal> {
        let user_id = claims.user_id.ok_or(Refusal::NoUser)?;
        let printable = |text: String| {
            let is_printable = text.is_ascii() && is_field_value(text.as_bytes()) && !text.is_empty();
            let bytes = Bytes::from(text);
            is_printable
                .then_some(bytes)
                .ok_or(Refusal::Token(TokenError::Invalid))
        };
        let caller = Caller {
            user_id: printable(user_id)?,
            session_id: claims.sid.map(printable).transpose()?,
            expires_at_seconds: claims.exp.unwrap_or(0),
        };
        Ok(Checked {
            caller: Rc::new(caller),
            expires_at_seconds: claims.exp.unwrap_or(0),
            asked_until,
            key_set: self.shared.keys.number(),
        })
    }

    /// Has identity-svc check a token.
    async fn ask(&self, token: &str) -> Result<Rc<Caller>, Refusal> {
        let digest = token_cache::digest(token);
        let now_seconds = self.shared.clock.now_seconds();
        let remembered = self.remembered(&digest, now_seconds);
        if let Some(checked) = remembered.filter(|checked| checked.asked_until.is_some()) {
            return Ok(checked.caller);
        }
        self.shared.asked.increment();
        self.identity.verify(token).await?;
        // identity-svc has checked the signature; what the claims mean to a route is checked here.
        let claims = shared::jwt::unverified_claims(token).ok_or(Refusal::Token(TokenError::Invalid))?;
        if claims.token_type.as_deref() != Some(TokenType::Access.as_str()) {
            return Err(Refusal::Token(TokenError::WrongType));
        }
        let checked = self.checked(claims, Some(Instant::now() + ASKED))?;
        let caller = checked.caller.clone();
        self.cache.borrow_mut().insert(digest, checked);
        Ok(caller)
    }
}

/// Why a token was not found good here.
enum NotHere {
    /// Only identity-svc can say.
    Unknown,
    Refused(Refusal),
}
