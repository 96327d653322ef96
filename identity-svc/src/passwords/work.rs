//! How much work a login costs that fails. The same for every account and for none, or its time would tell which accounts
//! exist and which were imported.
//!
//! Work is counted in rounds of bcrypt: cost 12 is 4096 of them. What a stored form does not cost by itself is made up with
//! bcrypt of the missing rounds. Accounts with a dearer form than ours (an import with many iterations) cannot be made
//! cheaper, so once one has been asked for all others are made as dear, up to a bound.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::passwords::factors::Factors;
use crate::passwords::scheme::{BCRYPT_COSTS, Bcrypt};

/// bcrypt at cost 13: what PBKDF2 of a current Django comes to fits in.
const LEAST_BOUND: u64 = 1 << 13;

/// Shared by all threads that hash.
#[derive(Debug)]
pub struct Work {
    /// What a failure costs.
    target: AtomicU64,
    /// What a failure may come to cost.
    bound: u64,
    /// All that was done, for tests.
    done: AtomicU64,
    /// What other schemes cost on this processor, once that is known.
    factors: OnceLock<Factors>,
}

impl Work {
    /// For new hashes of this cost.
    pub fn at_cost(cost: u32) -> Self {
        let own = 1 << cost.clamp(*BCRYPT_COSTS.start(), *BCRYPT_COSTS.end());
        Self {
            target: AtomicU64::new(own),
            bound: LEAST_BOUND.max(2 * own),
            done: AtomicU64::new(0),
            factors: OnceLock::new(),
        }
    }

    /// What other schemes cost.
    pub fn factors(&self) -> Factors {
        self.factors.get().copied().unwrap_or(Factors::TYPICAL)
    }

    /// Finds out what other schemes cost on this processor.
    pub fn measure_factors(&self) {
        self.factors.get_or_init(Factors::measure);
    }

    /// A stored form costs so many rounds. Beyond the bound it is not made up for: it would let one account make all
    /// logins slow.
    pub fn meet(&self, rounds: u64) {
        self.target.fetch_max(rounds.min(self.bound), Relaxed);
        self.done.fetch_add(rounds, Relaxed);
    }

    /// Does what is missing after `rounds` that came to nothing.
    pub fn make_up(&self, password: &[u8], rounds: u64) {
        for cost in self.missing(rounds) {
            let hash = Bcrypt::compute(password, cost, *b"no such account!");
            std::hint::black_box(hash);
            self.done.fetch_add(1 << cost, Relaxed);
        }
    }

    /// All that was done since the start, in rounds.
    pub fn done(&self) -> u64 {
        self.done.load(Relaxed)
    }

    /// The costs of the bcrypt hashes that make up for the rest, the dearest first. The cheapest one there is, 16 rounds, is
    /// the smallest step.
    fn missing(&self, rounds: u64) -> Vec<u32> {
        let (least, most) = (*BCRYPT_COSTS.start(), *BCRYPT_COSTS.end());
        let mut missing = self.target.load(Relaxed).saturating_sub(rounds);
        let mut costs = Vec::new();
        while missing >= 1 << least {
            let cost = missing.ilog2().min(most);
            costs.push(cost);
            missing -= 1 << cost;
        }
        costs
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn total(work: &Work, rounds: u64) -> u64 {
        rounds
            + work
                .missing(rounds)
                .into_iter()
                .map(|cost| 1 << cost)
                .sum::<u64>()
    }

    #[test]
    fn every_failure_comes_to_the_same_work() {
        let work = Work::at_cost(12);
        assert_eq!(work.missing(0), [12], "nobody costs one hash");
        assert_eq!(work.missing(1 << 12), [0; 0]);
        assert_eq!(work.missing(1 << 10), [11, 10]);
        work.meet(6250);
        for rounds in [0, 1, 16, 255, 1024, 3277, 4096, 6250] {
            let ratio = total(&work, rounds) * 100 / 6250;
            assert!((99..=100).contains(&ratio), "{rounds}: {ratio} %");
        }
    }

    #[test]
    fn one_dear_account_does_not_make_all_logins_slow() {
        let work = Work::at_cost(12);
        work.meet(1 << 16);
        assert_eq!(total(&work, 0), 1 << 13);
        assert_eq!(work.missing(1 << 16), [0; 0]);
        let dear = Work::at_cost(16);
        dear.meet(1 << 20);
        assert_eq!(dear.missing(0), [16, 16]);
    }
}
