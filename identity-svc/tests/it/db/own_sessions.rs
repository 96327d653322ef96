use futures_util::future::{join, join_all};
use identity_svc::db::Db;
use identity_svc::db::messages::{
    EndOtherSessions, EndOwnSession, EndedOwn, FindOwnSessions, FindSession, LiveTimes, NoteUse, OpenSession,
    OpenedSession, RevokeSession, SessionState, User,
};

use super::{count_of, register, secret, session, start};
use crate::support::{START_MS, Setup, on_both_databases};

on_both_databases!(
    live_sessions_are_listed_with_the_asking_one_first,
    of_two_sessions_that_end_all_others_one_wins,
    of_many_sessions_that_end_all_others_one_wins,
    of_two_sessions_that_end_each_other_one_wins,
    a_session_of_another_account_is_not_found,
    an_expired_session_is_not_found,
    of_simultaneous_uses_one_is_noted,
);

async fn open(db: &Db, user: &User, sid: &str, now_ms: i64) {
    let mut session = session(sid);
    session.expires_at_ms = now_ms + 86_400_000;
    let message = OpenSession {
        user_id: user.id,
        checked_password: secret("old-encoding"),
        rehashed_password: None,
        session,
        attempt: None,
        now_ms,
    };
    assert_eq!(db.call(message).await, Ok(OpenedSession::Open));
}

fn end_others(user: &User, asking: &str) -> EndOtherSessions {
    EndOtherSessions {
        user_id: user.id,
        asking_sid: Some(asking.to_owned()),
        now_ms: START_MS,
    }
}

fn end(user: &User, asking: &str, sid: &str) -> EndOwnSession {
    EndOwnSession {
        user_id: user.id,
        asking_sid: Some(asking.to_owned()),
        sid: sid.to_owned(),
        now_ms: START_MS,
    }
}

async fn is_live(db: &Db, sid: &str) -> bool {
    let found = db.call(FindSession { sid: sid.to_owned() }).await.unwrap();
    matches!(found.unwrap().state, SessionState::Live { .. })
}

async fn live_sids(db: &Db, user: &User, asking: Option<&str>, now_ms: i64) -> Vec<String> {
    let message = FindOwnSessions {
        user_id: user.id,
        asking_sid: asking.map(str::to_owned),
        times: LiveTimes {
            now_ms,
            opened_after_ms: i64::MIN,
            used_after_ms: i64::MIN,
        },
    };
    let found = db.call(message).await.unwrap();
    found.into_iter().map(|session| session.sid).collect()
}

async fn live_sessions_are_listed_with_the_asking_one_first(setup: Setup) {
    let db = start(&setup);
    let (user, first) = register(&db, "ann").await;
    register(&db, "bob").await;
    for (sid, after_ms) in [("second", 10), ("third", 20), ("ended", 30)] {
        open(&db, &user, sid, START_MS + after_ms).await;
    }
    let ended = RevokeSession {
        sid: "ended".to_owned(),
        reason: "logout",
        now_ms: START_MS + 40,
    };
    assert_eq!(db.call(ended).await, Ok(true));
    let now_ms = START_MS + 50;
    assert_eq!(
        live_sids(&db, &user, None, now_ms).await,
        ["third", "second", &first]
    );
    assert_eq!(
        live_sids(&db, &user, Some(&first), now_ms).await,
        [&first, "third", "second"]
    );
    // Opened by a release that did not note uses.
    setup
        .database
        .execute("UPDATE sessions SET last_used_at_ms = NULL WHERE sid = 'second'");
    assert_eq!(
        live_sids(&db, &user, None, now_ms).await,
        ["third", "second", &first]
    );
    // Used again.
    let sid = first.clone();
    let later_ms = START_MS + 600_000;
    assert_eq!(db.call(NoteUse::new(&sid, None, later_ms)).await, Ok(true));
    assert_eq!(
        live_sids(&db, &user, None, later_ms).await,
        [&first, "third", "second"]
    );
    // Each ends at its own time.
    let end_ms = START_MS + 86_400_000;
    assert_eq!(
        live_sids(&db, &user, Some(&first), end_ms).await,
        ["third", "second"]
    );
    assert_eq!(live_sids(&db, &user, None, end_ms + 20).await, [""; 0]);
}

