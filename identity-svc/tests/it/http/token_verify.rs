use serde_json::json;

use crate::support::{Setup, on_both_databases};

on_both_databases!(
    both_kinds_of_token_verify,
    what_is_refused_has_its_reason,
    the_account_is_not_looked_at,
    a_token_is_expired_from_its_second_on,
);

async fn both_kinds_of_token_verify(setup: Setup) {
    let app = setup.spawn().await;
    let registered = app.register("ann").await;
    for token in ["access", "refresh"] {
        app.verify(&registered.text(token)).await.is(200, json!({}));
    }
    app.post("logout/", json!({"refresh": registered.text("refresh")}))
        .await;
    app.verify(&registered.text("refresh"))
        .await
        .refuses("non_field_errors", &["Token is blacklisted"]);
    app.verify(&registered.text("access"))
        .await
        .refuses_token("Token is invalid");
}

async fn what_is_refused_has_its_reason(setup: Setup) {
    let app = setup.spawn().await;
    let access = app.register("ann").await.text("access");
    let (signed, signature) = access.rsplit_once('.').unwrap();
    let other: String = signature.chars().rev().collect();
    let unsigned = format!(
        "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.{}.",
        signed.split('.').nth(1).unwrap()
    );
    for token in ["x", "a.b.c", &format!("{signed}.{other}"), &unsigned] {
        app.verify(token).await.refuses_token("Token is invalid");
    }
    for (token, text) in [
        (json!(""), "This field may not be blank."),
        (json!(null), "This field may not be null."),
        (json!({}), "Not a valid string."),
        (json!("\u{0}"), "Null characters are not allowed."),
    ] {
        let answer = app.post("token/verify/", json!({ "token": token })).await;
        answer.refuses("token", &[text]);
    }
    app.post("token/verify/", json!({}))
        .await
        .refuses("token", &["This field is required."]);
}

async fn the_account_is_not_looked_at(setup: Setup) {
    let app = setup.spawn().await;
    let access = app.register("ann").await.text("access");
    app.database.execute("UPDATE users SET is_active = false");
    app.verify(&access).await.is(200, json!({}));
}

async fn a_token_is_expired_from_its_second_on(setup: Setup) {
    let app = setup.spawn().await;
    let access = app.register("ann").await.text("access");
    app.advance(299);
    app.verify(&access).await.is(200, json!({}));
    app.advance(1);
    app.verify(&access).await.refuses_token("Token is expired");
}
