use std::time::Duration;

use futures_util::future::join_all;
use serde_json::json;
use shared::jwt::SigningAlgorithm;

use crate::support::{PASSWORD, Setup, legacy_token, on_both_databases};

on_both_databases!(
    without_rotation_a_token_can_be_used_again,
    with_rotation_both_tokens_are_new_and_the_old_one_is_refused,
    a_rotated_out_token_that_comes_back_ends_its_session,
    inside_the_grace_the_last_token_leads_to_the_same_successor,
    of_simultaneous_refreshes_at_least_one_succeeds,
    a_token_lives_a_day_and_rotation_prolongs_it,
    what_is_no_token_is_refused,
    an_account_that_is_off_or_gone_gets_no_token,
    a_token_of_a_former_site_opens_a_session_once,
    the_claims_have_the_contracts_form,
);

pub const NO_ACCOUNT: &str = "No active account found for the given token.";

pub fn claims(token: &str) -> serde_json::Value {
    use base64::Engine;
    let payload = token.split('.').nth(1).unwrap();
    let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD
        .decode(payload)
        .unwrap();
    serde_json::from_slice(&bytes).unwrap()
}

async fn without_rotation_a_token_can_be_used_again(setup: Setup) {
    let app = setup.spawn().await;
    let refresh = app.register("ann").await.text("refresh");
    for _ in 0..2 {
        let answer = app.refresh(&refresh).await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.body.as_object().unwrap().len(), 2);
        assert_eq!(answer.text("access_expiration"), "2027-01-15T08:05:00.000000Z");
        app.verify(&answer.text("access")).await.is(200, json!({}));
    }
}

async fn with_rotation_both_tokens_are_new_and_the_old_one_is_refused(setup: Setup) {
    let app = setup.with_rotation(Duration::ZERO).spawn().await;
    let registered = app.register("ann").await;
    app.advance(100);
    let answer = app.refresh(&registered.text("refresh")).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.text("access_expiration"), "2027-01-15T08:06:40.000000Z");
    assert_eq!(answer.text("refresh_expiration"), "2027-01-16T08:01:40.000000Z");
    assert_ne!(answer.text("refresh"), registered.text("refresh"));
    assert_eq!(app.refresh(&answer.text("refresh")).await.status, 200);
}

async fn a_rotated_out_token_that_comes_back_ends_its_session(setup: Setup) {
    let app = setup.with_rotation(Duration::ZERO).spawn().await;
    let first = app.register("ann").await.text("refresh");
    let other = app.login("ann", PASSWORD).await.text("refresh");
    let second = app.refresh(&first).await.text("refresh");
    app.verify(&first)
        .await
        .refuses("non_field_errors", &["Token is blacklisted"]);
    app.refresh(&first).await.refuses_token("Token is blacklisted");
    app.refresh(&second).await.refuses_token("Token is blacklisted");
    assert_eq!(app.refresh(&other).await.status, 200, "another login goes on");
}

async fn inside_the_grace_the_last_token_leads_to_the_same_successor(setup: Setup) {
    let app = setup.with_rotation(Duration::from_secs(10)).spawn().await;
    let first = app.register("ann").await.text("refresh");
    let second = app.refresh(&first).await.text("refresh");
    app.advance(9);
    let again = app.refresh(&first).await.text("refresh");
    assert_eq!(claims(&second)["gen"], claims(&again)["gen"]);
    let third = app.refresh(&second).await;
    assert_eq!(third.status, 200);
    assert_eq!(
        app.refresh(&again).await.status,
        200,
        "it is the same generation, in its grace"
    );
    app.advance(10);
    app.refresh(&second).await.refuses_token("Token is blacklisted");
    app.refresh(&third.text("refresh"))
        .await
        .refuses_token("Token is blacklisted");
}

async fn of_simultaneous_refreshes_at_least_one_succeeds(setup: Setup) {
    let app = setup.with_rotation(Duration::from_secs(10)).spawn().await;
    let refresh = app.register("ann").await.text("refresh");
    let answers = join_all((0..10).map(|_| app.refresh(&refresh))).await;
    assert!(answers.iter().all(|answer| answer.status == 200));
}

