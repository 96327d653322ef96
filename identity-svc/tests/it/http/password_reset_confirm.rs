use serde_json::{Value, json};

use crate::support::{PASSWORD, Setup, TestApp, on_both_databases};

on_both_databases!(
    a_token_sets_a_password_once_and_ends_all_sessions,
    a_refused_attempt_does_not_use_the_token_up,
    checks_come_in_the_contracts_order,
    a_token_lives_an_hour_and_no_longer_than_the_password,
    a_token_of_another_account_is_refused,
    weak_passwords_are_refused_with_all_reasons,
);

const PATH: &str = "password/reset/confirm/";
const NEW: &str = "Copper-Kite-31";

fn body(uid: &str, token: &str, new1: &str, new2: &str) -> Value {
    json!({"uid": uid, "token": token, "new_password1": new1, "new_password2": new2})
}

async fn request(app: &TestApp, name: &str) -> (String, String) {
    let email = format!("{name}@example.org");
    let answer = app.post("password/reset/", json!({ "email": email })).await;
    assert_eq!(answer.status, 200);
    app.reset_link(&email).await
}

async fn a_token_sets_a_password_once_and_ends_all_sessions(setup: Setup) {
    let app = setup.spawn().await;
    let registered = app.register("ann").await;
    let (uid, token) = request(&app, "ann").await;
    let answer = app.post(PATH, body(&uid, &token, NEW, NEW)).await;
    answer.is(
        200,
        json!({"detail": "Password has been reset with the new password."}),
    );
    app.post(PATH, body(&uid, &token, NEW, NEW))
        .await
        .refuses("token", &["Invalid value"]);
    assert_eq!(app.login("ann", NEW).await.status, 200);
    assert_eq!(app.login("ann", PASSWORD).await.status, 400);
    app.refresh(&registered.text("refresh"))
        .await
        .refuses_token("Token is blacklisted");
    let verified = "SELECT count(*) FROM users WHERE is_email_verified";
    assert_eq!(app.database.number(verified), 0, "a reset verifies no address");
}

async fn a_refused_attempt_does_not_use_the_token_up(setup: Setup) {
    let app = setup.spawn().await;
    app.register("ann").await;
    let (uid, token) = request(&app, "ann").await;
    assert_eq!(app.post(PATH, body(&uid, &token, NEW, "other")).await.status, 400);
    assert_eq!(app.post(PATH, body(&uid, &token, "1", "1")).await.status, 400);
    let russian = app.post_ru(PATH, body(&uid, &token, NEW, NEW)).await;
    russian.is(200, json!({"detail": "Пароль изменён на новый."}));
}

async fn checks_come_in_the_contracts_order(setup: Setup) {
    let app = setup.spawn().await;
    app.register("ann").await;
    let (uid, token) = request(&app, "ann").await;
    let required = ["This field is required."];
    app.post(PATH, json!({})).await.is(
        400,
        json!({"new_password1": required, "new_password2": required, "uid": required, "token": required}),
    );
    let invalid = ["Invalid value"];
    app.post(PATH, body("MQ", &token, "1", "2"))
        .await
        .refuses("uid", &invalid);
    app.post(PATH, body(&uid, "x", "1", "2"))
        .await
        .refuses("token", &invalid);
    app.post(PATH, body(&uid, &token, "1", "2"))
        .await
        .refuses("new_password2", &["The two password fields didn’t match."]);
    let russian = app.post_ru(PATH, body(&uid, &token, "1", "2")).await;
    russian.refuses("new_password2", &["Введенные пароли не совпадают."]);
    let long = "Qx7-".repeat(33);
    app.post(PATH, body("MQ", "x", &long, NEW)).await.refuses(
        "new_password1",
        &["Ensure this field has no more than 128 characters."],
    );
}

async fn a_token_lives_an_hour_and_no_longer_than_the_password(setup: Setup) {
    let app = setup.spawn().await;
    let registered = app.register("ann").await;
    let (uid, token) = request(&app, "ann").await;
    app.advance(3600);
    app.post(PATH, body(&uid, &token, NEW, NEW))
        .await
        .refuses("token", &["Invalid value"]);
    let (uid, token) = request(&app, "ann").await;
    let refreshed = app.refresh(&registered.text("refresh")).await;
    let change = json!({"old_password": PASSWORD, "new_password1": NEW, "new_password2": NEW});
    let changed = app
        .post_as(&refreshed.text("access"), "password/change/", change)
        .await;
    assert_eq!(changed.status, 200);
    app.post(PATH, body(&uid, &token, NEW, NEW))
        .await
        .refuses("token", &["Invalid value"]);
}

async fn a_token_of_another_account_is_refused(setup: Setup) {
    let app = setup.spawn().await;
    app.register("ann").await;
    app.register("bob").await;
    let ((ann, _), (_, bobs)) = (request(&app, "ann").await, request(&app, "bob").await);
    app.post(PATH, body(&ann, &bobs, NEW, NEW))
        .await
        .refuses("token", &["Invalid value"]);
    let key = app.mails().await;
    let verification = key[0].mail.arguments().link.expose();
    let verification = verification.rsplit('/').next().unwrap();
    app.post(PATH, body(&ann, verification, NEW, NEW))
        .await
        .refuses("token", &["Invalid value"]);
}

async fn weak_passwords_are_refused_with_all_reasons(setup: Setup) {
    let app = setup.spawn().await;
    app.register("1234567x1").await;
    let (uid, token) = request(&app, "1234567x1").await;
    let weak = body(&uid, &token, "1234567", "1234567");
    app.post(PATH, weak.clone()).await.refuses(
        "new_password2",
        &[
            "The password is too similar to the username.",
            "This password is too short. It must contain at least 8 characters.",
            "This password is too common.",
            "This password is entirely numeric.",
        ],
    );
    app.post_ru(PATH, weak).await.refuses(
        "new_password2",
        &[
            "Введённый пароль слишком похож на имя пользователя.",
            "Введённый пароль слишком короткий. Он должен состоять из как минимум 8 символов.",
            "Введённый пароль слишком широко распространён.",
            "Введённый пароль состоит только из цифр.",
        ],
    );
}
