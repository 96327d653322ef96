//! The connection: SQLite or PostgreSQL, chosen by URL at run time. Also the r2d2 manager and the migrations.

use std::path::{Path, PathBuf};

use diesel::connection::{AnsiTransactionManager, SimpleConnection, TransactionManager};
use diesel::prelude::*;
use diesel::r2d2::R2D2Connection;
use diesel::result::Error as DieselError;
use diesel::sqlite::SqliteConnection;
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};
use shared::secret::{Secret, without_password};

const SQLITE_MIGRATIONS: EmbeddedMigrations = embed_migrations!("migrations/sqlite");
#[cfg(feature = "postgres")]
const POSTGRES_MIGRATIONS: EmbeddedMigrations = embed_migrations!("migrations/postgres");

/// Queries are written once, for this; diesel picks the dialect at run time.
#[derive(diesel::MultiConnection)]
pub enum DbConnection {
    Sqlite(SqliteConnection),
    #[cfg(feature = "postgres")]
    Postgres(diesel::PgConnection),
}

/// Where the data is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DatabaseUrl {
    /// `sqlite:PATH`
    Sqlite(PathBuf),
    /// `postgres://..`, with its password
    Postgres(Secret<String>),
}

impl std::str::FromStr for DatabaseUrl {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Some(path) = text.strip_prefix("sqlite:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            return if path.is_empty() {
                Err("sqlite: needs a path")
            } else {
                Ok(Self::Sqlite(path.into()))
            };
        }
        if text.starts_with("postgres://") || text.starts_with("postgresql://") {
            return if cfg!(feature = "postgres") {
                Ok(Self::Postgres(Secret::new(text.to_owned())))
            } else {
                Err("this program was built without PostgreSQL; build it with --features postgres")
            };
        }
        Err("the URL must begin with sqlite: or postgres://")
    }
}

impl std::fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Sqlite(path) => write!(f, "sqlite:{}", path.display()),
            Self::Postgres(url) => f.write_str(&without_password(url.expose())),
        }
    }
}

/// Why the database cannot be used. One sentence for the operator.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("cannot open the database {url}: {reason}")]
    Connect { url: String, reason: String },
    #[error("cannot prepare the database {url}: {reason}")]
    Migrate { url: String, reason: String },
}

impl DatabaseUrl {
    /// Opens one connection, ready for use.
    ///
    /// # Errors
    /// When the database is away, locked, read-only or no database.
    pub fn connect(&self) -> Result<DbConnection, OpenError> {
        let failed = |reason: String| OpenError::Connect {
            url: self.to_string(),
            reason,
        };
        match self {
            Self::Sqlite(path) => {
                create_parent(path).map_err(|error| failed(error.to_string()))?;
                let mut connection = SqliteConnection::establish(&path.to_string_lossy())
                    .map_err(|error| failed(error.to_string()))?;
                // WAL: readers never wait for the writer. FULL: a 2xx answer survives a power cut.
                connection
                    .batch_execute(
                        "PRAGMA busy_timeout = 5000; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; \
                         PRAGMA foreign_keys = ON; PRAGMA cache_size = -2000;",
                    )
                    .map_err(|error| failed(error.to_string()))?;
                Ok(DbConnection::Sqlite(connection))
            }
            #[cfg(feature = "postgres")]
            Self::Postgres(url) => {
                let mut connection = diesel::PgConnection::establish(url.expose())
                    .map_err(|error| failed(error.to_string()))?;
                connection
                    .batch_execute(
                        "SET statement_timeout = '10s'; SET lock_timeout = '5s'; SET timezone = 'UTC';",
                    )
                    .map_err(|error| failed(error.to_string()))?;
                Ok(DbConnection::Postgres(connection))
            }
            #[cfg(not(feature = "postgres"))]
            Self::Postgres(_) => Err(failed("built without PostgreSQL".to_owned())),
        }
    }

    /// Brings the tables to this release's form.
    ///
    /// # Errors
    /// When the database cannot be written, or is of a newer release.
    pub fn migrate(&self) -> Result<(), OpenError> {
        let mut connection = self.connect()?;
        let failed = |reason: String| OpenError::Migrate {
            url: self.to_string(),
            reason,
        };
        connection.refuse_newer().map_err(failed)?;
        connection.run_migrations().map_err(failed)
    }
}

fn create_parent(path: &Path) -> std::io::Result<()> {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => std::fs::create_dir_all(parent),
        _ => Ok(()),
    }
}

