use identity_svc::db::messages::{
    Attempt, FindLogin, GiveBackAttempt, Login, LoginLimit, OpenSession, OpenedSession, ReserveAttempt,
    SetActive, SettleAttempt, User,
};

use super::{count_of, register, secret, session, start};
use crate::support::{START_MS, Setup, on_both_databases};

on_both_databases!(
    a_name_finds_accounts_by_username_and_by_address,
    of_forty_simultaneous_tries_as_many_pass_as_may_fail,
    failures_are_forgotten_after_an_hour_or_a_login,
    a_try_that_is_given_back_does_not_count,
    an_account_clears_no_name_but_its_own,
    no_session_opens_for_a_changed_or_inactive_account,
);

const LIMIT: LoginLimit = LoginLimit { free_failures: 3 };

/// A name that may be a username or an address.
fn by_name(text: &str) -> Login {
    Login::Username {
        username_key: text.to_owned(),
        email_key: text.to_owned(),
    }
}

fn by_email(text: &str) -> Login {
    Login::Email(text.to_owned())
}

fn attempt(login: &Login) -> Attempt {
    Attempt::at_login(login, "192.0.2.1")
}

fn reserve(login: &Login, now_ms: i64) -> ReserveAttempt {
    ReserveAttempt {
        attempt: attempt(login),
        limit: LIMIT,
        now_ms,
    }
}

async fn a_name_finds_accounts_by_username_and_by_address(setup: Setup) {
    let db = start(&setup);
    let (ann, _) = register(&db, "ann").await;
    // Somebody's username is another one's address, as in accounts from before that was refused.
    let (bob, _) = register(&db, "ann@example.org").await;
    let ids = async |login| -> Vec<i64> {
        let found = db.call(FindLogin { login }).await.unwrap();
        found.iter().map(|user: &User| user.id).collect()
    };
    assert_eq!(ids(by_name("ann")).await, [ann.id]);
    assert_eq!(ids(by_name("ann@example.org")).await, [bob.id, ann.id]);
    assert_eq!(ids(by_email("ann@example.org")).await, [ann.id]);
    assert_eq!(ids(by_name("nobody")).await, [0; 0]);
}

async fn of_forty_simultaneous_tries_as_many_pass_as_may_fail(setup: Setup) {
    let db = start(&setup);
    for login in [by_name("ann"), by_name("ann@example.org")] {
        let passes = async |now_ms| {
            let messages = (0..40).map(|_| reserve(&login, now_ms)).collect();
            count_of(&db, messages, Option::is_none).await
        };
        assert_eq!(passes(START_MS).await, 3, "{login:?}");
        assert_eq!(passes(START_MS + 29_999).await, 0, "{login:?}");
        assert_eq!(
            passes(START_MS + 30_000).await,
            1,
            "the waiting is over: {login:?}"
        );
        assert_eq!(
            passes(START_MS + 60_000).await,
            0,
            "the next waiting is twice as long: {login:?}"
        );
    }
}

async fn failures_are_forgotten_after_an_hour_or_a_login(setup: Setup) {
    let db = start(&setup);
    let (ann, _) = register(&db, "ann").await;
    let login = by_name("ann");
    let wait = async |now_ms| db.call(reserve(&login, now_ms)).await.unwrap();
    for _ in 0..3 {
        assert_eq!(wait(START_MS).await, None);
    }
    assert_eq!(wait(START_MS).await, Some(30_000));
    let later = START_MS + 3_600_001;
    for _ in 0..3 {
        assert_eq!(wait(later).await, None, "the count has begun anew");
    }
    assert_eq!(wait(later).await, Some(30_000));
    let open = OpenSession {
        user_id: ann.id,
        checked_password: secret("old-encoding"),
        rehashed_password: None,
        session: session("a"),
        attempt: Some(attempt(&login)),
        now_ms: later,
    };
    assert_eq!(db.call(open).await, Ok(OpenedSession::Open));
    assert_eq!(wait(later).await, None);
}

async fn a_try_that_is_given_back_does_not_count(setup: Setup) {
    let db = start(&setup);
    let login = by_name("ann@example.org");
    for _ in 0..5 {
        assert_eq!(db.call(reserve(&login, START_MS)).await, Ok(None));
        let attempt = attempt(&login);
        db.call(GiveBackAttempt { attempt }).await.unwrap();
    }
}

async fn an_account_clears_no_name_but_its_own(setup: Setup) {
    let db = start(&setup);
    let (ann, _) = register(&db, "ann").await;
    let (decoy, _) = register(&db, "ann@example.org").await;
    let login = by_name("ann@example.org");
    // The decoy's owner logs in between the guesses.
    for at in 0..2 {
        assert_eq!(db.call(reserve(&login, START_MS)).await, Ok(None), "{at}");
        let settle = SettleAttempt {
            attempt: attempt(&login),
            user: decoy.clone(),
        };
        assert_eq!(db.call(reserve(&login, START_MS)).await, Ok(None), "{at}");
        db.call(settle).await.unwrap();
    }
    assert_eq!(
        db.call(reserve(&login, START_MS)).await,
        Ok(None),
        "the third guess"
    );
    for login in [&login, &by_email("ann@example.org")] {
        assert_eq!(
            db.call(reserve(login, START_MS)).await,
            Ok(Some(30_000)),
            "{login:?}"
        );
    }
    let settle = SettleAttempt {
        attempt: attempt(&by_email("ann@example.org")),
        user: ann,
    };
    db.call(settle).await.unwrap();
    let by_email = by_email("ann@example.org");
    assert_eq!(db.call(reserve(&by_email, START_MS)).await, Ok(None));
}

async fn no_session_opens_for_a_changed_or_inactive_account(setup: Setup) {
    let db = start(&setup);
    let (ann, _) = register(&db, "ann").await;
    let open = |sid: &str, checked: &str, rehashed: Option<&str>| OpenSession {
        user_id: ann.id,
        checked_password: secret(checked),
        rehashed_password: rehashed.map(secret),
        session: session(sid),
        attempt: None,
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
        now_ms: START_MS,
    };
    db.call(switch(false)).await.unwrap();
    assert_eq!(
        db.call(open("d", "better", None)).await,
        Ok(OpenedSession::Refused)
    );
    db.call(switch(true)).await.unwrap();
    assert_eq!(db.call(open("e", "better", None)).await, Ok(OpenedSession::Open));
}
