//! Passwords: hashed and verified on threads of their own, so that a storm of logins is not felt by anybody else.

pub mod encoded;
mod hasher;
mod scheme;

use std::sync::Arc;
use std::thread::available_parallelism;
use std::time::Duration;

use actix::SyncArbiter;
use shared::pool::{Pool, PoolError};
use shared::secret::Secret;

use crate::passwords::hasher::{HashPassword, Pace, PasswordHasher, VerifyPassword};

/// The most work that runs and waits, however short it is expected to be.
const CAPACITY: usize = 1024;

/// How long a job may take once it is through the queue.
const DEADLINE_BEYOND_QUEUE: Duration = Duration::from_secs(30);

/// Why there is no hash and no verdict.
#[derive(Copy, Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HashError {
    /// The caller's client should come back later.
    #[error("too much hashing is waiting, try again in {retry_after_seconds} s")]
    Busy { retry_after_seconds: u64 },
    #[error("cannot hash a password: {0}")]
    Failed(&'static str),
}

/// What came of comparing a password with the stored form.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    pub matches: bool,
    /// Whether the stored form is not the one that new passwords get. Replace it when the password matches.
    pub needs_rehash: bool,
}

/// The handle to the hashing threads. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Passwords {
    pool: Pool<PasswordHasher>,
    pace: Arc<Pace>,
    threads: usize,
    cost: u32,
    max_wait: Duration,
}

impl Passwords {
    /// Starts the threads; 0: one a core. Work that would wait longer than `max_wait` is refused. To be called on an
    /// actix system.
    pub fn start(threads: usize, cost: u32, max_wait: Duration) -> Self {
        let threads = match threads {
            0 => available_parallelism().map_or(1, usize::from),
            given => given,
        };
        let pace = Arc::new(Pace::expected_at(cost));
        let actor_pace = pace.clone();
        let addr = SyncArbiter::start(threads, move || PasswordHasher::new(cost, actor_pace.clone()));
        let pool = Pool::new(
            addr,
            CAPACITY.max(threads),
            max_wait.saturating_add(DEADLINE_BEYOND_QUEUE),
        );
        Self {
            pool,
            pace,
            threads,
            cost,
            max_wait,
        }
    }

    /// Encodes a new password.
    ///
    /// # Errors
    /// See [`HashError`].
    pub async fn hash(&self, password: Secret<String>) -> Result<String, HashError> {
        self.admit()?;
        self.pool
            .call(HashPassword { password })
            .await
            .map_err(|error| self.explain(error))?
    }

    /// Compares a password with the stored form. `None`, an unknown user, takes as long as a user and never matches.
    ///
    /// # Errors
    /// See [`HashError`].
    pub async fn verify(
        &self,
        password: Secret<String>,
        encoded: Option<String>,
    ) -> Result<Verified, HashError> {
        self.admit()?;
        let work = VerifyPassword {
            password,
            encoded: encoded.map(Secret::new),
        };
        self.pool.call(work).await.map_err(|error| self.explain(error))
    }

    /// The bcrypt cost of new passwords.
    pub fn cost(&self) -> u32 {
        self.cost
    }

    /// How many jobs wait for a thread.
    pub fn waiting(&self) -> usize {
        self.pool.in_use().saturating_sub(self.threads)
    }

    fn admit(&self) -> Result<(), HashError> {
        if self.expected_wait() > self.max_wait {
            Err(self.busy())
        } else {
            Ok(())
        }
    }

    /// How long the next job would wait: nothing while a thread is idle.
    fn expected_wait(&self) -> Duration {
        let ahead = (self.pool.in_use() + 1).saturating_sub(self.threads);
        let ahead = u32::try_from(ahead).unwrap_or(u32::MAX);
        let threads = u32::try_from(self.threads).unwrap_or(u32::MAX).max(1);
        self.pace.average().saturating_mul(ahead) / threads
    }

    fn busy(&self) -> HashError {
        HashError::Busy {
            retry_after_seconds: self.expected_wait().as_secs() + 1,
        }
    }

    fn explain(&self, error: PoolError) -> HashError {
        match error {
            PoolError::Busy | PoolError::Deadline => self.busy(),
            PoolError::Panicked => HashError::Failed("the work panicked"),
            PoolError::Stopped => HashError::Failed("the threads have stopped"),
        }
    }
}
