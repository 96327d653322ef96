//! Owns:      fetching identity-svc's public keys (JWKS); everybody else reads the set that it publishes.
//! Receives:  a wish for a fetch, when a token names a key that is not known; wakes by itself, too.
//! Bound:     one fetch at a time, and a pause (`GATEHOUSE_GATEWAY_KEY_FETCH_PAUSE_SECONDS`) from the beginning of any, also
//!            one that fails, to one that is wished for.
//! On panic:  the set stays as it is; the panic is logged, and unknown keys are refused.
//! On stop:   leaves off at once.

use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::{Actor, ActorContext, ActorFutureExt, AsyncContext, Context, WrapFuture};
use actix_http::StatusCode;
use jsonwebtoken::DecodingKey;
use jsonwebtoken::jwk::{Jwk, JwkSet, KeyAlgorithm};
use shared::health::Part;
use shared::jwt::{SigningAlgorithm, VerifyingKey, VerifyingKeys};
use shared::shutdown::Shutdown;
use shared::token_names::TokenNames;
use tokio::sync::{Notify, watch};
use tokio::time::timeout;

use super::identity_client::IdentityClient;

/// Well below how long a new key is published before it signs.
const REFRESH: Duration = Duration::from_secs(20);
/// After a fetch that failed.
const RETRY: Duration = Duration::from_secs(1);
/// How long a request waits at most for a fetch, which has a deadline of its own: longer than that.
const WAIT: Duration = Duration::from_secs(5);

/// The keys at one time.
#[derive(Clone, Debug, Default)]
pub struct Keys {
    pub keys: VerifyingKeys,
    /// Counts the changes; 0: none was fetched yet.
    pub number: u64,
}

/// How the fetches stand.
#[derive(Clone, Copy, Debug, Default)]
struct Fetches {
    begun: u64,
    done: u64,
    begun_at: Option<Instant>,
    /// Whether the last one that is done did not succeed.
    has_failed: bool,
}

impl Fetches {
    fn is_under_way(&self) -> bool {
        self.begun > self.done
    }

    fn is_younger_than(&self, pause: Duration) -> bool {
        self.begun_at.is_some_and(|at| at.elapsed() < pause)
    }
}

/// The set that is known now, and the wish for another.
#[derive(Debug)]
pub struct KeySet {
    published: watch::Receiver<Arc<Keys>>,
    fetches: watch::Receiver<Fetches>,
    wish: Arc<Notify>,
    /// Between two fetches, however many tokens name keys that nobody knows.
    pause: Duration,
}

impl KeySet {
    pub fn get(&self) -> Arc<Keys> {
        self.published.borrow().clone()
    }

    pub fn number(&self) -> u64 {
        self.published.borrow().number
    }

    /// The set, fetched again when it does not hold `kid` and the last fetch was some time ago. Waits for one fetch and no
    /// longer.
    ///
    /// # Errors
    /// When it does not hold `kid`, and the last fetch failed: a newer set may.
    pub async fn with(&self, kid: &str) -> Result<Arc<Keys>, Unfetched> {
        let now = self.get();
        if now.keys.contains(kid) {
            return Ok(now);
        }
        let mut fetches = self.fetches.clone();
        let before = *fetches.borrow();
        if before.is_under_way() || !before.is_younger_than(self.pause) {
            if !before.is_under_way() {
                self.wish.notify_one();
            }
            let done = fetches.wait_for(|fetches| fetches.done > before.done);
            // In vain or not, what there is then decides.
            let _ = timeout(WAIT, done).await;
        }
        let now = self.get();
        if !now.keys.contains(kid) && self.fetches.borrow().has_failed {
            return Err(Unfetched);
        }
        Ok(now)
    }
}

/// A key is not known, and nobody can say whether it should be.
#[derive(Debug)]
pub struct Unfetched;

pub struct KeyFetcher(Option<Fetcher>);

struct Fetcher {
    /// What tokens have to name beside their key.
    names: TokenNames,
    identity: IdentityClient,
    publish: watch::Sender<Arc<Keys>>,
    /// As it was fetched, to see a change.
    text: Vec<u8>,
    fetches: watch::Sender<Fetches>,
    wish: Arc<Notify>,
    pause: Duration,
    ready: Part,
    shutdown: Shutdown,
}

impl KeyFetcher {
    /// Starts fetching. `ready` says whether there is a set.
    pub fn start(
        ready: Part,
        shutdown: Shutdown,
        pause: Duration,
        names: TokenNames,
        identity: IdentityClient,
    ) -> KeySet {
        let (publish, published) = watch::channel(Arc::default());
        let (count, counted) = watch::channel(Fetches::default());
        let wish = Arc::new(Notify::new());
        let fetcher = Fetcher {
            names,
            identity,
            publish,
            text: Vec::new(),
            fetches: count,
            wish: wish.clone(),
            pause,
            ready,
            shutdown,
        };
        Actor::start(Self(Some(fetcher)));
        KeySet {
            published,
            fetches: counted,
            wish,
            pause,
        }
    }
}

impl Actor for KeyFetcher {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        let Some(fetcher) = self.0.take() else { return };
        let run = fetcher.run().into_actor(self);
        context.spawn(run.map(|(), _, context| context.stop()));
    }
}

