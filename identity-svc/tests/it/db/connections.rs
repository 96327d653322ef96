//! What becomes of units of work when the server cuts connections. PostgreSQL only.
#![cfg(feature = "postgres")]

use futures_util::future::join_all;
use identity_svc::db::messages::{CheckDatabase, FindTaken, Registered};
use identity_svc::db::{Db, OpenError};

use super::{registration, start};
use crate::support::{Setup, TestDatabase};

/// As a restart of the server does: every connection of this database but the asking one.
fn cut_connections(database: &TestDatabase) {
    database.number(
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
         WHERE datname = current_database() AND pid <> pg_backend_pid()",
    );
}

async fn open_all(db: &Db) {
    let questions = join_all((0..200).map(|_| db.call(CheckDatabase))).await;
    assert!(questions.iter().all(Result::is_ok));
}

#[actix_web::test]
async fn no_request_fails_because_all_connections_have_died() {
    let Some(setup) = Setup::postgres() else { return };
    let db = start(&setup);
    for round in 0..5 {
        open_all(&db).await;
        cut_connections(&setup.database);
        let reads = (0..40).map(|_| {
            db.call(FindTaken {
                username: "ann".to_owned(),
                username_key: "ann".to_owned(),
                email_key: "ann".to_owned(),
            })
        });
        assert!(join_all(reads).await.iter().all(Result::is_ok));
        open_all(&db).await;
        cut_connections(&setup.database);
        let writes = (0..40).map(|at| {
            let name = format!("user{round}-{at}");
            db.call(registration(&name, &format!("{name}@example.org")))
        });
        for outcome in join_all(writes).await {
            assert!(matches!(outcome, Ok(Registered::Created(_))));
        }
    }
    assert_eq!(setup.database.number("SELECT count(*) FROM users"), 200);
}

#[actix_web::test]
async fn whatever_is_cut_a_registration_that_was_confirmed_is_there_once() {
    let Some(setup) = Setup::postgres() else { return };
    let db = start(&setup);
    let mut confirmed = 0;
    for round in 0..10 {
        let writes = (0..30).map(|at| {
            let name = format!("user{round}-{at}");
            db.call(registration(&name, &format!("{name}@example.org")))
        });
        let cut = async {
            for _ in 0..3 {
                actix_web::rt::time::sleep(std::time::Duration::from_millis(3)).await;
                cut_connections(&setup.database);
            }
        };
        let (outcomes, ()) = futures_util::future::join(join_all(writes), cut).await;
        for outcome in outcomes {
            match outcome {
                Ok(Registered::Created(_)) => confirmed += 1,
                Ok(Registered::Taken(_)) => panic!("a run that may have written was repeated"),
                Err(_) => {}
            }
        }
    }
    assert!(setup.database.number("SELECT count(*) FROM users") >= confirmed);
    assert!(confirmed > 0);
}

#[test]
fn what_is_wrong_with_a_connection_is_told_apart() {
    let Some(database) = TestDatabase::postgres() else {
        return;
    };
    let connect = |text: String| text.parse::<identity_svc::db::DatabaseUrl>().unwrap().check();
    let path_at = database.text.find("/gatehouse_test").unwrap();
    let missing = format!("{}/no_such_database", &database.text[..path_at]);
    assert!(matches!(connect(missing), Err(OpenError::Refused { .. })));
    let refused = "postgres://ann:hush@127.0.0.1:1/d".to_owned();
    let Err(error @ OpenError::Unreachable { .. }) = connect(refused) else {
        panic!("nobody listens there")
    };
    let text = error.to_string();
    assert!(!text.contains("hush") && !text.contains('\n'), "{text}");
}