async fn of_two_sessions_that_end_all_others_one_wins(setup: Setup) {
    let db = start(&setup);
    let (user, _) = register(&db, "ann").await;
    for round in 0..40 {
        let (one, two) = (format!("a{round}"), format!("b{round}"));
        open(&db, &user, &one, START_MS).await;
        open(&db, &user, &two, START_MS).await;
        let outcomes = join(db.call(end_others(&user, &one)), db.call(end_others(&user, &two))).await;
        let one_lives = match outcomes {
            (Ok(EndedOwn::Ended), Ok(EndedOwn::AskingEnded)) => true,
            (Ok(EndedOwn::AskingEnded), Ok(EndedOwn::Ended)) => false,
            other => panic!("{other:?}"),
        };
        assert_eq!(
            (is_live(&db, &one).await, is_live(&db, &two).await),
            (one_lives, !one_lives)
        );
    }
}

async fn of_many_sessions_that_end_all_others_one_wins(setup: Setup) {
    let db = start(&setup);
    let (user, _) = register(&db, "ann").await;
    let sids: Vec<String> = (0..20).map(|at| format!("s{at}")).collect();
    for sid in &sids {
        open(&db, &user, sid, START_MS).await;
    }
    let messages = sids.iter().map(|sid| end_others(&user, sid)).collect();
    assert_eq!(count_of(&db, messages, |it| *it == EndedOwn::Ended).await, 1);
    assert_eq!(live_sids(&db, &user, None, START_MS).await.len(), 1);
}

async fn of_two_sessions_that_end_each_other_one_wins(setup: Setup) {
    let db = start(&setup);
    let (user, _) = register(&db, "ann").await;
    for round in 0..40 {
        let (one, two) = (format!("a{round}"), format!("b{round}"));
        open(&db, &user, &one, START_MS).await;
        open(&db, &user, &two, START_MS).await;
        let messages = [end(&user, &one, &two), end(&user, &two, &one)];
        let outcomes = join_all(messages.map(|message| db.call(message))).await;
        assert!(outcomes.contains(&Ok(EndedOwn::Ended)), "{outcomes:?}");
        assert!(outcomes.contains(&Ok(EndedOwn::AskingEnded)), "{outcomes:?}");
        assert_ne!(is_live(&db, &one).await, is_live(&db, &two).await);
    }
}

async fn a_session_of_another_account_is_not_found(setup: Setup) {
    let db = start(&setup);
    let (ann, anns) = register(&db, "ann").await;
    let (bob, bobs) = register(&db, "bob").await;
    assert_eq!(db.call(end(&bob, &bobs, &anns)).await, Ok(EndedOwn::NotFound));
    // The asking session has to be the account's own, too.
    assert_eq!(db.call(end(&bob, &anns, &bobs)).await, Ok(EndedOwn::AskingEnded));
    assert_eq!(db.call(end_others(&bob, &anns)).await, Ok(EndedOwn::AskingEnded));
    assert!(is_live(&db, &anns).await && is_live(&db, &bobs).await);
    assert_eq!(db.call(end(&ann, &anns, &anns)).await, Ok(EndedOwn::Ended));
    assert!(!is_live(&db, &anns).await);
}

async fn an_expired_session_is_not_found(setup: Setup) {
    let db = start(&setup);
    let (ann, sid) = register(&db, "ann").await;
    let message = EndOwnSession {
        now_ms: START_MS + 86_400_000,
        ..end(&ann, &sid, &sid)
    };
    assert_eq!(db.call(message).await, Ok(EndedOwn::NotFound));
}

async fn of_simultaneous_uses_one_is_noted(setup: Setup) {
    let db = start(&setup);
    let (_, sid) = register(&db, "ann").await;
    let uses = |now_ms| {
        let sid = sid.clone();
        (0..20).map(|_| NoteUse::new(&sid, None, now_ms)).collect()
    };
    assert_eq!(count_of(&db, uses(START_MS + 599_999), |noted| *noted).await, 0);
    assert_eq!(count_of(&db, uses(START_MS + 600_000), |noted| *noted).await, 1);
    setup
        .database
        .execute("UPDATE sessions SET last_used_at_ms = NULL");
    assert_eq!(count_of(&db, uses(START_MS + 600_001), |noted| *noted).await, 1);
    let ended = RevokeSession {
        sid: sid.clone(),
        reason: "logout",
        now_ms: START_MS,
    };
    assert_eq!(db.call(ended).await, Ok(true));
    assert_eq!(count_of(&db, uses(START_MS + 9_000_000), |noted| *noted).await, 0);
}
