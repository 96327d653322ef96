use awc::http::Method;
use serde_json::{Value, json};

use crate::support::{Body, Setup, on_both_databases};

on_both_databases!(
    an_owner_sees_and_changes_the_account,
    a_username_that_is_another_address_is_taken,
    nobody_else_does,
);

async fn an_owner_sees_and_changes_the_account(setup: Setup) {
    let app = setup.spawn().await;
    let bearer = format!("Bearer {}", app.register("ann").await.text("access"));
    app.register("bob").await;
    let ask = async |method: Method, body: Option<Value>| {
        let body = body.map_or(Body::Nothing, Body::Json);
        app.send(method, "user/", &[("authorization", &bearer)], body)
            .await
    };
    let mut user =
        json!({"pk": 1, "username": "ann", "email": "ann@example.org", "first_name": "", "last_name": ""});
    let answer = ask(Method::GET, None).await;
    answer.is(200, user.clone());
    assert_eq!(answer.header("allow"), "GET, PUT, PATCH, HEAD, OPTIONS");
    user["first_name"] = json!("Ann");
    let patch = json!({"first_name": "Ann", "email": "other@example.org", "pk": 9});
    ask(Method::PATCH, Some(patch)).await.is(200, user.clone());
    user["username"] = json!("Anna");
    ask(Method::PUT, Some(json!({"username": "Anna"})))
        .await
        .is(200, user.clone());
    ask(Method::PUT, Some(json!({"last_name": "x"})))
        .await
        .refuses("username", &["This field is required."]);
    ask(Method::PATCH, Some(json!({"username": "BOB"})))
        .await
        .refuses("username", &["A user with that username already exists."]);
    ask(Method::PATCH, Some(json!({"last_name": "x".repeat(151)})))
        .await
        .refuses(
            "last_name",
            &["Ensure this field has no more than 150 characters."],
        );
    ask(Method::POST, Some(json!({})))
        .await
        .is(405, json!({"detail": "Method \"POST\" not allowed."}));
    ask(Method::GET, None).await.is(200, user);
}

async fn a_username_that_is_another_address_is_taken(setup: Setup) {
    let app = setup.spawn().await;
    let bearer = format!("Bearer {}", app.register("ann").await.text("access"));
    app.register("bob").await;
    let headers = [("authorization", bearer.as_str())];
    let ask = async |method: Method, name: &str| {
        let body = Body::Json(json!({ "username": name }));
        app.send(method, "user/", &headers, body).await
    };
    // Whether the address has an account makes no difference.
    for name in [
        "bob@example.org",
        "BOB@example.org",
        "ｂob@example.org",
        "nobody@example.org",
    ] {
        for method in [Method::PUT, Method::PATCH] {
            let answer = ask(method, name).await;
            answer.refuses("username", &["A user with that username already exists."]);
        }
    }
    assert_eq!(ask(Method::PATCH, "Ann@Example.org").await.status, 200);
    assert_eq!(
        ask(Method::PUT, "ann@elsewhere").await.status,
        200,
        "it is no address"
    );
}

async fn nobody_else_does(setup: Setup) {
    let app = setup.spawn().await;
    let answer = app.send(Method::GET, "user/", &[], Body::Nothing).await;
    answer.is(
        401,
        json!({"detail": "Authentication credentials were not provided."}),
    );
}
