//! Owns:      one database connection each; N threads (`GATEHOUSE_IDENTITY_DATABASE_CONNECTIONS`).
//! Receives:  every `DbMessage`.      Replies: `Result<_, DbError>`.
//! Bound:     threads + 256 waiting; beyond that callers get Busy -> 503 with Retry-After.
//! On panic:  the request fails, the thread lives, its connection is thrown away.      On stop: finishes what it holds.

use std::time::{Duration, Instant};

use actix::{Actor, Handler, SyncContext};
use diesel::result::{DatabaseErrorKind, Error as DieselError};
use shared::pool::{Execute, Job};

use super::connection::{DbConnection, TransactionError, is_dead, is_harmless};
use super::url::DatabaseUrl;
use super::{DbError, DbMessage, Mode};

/// How long a message may wait and run, all in all. A statement of PostgreSQL ends before (5 s), so that only a frozen
/// server comes to this.
pub const DEADLINE: Duration = Duration::from_secs(8);

/// A connection is replaced when it is this old: a server's process grows, and a name may mean another server by now.
const MAX_AGE: Duration = Duration::from_secs(30 * 60);

pub struct DbExecutor {
    url: DatabaseUrl,
    /// `None` before the first message, and after an error that may be the connection's fault.
    kept: Option<Kept>,
}

struct Kept {
    connection: DbConnection,
    opened: Instant,
}

/// Why one run brought no result, and whether another may.
struct Failure {
    error: DbError,
    /// Nothing was written, and the next run may find things different.
    may_retry: bool,
}

impl DbExecutor {
    pub fn new(url: DatabaseUrl) -> Self {
        Self { url, kept: None }
    }

    fn once<M: DbMessage>(&mut self, message: &M) -> Result<M::Output, Failure> {
        let mut kept = match self.kept.take() {
            Some(kept) if kept.opened.elapsed() < MAX_AGE => kept,
            _ => self.open()?,
        };
        let outcome = match M::MODE {
            Mode::Read => message
                .run(&mut kept.connection)
                .map_err(TransactionError::RolledBack),
            Mode::Write => kept.connection.write(|connection| message.run(connection)),
        };
        let is_good = match &outcome {
            Ok(_) => true,
            Err(TransactionError::RolledBack(error)) => is_harmless(error),
            Err(TransactionError::Unknown(_)) => false,
        };
        if is_good {
            self.kept = Some(kept);
        }
        outcome.map_err(Failure::from)
    }

    fn open(&self) -> Result<Kept, Failure> {
        let connection = self.url.connect().map_err(|error| Failure {
            error: DbError::Unavailable(error.to_string()),
            may_retry: false,
        })?;
        Ok(Kept {
            connection,
            opened: Instant::now(),
        })
    }
}

impl Actor for DbExecutor {
    type Context = SyncContext<Self>;
}

/// A message on its way: what [`super::Db::call`] sends.
pub struct Run<M>(pub M);

impl<M: DbMessage> Execute<DbExecutor> for Run<M> {
    type Output = Result<M::Output, DbError>;

    /// Runs the message; once more, on a new connection, when the kept one turned out to be dead before it could
    /// write; and once more when another transaction took a unique value in between (the second run sees it).
    fn execute(self, executor: &mut DbExecutor) -> Self::Output {
        match executor.once(&self.0) {
            Ok(reply) => Ok(reply),
            Err(first) if first.may_retry => {
                log::debug!("a unit of work runs again: {}", first.error);
                executor.once(&self.0).map_err(|second| second.error)
            }
            Err(first) => Err(first.error),
        }
    }
}

impl<M: DbMessage> Handler<Job<DbExecutor, Run<M>>> for DbExecutor {
    type Result = Result<Result<M::Output, DbError>, shared::pool::PoolError>;

    fn handle(&mut self, job: Job<DbExecutor, Run<M>>, _: &mut Self::Context) -> Self::Result {
        job.run(self)
    }
}

impl From<TransactionError> for Failure {
    fn from(error: TransactionError) -> Self {
        match error {
            TransactionError::RolledBack(error) => {
                let is_dead = is_dead(&error);
                let error = DbError::from(error);
                // PostgreSQL ends one of two transactions that wait for each other; it has no kind of its own in diesel.
                let is_deadlock =
                    matches!(&error, DbError::Unavailable(reason) if reason.contains("deadlock"));
                Self {
                    may_retry: is_dead || is_deadlock || error == DbError::Conflict,
                    error,
                }
            }
            TransactionError::Unknown(error) => Self {
                error: DbError::Unavailable(format!(
                    "the connection died during COMMIT, nobody knows how it ended: {error}"
                )),
                may_retry: false,
            },
        }
    }
}

impl From<DieselError> for DbError {
    fn from(error: DieselError) -> Self {
        if is_dead(&error) {
            return Self::Unavailable(format!("the connection is dead: {error}"));
        }
        match error {
            DieselError::DatabaseError(
                DatabaseErrorKind::UniqueViolation | DatabaseErrorKind::SerializationFailure,
                _,
            ) => Self::Conflict,
            // A locked, full, read-only or failing database, a time-out: the caller may try again.
            DieselError::DatabaseError(
                DatabaseErrorKind::Unknown | DatabaseErrorKind::ReadOnlyTransaction,
                info,
            ) => Self::Unavailable(info.message().to_owned()),
            other => Self::Failed(other.to_string()),
        }
    }
}
