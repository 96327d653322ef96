//! Owns:      fetching identity-svc's public keys (JWKS); everybody else reads the set that it publishes.
//! Receives:  a wish for a fetch, when a token names a key that is not known; wakes by itself, too.
//! Bound:     one fetch at a time, and a pause (`GATEHOUSE_GATEWAY_KEY_FETCH_PAUSE_SECONDS`) before one is wished for.
//! On panic:  the set stays as it is; the panic is logged, and unknown keys are refused.
//! On stop:   leaves off at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use actix::{Actor, ActorContext, ActorFutureExt, AsyncContext, Context, WrapFuture};
use jsonwebtoken::DecodingKey;
use jsonwebtoken::jwk::{Jwk, JwkSet, KeyAlgorithm};
use shared::health::Part;
use shared::jwt::{SigningAlgorithm, VerifyingKey, VerifyingKeys};
use shared::shutdown::Shutdown;
use tokio::sync::{Notify, watch};
use tokio::time::timeout;

use super::identity_client::IdentityClient;

/// Well below how long a new key is published before it signs.
const REFRESH: Duration = Duration::from_secs(20);
/// After a fetch that failed.
const RETRY: Duration = Duration::from_secs(1);
/// How long a request waits for a fetch that it has wished for.
const WAIT: Duration = Duration::from_secs(2);

/// The keys at one time.
#[derive(Clone, Debug, Default)]
pub struct Keys {
    pub keys: VerifyingKeys,
    /// Counts the changes; 0: none was fetched yet.
    pub number: u64,
}

/// The set that is known now, and the wish for another.
#[derive(Debug)]
pub struct KeySet {
    published: watch::Receiver<Arc<Keys>>,
    wish: Arc<Notify>,
    started: Instant,
    /// In milliseconds since `started`; negative: never.
    fetched_ms: Arc<AtomicI64>,
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

    /// The set, fetched again when it does not hold `kid` and the last fetch was some time ago.
    pub async fn with(&self, kid: &str) -> Arc<Keys> {
        let now = self.get();
        let age_ms = shared::clock::to_ms(self.started.elapsed()) - self.fetched_ms.load(Ordering::Relaxed);
        if now.keys.contains(kid) || age_ms < shared::clock::to_ms(self.pause) {
            return now;
        }
        self.wish.notify_one();
        let mut published = self.published.clone();
        let changed = published.wait_for(|keys| keys.keys.contains(kid));
        // In vain or not, what there is then decides.
        let _ = timeout(WAIT, changed).await;
        self.get()
    }
}

pub struct KeyFetcher(Option<Fetcher>);

struct Fetcher {
    identity: IdentityClient,
    publish: watch::Sender<Arc<Keys>>,
    /// As it was fetched, to see a change.
    text: Vec<u8>,
    wish: Arc<Notify>,
    started: Instant,
    fetched_ms: Arc<AtomicI64>,
    ready: Part,
    shutdown: Shutdown,
}

impl KeyFetcher {
    /// Starts fetching. `ready` says whether there is a set.
    pub fn start(ready: Part, shutdown: Shutdown, pause: Duration, identity: IdentityClient) -> KeySet {
        let (publish, published) = watch::channel(Arc::default());
        let wish = Arc::new(Notify::new());
        let fetched_ms = Arc::new(AtomicI64::new(i64::MIN / 2));
        let started = Instant::now();
        let fetcher = Fetcher {
            identity,
            publish,
            text: Vec::new(),
            wish: wish.clone(),
            started,
            fetched_ms: fetched_ms.clone(),
            ready,
            shutdown,
        };
        Actor::start(Self(Some(fetcher)));
        KeySet {
            published,
            wish,
            started,
            fetched_ms,
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
            let outcome = self.fetch().await;
            let pause = match &outcome {
                Ok(()) => {
                    self.fetched_ms
                        .store(shared::clock::to_ms(self.started.elapsed()), Ordering::Relaxed);
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
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.wish.notified() => {}
                () = self.shutdown.requested() => return,
            }
        }
    }

    async fn fetch(&mut self) -> Result<(), String> {
        let (status, body) = self.identity.get("/.well-known/jwks.json").await?;
        if !status.is_success() {
            return Err(format!("it answers {}", status.as_u16()));
        }
        if self.publish.borrow().number > 0 && self.text == body {
            return Ok(());
        }
        let keys = parse(&body)?;
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
