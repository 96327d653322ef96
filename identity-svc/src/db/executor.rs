//! Owns:      the database connections; N threads (`GATEHOUSE_IDENTITY_DATABASE_CONNECTIONS`), one connection each.
//! Receives:  every `DbMessage`.      Replies: `Result<_, DbError>`.
//! Bound:     threads + 256 waiting; beyond that callers get Busy -> 503 with Retry-After.
//! On panic:  the request fails, the thread lives, its connection is thrown away.      On stop: finishes what it holds.

use std::time::Duration;

use actix::{Actor, Handler, SyncContext};
use diesel::r2d2;
use diesel::result::{DatabaseErrorKind, Error as DieselError};
use shared::pool::{Execute, Job};

use super::connection::{DbConnection, Manager};
use super::{DbError, DbMessage, Mode};

pub struct DbExecutor {
    pool: r2d2::Pool<Manager>,
}

impl DbExecutor {
    pub fn new(pool: r2d2::Pool<Manager>) -> Self {
        Self { pool }
    }

    fn once<M: DbMessage>(&self, message: &M) -> Result<M::Output, DbError> {
        let mut connection = self
            .pool
            .get()
            .map_err(|error| DbError::Unavailable(error.to_string()))?;
        run(message, &mut connection).map_err(DbError::from)
    }
}

fn run<M: DbMessage>(message: &M, connection: &mut DbConnection) -> Result<M::Output, DieselError> {
    match M::MODE {
        Mode::Read => message.run(connection),
        Mode::Write => connection.write(|connection| message.run(connection)),
    }
}

impl Actor for DbExecutor {
    type Context = SyncContext<Self>;
}

/// A message on its way: what [`super::Db::call`] sends.
pub struct Run<M>(pub M);

impl<M: DbMessage> Execute<DbExecutor> for Run<M> {
    type Output = Result<M::Output, DbError>;

    /// Runs the message; once more when the connection turned out to be dead, or when another transaction took a
    /// unique value in between (the second run sees it).
    fn execute(self, executor: &mut DbExecutor) -> Self::Output {
        match executor.once(&self.0) {
            Err(DbError::Dead(reason)) => {
                log::info!(reason:% = reason; "a database connection was dead, trying another");
                executor.once(&self.0)
            }
            Err(DbError::Conflict) => executor.once(&self.0),
            reply => reply,
        }
    }
}

impl<M: DbMessage> Handler<Job<DbExecutor, Run<M>>> for DbExecutor {
    type Result = Result<Result<M::Output, DbError>, shared::pool::PoolError>;

    fn handle(&mut self, job: Job<DbExecutor, Run<M>>, _: &mut Self::Context) -> Self::Result {
        job.run(self)
    }
}

impl From<DieselError> for DbError {
    fn from(error: DieselError) -> Self {
        match error {
            DieselError::DatabaseError(DatabaseErrorKind::UniqueViolation, _) => Self::Conflict,
            DieselError::DatabaseError(DatabaseErrorKind::ClosedConnection, info) => {
                Self::Dead(info.message().to_owned())
            }
            DieselError::BrokenTransactionManager => Self::Dead("broken transaction".to_owned()),
            // A locked, full, read-only or failing database, a time-out: the caller may try again.
            DieselError::DatabaseError(
                DatabaseErrorKind::Unknown
                | DatabaseErrorKind::UnableToSendCommand
                | DatabaseErrorKind::SerializationFailure
                | DatabaseErrorKind::ReadOnlyTransaction,
                info,
            ) => Self::Unavailable(info.message().to_owned()),
            other => Self::Failed(other.to_string()),
        }
    }
}

/// How long a message may wait and run, all in all.
pub const DEADLINE: Duration = Duration::from_secs(15);
