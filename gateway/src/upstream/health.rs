//! Whether an upstream is asked at all. Shared state: workers and the monitor write it, every choice reads it.
//!
//! Three things are known of it, each from another source: whether it takes connections, what its own health page said
//! last, and the circuit breaker, which counts how requests fared. No one of them overrules another: a response to an
//! old request does not put back an upstream that said it is about to stop.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// Failures in a row (late or malformed responses) that open the circuit.
const FAILURES_TO_OPEN: u32 = 5;
/// How long the circuit stays open; then it is half open, and one request finds out whether the upstream is well again.
const OPEN: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub struct Health {
    /// Whether it took a connection when one was tried last, by the monitor or for a request.
    is_reachable: AtomicBool,
    /// Whether it refuses connections, so that trying again costs nothing.
    is_refusing: AtomicBool,
    /// Whether its health page said, or did not say in time, that it wants no requests. Counts until the next probe.
    is_unwilling: AtomicBool,
    circuit: CircuitBreaker,
}

/// What a probe found out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Probe {
    /// Its health page says that it is well.
    Well,
    /// It takes connections; there is no health page to ask.
    Reachable,
    /// It takes connections, but its health page says that it wants no requests, or says nothing.
    Unwilling,
    /// No connection came about.
    Unreachable { is_refusing: bool },
}

impl Default for Health {
    /// Well, until something else is known.
    fn default() -> Self {
        Self {
            is_reachable: AtomicBool::new(true),
            is_refusing: AtomicBool::new(false),
            is_unwilling: AtomicBool::new(false),
            circuit: CircuitBreaker::default(),
        }
    }
}

impl Health {
    /// Whether requests go there.
    pub fn is_ready(&self) -> bool {
        self.is_reachable.load(Relaxed)
            && !self.is_unwilling.load(Relaxed)
            && self.circuit.state() == Circuit::Closed
    }

    /// Whether this one request may find out if it is well again; nobody else is told so for a while. Never one that
    /// would have to wait for a silence, and never against the upstream's own word.
    pub fn try_again(&self) -> bool {
        if self.is_unwilling.load(Relaxed) {
            return false;
        }
        if !self.is_reachable.load(Relaxed) {
            return self.is_refusing.load(Relaxed);
        }
        self.circuit.take_trial()
    }

    /// It took a connection.
    pub fn reachable(&self) {
        if !self.is_reachable.load(Relaxed) {
            self.is_reachable.store(true, Relaxed);
        }
    }

    /// No connection came about.
    pub fn unreachable(&self, is_refusing: bool) {
        self.is_refusing.store(is_refusing, Relaxed);
        self.is_reachable.store(false, Relaxed);
    }

    /// It answered a request.
    pub fn answered(&self) {
        self.circuit.close();
    }

    /// It had a whole request and answered late, or with nothing that is HTTP.
    pub fn failed(&self) {
        self.circuit.count_failure();
    }

    /// What a probe found; it counts until the next one.
    pub fn probed(&self, probe: Probe) {
        self.is_unwilling.store(probe == Probe::Unwilling, Relaxed);
        match probe {
            Probe::Well => {
                self.reachable();
                self.circuit.close();
            }
            Probe::Reachable | Probe::Unwilling => self.reachable(),
            Probe::Unreachable { is_refusing } => self.unreachable(is_refusing),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Circuit {
    /// Requests pass.
    Closed,
    /// None passes.
    Open,
    /// One may pass, to find out.
    HalfOpen,
}

#[derive(Debug)]
struct CircuitBreaker {
    started: Instant,
    /// In a row.
    failures: AtomicU32,
    /// While it is open: until when, in milliseconds since `started`.
    open_until_ms: AtomicU64,
}

impl Default for CircuitBreaker {
    fn default() -> Self {
        Self {
            started: Instant::now(),
            failures: AtomicU32::new(0),
            open_until_ms: AtomicU64::new(0),
        }
    }
}

impl CircuitBreaker {
    fn now_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn state(&self) -> Circuit {
        if self.failures.load(Relaxed) < FAILURES_TO_OPEN {
            Circuit::Closed
        } else if self.now_ms() < self.open_until_ms.load(Relaxed) {
            Circuit::Open
        } else {
            Circuit::HalfOpen
        }
    }

    /// Whether it is half open and the trial is this caller's; it is open for everybody else then.
    fn take_trial(&self) -> bool {
        let (now_ms, until_ms) = (self.now_ms(), self.open_until_ms.load(Relaxed));
        self.state() == Circuit::HalfOpen
            && self
                .open_until_ms
                .compare_exchange(until_ms, now_ms + open_ms(), Relaxed, Relaxed)
                .is_ok()
    }

    fn count_failure(&self) {
        if self.failures.fetch_add(1, Relaxed) + 1 == FAILURES_TO_OPEN {
            self.open_until_ms.store(self.now_ms() + open_ms(), Relaxed);
        }
    }

    fn close(&self) {
        if self.failures.load(Relaxed) != 0 {
            self.failures.store(0, Relaxed);
        }
    }
}

fn open_ms() -> u64 {
    u64::try_from(OPEN.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_in_a_row_open_the_circuit_and_one_good_response_closes_it() {
        let health = Health::default();
        for _ in 1..FAILURES_TO_OPEN {
            health.failed();
        }
        assert!(health.is_ready());
        health.failed();
        assert!(!health.is_ready() && !health.try_again());
        health.circuit.open_until_ms.store(0, Relaxed);
        assert!(!health.is_ready(), "half open is not closed");
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
        health.reachable();
        assert!(health.is_ready());
    }

    #[test]
    fn only_a_probe_puts_back_an_upstream_that_said_it_is_about_to_stop() {
        let health = Health::default();
        health.probed(Probe::Unwilling);
        health.answered();
        health.reachable();
        assert!(!health.is_ready() && !health.try_again());
        health.probed(Probe::Well);
        assert!(health.is_ready());
    }

    #[test]
    fn a_probe_of_connections_alone_does_not_close_the_circuit() {
        let health = Health::default();
        for _ in 0..FAILURES_TO_OPEN {
            health.failed();
        }
        health.probed(Probe::Reachable);
        assert!(!health.is_ready());
        health.probed(Probe::Well);
        assert!(health.is_ready());
    }
}
