//! Where the data is, and how a connection to it is opened.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sqlite::SqliteConnection;
use shared::private_file;
use shared::secret::{Secret, without_password};

use super::connection::DbConnection;

/// Where the data is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DatabaseUrl {
    /// `sqlite:PATH`
    Sqlite(PathBuf),
    /// `postgres://..`, with its password. Everything that libpq knows may stand behind the `?`, for example
    /// `sslmode=verify-full&sslrootcert=/etc/ssl/db-ca.pem`.
    Postgres(Secret<String>),
}

impl FromStr for DatabaseUrl {
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
            return if !has_clear_authority(text) {
                Err("in its user and password /, ?, # and @ must be written as %2F, %3F, %23 and %40")
            } else if cfg!(feature = "postgres") {
                Ok(Self::Postgres(Secret::new(text.to_owned())))
            } else {
                Err("this program was built without PostgreSQL; build it with --features postgres")
            };
        }
        Err("the URL must begin with sqlite: or postgres://")
    }
}

/// Whether it is clear where the password ends: libpq would take the rest of another one for a port, a host or a database,
/// and name it in its error.
fn has_clear_authority(url: &str) -> bool {
    let rest = url.split_once("://").map_or("", |(_, rest)| rest);
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, behind) = rest.split_at(end);
    let port = authority.rsplit_once(':').map_or("", |(_, port)| port);
    let is_cut_short =
        !authority.contains('@') && behind.contains('@') && !port.bytes().all(|byte| byte.is_ascii_digit());
    authority.matches('@').count() <= 1 && !is_cut_short
}

impl std::fmt::Display for DatabaseUrl {
    /// Without the password, wherever in the URL it stands.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Sqlite(path) => write!(f, "sqlite:{}", path.display()),
            Self::Postgres(url) => f.write_str(&without_password(url.expose())),
        }
    }
}

/// Why the database cannot be used. One sentence for the operator.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// It may work later: the server is away, starting, or full.
    #[error("cannot reach the database {url}: {reason}")]
    Unreachable { url: String, reason: String },
    /// Somebody has to change something: URL, password, certificate, file.
    #[error("cannot open the database {url}: {reason}")]
    Refused { url: String, reason: String },
    #[error("cannot prepare the database {url}: {reason}")]
    Migrate { url: String, reason: String },
    #[error("the database {url} lacks the migration {version}: run `identity-svc migrate`")]
    Behind { url: String, version: String },
    #[error("the database {url} has the migration {version} of a newer release")]
    Newer { url: String, version: String },
}

impl DatabaseUrl {
    /// Opens one connection, ready for use.
    ///
    /// # Errors
    /// When the database is away, locked, read-only or no database.
    pub fn connect(&self) -> Result<DbConnection, OpenError> {
        match self {
            Self::Sqlite(path) => connect_sqlite(path).map_err(|reason| self.refused(reason)),
            #[cfg(feature = "postgres")]
            Self::Postgres(url) => {
                postgres::connect(url.expose()).map_err(|reason| match postgres::is_lasting(&reason) {
                    true => self.refused(reason),
                    false => self.unreachable(reason),
                })
            }
            #[cfg(not(feature = "postgres"))]
            Self::Postgres(_) => Err(self.refused("this program was built without PostgreSQL".to_owned())),
        }
    }

    pub(super) fn refused(&self, reason: String) -> OpenError {
        OpenError::Refused {
            url: self.to_string(),
            reason,
        }
    }

    #[cfg(feature = "postgres")]
    fn unreachable(&self, reason: String) -> OpenError {
        OpenError::Unreachable {
            url: self.to_string(),
            reason,
        }
    }
}

fn connect_sqlite(path: &Path) -> Result<DbConnection, String> {
    make_private(path).map_err(|error| error.to_string())?;
    let mut connection =
        SqliteConnection::establish(&path.to_string_lossy()).map_err(|error| error.to_string())?;
    // WAL: readers never wait for the writer. FULL: a 2xx answer survives a power cut.
    connection
        .batch_execute(
            "PRAGMA busy_timeout = 5000; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; \
             PRAGMA foreign_keys = ON; PRAGMA cache_size = -2000;",
        )
        .map_err(|error| error.to_string())?;
    Ok(DbConnection::Sqlite(connection))
}

