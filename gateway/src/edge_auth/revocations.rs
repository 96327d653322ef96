//! Owns:      the list of sessions that have ended while access tokens of theirs may still be alive.
//! Receives:  nothing; asks identity-svc once an interval, page by page, and publishes the list as shared state.
//! Bound:     entries leave the list when the last token of their session has expired.
//! On panic:  the list grows old, and tokens are no longer checked here (see `WhenStale`); the panic is logged.
//! On stop:   leaves off at once.
//!
//! identity-svc repeats the last seconds of the list every time (rows that commit late carry earlier times); to take
//! an entry twice changes nothing.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use actix::{Actor, ActorContext, ActorFutureExt, AsyncContext, Context, WrapFuture};
use serde::Deserialize;
use shared::clock::Clock;
use shared::health::Part;
use shared::metrics::{Histogram, Registry};
use shared::shutdown::Shutdown;

use super::identity_client::IdentityClient;
use super::secret_keys::SecretKeys;

/// A list older than this is not relied on, unless it is looked at so seldom that it is this old between two looks.
const STALE: Duration = Duration::from_secs(5);
/// Beside the interval: two readings of 2 seconds each.
const STALE_BEYOND_INTERVAL: Duration = Duration::from_secs(4);
/// Entries are kept this much longer than identity-svc says, because clocks differ.
const KEPT_LONGER_MS: i64 = 10_000;
/// How late the gateway may learn of the end of a session.
const LAG_BUCKETS: &[Duration] = &[
    Duration::from_millis(100),
    Duration::from_millis(250),
    Duration::from_millis(500),
    Duration::from_millis(750),
    Duration::from_secs(1),
    Duration::from_millis(1250),
    Duration::from_millis(1500),
    Duration::from_secs(2),
    Duration::from_secs(5),
    Duration::from_secs(30),
];

/// The list, and how old it is. Clones share it.
#[derive(Clone, Debug)]
pub struct Revocations(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    list: RwLock<List>,
    stale_after: Duration,
}

#[derive(Debug, Default)]
struct List {
    /// By session: until when it has to stay, in Unix milliseconds.
    ended: HashMap<String, i64>,
    /// When the last complete reading was begun.
    as_of: Option<Instant>,
}

impl Revocations {
    /// `interval` is between two looks at the list.
    pub fn new(interval: Duration, metrics: &Registry) -> Self {
        let inner = Arc::new(Inner {
            list: RwLock::default(),
            stale_after: stale_after(interval),
        });
        let (age, count) = (Arc::downgrade(&inner), Arc::downgrade(&inner));
        metrics.gauge_of(
            "gatehouse_gateway_revocations_age_seconds",
            "How old the list of ended sessions is.",
            &[],
            move || {
                age.upgrade()
                    .and_then(|inner| inner.age())
                    .map_or(f64::INFINITY, |age| age.as_secs_f64())
            },
        );
        metrics.gauge_of(
            "gatehouse_gateway_revocations",
            "Ended sessions whose access tokens could still be alive.",
            &[],
            move || {
                let count = count
                    .upgrade()
                    .map_or(0, |inner| inner.read(|list| list.ended.len()));
                f64::from(u32::try_from(count).unwrap_or(u32::MAX))
            },
        );
        Self(inner)
    }

    /// Whether the list is complete and young enough to be relied on.
    pub fn is_fresh(&self) -> bool {
        self.0.age().is_some_and(|age| age < self.0.stale_after)
    }

    pub fn contains(&self, session: &[u8]) -> bool {
        let session = std::str::from_utf8(session).unwrap_or_default();
        self.0.read(|list| list.ended.contains_key(session))
    }

    /// A session ends, in a test.
    #[cfg(test)]
    pub fn end(&self, session: &str) {
        self.0.write(|list| {
            list.ended.insert(session.to_owned(), i64::MAX);
        });
    }
}

/// However the interval is set, a list that is read in time is young enough.
fn stale_after(interval: Duration) -> Duration {
    STALE.max(interval + STALE_BEYOND_INTERVAL)
}

