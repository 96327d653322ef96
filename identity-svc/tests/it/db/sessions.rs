use std::time::Duration;

use identity_svc::db::messages::{
    FindRevoked, FindSession, IsLegacyTokenUsed, RevokeSession, RotateSession, RotatedSession, SessionState,
    Successor, UseLegacyToken, UsedLegacyToken,
};

use super::{count_of, register, session, start};
use crate::support::{START_MS, Setup, on_both_databases};

on_both_databases!(
    of_simultaneous_rotations_without_grace_one_wins_and_the_session_ends,
    simultaneous_rotations_inside_the_grace_lead_to_one_successor,
    a_generation_before_the_last_is_reuse_even_inside_the_grace,
    without_grace_a_request_that_began_before_the_rotation_is_reuse_too,
    a_session_is_revoked_once,
    ended_sessions_are_told_in_the_order_of_their_ends_page_by_page,
    a_legacy_token_is_used_once,
    a_legacy_token_of_nobody_stays,
);

fn rotation(sid: &str, generation: i64, grace_seconds: u64, now_ms: i64) -> RotateSession {
    RotateSession {
        sid: sid.to_owned(),
        generation,
        expires_at_ms: now_ms + 86_400_000,
        grace: Duration::from_secs(grace_seconds),
        now_ms,
    }
}

async fn of_simultaneous_rotations_without_grace_one_wins_and_the_session_ends(setup: Setup) {
    let db = start(&setup);
    let (_, sid) = register(&db, "ann").await;
    let messages = (0..30).map(|_| rotation(&sid, 0, 0, START_MS)).collect();
    let won = count_of(&db, messages, |it| matches!(it, RotatedSession::To { .. })).await;
    assert_eq!(won, 1);
    let found = db.call(FindSession { sid }).await.unwrap().unwrap();
    assert_eq!(found.state, SessionState::Revoked);
}

async fn simultaneous_rotations_inside_the_grace_lead_to_one_successor(setup: Setup) {
    let db = start(&setup);
    let (_, sid) = register(&db, "ann").await;
    let messages = (0..30).map(|_| rotation(&sid, 0, 10, START_MS)).collect();
    let won = count_of(&db, messages, |it| *it == RotatedSession::To { generation: 1 }).await;
    assert_eq!(won, 30);
    let found = db.call(FindSession { sid }).await.unwrap().unwrap();
    let state = SessionState::Live {
        generation: 1,
        rotated_at_ms: Some(START_MS),
    };
    assert_eq!(found.state, state);
}

// Found by a race of fifty requests through two replicas: three got the successor.
async fn without_grace_a_request_that_began_before_the_rotation_is_reuse_too(setup: Setup) {
    let db = start(&setup);
    let (_, sid) = register(&db, "ann").await;
    let won = db.call(rotation(&sid, 0, 0, START_MS + 5)).await;
    assert_eq!(won, Ok(RotatedSession::To { generation: 1 }));
    // It read the clock earlier, or the clock of another replica.
    let late = db.call(rotation(&sid, 0, 0, START_MS)).await;
    assert_eq!(late, Ok(RotatedSession::Reused));
}

async fn a_generation_before_the_last_is_reuse_even_inside_the_grace(setup: Setup) {
    let db = start(&setup);
    let (_, sid) = register(&db, "ann").await;
    for generation in 0..2 {
        let rotated = db.call(rotation(&sid, generation, 10, START_MS)).await;
        assert_eq!(
            rotated,
            Ok(RotatedSession::To {
                generation: generation + 1
            })
        );
    }
    assert_eq!(
        db.call(rotation(&sid, 0, 10, START_MS)).await,
        Ok(RotatedSession::Reused)
    );
    assert_eq!(
        db.call(rotation(&sid, 2, 10, START_MS)).await,
        Ok(RotatedSession::Revoked)
    );
}

async fn ended_sessions_are_told_in_the_order_of_their_ends_page_by_page(setup: Setup) {
    let db = start(&setup);
    let mut ends = Vec::new();
    // Two end in the same millisecond: the session decides then.
    for (name, now_ms) in [
        ("ann", START_MS + 2),
        ("bob", START_MS + 1),
        ("cid", START_MS + 1),
    ] {
        let (_, sid) = register(&db, name).await;
        let reason = "logout";
        db.call(RevokeSession {
            sid: sid.clone(),
            reason,
            now_ms,
        })
        .await
        .unwrap();
        ends.push((sid, now_ms));
    }
    register(&db, "dan").await;
    ends.sort_by(|a, b| (a.1, &a.0).cmp(&(b.1, &b.0)));
    let mut after = (START_MS, String::new());
    for end in &ends {
        let page = db.call(FindRevoked { after, limit: 1 }).await.unwrap();
        assert_eq!(page, std::slice::from_ref(end));
        after = (end.1, end.0.clone());
    }
    assert_eq!(db.call(FindRevoked { after, limit: 1 }).await, Ok(Vec::new()));
}

async fn a_session_is_revoked_once(setup: Setup) {
    let db = start(&setup);
    let (user, sid) = register(&db, "ann").await;
    let revoke = || RevokeSession {
        sid: sid.clone(),
        reason: "logout",
        now_ms: START_MS,
    };
    let messages = (0..20).map(|_| revoke()).collect();
    assert_eq!(count_of(&db, messages, |was_live| *was_live).await, 1);
    let found = db.call(FindSession { sid: sid.clone() }).await.unwrap().unwrap();
    assert_eq!((found.user_id, found.state), (user.id, SessionState::Revoked));
    let unknown = FindSession {
        sid: "unknown".to_owned(),
    };
    assert!(db.call(unknown).await.unwrap().is_none());
}

fn successor(user_id: i64, sid: &str) -> Successor {
    Successor {
        user_id,
        issued_at: Some(START_MS / 1000),
        session: session(sid),
    }
}

async fn a_legacy_token_is_used_once(setup: Setup) {
    let db = start(&setup);
    let (user, _) = register(&db, "ann").await;
    let messages = (0..30).map(|at| UseLegacyToken {
        jti: "0f".to_owned(),
        expires_at_ms: START_MS + 1000,
        successor: Some(successor(user.id, &format!("s{at}"))),
        now_ms: START_MS,
    });
    let count = count_of(&db, messages.collect(), |it| *it == UsedLegacyToken::Used).await;
    assert_eq!(count, 1);
    assert_eq!(setup.database.number("SELECT count(*) FROM sessions"), 2);
    let is_used = |jti: &str| IsLegacyTokenUsed { jti: jti.to_owned() };
    assert_eq!(db.call(is_used("0f")).await, Ok(true));
    assert_eq!(db.call(is_used("1f")).await, Ok(false));
}

async fn a_legacy_token_of_nobody_stays(setup: Setup) {
    let db = start(&setup);
    let message = UseLegacyToken {
        jti: "0f".to_owned(),
        expires_at_ms: START_MS + 1000,
        successor: Some(successor(77, "s")),
        now_ms: START_MS,
    };
    assert_eq!(db.call(message).await, Ok(UsedLegacyToken::NoAccount));
    assert_eq!(
        setup.database.number("SELECT count(*) FROM used_legacy_tokens"),
        0
    );
}
