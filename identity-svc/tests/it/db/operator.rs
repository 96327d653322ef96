use identity_svc::db::messages::{
    CheckDatabase, DeleteUser, FindLogin, FindSession, FindUser, ImportPassword, Login, SessionState,
    UpdateProfile, UpdatedProfile,
};

use super::{register, secret, start};
use crate::support::{START_MS, Setup, on_both_databases};

on_both_databases!(
    a_deleted_account_leaves_revoked_sessions,
    an_imported_hash_changes_nothing_else,
    a_profile_keeps_what_it_is_not_told,
    the_database_answers,
);

async fn a_deleted_account_leaves_revoked_sessions(setup: Setup) {
    let db = start(&setup);
    let (ann, sid) = register(&db, "ann").await;
    let delete = DeleteUser {
        user_id: ann.id,
        now_ms: START_MS,
    };
    db.call(delete).await.unwrap();
    let found = db.call(FindSession { sid }).await.unwrap().unwrap();
    assert!(found.user.is_none());
    assert_eq!(found.state, SessionState::Revoked);
    assert_eq!(setup.database.number("SELECT count(*) FROM one_time_secrets"), 0);
}

async fn an_imported_hash_changes_nothing_else(setup: Setup) {
    let db = start(&setup);
    let (ann, sid) = register(&db, "ann").await;
    let import = ImportPassword {
        user_id: ann.id,
        encoded: secret("imported"),
        now_ms: START_MS,
    };
    db.call(import).await.unwrap();
    for name in ["ann", "ann@example.org"] {
        let login = Login::by_name(name);
        let found = db.call(FindLogin { login }).await.unwrap();
        assert_eq!((found[0].id, found[0].password.as_str()), (ann.id, "imported"));
    }
    let found = db.call(FindSession { sid }).await.unwrap().unwrap();
    assert!(matches!(found.state, SessionState::Live { .. }));
}

async fn a_profile_keeps_what_it_is_not_told(setup: Setup) {
    let db = start(&setup);
    let ((ann, _), _) = (register(&db, "ann").await, register(&db, "bob").await);
    let update = |username: Option<&str>, first_name: Option<&str>| UpdateProfile {
        user_id: ann.id,
        username: username.map(|name| (name.to_owned(), name.to_lowercase())),
        first_name: first_name.map(str::to_owned),
        last_name: None,
    };
    let outcome = db.call(update(None, Some("Ann"))).await.unwrap();
    assert!(matches!(outcome, UpdatedProfile::Updated(_)));
    let outcome = db.call(update(Some("ANN"), None)).await.unwrap();
    let UpdatedProfile::Updated(user) = outcome else {
        panic!("one may change the case of one's own name")
    };
    assert_eq!((user.username.as_str(), user.first_name.as_str()), ("ANN", "Ann"));
    let outcome = db.call(update(Some("Bob"), None)).await.unwrap();
    assert!(matches!(outcome, UpdatedProfile::UsernameTaken));
    let found = db.call(FindUser { id: ann.id }).await.unwrap().unwrap();
    assert_eq!(found.username, "ANN");
}

async fn the_database_answers(setup: Setup) {
    assert_eq!(start(&setup).call(CheckDatabase).await, Ok(()));
}
