//! Owns:      the work of hashing; N threads (`GATEHOUSE_IDENTITY_HASH_THREADS`).
//! Receives:  `HashPassword`, `VerifyPassword`.      Replies: `Result<_, PoolError>`, never `()`.
//! Bound:     work that would wait longer than `GATEHOUSE_IDENTITY_HASH_QUEUE_SECONDS` is refused by the handle.
//! On panic:  the request fails, the worker lives.      On stop: finishes what it holds.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use actix::{Actor, Handler, SyncContext};
use shared::pool::{Execute, Job, PoolError};
use shared::secret::Secret;

use crate::passwords::work::Work;
use crate::passwords::{HashError, Verified, encoded};

/// One thread that hashes.
pub struct PasswordHasher {
    cost: u32,
    pace: Arc<Pace>,
    work: Arc<Work>,
}

impl PasswordHasher {
    pub fn new(cost: u32, pace: Arc<Pace>, work: Arc<Work>) -> Self {
        Self { cost, pace, work }
    }
}

impl Actor for PasswordHasher {
    type Context = SyncContext<Self>;
}

impl<M: Execute<Self>> Handler<Job<Self, M>> for PasswordHasher {
    type Result = Result<M::Output, PoolError>;

    fn handle(&mut self, job: Job<Self, M>, _: &mut Self::Context) -> Self::Result {
        let started = Instant::now();
        let reply = job.run(self);
        if reply.is_ok() {
            self.pace.record(started.elapsed());
        }
        reply
    }
}

/// Encodes a new password.
#[derive(Debug)]
pub struct HashPassword {
    pub password: Secret<String>,
}

impl Execute<PasswordHasher> for HashPassword {
    type Output = Result<String, HashError>;

    fn execute(self, hasher: &mut PasswordHasher) -> Self::Output {
        encoded::hash(self.password.expose(), hasher.cost)
    }
}

/// Compares a password with the stored form, `None` for an unknown user.
#[derive(Debug)]
pub struct VerifyPassword {
    pub password: Secret<String>,
    pub encoded: Option<Secret<String>>,
}

impl Execute<PasswordHasher> for VerifyPassword {
    type Output = Verified;

    fn execute(self, hasher: &mut PasswordHasher) -> Verified {
        let stored = self.encoded.as_ref().map(|encoded| encoded.expose().as_str());
        let password = self.password.expose();
        // Nobody's password, that of accounts that nobody can log in to, and every scheme's: a failure costs the same.
        let Some((stored, rounds)) =
            stored.and_then(|stored| Some((stored, encoded::rounds(stored, &hasher.work.factors())?)))
        else {
            hasher.work.make_up(password.as_bytes(), 0);
            return Verified {
                matches: false,
                needs_rehash: false,
            };
        };
        hasher.work.meet(rounds);
        let matches = encoded::verify(password, stored);
        if !matches {
            hasher.work.make_up(password.as_bytes(), rounds);
        }
        Verified {
            matches,
            needs_rehash: encoded::needs_rehash(stored, hasher.cost),
        }
    }
}

/// How long one job takes: a moving average over all threads, in microseconds.
#[derive(Debug)]
pub struct Pace(AtomicU64);

impl Pace {
    /// Starts with what bcrypt takes on an ordinary core, so that the first login storm is measured right, too.
    pub fn expected_at(cost: u32) -> Self {
        const MICROS_AT_COST_12: u64 = 300_000;
        let micros = match cost.checked_sub(12) {
            Some(above) => MICROS_AT_COST_12.checked_shl(above).unwrap_or(u64::MAX),
            None => MICROS_AT_COST_12.checked_shr(12 - cost).unwrap_or(0),
        };
        Self(AtomicU64::new(micros))
    }

    pub fn average(&self) -> Duration {
        Duration::from_micros(self.0.load(Ordering::Relaxed))
    }

    /// Two threads that record at once may lose one of the two: it is an estimate.
    fn record(&self, took: Duration) {
        let latest = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let before = self.0.load(Ordering::Relaxed);
        self.0.store(before - before / 8 + latest / 8, Ordering::Relaxed);
    }
}