/// The database is for its owner alone. SQLite gives the journals beside it the rights that it has, so they only have to
/// be looked at when an earlier release made them.
fn make_private(path: &Path) -> std::io::Result<()> {
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        private_file::create_folder(folder)?;
    }
    if private_file::create_empty(path)? {
        return Ok(());
    }
    for ending in ["", "-wal", "-shm", "-journal"] {
        let mut file = path.as_os_str().to_owned();
        file.push(ending);
        private_file::tighten(Path::new(&file));
    }
    Ok(())
}

#[cfg(feature = "postgres")]
mod postgres {
    use diesel::connection::SimpleConnection;
    use diesel::prelude::*;

    use crate::db::connection::DbConnection;

    /// What libpq is told unless the URL says otherwise. A server whose machine has gone is noticed by the timeouts;
    /// one that is frozen only by the deadline of `Db::call`, because its kernel goes on answering.
    const DEFAULTS: [(&str, &str); 6] = [
        ("connect_timeout", "3"),
        ("tcp_user_timeout", "8000"),
        ("keepalives_idle", "10"),
        ("keepalives_interval", "3"),
        ("keepalives_count", "3"),
        ("application_name", "identity-svc"),
    ];

    /// A statement ends before the caller's deadline, so that its error is the one that is logged. A transaction
    /// whose process is frozen must not hold its locks for long.
    const SESSION: &str = "SET statement_timeout = '5s'; SET lock_timeout = '3s'; \
                           SET idle_in_transaction_session_timeout = '10s'; SET timezone = 'UTC';";

    pub fn connect(url: &str) -> Result<DbConnection, String> {
        let mut connection = diesel::PgConnection::establish(&with_defaults(url))
            .map_err(|error| one_line(&error.to_string()))?;
        connection
            .batch_execute(SESSION)
            .map_err(|error| one_line(&error.to_string()))?;
        Ok(DbConnection::Postgres(connection))
    }

    fn with_defaults(url: &str) -> String {
        let query = url.split_once('?').map_or("", |(_, query)| query);
        let mut complete = url.to_owned();
        for (name, value) in DEFAULTS {
            let is_given = query.split('&').any(|pair| pair.split('=').next() == Some(name));
            if !is_given {
                complete.push(if complete.contains('?') { '&' } else { '?' });
                complete.extend([name, "=", value]);
            }
        }
        complete
    }

