//! Owns:      the right to use the database; N threads (`GATEHOUSE_IDENTITY_DATABASE_CONNECTIONS`), and as many pooled
//!            connections, so that a check-out never waits for another thread.
//! Receives:  every `DbMessage`.      Replies: `Result<_, DbError>`.
//! Bound:     threads + 256 waiting; beyond that callers get Busy -> 503 with Retry-After.
//! On panic:  the request fails, the thread lives, its connection is thrown away.      On stop: finishes what it holds.

use std::time::Duration;

use actix::{Actor, Handler, SyncContext};
use diesel::r2d2;
use diesel::result::{DatabaseErrorKind, Error as DieselError};
use shared::pool::{Execute, Job};

use super::connection::{TransactionError, is_dead, is_harmless};
use super::manager::Manager;
use super::{DbError, DbMessage, Mode};

/// How long a message may wait and run, all in all. A statement of PostgreSQL ends before (5 s), so that only a frozen
/// server comes to this.
pub const DEADLINE: Duration = Duration::from_secs(8);

pub struct DbExecutor {
    connections: r2d2::Pool<Manager>,
}

/// Why one run brought no result, and whether another may.
struct Failure {
    error: DbError,
    again: Again,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Again {
    No,
    /// Nothing was written, and the next run may find things different.
    Once,
    /// The connection was dead before it could write. After a restart of the server all pooled ones are.
    OnAnotherConnection,
}

impl DbExecutor {
    pub fn new(connections: r2d2::Pool<Manager>) -> Self {
        Self { connections }
    }

    fn once<M: DbMessage>(&self, message: &M) -> Result<M::Output, Failure> {
        let mut pooled = self.connections.get().map_err(|error| Failure {
            error: DbError::Unavailable(error.to_string()),
            again: Again::No,
        })?;
        // Until its outcome is known to be harmless; a panic leaves it so.
        pooled.is_spent = true;
        let outcome = match M::MODE {
            Mode::Read => message
                .run(&mut pooled.connection)
                .map_err(TransactionError::RolledBack),
            Mode::Write => pooled.connection.write(|connection| message.run(connection)),
        };
        pooled.is_spent = match &outcome {
            Ok(_) => false,
            Err(TransactionError::RolledBack(error)) => !is_harmless(error),
            Err(TransactionError::Unknown(_)) => true,
        };
        outcome.map_err(Failure::from)
    }
}

impl Actor for DbExecutor {
    type Context = SyncContext<Self>;
}

/// A message on its way: what [`super::Db::call`] sends.
pub struct Run<M>(pub M);

impl<M: DbMessage> Execute<DbExecutor> for Run<M> {
    type Output = Result<M::Output, DbError>;

    /// Runs the message; again on another connection when one turned out to be dead before it could write; and once
    /// more when another transaction took a unique value in between (the second run sees it).
    fn execute(self, executor: &mut DbExecutor) -> Self::Output {
        let mut dead_left = executor.connections.max_size();
        let mut is_second_run = false;
        loop {
            let failure = match executor.once(&self.0) {
                Ok(reply) => return Ok(reply),
                Err(failure) => failure,
            };
            match failure.again {
                Again::OnAnotherConnection if dead_left > 0 => dead_left -= 1,
                Again::Once if !is_second_run => is_second_run = true,
                _ => return Err(failure.error),
            }
            log::debug!("a unit of work runs again: {}", failure.error);
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
                let again = match &error {
                    _ if is_dead => Again::OnAnotherConnection,
                    DbError::Conflict => Again::Once,
                    _ if is_deadlock => Again::Once,
                    _ => Again::No,
                };
                Self { error, again }
            }
            TransactionError::Unknown(error) => Self {
                error: DbError::Unavailable(format!(
                    "the connection died during COMMIT, nobody knows how it ended: {error}"
                )),
                again: Again::No,
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
