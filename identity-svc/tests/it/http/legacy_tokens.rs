//! Tokens of a former Django site: what ends them, and what they leave behind.

use std::time::Duration;

use identity_svc::db::messages::FindRevoked;
use serde_json::{Value, json};

use super::token_refresh::{NO_ACCOUNT, claims};
use crate::support::{PASSWORD, START_MS, Setup, TestApp, on_both_databases, signed};

on_both_databases!(
    tokens_of_a_former_site_end_with_the_password,
    an_account_that_was_switched_off_is_not_revived_with_its_tokens,
    only_claims_that_are_named_are_carried_over_from_a_former_site,
);

const SITE_KEY: &str = "the-signing-key-of-a-former-django-site";

fn with_former_site(setup: Setup) -> Setup {
    setup
        .with("LEGACY_JWT_SECRET", SITE_KEY)
        .with("LEGACY_JWT_UNTIL", "2027-12-31")
}

/// A token of a former site for the first account; `more` wins over the usual claims, `null` takes one away.
fn site_token(token_type: &str, more: &Value) -> String {
    let iat = START_MS / 1000;
    let mut claims = json!({
        "token_type": token_type, "exp": iat + 86_400 * 30, "iat": iat, "jti": shared::random::hex_128(), "user_id": "1",
    });
    for (name, value) in more.as_object().unwrap() {
        claims[name] = value.clone();
    }
    claims
        .as_object_mut()
        .unwrap()
        .retain(|_, value| !value.is_null());
    signed(SITE_KEY, &claims)
}

/// Asserts that a former site's tokens are dead everywhere.
async fn assert_dead(app: &TestApp, claims: &Value) {
    let access = site_token("access", claims);
    app.verify(&access).await.refuses_token("Token is invalid");
    let bearer = app.post_as(&access, "password/change/", json!({})).await;
    assert_eq!(
        (bearer.status, &bearer.body["code"]),
        (401, &json!("token_not_valid")),
        "{claims}"
    );
    let refresh = site_token("refresh", claims);
    app.refresh(&refresh).await.refuses_token("Token is blacklisted");
    app.verify(&refresh)
        .await
        .refuses("non_field_errors", &["Token is blacklisted"]);
}

async fn assert_alive(app: &TestApp, claims: &Value) {
    let access = site_token("access", claims);
    app.verify(&access).await.is(200, json!({}));
    let bearer = app.post_as(&access, "password/change/", json!({})).await;
    assert_eq!(bearer.status, 400, "{claims}");
    let refresh = site_token("refresh", claims);
    app.verify(&refresh).await.is(200, json!({}));
    assert_eq!(app.refresh(&refresh).await.status, 200, "{claims}");
}

async fn tokens_of_a_former_site_end_with_the_password(setup: Setup) {
    let app = with_former_site(setup).spawn().await;
    let own = app.register("ann").await.text("access");
    let now = START_MS / 1000;
    assert_dead(&app, &json!({"iat": null})).await;
    assert_dead(&app, &json!({"iat": now - 1})).await;
    assert_alive(&app, &json!({})).await;
    let new = "Basalt-Kite-7";
    let change = json!({"old_password": PASSWORD, "new_password1": new, "new_password2": new});
    assert_eq!(app.post_as(&own, "password/change/", change).await.status, 200);
    assert_dead(&app, &json!({})).await;
    app.advance(10);
    assert_dead(&app, &json!({})).await;
    assert_dead(&app, &json!({"iat": null})).await;
    assert_alive(&app, &json!({"iat": now + 1})).await;
    app.post("password/reset/", json!({"email": "ann@example.org"}))
        .await;
    let (uid, token) = app.reset_link("ann@example.org").await;
    let body = json!({"uid": uid, "token": token, "new_password1": PASSWORD, "new_password2": PASSWORD});
    assert_eq!(app.post("password/reset/confirm/", body).await.status, 200);
    assert_dead(&app, &json!({"iat": now + 10})).await;
    app.advance(10);
    assert_alive(&app, &json!({"iat": now + 11})).await;
    // An operator's import is no change by the owner.
    app.command(&["users", "set-hash", "ann", "!"]).unwrap();
    assert_alive(&app, &json!({"iat": now + 11})).await;
}

async fn an_account_that_was_switched_off_is_not_revived_with_its_tokens(setup: Setup) {
    let app = with_former_site(setup)
        .with_rotation(Duration::ZERO)
        .spawn()
        .await;
    let session = app.register("ann").await;
    app.post("password/reset/", json!({"email": "ann@example.org"}))
        .await;
    let (uid, token) = app.reset_link("ann@example.org").await;
    let former = site_token("access", &json!({}));
    app.verify(&former).await.is(200, json!({}));
    app.command(&["users", "deactivate", "ann"]).unwrap();
    let feed = FindRevoked {
        after: (START_MS - 1, String::new()),
        limit: 10,
    };
    assert_eq!(
        app.running.db.call(feed).await.unwrap().len(),
        1,
        "gateways are told of it"
    );
    for access in [&session.text("access"), &former] {
        app.verify(access).await.refuses_token("Token is invalid");
        let bearer = app.post_as(access, "password/change/", json!({})).await;
        bearer.is(
            401,
            json!({"detail": "User is inactive", "code": "user_inactive"}),
        );
    }
    for refresh in [&session.text("refresh"), &site_token("refresh", &json!({}))] {
        app.refresh(refresh)
            .await
            .is(401, json!({ "detail": NO_ACCOUNT }));
    }
    app.command(&["users", "activate", "ann"]).unwrap();
    assert_dead(&app, &json!({})).await;
    app.verify(&session.text("access"))
        .await
        .refuses_token("Token is invalid");
    app.refresh(&session.text("refresh"))
        .await
        .refuses_token("Token is blacklisted");
    let body = json!({"uid": uid, "token": token, "new_password1": "Basalt-Kite-7", "new_password2": "Basalt-Kite-7"});
    app.post("password/reset/confirm/", body)
        .await
        .refuses("token", &["Invalid value"]);
    assert_eq!(app.login("ann", PASSWORD).await.status, 200);
}

async fn only_claims_that_are_named_are_carried_over_from_a_former_site(setup: Setup) {
    let app = with_former_site(setup)
        .with("LEGACY_JWT_CLAIMS", "tenant, plan")
        .spawn()
        .await;
    app.register("ann").await;
    let more = json!({"tenant": "north", "is_staff": true, "role": "admin"});
    let answer = app.refresh(&site_token("refresh", &more)).await;
    let again = app.refresh(&answer.text("refresh")).await;
    for token in [
        answer.text("access"),
        answer.text("refresh"),
        again.text("access"),
    ] {
        let claims = claims(&token);
        assert_eq!(claims["tenant"], "north");
        assert_eq!((claims.get("is_staff"), claims.get("role")), (None, None));
    }
}
