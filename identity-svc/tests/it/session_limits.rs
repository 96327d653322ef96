//! The longest life of a session, and how long it lasts unused. Both are off by default.

use std::time::Duration;

use awc::http::Method;
use serde_json::{Value, json};

use crate::support::{Answer, Body, PASSWORD, START_MS, Setup, TestApp, on_both_databases};

on_both_databases!(
    a_session_ends_after_its_longest_life_however_often_it_is_refreshed,
    a_session_that_nobody_refreshes_ends,
);

async fn listed(app: &TestApp, access: &str) -> usize {
    let bearer = format!("Bearer {access}");
    let answer = app
        .send(
            Method::GET,
            "sessions/",
            &[("authorization", &bearer)],
            Body::Nothing,
        )
        .await;
    answer.body["sessions"].as_array().unwrap().len()
}

fn expired() -> Value {
    json!({"detail": "Token is expired", "code": "token_not_valid"})
}

async fn a_session_ends_after_its_longest_life_however_often_it_is_refreshed(setup: Setup) {
    let setup = setup
        .with_rotation(Duration::ZERO)
        .with("REFRESH_TOKEN_SECONDS", 3600)
        .with("SESSION_MAX_SECONDS", 7200);
    let app = setup.spawn().await;
    let mut refresh = app.register("ann").await.text("refresh");
    let mut answer: Option<Answer> = None;
    for seconds in [3000, 3000, 1100] {
        app.advance(seconds);
        let refreshed = app.refresh(&refresh).await;
        assert_eq!(refreshed.status, 200, "{refreshed:?}");
        refresh = refreshed.text("refresh");
        answer = Some(refreshed);
    }
    // 7100 s after the login, which was at eight o'clock.
    let answer = answer.unwrap();
    let end = "2027-01-15T10:00:00.000000Z";
    assert_eq!(answer.text("refresh_expiration"), end);
    assert_eq!(answer.text("access_expiration"), end, "no token outlives it");
    let ends = format!(
        "SELECT count(*) FROM sessions WHERE expires_at_ms = {}",
        START_MS + 7_200_000
    );
    assert_eq!(app.database.number(&ends), 1);
    app.advance(100);
    app.refresh(&refresh).await.is(401, expired());
    let access = app.login("ann", PASSWORD).await.text("access");
    assert_eq!(listed(&app, &access).await, 1);
}

async fn a_session_that_nobody_refreshes_ends(setup: Setup) {
    let app = setup.with("SESSION_IDLE_SECONDS", 1200).spawn().await;
    let refresh = app.register("ann").await.text("refresh");
    for _ in 0..12 {
        app.advance(290);
        assert_eq!(app.refresh(&refresh).await.status, 200);
    }
    app.advance(1200);
    app.refresh(&refresh).await.is(401, expired());
    app.verify(&refresh).await.is(401, expired());
    let answer = app.post("logout/", json!({"refresh": refresh})).await;
    answer.is(401, json!({"detail": "Token is expired"}));
    let access = app.login("ann", PASSWORD).await.text("access");
    assert_eq!(listed(&app, &access).await, 1, "the ended one is not listed");
}