impl Inner {
    fn read<T>(&self, look: impl FnOnce(&List) -> T) -> T {
        look(&self.list.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn write(&self, change: impl FnOnce(&mut List)) {
        change(&mut self.list.write().unwrap_or_else(PoisonError::into_inner));
    }

    fn age(&self) -> Option<Duration> {
        self.read(|list| list.as_of).map(|as_of| as_of.elapsed())
    }
}

/// A page of the list, as identity-svc gives it.
#[derive(Deserialize)]
struct Page {
    /// Sessions, and when they ended (Unix milliseconds).
    revocations: Vec<(String, i64)>,
    /// Where to go on.
    cursor: String,
    /// Whether there is more already.
    more: bool,
    /// How long after its end a session's access tokens may live.
    keep_seconds: i64,
    /// See [`SecretKeys::take`].
    secret_keys: Option<Vec<Option<String>>>,
}

pub struct RevocationFeed(Option<Feed>);

struct Feed {
    identity: IdentityClient,
    revocations: Revocations,
    secret_keys: SecretKeys,
    interval: Duration,
    clock: Clock,
    cursor: String,
    lag: Histogram,
    ready: Part,
    shutdown: Shutdown,
}

impl RevocationFeed {
    /// Starts reading. `ready` says whether the list is complete and young.
    pub fn start(
        (revocations, secret_keys): (Revocations, SecretKeys),
        interval: Duration,
        clock: Clock,
        metrics: &Registry,
        (ready, shutdown): (Part, Shutdown),
        identity: IdentityClient,
    ) {
        let lag = metrics.histogram(
            "gatehouse_gateway_revocation_lag_seconds",
            "From the end of a session until its access tokens are refused here.",
            &[],
            LAG_BUCKETS,
        );
        let feed = Feed {
            identity,
            revocations,
            secret_keys,
            interval,
            clock,
            cursor: String::new(),
            lag,
            ready,
            shutdown,
        };
        Actor::start(Self(Some(feed)));
    }
}

impl Actor for RevocationFeed {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        let Some(feed) = self.0.take() else { return };
        let run = feed.run().into_actor(self);
        context.spawn(run.map(|(), _, context| context.stop()));
    }
}

impl Feed {
    async fn run(mut self) {
        let mut was_good = true;
        loop {
            let begun = Instant::now();
            let outcome = self.read_all().await;
            match &outcome {
                Ok(()) => {
                    let now_ms = self.clock.now_ms();
                    self.revocations.0.write(|list| {
                        list.as_of = Some(begun);
                        list.ended.retain(|_, until_ms| *until_ms > now_ms);
                    });
                    self.ready.set_ready();
                }
                Err(cause) => {
                    if was_good {
                        log::warn!("cannot read the list of ended sessions: {cause}");
                    }
                    if !self.revocations.is_fresh() {
                        self.ready
                            .set_unready("the list of ended sessions is not complete or too old");
                    }
                }
            }
            was_good = outcome.is_ok();
            tokio::select! {
                () = tokio::time::sleep(self.interval) => {}
                () = self.shutdown.requested() => return,
            }
        }
    }

    async fn read_all(&mut self) -> Result<(), String> {
        let is_first = self.revocations.0.read(|list| list.as_of.is_none());
        loop {
            let target = format!("/internal/revocations?after={}", self.cursor);
            let (status, body) = self.identity.get(&target).await?;
            if !status.is_success() {
                return Err(format!("it answers {}", status.as_u16()));
            }
            let page: Page = serde_json::from_slice(&body).map_err(|error| format!("no list: {error}"))?;
            if !page
                .cursor
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'.')
            {
                return Err("its cursor is none".to_owned());
            }
            self.secret_keys.take(page.secret_keys, Instant::now());
            self.take(page.revocations, page.keep_seconds, is_first);
            self.cursor = page.cursor;
            if !page.more {
                return Ok(());
            }
        }
    }

    fn take(&self, ended: Vec<(String, i64)>, keep_seconds: i64, is_first: bool) {
        let now_ms = self.clock.now_ms();
        self.revocations.0.write(|list| {
            for (session, ended_at_ms) in ended {
                let until_ms = ended_at_ms + keep_seconds.saturating_mul(1000) + KEPT_LONGER_MS;
                let is_new = list.ended.insert(session, until_ms).is_none();
                if is_new && !is_first {
                    let lag_ms = u64::try_from(now_ms - ended_at_ms).unwrap_or(0);
                    self.lag.observe(Duration::from_millis(lag_ms));
                }
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_that_is_read_in_time_is_never_stale() {
        for (interval_ms, stale_ms) in [(50, 5000), (1000, 5000), (4000, 8000)] {
            assert_eq!(
                stale_after(Duration::from_millis(interval_ms)),
                Duration::from_millis(stale_ms)
            );
        }
    }
}
