//! What the relay has done since the start. How much waits is asked of the table, by `FindOutboxDepth`.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counts jobs. Shared state: to read it costs no message.
#[derive(Debug, Default)]
pub struct RelayMetrics {
    published: AtomicU64,
    confirmed: AtomicU64,
    failed: AtomicU64,
    unreadable: AtomicU64,
}

impl RelayMetrics {
    /// Jobs handed to the queue, repeated ones each time.
    pub fn published(&self) -> u64 {
        self.published.load(Ordering::Relaxed)
    }

    /// Jobs that the queue has taken.
    pub fn confirmed(&self) -> u64 {
        self.confirmed.load(Ordering::Relaxed)
    }

    /// Jobs that it has not: it was away, or refused.
    pub fn failed(&self) -> u64 {
        self.failed.load(Ordering::Relaxed)
    }

    /// Jobs that could not be decrypted, and are kept; each time they were looked at.
    pub fn unreadable(&self) -> u64 {
        self.unreadable.load(Ordering::Relaxed)
    }

    pub(super) fn count_unreadable(&self) {
        self.unreadable.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn count_published(&self) {
        self.published.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn count_end(&self, is_confirmed: bool) {
        let counter = if is_confirmed {
            &self.confirmed
        } else {
            &self.failed
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }
}
