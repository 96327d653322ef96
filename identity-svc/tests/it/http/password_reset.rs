use std::time::{Duration, Instant};

use serde_json::json;
use shared::email_job::Mail;

use crate::support::{Setup, on_both_databases};

on_both_databases!(
    only_an_active_account_gets_a_mail_and_nobody_learns_it,
    a_mail_to_an_address_that_nobody_has_confirmed_carries_no_link_of_the_registrants_choice,
    what_is_no_address_is_refused,
    mails_to_one_address_are_limited_and_the_answer_stays,
    no_answer_is_early_enough_to_tell_an_account_from_none,
);

const PATH: &str = "password/reset/";
const SENT: &str = "Password reset e-mail has been sent.";

async fn only_an_active_account_gets_a_mail_and_nobody_learns_it(setup: Setup) {
    let app = setup.spawn().await;
    app.register("ann").await;
    app.register("bob").await;
    app.database
        .execute("UPDATE users SET is_active = false WHERE username = 'bob'");
    let before = app.mails().await.len();
    for email in ["nobody@example.org", "bob@example.org", "ANN@example.org"] {
        app.post(PATH, json!({ "email": email }))
            .await
            .is(200, json!({ "detail": SENT }));
    }
    let russian = app.post_ru(PATH, json!({"email": "nobody@example.org"})).await;
    russian.is(
        200,
        json!({"detail": "Письмо с инструкциями по восстановлению пароля выслано."}),
    );
    let mails = app.mails().await;
    assert_eq!(mails.len(), before + 1);
    let Mail::ResetPasswordV1(facts) = &mails[before].mail else {
        panic!("{mails:?}")
    };
    assert_eq!(
        (facts.to.as_str(), facts.username.as_str(), facts.valid_seconds),
        ("ann@example.org", "ann", 3600)
    );
    let (uid, _) = app.reset_link("ann@example.org").await;
    assert_eq!(uid.len(), 22, "opaque, not the account's number");
}

async fn a_mail_to_an_address_that_nobody_has_confirmed_carries_no_link_of_the_registrants_choice(
    setup: Setup,
) {
    let app = setup.spawn().await;
    let named = async |email: &str| {
        app.post(PATH, json!({ "email": email })).await;
        app.mail_to(email).await.mail.arguments().username.to_owned()
    };
    for (name, email, shown) in [
        ("ann-1", "a@example.org", "ann-1"),
        ("www.evil.example", "b@example.org", ""),
        ("evil.example@bob", "c@example.org", ""),
    ] {
        assert_eq!(app.try_register(name, email).await.status, 201, "{name}");
        assert_eq!(named(email).await, shown, "{name}");
    }
    app.database
        .execute("UPDATE users SET is_email_verified = true WHERE email = 'b@example.org'");
    assert_eq!(
        named("b@example.org").await,
        "www.evil.example",
        "the owner's own choice"
    );
}

async fn what_is_no_address_is_refused(setup: Setup) {
    let app = setup.spawn().await;
    app.post(PATH, json!({}))
        .await
        .refuses("email", &["This field is required."]);
    app.post(PATH, json!({"email": "x"}))
        .await
        .refuses("email", &["Enter a valid email address."]);
}

async fn mails_to_one_address_are_limited_and_the_answer_stays(setup: Setup) {
    let app = setup.with("MAILS_PER_HOUR", 2).spawn().await;
    app.register("ann").await;
    for _ in 0..4 {
        app.post(PATH, json!({"email": "ann@example.org"}))
            .await
            .is(200, json!({ "detail": SENT }));
    }
    assert_eq!(app.mails().await.len(), 3, "each kind has its own budget");
}

/// An address with an account costs a few writes more; both kinds of answers wait until those are long done.
async fn no_answer_is_early_enough_to_tell_an_account_from_none(setup: Setup) {
    let app = setup.spawn().await;
    app.register("ann").await;
    for (path, detail) in [(PATH, SENT), ("registration/resend-email/", "ok")] {
        for email in ["ann@example.org", "nobody@example.org"] {
            let asked_at = Instant::now();
            app.post(path, json!({ "email": email }))
                .await
                .is(200, json!({ "detail": detail }));
            assert!(asked_at.elapsed() >= Duration::from_millis(50), "{path} {email}");
        }
    }
}
