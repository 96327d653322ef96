use futures_util::future::join_all;
use identity_svc::db::OpenError;

use crate::support::{Setup, on_both_databases};

on_both_databases!(
    a_migrated_database_is_up_to_date,
    a_database_of_a_newer_release_is_never_migrated,
    processes_that_migrate_at_once_wait_for_each_other,
);

const NEWER: &str = "INSERT INTO __diesel_schema_migrations (version) VALUES ('20991231')";
/// How many there are.
const MIGRATIONS: usize = 5;
const DOWN: &str = "DROP TABLE used_legacy_tokens; DROP TABLE login_failures; DROP TABLE mail_requests; DROP TABLE outbox; \
     DROP TABLE one_time_secrets; DROP TABLE sessions; DROP TABLE users; DROP TABLE __diesel_schema_migrations";

async fn a_migrated_database_is_up_to_date(setup: Setup) {
    let url = &setup.database.url;
    assert_eq!(url.check(), Ok(()));
    assert_eq!(url.migrate(), Ok(Vec::new()));
    setup.database.execute(DOWN);
    assert!(matches!(url.check(), Err(OpenError::Behind { .. })));
    assert_eq!(url.migrate().unwrap().len(), MIGRATIONS);
    assert_eq!(url.prepare(), Ok(()));
}

async fn a_database_of_a_newer_release_is_never_migrated(setup: Setup) {
    let url = &setup.database.url;
    setup.database.execute(NEWER);
    assert!(matches!(url.check(), Err(OpenError::Newer { .. })));
    assert!(matches!(url.migrate(), Err(OpenError::Newer { .. })));
    // A release works on the next one's PostgreSQL; SQLite belongs to one process.
    let is_postgres = url.to_string().starts_with("postgres");
    assert_eq!(url.prepare().is_ok(), is_postgres);
}

async fn processes_that_migrate_at_once_wait_for_each_other(setup: Setup) {
    if setup.database.url.to_string().starts_with("sqlite") {
        return;
    }
    setup.database.execute(DOWN);
    let migrations = (0..6).map(|_| {
        let url = setup.database.url.clone();
        actix_web::rt::task::spawn_blocking(move || url.migrate().unwrap().len())
    });
    let applied = join_all(migrations).await.into_iter().map(Result::unwrap);
    assert_eq!(applied.sum::<usize>(), MIGRATIONS);
}