impl Fetcher {
    async fn run(mut self) {
        let mut was_good = true;
        loop {
            self.fetches.send_modify(|fetches| {
                fetches.begun += 1;
                fetches.begun_at = Some(Instant::now());
            });
            let outcome = self.fetch().await;
            self.fetches.send_modify(|fetches| {
                fetches.done += 1;
                fetches.has_failed = outcome.is_err();
            });
            let next = match &outcome {
                Ok(()) => {
                    self.ready.set_ready();
                    REFRESH
                }
                Err(cause) => {
                    if was_good {
                        log::warn!("cannot fetch the keys of identity-svc: {cause}");
                    }
                    if self.publish.borrow().number == 0 {
                        self.ready
                            .set_unready("the keys of identity-svc were never fetched");
                    }
                    RETRY
                }
            };
            was_good = outcome.is_ok();
            let next = tokio::time::sleep(next);
            tokio::pin!(next);
            loop {
                tokio::select! {
                    () = &mut next => break,
                    // A wish that came while the last fetch began is fulfilled by that one.
                    () = self.wish.notified() => {
                        if !self.fetches.borrow().is_younger_than(self.pause) {
                            break;
                        }
                    }
                    () = self.shutdown.requested() => return,
                }
            }
        }
    }

    async fn fetch(&mut self) -> Result<(), String> {
        let (status, body) = self.identity.get("/.well-known/jwks.json").await?;
        if status == StatusCode::FORBIDDEN {
            return Err(
                "it refuses the gateway: GATEHOUSE_INTERNAL_SECRET has to be the same for both".to_owned(),
            );
        }
        if !status.is_success() {
            return Err(format!("it answers {}", status.as_u16()));
        }
        if self.publish.borrow().number > 0 && self.text == body {
            return Ok(());
        }
        let mut keys = parse(&body)?;
        keys.demand(self.names.clone());
        self.text = body.to_vec();
        self.publish.send_modify(|published| {
            let number = published.number + 1;
            *published = Arc::new(Keys { keys, number });
        });
        log::info!("the keys of identity-svc are fetched");
        Ok(())
    }
}

/// Keys of a kind that is not known here are left out: tokens signed with them are refused.
fn parse(body: &[u8]) -> Result<VerifyingKeys, String> {
    #[derive(serde::Deserialize)]
    struct Set {
        keys: Vec<serde_json::Value>,
    }
    let set: Set = serde_json::from_slice(body).map_err(|error| format!("no key set: {error}"))?;
    let mut keys = VerifyingKeys::default();
    let known = set
        .keys
        .into_iter()
        .filter_map(|key| serde_json::from_value::<Jwk>(key).ok());
    for jwk in (JwkSet {
        keys: known.collect(),
    })
    .keys
    {
        let algorithm = match jwk.common.key_algorithm {
            Some(KeyAlgorithm::EdDSA) => SigningAlgorithm::EdDSA,
            Some(KeyAlgorithm::ES256) => SigningAlgorithm::ES256,
            Some(KeyAlgorithm::RS256) => SigningAlgorithm::RS256,
            _ => continue,
        };
        let (Some(kid), Ok(key)) = (jwk.common.key_id.clone(), DecodingKey::from_jwk(&jwk)) else {
            continue;
        };
        keys.insert(kid, VerifyingKey { algorithm, key });
    }
    Ok(keys)
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    struct Known {
        set: KeySet,
        published: watch::Sender<Arc<Keys>>,
        fetches: watch::Sender<Fetches>,
    }

    fn known(pause: Duration) -> Known {
        let (published, published_receiver) = watch::channel(Arc::default());
        let (fetches, fetches_receiver) = watch::channel(Fetches::default());
        let set = KeySet {
            published: published_receiver,
            fetches: fetches_receiver,
            wish: Arc::default(),
            pause,
        };
        Known {
            set,
            published,
            fetches,
        }
    }

    impl Known {
        fn begin(&self) {
            self.fetches.send_modify(|fetches| {
                fetches.begun += 1;
                fetches.begun_at = Some(Instant::now());
            });
        }

        fn end(&self, has_failed: bool) {
            self.fetches.send_modify(|fetches| {
                fetches.done += 1;
                fetches.has_failed = has_failed;
            });
        }

        fn is_wished(&self) -> bool {
            self.set.wish.notified().now_or_never().is_some()
        }
    }

    #[actix_web::test]
    async fn a_request_waits_for_one_fetch_and_then_no_longer() {
        let known = known(Duration::ZERO);
        let mut asked = std::pin::pin!(known.set.with("new"));
        assert!(asked.as_mut().now_or_never().is_none());
        assert!(known.is_wished());
        known.begin();
        assert!(asked.as_mut().now_or_never().is_none());
        known.end(false);
        let found = asked.await.unwrap();
        assert!(
            !found.keys.contains("new"),
            "it was in vain, and that is the answer"
        );
    }

    #[actix_web::test]
    async fn a_request_waits_for_a_fetch_under_way_and_wishes_for_no_other() {
        let known = known(Duration::from_secs(3600));
        known.begin();
        let mut asked = std::pin::pin!(known.set.with("new"));
        assert!(asked.as_mut().now_or_never().is_none());
        known.published.send_modify(|keys| {
            *keys = Arc::new(Keys {
                number: 1,
                ..Keys::default()
            });
        });
        known.end(false);
        assert_eq!(asked.await.unwrap().number, 1);
        assert!(!known.is_wished());
    }

    #[actix_web::test]
    async fn within_the_pause_nothing_is_fetched_even_when_the_last_fetch_failed() {
        let known = known(Duration::from_secs(3600));
        known.begin();
        known.end(true);
        assert!(known.set.with("new").now_or_never().unwrap().is_err());
        known.begin();
        known.end(false);
        assert!(known.set.with("new").now_or_never().unwrap().is_ok());
        assert!(!known.is_wished());
    }
}