async fn a_token_lives_a_day_and_rotation_prolongs_it(setup: Setup) {
    let app = setup.with_rotation(Duration::ZERO).spawn().await;
    let first = app.register("ann").await.text("refresh");
    app.advance(86_399);
    let second = app.refresh(&first).await.text("refresh");
    app.advance(86_399);
    let third = app.refresh(&second).await.text("refresh");
    app.advance(86_400);
    app.refresh(&third).await.refuses_token("Token is expired");
}

async fn what_is_no_token_is_refused(setup: Setup) {
    let app = setup.spawn().await;
    let access = app.register("ann").await.text("access");
    app.post("token/refresh/", json!({}))
        .await
        .refuses_token("No valid refresh token found.");
    for (refresh, text) in [
        (json!(""), "This field may not be blank."),
        (json!(null), "This field may not be null."),
        (json!([]), "Not a valid string."),
        (json!(true), "Not a valid string."),
        (json!("a\u{0}"), "Null characters are not allowed."),
    ] {
        let answer = app.post("token/refresh/", json!({ "refresh": refresh })).await;
        answer.refuses("refresh", &[text]);
    }
    let answer = app.refresh("x").await;
    answer.refuses_token("Token is invalid");
    assert_eq!(answer.header("www-authenticate"), "Bearer realm=\"api\"");
    app.refresh(&access).await.refuses_token("Token has wrong type");
}

async fn an_account_that_is_off_or_gone_gets_no_token(setup: Setup) {
    let app = setup.spawn().await;
    let refresh = app.register("ann").await.text("refresh");
    app.database.execute("UPDATE users SET is_active = false");
    app.refresh(&refresh)
        .await
        .is(401, json!({ "detail": NO_ACCOUNT }));
    app.database.execute("DELETE FROM users");
    app.refresh(&refresh)
        .await
        .is(401, json!({ "detail": NO_ACCOUNT }));
}

async fn a_token_of_a_former_site_opens_a_session_once(setup: Setup) {
    let secret = "the-signing-key-of-a-former-django-site";
    let app = setup
        .with("LEGACY_JWT_SECRET", secret)
        .with("LEGACY_JWT_UNTIL", "2027-01-31")
        .spawn()
        .await;
    app.register("ann").await;
    let access = legacy_token(secret, "access", "0f", &json!(1));
    let bearer = app.post_as(&access, "password/change/", json!({})).await;
    assert_eq!(bearer.status, 400, "it is good until it ends by itself");
    app.verify(&access).await.is(200, json!({}));
    let refresh = legacy_token(secret, "refresh", "1f", &json!("1"));
    let answer = app.refresh(&refresh).await;
    assert_eq!(answer.status, 200);
    assert_eq!(app.refresh(&answer.text("refresh")).await.status, 200);
    app.refresh(&refresh).await.refuses_token("Token is blacklisted");
    app.verify(&refresh)
        .await
        .refuses("non_field_errors", &["Token is blacklisted"]);
    let nobody = legacy_token(secret, "refresh", "2f", &json!("77"));
    app.refresh(&nobody)
        .await
        .is(401, json!({ "detail": NO_ACCOUNT }));
    let out = json!({"refresh": legacy_token(secret, "refresh", "3f", &json!(1))});
    assert_eq!(app.post("logout/", out.clone()).await.status, 200);
    app.post("logout/", out)
        .await
        .is(401, json!({"detail": "Token is blacklisted"}));
    app.advance(20 * 86_400);
    app.verify(&access).await.refuses_token("Token is invalid");
}

async fn the_claims_have_the_contracts_form(setup: Setup) {
    let algorithm = SigningAlgorithm::HS256.name();
    let app = setup.with("SIGNING_ALGORITHM", algorithm).spawn().await;
    let registered = app.register("ann").await;
    let (access, refresh) = (
        claims(&registered.text("access")),
        claims(&registered.text("refresh")),
    );
    for (claims, token_type, seconds) in [(&access, "access", 300), (&refresh, "refresh", 86_400)] {
        assert_eq!(claims["token_type"], token_type);
        assert_eq!(claims["user_id"], "1");
        assert_eq!(
            claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(),
            seconds
        );
        let jti = claims["jti"].as_str().unwrap();
        assert!(jti.len() == 32 && jti.bytes().all(|byte| byte.is_ascii_hexdigit()));
    }
    assert_ne!(access["jti"], refresh["jti"]);
}
