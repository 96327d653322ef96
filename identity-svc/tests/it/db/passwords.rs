use futures_util::future::{join, join_all};
use identity_svc::db::messages::{
    ChangePassword, ConfirmEmail, DeleteExpired, FindReset, FindSession, FoundReset, OpenSession,
    OpenedSession, RequestMail, RequestedMail, ResetPassword, SessionState, User,
};
use identity_svc::db::{Db, DbError};
use identity_svc::encryption::Encryption;
use identity_svc::mail_draft::{LinkTemplate, NoticeDraft};
use identity_svc::tokens::one_time::Purpose;
use shared::request_id::RequestId;

use super::{count_of, mail, register, request_reset, secret, session, start};
use crate::support::{START_MS, Setup, on_both_databases};

on_both_databases!(
    nobodys_mailbox_is_filled_by_changes,
    of_simultaneous_changes_one_wins_and_ends_the_other_sessions,
    of_simultaneous_uses_of_a_reset_token_one_wins,
    resets_and_changes_at_once_never_wait_for_each_other_for_ever,
    a_login_with_the_old_password_does_not_outlive_a_change_at_the_same_time,
    a_newer_reset_voids_the_older_one,
    a_change_voids_reset_tokens,
    a_reset_token_is_bound_to_its_account_and_its_time,
    of_simultaneous_uses_of_verification_keys_one_wins,
    the_budget_of_mails_holds_against_simultaneous_requests,
    a_client_leaves_no_more_rows_than_it_may_ask_for_and_none_for_longer,
);

fn notice() -> NoticeDraft {
    NoticeDraft {
        link: LinkTemplate::parse("https://app.test/forgotten", &[]).unwrap(),
        language: "en",
        request_id: RequestId::random(),
        created_at_ms: START_MS,
        job_id: shared::random::hex_128(),
        mails_per_hour: 3,
        encryption: Encryption::in_memory().unwrap(),
    }
}

fn notices(setup: &Setup) -> i64 {
    setup
        .database
        .number("SELECT count(*) FROM outbox WHERE kind = 'password_changed'")
}

fn change(user: &User, new: &str, keep: Option<&str>) -> ChangePassword {
    ChangePassword {
        user_id: user.id,
        checked_password: secret("old-encoding"),
        new_password: secret(new),
        keep_sid: keep.map(str::to_owned),
        notice: Some(notice()),
        now_ms: START_MS,
    }
}

async fn find_reset(db: &Db, user: &User, digest: &str, now_ms: i64) -> FoundReset {
    let message = FindReset {
        uid: user.uid.clone(),
        digest: digest.to_owned(),
        now_ms,
    };
    db.call(message).await.unwrap()
}

async fn reset(db: &Db, user: &User, digest: &str) -> Result<bool, DbError> {
    let FoundReset::Good { token, .. } = find_reset(db, user, digest, START_MS).await else {
        return Ok(false);
    };
    db.call(ResetPassword {
        token,
        new_password: secret("reset-encoding"),
        notice: Some(notice()),
        now_ms: START_MS,
    })
    .await
}

async fn of_simultaneous_changes_one_wins_and_ends_the_other_sessions(setup: Setup) {
    let db = start(&setup);
    let (user, first_sid) = register(&db, "ann").await;
    let open = OpenSession {
        user_id: user.id,
        checked_password: secret("old-encoding"),
        rehashed_password: None,
        session: session("second"),
        attempt: None,
        now_ms: START_MS,
    };
    assert_eq!(db.call(open).await, Ok(OpenedSession::Open));
    let messages = (0..20).map(|at| change(&user, &format!("new-{at}"), Some("second")));
    assert_eq!(
        count_of(&db, messages.collect(), |is_changed| *is_changed).await,
        1
    );
    let state = |sid: &str| db.call(FindSession { sid: sid.to_owned() });
    assert_eq!(
        state(&first_sid).await.unwrap().unwrap().state,
        SessionState::Revoked
    );
    assert_eq!(notices(&setup), 1, "told once, by the change that won");
    assert!(matches!(
        state("second").await.unwrap().unwrap().state,
        SessionState::Live { .. }
    ));
}

