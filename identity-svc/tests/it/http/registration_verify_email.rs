use serde_json::json;

use crate::support::{Body, Setup, on_both_databases};

on_both_databases!(
    a_key_is_used_once,
    an_earlier_key_stays_good_until_one_is_used,
    a_key_expires_after_three_days,
    what_is_no_key_is_told_apart,
    getting_a_link_verifies_nothing,
);

const PATH: &str = "registration/verify-email/";

async fn a_key_is_used_once(setup: Setup) {
    let app = setup.spawn().await;
    app.register("ann").await;
    let key = app.verification_key("ann@example.org").await;
    app.post(PATH, json!({ "key": key }))
        .await
        .is(200, json!({"detail": "ok"}));
    app.post(PATH, json!({ "key": key }))
        .await
        .is(404, json!({"detail": "Not found."}));
    let russian = app.post_ru(PATH, json!({ "key": key })).await;
    russian.is(404, json!({"detail": "Страница не найдена."}));
}

async fn an_earlier_key_stays_good_until_one_is_used(setup: Setup) {
    let app = setup.spawn().await;
    app.register("ann").await;
    let first = app.verification_key("ann@example.org").await;
    let resend = json!({"email": "ann@example.org"});
    app.post("registration/resend-email/", resend)
        .await
        .is(200, json!({"detail": "ok"}));
    let second = app.verification_key("ann@example.org").await;
    assert_ne!(first, second);
    let answer = app.post_ru(PATH, json!({ "key": first })).await;
    answer.is(200, json!({"detail": "ок"}));
    assert_eq!(app.post(PATH, json!({ "key": second })).await.status, 404);
}

async fn a_key_expires_after_three_days(setup: Setup) {
    let app = setup.spawn().await;
    app.register("ann").await;
    let key = app.verification_key("ann@example.org").await;
    app.advance(3 * 86_400);
    assert_eq!(app.post(PATH, json!({ "key": key })).await.status, 404);
}

async fn what_is_no_key_is_told_apart(setup: Setup) {
    let app = setup.spawn().await;
    for (body, text) in [
        (json!({}), "This field is required."),
        (json!({"key": " "}), "This field may not be blank."),
        (json!({"key": null}), "This field may not be null."),
        (json!({"key": ["x"]}), "Not a valid string."),
        (json!({"key": "x\u{0}"}), "Null characters are not allowed."),
    ] {
        app.post(PATH, body).await.refuses("key", &[text]);
    }
    assert_eq!(app.post(PATH, json!({"key": "damaged"})).await.status, 404);
}

async fn getting_a_link_verifies_nothing(setup: Setup) {
    let app = setup.spawn().await;
    app.register("ann").await;
    let key = app.verification_key("ann@example.org").await;
    let path = format!("{PATH}?key={key}");
    let answer = app.send(awc::http::Method::GET, &path, &[], Body::Nothing).await;
    answer.is(405, json!({"detail": "Method \"GET\" not allowed."}));
    assert_eq!(
        app.post(&path, json!({})).await.status,
        400,
        "the body alone counts"
    );
    assert_eq!(app.post(PATH, json!({ "key": key })).await.status, 200);
}
