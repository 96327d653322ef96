//! The database: the handle, and what a unit of work is. Only this room knows diesel.

pub mod connection;
mod email_keys;
mod executor;
mod manager;
pub mod messages;
mod migrations;
mod queries;
mod schema;
mod url;
mod watch;

use std::sync::Arc;
use std::time::Duration;

use actix::SyncArbiter;
use diesel::r2d2;
use shared::pool::{Pool, PoolError};

use connection::DbConnection;
use executor::{DEADLINE, DbExecutor, Run};
use manager::{Manager, QuietErrors};
pub use url::{DatabaseUrl, OpenError};
pub use watch::{DatabaseState, DatabaseWatch};

/// Whether a message may write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// One statement, no transaction.
    Read,
    /// One transaction, which takes the write lock at once on SQLite.
    Write,
}

/// One unit of work = one message = one transaction.
pub trait DbMessage: Send + 'static {
    type Output: Send + 'static;

    const MODE: Mode;

    /// May be run twice (see `DbExecutor`), so it must not keep state outside the database. The second time comes only
    /// when the first has surely written nothing.
    ///
    /// # Errors
    /// What diesel says; the executor sorts it.
    fn run(&self, connection: &mut DbConnection) -> diesel::QueryResult<Self::Output>;
}

/// Why a unit of work did not happen.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DbError {
    #[error("the database cannot be used now: {0}")]
    Unavailable(String),
    #[error("a unique value was taken by another transaction, twice")]
    Conflict,
    #[error("the database refused a statement: {0}")]
    Failed(String),
    #[error("a unit of work panicked")]
    Panicked,
}

impl From<PoolError> for DbError {
    fn from(error: PoolError) -> Self {
        match error {
            PoolError::Panicked => Self::Panicked,
            PoolError::Busy | PoolError::Deadline | PoolError::Stopped => {
                Self::Unavailable(error.to_string())
            }
        }
    }
}

/// The handle to the database. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Db {
    pool: Pool<DbExecutor>,
    outbox_changed: Arc<tokio::sync::Notify>,
}

const WAITING_MESSAGES: usize = 256;
/// How long a unit of work waits for a connection, when one has to be opened.
const CONNECT_LIMIT: Duration = Duration::from_secs(2);

impl Db {
    /// Starts `connections` threads. Opens no connection yet, so a database that is away does not stop the start.
    pub fn start(url: DatabaseUrl, connections: u32) -> Self {
        let pooled = r2d2::Pool::builder()
            .max_size(connections)
            .min_idle(Some(0))
            .test_on_check_out(false)
            .connection_timeout(CONNECT_LIMIT)
            .error_handler(Box::new(QuietErrors))
            .build_unchecked(Manager(url));
        let threads = usize::try_from(connections).unwrap_or(1);
        let addr = SyncArbiter::start(threads, move || DbExecutor::new(pooled.clone()));
        let pool = Pool::new(addr, threads + WAITING_MESSAGES, DEADLINE);
        Self {
            pool,
            outbox_changed: Arc::default(),
        }
    }

    /// Does one unit of work.
    ///
    /// # Errors
    /// See [`DbError`].
    pub async fn call<M: DbMessage>(&self, message: M) -> Result<M::Output, DbError> {
        self.pool.call(Run(message)).await?
    }

    /// Told whenever a committed unit of work has added a mail job.
    pub fn outbox_changed(&self) -> &tokio::sync::Notify {
        &self.outbox_changed
    }
}
