use serde_json::json;

use crate::support::{PASSWORD, Setup, on_both_databases};

on_both_databases!(
    a_refresh_token_is_enough_and_ends_one_session,
    without_a_body_the_access_token_decides,
    a_stale_header_does_not_keep_one_from_logging_out,
    what_is_no_refresh_token_is_refused,
    a_body_that_is_no_object_is_refused,
);

const OUT: &str = "Successfully logged out.";

async fn a_refresh_token_is_enough_and_ends_one_session(setup: Setup) {
    let app = setup.spawn().await;
    let first = app.register("ann").await;
    let second = app.login("ann", PASSWORD).await;
    let refresh = json!({"refresh": first.text("refresh")});
    app.post("logout/", refresh.clone())
        .await
        .is(200, json!({ "detail": OUT }));
    let again = app.post("logout/", refresh).await;
    again.is(401, json!({"detail": "Token is blacklisted"}));
    assert_eq!(again.header("www-authenticate"), "");
    app.refresh(&first.text("refresh"))
        .await
        .refuses_token("Token is blacklisted");
    app.verify(&first.text("access"))
        .await
        .refuses_token("Token is invalid");
    assert_eq!(app.refresh(&second.text("refresh")).await.status, 200);
    let russian = app
        .post_ru("logout/", json!({"refresh": second.text("refresh")}))
        .await;
    russian.is(200, json!({"detail": "Успешно вышли."}));
}

async fn without_a_body_the_access_token_decides(setup: Setup) {
    let app = setup.spawn().await;
    let registered = app.register("ann").await;
    let answer = app
        .post_as(&registered.text("access"), "logout/", json!({}))
        .await;
    answer.is(200, json!({ "detail": OUT }));
    app.refresh(&registered.text("refresh"))
        .await
        .refuses_token("Token is blacklisted");
    let answer = app.post("logout/", json!({})).await;
    answer.is(
        401,
        json!({"detail": "Refresh token was not included in request data."}),
    );
    let answer = app.post_as("x", "logout/", json!({})).await;
    assert_eq!(answer.status, 401);
    assert_eq!(answer.text("code"), "token_not_valid");
}

async fn a_stale_header_does_not_keep_one_from_logging_out(setup: Setup) {
    let app = setup.spawn().await;
    let registered = app.register("ann").await;
    let body = json!({"refresh": registered.text("refresh")});
    app.post_as("stale", "logout/", body)
        .await
        .is(200, json!({ "detail": OUT }));
}

async fn what_is_no_refresh_token_is_refused(setup: Setup) {
    let app = setup.spawn().await;
    let registered = app.register("ann").await;
    for refresh in [json!("x"), json!(""), json!(7), json!(["x"])] {
        let answer = app.post("logout/", json!({ "refresh": refresh })).await;
        answer.is(401, json!({"detail": "Token is invalid"}));
        assert_eq!(answer.header("www-authenticate"), "");
    }
    let answer = app
        .post("logout/", json!({"refresh": registered.text("access")}))
        .await;
    answer.is(401, json!({"detail": "Token has wrong type"}));
    app.advance(86_400);
    let answer = app
        .post("logout/", json!({"refresh": registered.text("refresh")}))
        .await;
    answer.is(401, json!({"detail": "Token is expired"}));
}

async fn a_body_that_is_no_object_is_refused(setup: Setup) {
    let app = setup.spawn().await;
    let answer = app.post("logout/", json!([])).await;
    answer.refuses(
        "non_field_errors",
        &["Invalid data. Expected a dictionary, but got list."],
    );
}
