use identity_svc::db::messages::{
    ClearLoginFailures, FindLogin, FindLoginWait, Login, LoginLimit, OpenSession, OpenedSession,
    RecordLoginFailure, SetActive,
};

use super::{count_of, register, secret, session, start};
use crate::support::{START_MS, Setup, on_both_databases};

on_both_databases!(
    a_name_finds_accounts_by_username_and_by_address,
    simultaneous_failures_are_all_counted,
    failures_are_forgotten_after_an_hour_or_a_login,
    no_session_opens_for_a_changed_or_inactive_account,
);

const LIMIT: LoginLimit = LoginLimit { free_failures: 3 };

fn find(login: Login) -> FindLogin {
    FindLogin {
        login,
        address: "192.0.2.1".to_owned(),
        limit: LIMIT,
        now_ms: START_MS,
    }
}

fn failure(account: &str, now_ms: i64) -> RecordLoginFailure {
    RecordLoginFailure {
        account: account.to_owned(),
        address: "192.0.2.1".to_owned(),
        now_ms,
    }
}

async fn a_name_finds_accounts_by_username_and_by_address(setup: Setup) {
    let db = start(&setup);
    let (ann, _) = register(&db, "ann").await;
    // Somebody's username is another one's address.
    let (bob, _) = register(&db, "ann@example.org").await;
    let by_name = |text: &str| Login::Username {
        username_key: text.to_owned(),
        email_key: text.to_owned(),
    };
    let ids = async |login| -> Vec<i64> {
        let found = db.call(find(login)).await.unwrap();
        found.candidates.iter().map(|user| user.id).collect()
    };
    assert_eq!(ids(by_name("ann")).await, [ann.id]);
    assert_eq!(ids(by_name("ann@example.org")).await, [bob.id, ann.id]);
    assert_eq!(ids(Login::Email("ann@example.org".to_owned())).await, [ann.id]);
    assert_eq!(ids(by_name("nobody")).await, [0; 0]);
    let known = db.call(find(by_name("ann"))).await.unwrap();
    assert_eq!(known.account, format!("user:{}", ann.id));
    let unknown = db.call(find(by_name("nobody"))).await.unwrap();
    assert_eq!(unknown.account, "name:nobody");
}

async fn simultaneous_failures_are_all_counted(setup: Setup) {
    let db = start(&setup);
    let messages = (0..40).map(|_| failure("user:7", START_MS)).collect();
    count_of(&db, messages, |()| true).await;
    let counted = "SELECT CAST(failure_count AS BIGINT) FROM login_failures";
    assert_eq!(setup.database.number(counted), 40);
}

async fn failures_are_forgotten_after_an_hour_or_a_login(setup: Setup) {
    let db = start(&setup);
    let (ann, _) = register(&db, "ann").await;
    let account = format!("user:{}", ann.id);
    let wait = async |now_ms| {
        let message = FindLoginWait {
            user_id: ann.id,
            address: "192.0.2.1".to_owned(),
            limit: LIMIT,
            now_ms,
        };
        db.call(message).await.unwrap().1
    };
    for _ in 0..3 {
        assert_eq!(wait(START_MS).await, None);
        db.call(failure(&account, START_MS)).await.unwrap();
    }
    assert_eq!(wait(START_MS).await, Some(30_000));
    let later = START_MS + 3_600_001;
    db.call(failure(&account, later)).await.unwrap();
    assert_eq!(wait(later).await, None, "the count has begun anew");
    for _ in 0..2 {
        db.call(failure(&account, later)).await.unwrap();
    }
    assert_eq!(wait(later).await, Some(30_000));
    let clear = ClearLoginFailures {
        account,
        address: "192.0.2.1".to_owned(),
    };
    db.call(clear).await.unwrap();
    assert_eq!(wait(later).await, None);
}

async fn no_session_opens_for_a_changed_or_inactive_account(setup: Setup) {
    let db = start(&setup);
    let (ann, _) = register(&db, "ann").await;
    let open = |sid: &str, checked: &str, rehashed: Option<&str>| OpenSession {
        user_id: ann.id,
        checked_password: secret(checked),
        rehashed_password: rehashed.map(secret),
        session: session(sid),
        now_ms: START_MS,
    };
    assert_eq!(
        db.call(open("a", "other", None)).await,
        Ok(OpenedSession::Refused)
    );
    assert_eq!(
        db.call(open("b", "old-encoding", Some("better"))).await,
        Ok(OpenedSession::Open)
    );
    assert_eq!(
        db.call(open("c", "old-encoding", None)).await,
        Ok(OpenedSession::Refused)
    );
    let switch = |is_active| SetActive {
        user_id: ann.id,
        is_active,
    };
    db.call(switch(false)).await.unwrap();
    assert_eq!(
        db.call(open("d", "better", None)).await,
        Ok(OpenedSession::Refused)
    );
    db.call(switch(true)).await.unwrap();
    assert_eq!(db.call(open("e", "better", None)).await, Ok(OpenedSession::Open));
}
