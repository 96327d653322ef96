//! The tables' form: brought up to date by `identity-svc migrate`, checked at every start. SQLite belongs to one
//! process and is brought up to date at its start.

use std::collections::BTreeSet;

use diesel::migration::{Migration, MigrationSource, Result as MigrationResult};
use diesel::prelude::*;
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};

use super::connection::DbConnection;
use super::email_keys;
use super::url::{DatabaseUrl, OpenError};

const SQLITE_MIGRATIONS: EmbeddedMigrations = embed_migrations!("migrations/sqlite");
#[cfg(feature = "postgres")]
const POSTGRES_MIGRATIONS: EmbeddedMigrations = embed_migrations!("migrations/postgres");

diesel::table! {
    /// diesel's own record of what was applied.
    __diesel_schema_migrations (version) {
        version -> Text,
    }
}

impl DatabaseUrl {
    /// For a start. PostgreSQL may be of a newer release: migrations first add and only later take away, so that a
    /// release works on the next one's tables while both run.
    ///
    /// # Errors
    /// When it cannot be opened, or has not been migrated.
    pub fn prepare(&self) -> Result<(), OpenError> {
        match self {
            Self::Sqlite(_) => self.migrate().map(drop),
            Self::Postgres(_) => match self.check() {
                Err(OpenError::Newer { url, version }) => {
                    log::warn!("the database {url} has the migration {version} of a newer release: going on");
                    Ok(())
                }
                outcome => outcome,
            },
        }
    }

    /// Whether the tables have exactly this release's form.
    ///
    /// # Errors
    /// `Behind` or `Newer` when they have not; otherwise when it cannot be opened.
    pub fn check(&self) -> Result<(), OpenError> {
        let mut connection = self.connect()?;
        self.compare(&mut connection)
    }

    /// Brings the tables to this release's form and returns what was applied, oldest first. One process at a time
    /// does it; others wait.
    ///
    /// # Errors
    /// When the database cannot be written, or is of a newer release.
    pub fn migrate(&self) -> Result<Vec<String>, OpenError> {
        let mut connection = self.connect()?;
        connection
            .lock_for_migration()
            .map_err(|error| self.failed(&error))?;
        let applied = match self.compare(&mut connection) {
            Ok(()) => Vec::new(),
            Err(OpenError::Behind { .. }) => connection
                .run_migrations()
                .map_err(|error| self.failed(error.as_ref()))?,
            Err(error) => return Err(error),
        };
        email_keys::bring_up_to_date(&mut connection).map_err(|error| self.failed(&error))?;
        Ok(applied)
    }

    fn compare(&self, connection: &mut DbConnection) -> Result<(), OpenError> {
        let url = self.to_string();
        let known = connection
            .known_migrations()
            .map_err(|error| self.failed(error.as_ref()))?;
        let applied = connection
            .applied_migrations()
            .map_err(|error| self.failed(&error))?;
        if let Some(version) = known.difference(&applied).next().cloned() {
            return Err(OpenError::Behind { url, version });
        }
        match applied.difference(&known).next().cloned() {
            Some(version) => Err(OpenError::Newer { url, version }),
            None => Ok(()),
        }
    }

    fn failed(&self, error: &dyn std::error::Error) -> OpenError {
        let reason = error.to_string();
        OpenError::Migrate {
            url: self.to_string(),
            reason: reason.lines().map(str::trim).collect::<Vec<_>>().join("; "),
        }
    }
}

impl DbConnection {
    /// The lock ends with the connection.
    #[cfg_attr(
        not(feature = "postgres"),
        expect(clippy::unnecessary_wraps, reason = "there is nothing to lock on SQLite")
    )]
    fn lock_for_migration(&mut self) -> QueryResult<()> {
        match self {
            Self::Sqlite(_) => Ok(()),
            #[cfg(feature = "postgres")]
            Self::Postgres(connection) => diesel::connection::SimpleConnection::batch_execute(
                connection,
                "SET lock_timeout = 0; SET statement_timeout = 0; SELECT pg_advisory_lock(7361209);",
            ),
        }
    }

    fn run_migrations(&mut self) -> MigrationResult<Vec<String>> {
        let names = |versions: Vec<diesel::migration::MigrationVersion<'_>>| {
            versions.iter().map(ToString::to_string).collect()
        };
        match self {
            Self::Sqlite(connection) => connection.run_pending_migrations(SQLITE_MIGRATIONS).map(names),
            #[cfg(feature = "postgres")]
            Self::Postgres(connection) => connection.run_pending_migrations(POSTGRES_MIGRATIONS).map(names),
        }
    }

    fn known_migrations(&self) -> MigrationResult<BTreeSet<String>> {
        match self {
            Self::Sqlite(_) => versions::<diesel::sqlite::Sqlite>(&SQLITE_MIGRATIONS),
            #[cfg(feature = "postgres")]
            Self::Postgres(_) => versions::<diesel::pg::Pg>(&POSTGRES_MIGRATIONS),
        }
    }

    /// Not diesel's own function, which creates the table when it is missing: a server's role need not be allowed to.
    fn applied_migrations(&mut self) -> QueryResult<BTreeSet<String>> {
        use diesel::dsl::sql;
        use diesel::sql_types::Bool;
        let exists: bool = match self {
            Self::Sqlite(connection) => diesel::select(sql::<Bool>(
                "EXISTS (SELECT 1 FROM sqlite_master WHERE name = '__diesel_schema_migrations')",
            ))
            .get_result(connection)?,
            #[cfg(feature = "postgres")]
            Self::Postgres(connection) => diesel::select(sql::<Bool>(
                "to_regclass('__diesel_schema_migrations') IS NOT NULL",
            ))
            .get_result(connection)?,
        };
        if !exists {
            return Ok(BTreeSet::new());
        }
        let versions: Vec<String> = __diesel_schema_migrations::table
            .select(__diesel_schema_migrations::version)
            .load(self)?;
        Ok(versions.into_iter().collect())
    }
}

fn versions<DB: diesel::backend::Backend>(source: &EmbeddedMigrations) -> MigrationResult<BTreeSet<String>>
where
    EmbeddedMigrations: MigrationSource<DB>,
{
    let migrations: Vec<Box<dyn Migration<DB>>> = source.migrations()?;
    Ok(migrations
        .iter()
        .map(|migration| migration.name().version().to_string())
        .collect())
}
