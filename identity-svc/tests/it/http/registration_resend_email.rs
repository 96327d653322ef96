use awc::http::Method;
use serde_json::json;

use crate::support::{Body, Setup, on_both_databases};

on_both_databases!(
    the_answer_tells_nothing_of_the_address,
    what_is_no_address_is_refused,
    mails_to_one_address_are_limited_and_the_answer_stays,
    mails_for_one_client_are_limited_whatever_the_addresses_and_the_answer_stays,
);

const PATH: &str = "registration/resend-email/";

async fn the_answer_tells_nothing_of_the_address(setup: Setup) {
    let app = setup.spawn().await;
    app.register("ann").await;
    app.register("bob").await;
    app.database
        .execute("UPDATE users SET is_email_verified = true WHERE username = 'bob'");
    let before = app.mails().await.len();
    for email in ["nobody@example.org", "bob@example.org", "ANN@example.org"] {
        app.post(PATH, json!({ "email": email }))
            .await
            .is(200, json!({"detail": "ok"}));
    }
    let russian = app.post_ru(PATH, json!({"email": "nobody@example.org"})).await;
    russian.is(200, json!({"detail": "ок"}));
    let mails = app.mails().await;
    assert_eq!(mails.len(), before + 1);
    assert_eq!(mails[before].mail.arguments().to, "ann@example.org");
}

async fn what_is_no_address_is_refused(setup: Setup) {
    let app = setup.spawn().await;
    for (body, texts) in [
        (json!({}), vec!["This field is required."]),
        (json!({"email": ""}), vec!["This field may not be blank."]),
        (json!({"email": null}), vec!["This field may not be null."]),
        (json!({"email": "a@b"}), vec!["Enter a valid email address."]),
        (json!({"email": false}), vec!["Enter a valid email address."]),
        (
            json!({"email": "a\u{0}@b.test"}),
            vec!["Null characters are not allowed.", "Enter a valid email address."],
        ),
    ] {
        app.post(PATH, body).await.refuses("email", &texts);
    }
    let russian = app.post_ru(PATH, json!({"email": "a@b"})).await;
    russian.refuses("email", &["Введите правильный адрес электронной почты."]);
}

async fn mails_to_one_address_are_limited_and_the_answer_stays(setup: Setup) {
    let app = setup.with("MAILS_PER_HOUR", 3).spawn().await;
    app.register("ann").await;
    let resend = async || {
        app.post(PATH, json!({"email": "ann@example.org"}))
            .await
            .is(200, json!({"detail": "ok"}));
    };
    for _ in 0..5 {
        resend().await;
    }
    assert_eq!(app.mails().await.len(), 3, "the registration's counts");
    app.advance(3600);
    resend().await;
    assert_eq!(app.mails().await.len(), 4);
}

async fn mails_for_one_client_are_limited_whatever_the_addresses_and_the_answer_stays(setup: Setup) {
    let app = setup.with("MAILS_PER_HOUR", 1).spawn().await;
    app.register("ann").await;
    app.advance(3600);
    let ask = async |client: &str, path: &str, email: &str| {
        let headers = [("x-gatehouse-client-address", client)];
        let body = Body::Json(json!({ "email": email }));
        app.send(Method::POST, path, &headers, body).await
    };
    for at in 0..12 {
        let email = format!("nobody{at}@example.org");
        ask("192.0.2.1", PATH, &email)
            .await
            .is(200, json!({"detail": "ok"}));
    }
    assert_eq!(
        app.database
            .number("SELECT count(*) FROM outbox WHERE state = 'suppressed'"),
        10
    );
    for path in [PATH, "password/reset/"] {
        let answer = ask("192.0.2.1", path, "ann@example.org").await;
        assert_eq!(answer.status, 200);
    }
    assert_eq!(app.mails().await.len(), 1, "the registration's alone");
    ask("192.0.2.2", PATH, "ann@example.org").await;
    assert_eq!(app.mails().await.len(), 2);
    app.advance(3600);
    ask("192.0.2.1", PATH, "ann@example.org").await;
    assert_eq!(app.mails().await.len(), 3);
}
