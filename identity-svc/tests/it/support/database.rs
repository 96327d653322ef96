//! A database of its own for every test.

use std::path::PathBuf;

use identity_svc::db::DatabaseUrl;

/// Goes away with the test.
pub struct TestDatabase {
    pub url: DatabaseUrl,
    /// The form of the settings.
    pub text: String,
    kind: Kind,
}

enum Kind {
    Sqlite {
        folder: PathBuf,
    },
    #[cfg(feature = "postgres")]
    Postgres {
        server: String,
        name: String,
    },
}

impl TestDatabase {
    pub fn sqlite() -> Self {
        let folder = std::env::temp_dir().join(format!("gatehouse-{}", shared::random::hex_128()));
        std::fs::create_dir_all(&folder).unwrap();
        let text = format!("sqlite:{}", folder.join("test.sqlite3").display());
        Self::migrated(text, Kind::Sqlite { folder })
    }

    /// `None`, with a word to whoever reads the output, when there is no server.
    #[cfg(feature = "postgres")]
    pub fn postgres() -> Option<Self> {
        let Some(server) = shared::env::Env::from_process().optional("TEST_DATABASE_URL") else {
            println!("skipped on PostgreSQL: TEST_DATABASE_URL is not set");
            return None;
        };
        let name = format!("gatehouse_test_{}", shared::random::hex_128());
        postgres::on_server(&server, &format!("CREATE DATABASE {name}"));
        let text = postgres::url_of(&server, &name);
        Some(Self::migrated(text, Kind::Postgres { server, name }))
    }

    #[cfg(not(feature = "postgres"))]
    pub fn postgres() -> Option<Self> {
        println!("skipped on PostgreSQL: built without the feature postgres");
        None
    }

    fn migrated(text: String, kind: Kind) -> Self {
        let url: DatabaseUrl = text.parse().unwrap();
        url.migrate().unwrap();
        Self { url, text, kind }
    }

    /// A number that a query gives.
    pub fn number(&self, sql: &str) -> i64 {
        use diesel::RunQueryDsl;
        let query = diesel::select(diesel::dsl::sql::<diesel::sql_types::BigInt>(&format!(
            "CAST(({sql}) AS BIGINT)"
        )));
        query.get_result(&mut self.url.connect().unwrap()).unwrap()
    }

    /// Changes something behind the service's back.
    pub fn execute(&self, sql: &str) {
        use diesel::connection::SimpleConnection;
        self.url.connect().unwrap().batch_execute(sql).unwrap();
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        match &self.kind {
            Kind::Sqlite { folder } => drop(std::fs::remove_dir_all(folder)),
            #[cfg(feature = "postgres")]
            Kind::Postgres { server, name } => {
                postgres::on_server(server, &format!("DROP DATABASE {name} WITH (FORCE)"));
            }
        }
    }
}

#[cfg(feature = "postgres")]
mod postgres {
    use diesel::Connection;
    use diesel::connection::SimpleConnection;

    pub fn on_server(server: &str, sql: &str) {
        let mut connection = diesel::PgConnection::establish(server).unwrap();
        connection.batch_execute(sql).unwrap();
    }

    /// The same server, another database.
    pub fn url_of(server: &str, name: &str) -> String {
        let options_at = server.find('?').unwrap_or(server.len());
        let (address, options) = server.split_at(options_at);
        let host_at = address.find("://").unwrap() + 3;
        let path_at = address[host_at..]
            .find('/')
            .map_or(address.len(), |at| host_at + at);
        format!("{}/{name}{options}", &address[..path_at])
    }
}