async fn of_simultaneous_uses_of_a_reset_token_one_wins(setup: Setup) {
    let db = start(&setup);
    let (user, sid) = register(&db, "ann").await;
    let digest = request_reset(&db, &user).await;
    let outcomes = join_all((0..20).map(|_| reset(&db, &user, &digest))).await;
    let won = outcomes.into_iter().filter(|it| *it == Ok(true)).count();
    assert_eq!(won, 1);
    assert_eq!(notices(&setup), 1);
    let found = db.call(FindSession { sid }).await.unwrap().unwrap();
    assert_eq!(found.state, SessionState::Revoked);
    assert_eq!(found.user.unwrap().password, "reset-encoding");
}

async fn nobodys_mailbox_is_filled_by_changes(setup: Setup) {
    let db = start(&setup);
    let (user, _) = register(&db, "ann").await;
    for _ in 0..5 {
        setup
            .database
            .execute("UPDATE users SET password = 'old-encoding'");
        assert_eq!(db.call(change(&user, "new", None)).await, Ok(true));
    }
    assert_eq!(notices(&setup), 3);
}

async fn resets_and_changes_at_once_never_wait_for_each_other_for_ever(setup: Setup) {
    let db = start(&setup);
    let (user, _) = register(&db, "ann").await;
    for _ in 0..10 {
        setup
            .database
            .execute("UPDATE users SET password = 'old-encoding'");
        let digest = request_reset(&db, &user).await;
        let changes = join_all((0..5).map(|_| db.call(change(&user, "new", None))));
        let resets = join_all((0..5).map(|_| reset(&db, &user, &digest)));
        let (changes, resets) = join(changes, resets).await;
        assert!(
            changes.iter().chain(&resets).all(Result::is_ok),
            "{changes:?} {resets:?}"
        );
        let won = changes
            .iter()
            .chain(&resets)
            .filter(|it| **it == Ok(true))
            .count();
        assert!(
            (1..=2).contains(&won),
            "a change may come before the reset, never after it"
        );
    }
}

async fn a_login_with_the_old_password_does_not_outlive_a_change_at_the_same_time(setup: Setup) {
    let db = start(&setup);
    let (user, _) = register(&db, "ann").await;
    for round in 0..10 {
        setup
            .database
            .execute("UPDATE users SET password = 'old-encoding'");
        let logins = join_all((0..8).map(|at| {
            db.call(OpenSession {
                user_id: user.id,
                checked_password: secret("old-encoding"),
                rehashed_password: None,
                session: session(&format!("s{round}-{at}")),
                attempt: None,
                now_ms: START_MS,
            })
        }));
        let (_, changed) = join(logins, db.call(change(&user, "new", None))).await;
        assert_eq!(changed, Ok(true));
        let live = "SELECT count(*) FROM sessions WHERE revoked_at_ms IS NULL";
        assert_eq!(setup.database.number(live), 0);
    }
}

async fn a_newer_reset_voids_the_older_one(setup: Setup) {
    let db = start(&setup);
    let (user, _) = register(&db, "ann").await;
    let older = request_reset(&db, &user).await;
    let newer = request_reset(&db, &user).await;
    assert_eq!(reset(&db, &user, &older).await, Ok(false));
    assert_eq!(reset(&db, &user, &newer).await, Ok(true));
}

async fn a_change_voids_reset_tokens(setup: Setup) {
    let db = start(&setup);
    let (user, _) = register(&db, "ann").await;
    let digest = request_reset(&db, &user).await;
    assert_eq!(db.call(change(&user, "new", None)).await, Ok(true));
    assert_eq!(reset(&db, &user, &digest).await, Ok(false));
}

async fn a_reset_token_is_bound_to_its_account_and_its_time(setup: Setup) {
    let db = start(&setup);
    let ((ann, _), (bob, _)) = (register(&db, "ann").await, register(&db, "bob").await);
    let digest = request_reset(&db, &ann).await;
    let of = async |user: &User, now_ms| find_reset(&db, user, &digest, now_ms).await;
    assert!(matches!(of(&bob, START_MS).await, FoundReset::BadToken));
    assert!(matches!(
        of(&ann, START_MS + 3_600_000).await,
        FoundReset::BadToken
    ));
    assert!(matches!(
        of(&ann, START_MS + 3_599_999).await,
        FoundReset::Good { .. }
    ));
    let nobody = FindReset {
        uid: "nobody".to_owned(),
        digest,
        now_ms: START_MS,
    };
    assert!(matches!(db.call(nobody).await.unwrap(), FoundReset::UnknownUid));
}

