//! Whether an upstream is asked at all. Shared state: workers and the monitor write it, every choice reads it.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// Failures in a row (late or broken answers) after which nobody is sent there for a while.
const FAILURES_TO_OPEN: u32 = 5;
/// For how long, and then one request finds out whether it is well again.
const OPEN: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub struct Health {
    started: Instant,
    /// Whether it was reachable when it was tried last, by the monitor or by a request.
    is_reachable: AtomicBool,
    /// Whether it refuses connections, so that trying again costs nothing.
    is_refusing: AtomicBool,
    failures: AtomicU32,
    /// While it is left alone: until when, in milliseconds since `started`.
    open_until_ms: AtomicU64,
}

impl Default for Health {
    /// Well, until something else is known.
    fn default() -> Self {
        Self {
            started: Instant::now(),
            is_reachable: AtomicBool::new(true),
            is_refusing: AtomicBool::new(false),
            failures: AtomicU32::new(0),
            open_until_ms: AtomicU64::new(0),
        }
    }
}

impl Health {
    fn now_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Whether requests go there.
    pub fn is_ready(&self) -> bool {
        self.is_reachable.load(Relaxed) && self.failures.load(Relaxed) < FAILURES_TO_OPEN
    }

    /// Whether this one request may find out if it is well again; nobody else is told so for a while. Never one that
    /// would have to wait for a silence.
    pub fn try_again(&self) -> bool {
        if !self.is_reachable.load(Relaxed) {
            return self.is_refusing.load(Relaxed);
        }
        let (now_ms, until_ms) = (self.now_ms(), self.open_until_ms.load(Relaxed));
        let next_ms = now_ms + u64::try_from(OPEN.as_millis()).unwrap_or(u64::MAX);
        now_ms >= until_ms
            && self
                .open_until_ms
                .compare_exchange(until_ms, next_ms, Relaxed, Relaxed)
                .is_ok()
    }

    /// It answered a request or a probe.
    pub fn answered(&self) {
        if self.failures.load(Relaxed) != 0 {
            self.failures.store(0, Relaxed);
        }
        if !self.is_reachable.load(Relaxed) {
            self.is_reachable.store(true, Relaxed);
        }
    }

    /// It takes connections; whether it answers is not known.
    pub fn reachable(&self) {
        self.is_reachable.store(true, Relaxed);
    }

    /// It answered late, or nothing that is HTTP.
    pub fn failed(&self) {
        if self.failures.fetch_add(1, Relaxed) + 1 == FAILURES_TO_OPEN {
            let until_ms = self.now_ms() + u64::try_from(OPEN.as_millis()).unwrap_or(u64::MAX);
            self.open_until_ms.store(until_ms, Relaxed);
        }
    }

    /// No connection came about, or a probe got no answer.
    pub fn unreachable(&self, is_refusing: bool) {
        self.is_refusing.store(is_refusing, Relaxed);
        self.is_reachable.store(false, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_in_a_row_open_the_circuit_and_one_good_answer_closes_it() {
        let health = Health::default();
        for _ in 1..FAILURES_TO_OPEN {
            health.failed();
        }
        assert!(health.is_ready());
        health.failed();
        assert!(!health.is_ready() && !health.try_again());
        health.open_until_ms.store(0, Relaxed);
        assert!(health.try_again(), "when the time is over, one request tries");
        assert!(!health.try_again(), "and no other");
        health.answered();
        assert!(health.is_ready());
    }

    #[test]
    fn what_refuses_connections_may_be_tried_and_what_is_silent_may_not() {
        let health = Health::default();
        health.unreachable(true);
        assert!(!health.is_ready() && health.try_again());
        health.unreachable(false);
        assert!(!health.is_ready() && !health.try_again());
        health.answered();
        assert!(health.is_ready());
    }
}