impl DbConnection {
    fn run_migrations(&mut self) -> Result<(), String> {
        let text = |error: Box<dyn std::error::Error + Send + Sync>| error.to_string();
        match self {
            Self::Sqlite(connection) => connection
                .run_pending_migrations(SQLITE_MIGRATIONS)
                .map(drop)
                .map_err(text),
            #[cfg(feature = "postgres")]
            Self::Postgres(connection) => {
                // One replica migrates, the others wait; the lock ends with the connection.
                connection.batch_execute("SET lock_timeout = 0; SET statement_timeout = 0; SELECT pg_advisory_lock(7_361_209);").map_err(|error| error.to_string())?;
                connection
                    .run_pending_migrations(POSTGRES_MIGRATIONS)
                    .map(drop)
                    .map_err(text)
            }
        }
    }

    fn refuse_newer(&mut self) -> Result<(), String> {
        use diesel::migration::MigrationSource;
        let text = |error: Box<dyn std::error::Error + Send + Sync>| error.to_string();
        let (known, applied) = match self {
            Self::Sqlite(connection) => {
                let known: Vec<Box<dyn diesel::migration::Migration<diesel::sqlite::Sqlite>>> =
                    SQLITE_MIGRATIONS.migrations().map_err(text)?;
                let known: Vec<String> = known
                    .iter()
                    .map(|migration| migration.name().version().to_string())
                    .collect();
                (known, connection.applied_migrations().map_err(text)?)
            }
            #[cfg(feature = "postgres")]
            Self::Postgres(connection) => {
                let known: Vec<Box<dyn diesel::migration::Migration<diesel::pg::Pg>>> =
                    POSTGRES_MIGRATIONS.migrations().map_err(text)?;
                let known: Vec<String> = known
                    .iter()
                    .map(|migration| migration.name().version().to_string())
                    .collect();
                (known, connection.applied_migrations().map_err(text)?)
            }
        };
        match applied
            .iter()
            .map(ToString::to_string)
            .find(|version| !known.contains(version))
        {
            Some(version) => Err(format!("it has migration {version} of a newer release")),
            None => Ok(()),
        }
    }

    /// Begins a transaction that may write. On SQLite it takes the write lock at once: one that read first and then
    /// wanted to write would fail when another wrote in between.
    pub fn begin_write(&mut self) -> QueryResult<()> {
        match self {
            Self::Sqlite(connection) => {
                AnsiTransactionManager::begin_transaction_sql(connection, "BEGIN IMMEDIATE")
            }
            #[cfg(feature = "postgres")]
            Self::Postgres(connection) => AnsiTransactionManager::begin_transaction(connection),
        }
    }

    pub fn commit(&mut self) -> QueryResult<()> {
        match self {
            Self::Sqlite(connection) => AnsiTransactionManager::commit_transaction(connection),
            #[cfg(feature = "postgres")]
            Self::Postgres(connection) => AnsiTransactionManager::commit_transaction(connection),
        }
    }

    pub fn rollback(&mut self) -> QueryResult<()> {
        match self {
            Self::Sqlite(connection) => AnsiTransactionManager::rollback_transaction(connection),
            #[cfg(feature = "postgres")]
            Self::Postgres(connection) => AnsiTransactionManager::rollback_transaction(connection),
        }
    }

    /// Does `work` in one transaction.
    pub fn write<T>(&mut self, work: impl FnOnce(&mut Self) -> QueryResult<T>) -> QueryResult<T> {
        self.begin_write()?;
        match work(self) {
            Ok(value) => match self.commit() {
                Ok(()) => Ok(value),
                Err(error) => {
                    // After a failed COMMIT (disk full) SQLite keeps the transaction open.
                    let _ = self.rollback();
                    Err(error)
                }
            },
            Err(error) => match self.rollback() {
                Ok(()) | Err(DieselError::BrokenTransactionManager) => Err(error),
                Err(rollback_error) => Err(rollback_error),
            },
        }
    }
}

/// Opens connections for r2d2. The check at check-out is off (a round trip each): the executor retries instead.
#[derive(Debug)]
pub struct Manager(pub DatabaseUrl);

impl diesel::r2d2::ManageConnection for Manager {
    type Connection = DbConnection;
    type Error = OpenError;

    fn connect(&self) -> Result<DbConnection, OpenError> {
        self.0.connect()
    }

    fn is_valid(&self, connection: &mut DbConnection) -> Result<(), OpenError> {
        let failed = |error: DieselError| OpenError::Connect {
            url: self.0.to_string(),
            reason: error.to_string(),
        };
        connection.batch_execute("SELECT 1").map_err(failed)
    }

    fn has_broken(&self, connection: &mut DbConnection) -> bool {
        std::thread::panicking() || connection.is_broken()
    }
}