async fn of_simultaneous_uses_of_verification_keys_one_wins(setup: Setup) {
    let db = start(&setup);
    let (user, _) = register(&db, "ann").await;
    let mut digests = Vec::new();
    for _ in 0..4 {
        let mail = mail(Purpose::VerifyEmail);
        digests.push(mail.digest());
        let message = RequestMail {
            client: "192.0.2.1".to_owned(),
            email_key: user.email.clone(),
            mail,
            mails_per_hour: 0,
        };
        assert_eq!(db.call(message).await, Ok(RequestedMail::Queued));
    }
    let messages = (0..20).map(|at| ConfirmEmail {
        digest: digests[at % digests.len()].clone(),
        now_ms: START_MS,
    });
    assert_eq!(count_of(&db, messages.collect(), |is_good| *is_good).await, 1);
    let verified = "SELECT count(*) FROM users WHERE is_email_verified";
    assert_eq!(setup.database.number(verified), 1);
}

async fn the_budget_of_mails_holds_against_simultaneous_requests(setup: Setup) {
    let db = start(&setup);
    let (user, _) = register(&db, "ann").await;
    let request = |email: &str| RequestMail {
        client: "192.0.2.1".to_owned(),
        email_key: email.to_owned(),
        mail: mail(Purpose::ResetPassword),
        mails_per_hour: 6,
    };
    let messages = (0..30).map(|_| request(&user.email)).collect();
    assert_eq!(
        count_of(&db, messages, |it| *it == RequestedMail::Queued).await,
        6
    );
    // An unknown address looks the same from outside, and is counted the same.
    let messages = (0..30).map(|_| request("nobody@example.org")).collect();
    assert_eq!(
        count_of(&db, messages, |it| *it == RequestedMail::Queued).await,
        0
    );
    let suppressed = "SELECT count(*) FROM outbox WHERE recipient = 'nobody@example.org'";
    assert_eq!(setup.database.number(suppressed), 6);
}

async fn a_client_leaves_no_more_rows_than_it_may_ask_for_and_none_for_longer(setup: Setup) {
    let db = start(&setup);
    let (user, _) = register(&db, "ann").await;
    let request = |client: &str, email: &str, at_ms: i64| {
        let mut mail = mail(Purpose::VerifyEmail);
        mail.created_at_ms = at_ms;
        RequestMail {
            client: client.to_owned(),
            email_key: email.to_owned(),
            mail,
            mails_per_hour: 2,
        }
    };
    let messages = (0..60).map(|at| request("192.0.2.1", &format!("nobody{at}@example.org"), START_MS));
    let refused = count_of(&db, messages.collect(), |it| {
        *it == RequestedMail::ClientHasHadEnough
    })
    .await;
    assert_eq!(refused, 40);
    let suppressed = "SELECT count(*) FROM outbox WHERE state = 'suppressed'";
    assert_eq!(setup.database.number(suppressed), 20);
    // Known addresses are no way to tell the difference, and others may go on.
    let known = db.call(request("192.0.2.1", &user.email, START_MS)).await;
    assert_eq!(known, Ok(RequestedMail::ClientHasHadEnough));
    let other = db.call(request("192.0.2.2", &user.email, START_MS)).await;
    assert_eq!(other, Ok(RequestedMail::Queued));
    let hour_later = START_MS + 3_600_000;
    let again = db
        .call(request("192.0.2.1", "nobody@example.org", hour_later))
        .await;
    assert_eq!(again, Ok(RequestedMail::NotSent));
    let clean = |now_ms| DeleteExpired { limit: 500, now_ms };
    let deleted = db.call(clean(hour_later)).await.unwrap();
    assert_eq!(deleted.suppressed_rows, 0, "the hour is not over yet");
    let deleted = db.call(clean(hour_later + 1)).await.unwrap();
    assert_eq!((deleted.suppressed_rows, deleted.others), (20, 1));
    assert_eq!(setup.database.number(suppressed), 1);
}
