//! The connection: SQLite or PostgreSQL, chosen by URL at run time, and its transactions.

use diesel::connection::{AnsiTransactionManager, TransactionManager};
use diesel::prelude::*;
use diesel::result::{DatabaseErrorKind, Error as DieselError};
use diesel::sqlite::SqliteConnection;

/// Queries are written once, for this; diesel picks the dialect at run time.
#[derive(diesel::MultiConnection)]
pub enum DbConnection {
    Sqlite(SqliteConnection),
    #[cfg(feature = "postgres")]
    Postgres(diesel::PgConnection),
}

/// Why a transaction did not bring its result.
#[derive(Debug)]
pub enum TransactionError {
    /// Nothing was written.
    RolledBack(DieselError),
    /// The connection died while COMMIT was under way: it may have been written or not.
    Unknown(DieselError),
}

impl From<TransactionError> for DieselError {
    fn from(error: TransactionError) -> Self {
        match error {
            TransactionError::RolledBack(error) | TransactionError::Unknown(error) => error,
        }
    }
}

impl DbConnection {
    /// Begins a transaction that may write. On SQLite it takes the write lock at once: one that read first and then
    /// wanted to write would fail when another wrote in between.
    fn begin_write(&mut self) -> QueryResult<()> {
        match self {
            Self::Sqlite(connection) => {
                AnsiTransactionManager::begin_transaction_sql(connection, "BEGIN IMMEDIATE")
            }
            #[cfg(feature = "postgres")]
            Self::Postgres(connection) => AnsiTransactionManager::begin_transaction(connection),
        }
    }

    fn commit(&mut self) -> QueryResult<()> {
        match self {
            Self::Sqlite(connection) => AnsiTransactionManager::commit_transaction(connection),
            #[cfg(feature = "postgres")]
            Self::Postgres(connection) => AnsiTransactionManager::commit_transaction(connection),
        }
    }

    fn rollback(&mut self) -> QueryResult<()> {
        match self {
            Self::Sqlite(connection) => AnsiTransactionManager::rollback_transaction(connection),
            #[cfg(feature = "postgres")]
            Self::Postgres(connection) => AnsiTransactionManager::rollback_transaction(connection),
        }
    }

    /// Does `work` in one transaction.
    ///
    /// # Errors
    /// See [`TransactionError`]. After an error that [`is_harmless`] does not know the connection should go.
    pub fn write<T>(
        &mut self,
        work: impl FnOnce(&mut Self) -> QueryResult<T>,
    ) -> Result<T, TransactionError> {
        self.begin_write().map_err(TransactionError::RolledBack)?;
        match work(self) {
            Ok(value) => match self.commit() {
                Ok(()) => Ok(value),
                Err(error) if is_dead(&error) => Err(TransactionError::Unknown(error)),
                Err(error) => {
                    // After a failed COMMIT (disk full) SQLite keeps the transaction open.
                    let _ = self.rollback();
                    Err(TransactionError::RolledBack(error))
                }
            },
            Err(error) => {
                // Should this fail too, the connection is dead, and the server rolls back when it notices.
                let _ = self.rollback();
                Err(TransactionError::RolledBack(error))
            }
        }
    }
}

/// Whether the connection is gone. Whatever it was to do has not been done, unless it was a COMMIT.
pub fn is_dead(error: &DieselError) -> bool {
    match error {
        DieselError::DatabaseError(
            DatabaseErrorKind::ClosedConnection | DatabaseErrorKind::UnableToSendCommand,
            _,
        )
        | DieselError::BrokenTransactionManager => true,
        DieselError::RollbackErrorOnCommit {
            rollback_error,
            commit_error,
        } => is_dead(rollback_error) || is_dead(commit_error),
        _ => false,
    }
}

/// Whether an error says nothing against the connection: the data were the reason.
pub fn is_harmless(error: &DieselError) -> bool {
    match error {
        DieselError::NotFound | DieselError::RollbackTransaction => true,
        DieselError::DatabaseError(kind, _) => matches!(
            kind,
            DatabaseErrorKind::UniqueViolation
                | DatabaseErrorKind::ForeignKeyViolation
                | DatabaseErrorKind::NotNullViolation
                | DatabaseErrorKind::CheckViolation
                | DatabaseErrorKind::SerializationFailure
        ),
        _ => false,
    }
}