    /// libpq's reports have several lines, one for each address it tried.
    fn one_line(report: &str) -> String {
        let lines: Vec<&str> = report
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty())
            .collect();
        lines.join("; ")
    }

    /// Whether only the operator can help. libpq gives no code for a connection that failed, so this goes by its
    /// words; a text in another language counts as passing, and is tried again.
    pub fn is_lasting(reason: &str) -> bool {
        const LASTING: [&str; 9] = [
            "authentication failed",
            "does not exist",
            "no password supplied",
            "pg_hba.conf",
            "permission denied",
            "certificate",
            "SSL",
            "invalid",
            "missing",
        ];
        LASTING.iter().any(|words| reason.contains(words)) && !reason.contains("Connection refused")
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn what_the_url_says_is_left_alone() {
            let complete = with_defaults("postgres://a:b@h/d?sslmode=require&connect_timeout=9");
            assert!(complete.starts_with("postgres://a:b@h/d?sslmode=require&connect_timeout=9&tcp_user"));
            assert_eq!(complete.matches("connect_timeout").count(), 1);
            assert!(with_defaults("postgres://h/d").starts_with("postgres://h/d?connect_timeout=3&"));
        }

        #[test]
        fn a_wrong_password_lasts_and_a_server_that_starts_does_not() {
            for lasting in [
                "connection to server at \"h\", port 5432 failed: FATAL:  password authentication failed for user \"a\"",
                "connection to server at \"h\", port 5432 failed: FATAL:  database \"d\" does not exist",
                "connection to server at \"h\", port 5432 failed: server does not support SSL, but SSL was required",
                "invalid integer value \"x\" for connection option \"port\"",
            ] {
                assert!(is_lasting(lasting), "{lasting}");
            }
            for passing in [
                "connection to server at \"h\", port 5432 failed: Connection refused; Is the server running?",
                "connection to server at \"h\", port 5432 failed: FATAL:  the database system is starting up",
                "connection to server at \"h\", port 5432 failed: timeout expired",
                "could not translate host name \"h\" to address: Name or service not known",
                "connection to server at \"h\", port 5432 failed: FATAL:  sorry, too many clients already",
            ] {
                assert!(!is_lasting(passing), "{passing}");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_shown_without_what_is_secret() {
        let url = DatabaseUrl::Postgres(Secret::new(
            "postgres://ann:hush@h:5/d?sslpassword=hush".to_owned(),
        ));
        assert_eq!(url.to_string(), "postgres://ann:***@h:5/d");
        assert!(!format!("{url:?}").contains("hush"));
    }

    #[test]
    fn a_sqlite_database_is_for_its_owner_alone_also_one_of_an_earlier_release() {
        use std::fs;
        use std::os::unix::fs::PermissionsExt;

        let folder = std::env::temp_dir().join(shared::random::hex_128());
        let url = DatabaseUrl::Sqlite(folder.join("inner/test.sqlite3"));
        let modes = || {
            let mut found: Vec<(String, u32)> = fs::read_dir(folder.join("inner"))
                .unwrap()
                .map(|entry| entry.unwrap())
                .map(|entry| {
                    let name = entry.file_name().into_string().unwrap();
                    (name, entry.metadata().unwrap().permissions().mode() & 0o777)
                })
                .collect();
            found.sort();
            found
        };
        let mut connection = url.connect().unwrap();
        let DbConnection::Sqlite(sqlite) = &mut connection else {
            unreachable!()
        };
        sqlite.batch_execute("CREATE TABLE t (n INTEGER)").unwrap();
        let private =
            ["test.sqlite3", "test.sqlite3-shm", "test.sqlite3-wal"].map(|name| (name.to_owned(), 0o600));
        assert_eq!(modes(), private);
        let folder_mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(
            (folder_mode(&folder), folder_mode(&folder.join("inner"))),
            (0o700, 0o700)
        );
        for (name, _) in modes() {
            let path = folder.join("inner").join(name);
            fs::set_permissions(path, fs::Permissions::from_mode(0o644)).unwrap();
        }
        url.connect().unwrap();
        assert_eq!(modes(), private);
        fs::remove_dir_all(folder).unwrap();
    }

    #[cfg(feature = "postgres")]
    #[test]
    fn a_password_that_would_be_cut_in_pieces_is_refused_and_not_repeated() {
        for bad in ["pa/ss", "pa?ss", "pa#ss", "pa@ss"] {
            let error = format!("postgres://ann:{bad}@h:5/d")
                .parse::<DatabaseUrl>()
                .unwrap_err();
            assert!(error.contains("%2F") && !error.contains(bad), "{error}");
        }
        for good in [
            "postgres://ann:pa%2Fss@h:5/d",
            "postgres://h:5,i:6/d?options=a@b",
            "postgres:///d?host=/run/postgresql&sslrootcert=a@b",
            "postgres://ann@h/d",
        ] {
            assert!(good.parse::<DatabaseUrl>().is_ok(), "{good}");
        }
    }

    #[test]
    fn another_scheme_is_refused() {
        assert!("mysql://h/d".parse::<DatabaseUrl>().is_err());
        assert!("sqlite:".parse::<DatabaseUrl>().is_err());
        assert_eq!(
            "sqlite:a/b".parse(),
            Ok(DatabaseUrl::Sqlite(PathBuf::from("a/b")))
        );
    }
}
