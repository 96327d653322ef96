//! The one place that asks what time it is, so that a test can say so instead.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, UNIX_EPOCH};

/// Tells the time: the system's, or in tests one that stands still until it is moved.
#[derive(Clone, Debug, Default)]
pub enum Clock {
    #[default]
    System,
    Fixed(Arc<AtomicI64>),
}

impl Clock {
    /// A clock that stands at `now_ms` (Unix time in milliseconds) until [`Clock::advance`] moves it.
    pub fn fixed(now_ms: i64) -> Self {
        Self::Fixed(Arc::new(AtomicI64::new(now_ms)))
    }

    /// Unix time in milliseconds.
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the place that the rule points to"
    )]
    pub fn now_ms(&self) -> i64 {
        match self {
            Self::System => {
                let since_epoch = std::time::SystemTime::now()
                    .duration_since(UNIX_EPOCH)
                    .unwrap_or_default();
                i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX)
            }
            Self::Fixed(now_ms) => now_ms.load(Ordering::SeqCst),
        }
    }

    /// Unix time in whole seconds, as JWT claims write it (RFC 7519 section 2, `NumericDate`).
    pub fn now_seconds(&self) -> i64 {
        self.now_ms().div_euclid(1000)
    }

    /// Moves a fixed clock; the system's clock is not ours to move, and stays.
    pub fn advance(&self, by: Duration) {
        if let Self::Fixed(now_ms) = self {
            now_ms.fetch_add(to_ms(by), Ordering::SeqCst);
        }
    }
}

/// A duration in milliseconds, as the database's time columns count.
pub fn to_ms(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
