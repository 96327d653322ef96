//! Passwords: hashed and verified on threads of their own, so that a storm of logins is not felt by anybody else.

pub mod encoded;
mod factors;
mod hasher;
mod scheme;
mod work;

use std::sync::Arc;
use std::thread::available_parallelism;
use std::time::Duration;

use actix::SyncArbiter;
use shared::pool::{Pool, PoolError};
use shared::secret::Secret;

use crate::passwords::hasher::{HashPassword, Pace, PasswordHasher, VerifyPassword};
use crate::passwords::work::Work;

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

/// From where it is known what imported hashes cost, which failed logins make up for.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum ImportedHashes {
    /// Measured on this processor at the start.
    Measured,
    /// What they cost on a typical one: for tests, which count work.
    Typical,
}

/// The handle to the hashing threads. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Passwords {
    pool: Pool<PasswordHasher>,
    pace: Arc<Pace>,
    work: Arc<Work>,
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
        let work = Arc::new(Work::at_cost(cost));
        let (actor_pace, actor_work) = (pace.clone(), work.clone());
        let addr = SyncArbiter::start(threads, move || {
            PasswordHasher::new(cost, actor_pace.clone(), actor_work.clone())
        });
        let pool = Pool::new(
            addr,
            CAPACITY.max(threads),
            max_wait.saturating_add(DEADLINE_BEYOND_QUEUE),
        );
        Self {
            pool,
            pace,
            work,
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

    /// Compares a password with the stored form. `None`, an unknown user, never matches. A failure takes the same work
    /// whatever the stored form.
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

    /// Finds out, on a thread of its own, what imported hashes cost on this processor, so that a failed login takes equally
    /// long whatever the stored form. Until then, and in tests, a typical processor counts.
    pub fn measure_in_background(&self) {
        let work = self.work.clone();
        std::thread::spawn(move || work.measure_factors());
    }

    /// The bcrypt cost of new passwords.
    pub fn cost(&self) -> u32 {
        self.cost
    }

    /// The work of all comparisons since the start, in rounds of bcrypt (cost 12 has 4096): what tests compare in place of
    /// times.
    pub fn rounds_done(&self) -> u64 {
        self.work.done()
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

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, channel};

    use futures_util::future::{join_all, join3};
    use shared::pool::Execute;

    use super::*;

    fn secret(text: &str) -> Secret<String> {
        Secret::new(text.to_owned())
    }

    #[actix::test]
    async fn a_hashed_password_is_verified() {
        let passwords = Passwords::start(1, 4, Duration::from_secs(2));
        let encoded = passwords.hash(secret("Brine-lantern-42")).await.unwrap();
        let right = passwords
            .verify(secret("Brine-lantern-42"), Some(encoded.clone()))
            .await
            .unwrap();
        assert_eq!(
            right,
            Verified {
                matches: true,
                needs_rehash: false
            }
        );
        let wrong = passwords
            .verify(secret("Brine-lantern-43"), Some(encoded))
            .await
            .unwrap();
        assert_eq!(
            wrong,
            Verified {
                matches: false,
                needs_rehash: false
            }
        );
    }

    #[actix::test]
    async fn an_imported_password_is_to_be_hashed_again() {
        let passwords = Passwords::start(1, 4, Duration::from_secs(2));
        let encoded = Some("md5$NaClNaClNaCl$0f9f0d8b2087bad9c8d35dc5372ec4ce".to_owned());
        let verified = passwords
            .verify(secret("Brine-lantern-42"), encoded)
            .await
            .unwrap();
        assert_eq!(
            verified,
            Verified {
                matches: true,
                needs_rehash: true
            }
        );
    }

    #[actix::test]
    async fn nobody_logs_in_as_an_unknown_user_or_without_a_password() {
        let passwords = Passwords::start(1, 4, Duration::from_secs(2));
        for stored in [
            None,
            Some("!".to_owned()),
            Some(String::new()),
            Some("damaged".to_owned()),
        ] {
            let verified = passwords.verify(secret("!"), stored).await.unwrap();
            assert_eq!(
                verified,
                Verified {
                    matches: false,
                    needs_rehash: false
                }
            );
        }
    }

    /// Occupies a thread until the other end says so.
    #[derive(Debug)]
    struct Hold(Receiver<()>);

    impl Execute<PasswordHasher> for Hold {
        type Output = ();

        fn execute(self, _: &mut PasswordHasher) {
            self.0.recv().unwrap();
        }
    }

    /// What becomes of 20 requests that come while the only thread is occupied.
    async fn storm(passwords: &Passwords) -> Vec<Result<String, HashError>> {
        let (release, released) = channel();
        let hold = passwords.pool.call(Hold(released));
        let hashes = join_all((0..20).map(|_| passwords.hash(secret("Brine-lantern-42"))));
        // Polled in this order, so the thread is free once all have been accepted or refused.
        let (occupied, answers, ()) = join3(hold, hashes, async { release.send(()).unwrap() }).await;
        occupied.unwrap();
        answers
    }

    #[actix::test]
    async fn an_idle_thread_always_accepts_and_a_busy_one_refuses_at_once() {
        let passwords = Passwords::start(1, 8, Duration::ZERO);
        for answer in storm(&passwords).await {
            assert!(
                matches!(
                    answer,
                    Err(HashError::Busy {
                        retry_after_seconds: 1..
                    })
                ),
                "{answer:?}"
            );
        }
        assert!(
            passwords.hash(secret("Brine-lantern-42")).await.is_ok(),
            "it is idle again"
        );
    }

    #[actix::test]
    async fn as_much_waits_as_fits_into_the_wait() {
        // Expected at cost 5: 2.3 ms a job.
        let passwords = Passwords::start(1, 5, Duration::from_millis(10));
        let answers = storm(&passwords).await;
        assert!(
            answers[..4].iter().all(Result::is_ok) && answers[4..].iter().all(Result::is_err),
            "{answers:?}"
        );
        assert_eq!((passwords.waiting(), passwords.cost()), (0, 5));
    }

    #[derive(Debug)]
    struct Panic;

    impl Execute<PasswordHasher> for Panic {
        type Output = ();

        fn execute(self, _: &mut PasswordHasher) {
            panic!("as the test wants");
        }
    }

    #[actix::test]
    async fn a_panic_fails_the_request_and_the_thread_lives() {
        let passwords = Passwords::start(1, 4, Duration::from_secs(2));
        let error = passwords.pool.call(Panic).await.unwrap_err();
        assert_eq!(passwords.explain(error), HashError::Failed("the work panicked"));
        assert!(passwords.hash(secret("Brine-lantern-42")).await.is_ok());
    }

    #[actix::test]
    async fn a_cost_out_of_bounds_is_an_error() {
        let passwords = Passwords::start(1, 40, Duration::from_secs(2));
        assert!(matches!(
            passwords.hash(secret("x")).await,
            Err(HashError::Failed(_))
        ));
    }

    #[test]
    fn the_pace_follows_the_machine() {
        assert_eq!(Pace::expected_at(12).average(), Duration::from_millis(300));
        assert_eq!(Pace::expected_at(10).average(), Duration::from_millis(75));
        assert_eq!(Pace::expected_at(14).average(), Duration::from_millis(1200));
    }
}
