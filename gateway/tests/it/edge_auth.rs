//! Access tokens are checked at the edge, and identity-svc is not asked.

use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use gateway::{Running, WhenStale};
use serde_json::json;
use shared::clock::Clock;

use crate::fake_identity::{FakeIdentity, start};
use crate::support::{Answer, Echo, ask, get};

async fn with_token(gateway: &Running, path: &str, token: &str) -> Answer {
    get(gateway, path, &format!("Authorization: Bearer {token}\r\n")).await
}

fn assert_refused(answer: &Answer, message: &str) {
    assert_eq!(
        (answer.status, answer.json()),
        (
            401,
            json!({"detail": "Given token not valid for any token type", "code": "token_not_valid", "messages": [
                {"token_class": "AccessToken", "token_type": "access", "message": message}
            ]})
        )
    );
    assert_eq!(answer.header("www-authenticate").unwrap(), "Bearer realm=\"api\"");
    assert_eq!(answer.header("content-type").unwrap(), "application/json");
}

#[actix_web::test]
async fn a_good_token_is_told_to_the_service_and_nobody_else_can_say_who_it_is() {
    let (identity, echo) = (FakeIdentity::start(), Echo::start());
    let gateway = start(&identity, &echo, |_| {}).await;
    gateway.until_ready().await;
    let token = identity.token(|_| {});
    for path in ["/required/x", "/optional/x"] {
        let lines = format!("Authorization: Bearer {token}\r\nX-Auth-User-Id: 1\r\nx_auth_session_id: 1\r\n");
        let answer = get(&gateway, path, &lines).await;
        assert_eq!(answer.seen("x-auth-user-id").unwrap(), "7");
        assert_eq!(answer.seen("x-auth-session-id").unwrap(), "s1");
        assert_eq!(answer.seen("x_auth_session_id"), None);
        assert_eq!(answer.seen("authorization").unwrap(), format!("Bearer {token}"));
    }
    let answer = with_token(&gateway, "/none/x", &token).await;
    assert_eq!((answer.status, answer.seen("x-auth-user-id")), (200, None));
    assert_eq!(identity.state().verify_count, 0);
}

#[actix_web::test]
async fn a_route_that_requires_a_token_refuses_in_the_contracts_words() {
    let (identity, echo) = (FakeIdentity::start(), Echo::start());
    let gateway = start(&identity, &echo, |_| {}).await;
    gateway.until_ready().await;
    for lines in [
        "",
        "Authorization: Basic YTpi\r\n",
        "Authorization: bearer x\r\n",
        "X-Auth-User-Id: 1\r\n",
    ] {
        let answer = get(&gateway, "/required/", lines).await;
        assert_eq!(
            (answer.status, answer.json()),
            (
                401,
                json!({"detail": "Authentication credentials were not provided."})
            )
        );
        assert_eq!(answer.header("www-authenticate").unwrap(), "Bearer realm=\"api\"");
    }
    let answer = get(&gateway, "/required/", "Authorization: Bearer a b\r\n").await;
    assert_eq!(
        answer.json(),
        json!({"detail": "Authorization header must contain two space-delimited values", "code": "bad_authorization_header"})
    );
    let now = Clock::System.now_seconds();
    let other = FakeIdentity::start().token(|_| {});
    for (token, message) in [
        ("nonsense".to_owned(), "Token is invalid"),
        (other, "Token is invalid"),
        (
            identity.token(|claims| claims["exp"] = json!(now - 1)),
            "Token is expired",
        ),
        (
            identity.token(|claims| claims["token_type"] = json!("refresh")),
            "Token has wrong type",
        ),
        (
            identity.token(|claims| drop(claims.as_object_mut().unwrap().remove("jti"))),
            "Token has no id",
        ),
        (
            identity.token(|claims| claims["user_id"] = json!("7\r\nX-Admin: 1")),
            "Token is invalid",
        ),
    ] {
        assert_refused(&with_token(&gateway, "/required/", &token).await, message);
        let answer = with_token(&gateway, "/optional/", &token).await;
        assert_eq!((answer.status, answer.seen("x-auth-user-id")), (200, None));
    }
    let nobody = identity.token(|claims| drop(claims.as_object_mut().unwrap().remove("user_id")));
    assert_eq!(
        with_token(&gateway, "/required/", &nobody).await.json(),
        json!({"detail": "Token contained no recognizable user identification", "code": "token_not_valid"})
    );
    assert_eq!(identity.state().verify_count, 0);
}

#[actix_web::test]
async fn a_body_is_read_over_before_a_refusal_so_that_the_connection_goes_on() {
    let (identity, echo) = (FakeIdentity::start(), Echo::start());
    let gateway = start(&identity, &echo, |_| {}).await;
    let mut client = crate::support::Client::connect(&gateway).await;
    for _ in 0..2 {
        client
            .send(crate::support::post("/required/x", &"x".repeat(100_000)))
            .await;
        assert_eq!(client.answer().await.unwrap().status, 401);
    }
}

#[actix_web::test]
async fn the_end_of_a_session_reaches_the_gateway_within_about_a_second() {
    let (identity, echo) = (FakeIdentity::start(), Echo::start());
    let by_default = Duration::from_secs(1);
    let gateway = start(&identity, &echo, |settings| {
        settings.revocations_interval = by_default;
        settings.admin.address = Some(([127, 0, 0, 1], 0).into());
    })
    .await;
    gateway.until_ready().await;
    let token = identity.token(|_| {});
    let other = identity.token(|claims| claims["sid"] = json!("s2"));
    assert_eq!(with_token(&gateway, "/required/", &token).await.status, 200);
    identity.revoke("s1");
    let ended = Instant::now();
    let lag = loop {
        let answer = with_token(&gateway, "/required/", &token).await;
        if answer.status == 401 {
            assert_refused(&answer, "Token is invalid");
            break ended.elapsed();
        }
        assert!(ended.elapsed() < Duration::from_secs(5), "never refused");
    };
    assert!(lag < by_default + Duration::from_millis(500), "{lag:?}");
    assert_eq!(with_token(&gateway, "/required/", &other).await.status, 200);
    let metrics = crate::support::ask_at(gateway.admin_address.unwrap(), "/metrics")
        .await
        .body;
    assert!(
        metrics.contains("gatehouse_gateway_revocation_lag_seconds_count 1"),
        "{metrics}"
    );
}

#[actix_web::test]
async fn a_new_key_is_fetched_when_a_token_names_it_and_nonsense_does_not_make_it_fetched_again_and_again() {
    let (identity, echo) = (FakeIdentity::start(), Echo::start());
    let gateway = start(&identity, &echo, |settings| {
        settings.key_fetch_pause = Duration::ZERO;
    })
    .await;
    gateway.until_ready().await;
    let old = identity.token(|_| {});
    identity.add_key("k2");
    let new = identity.token(|_| {});
    for token in [&old, &new, &old] {
        assert_eq!(with_token(&gateway, "/required/", token).await.status, 200);
    }
    let strict = start(&identity, &echo, |_| {}).await;
    strict.until_ready().await;
    let before = identity.state().key_fetch_count;
    let stranger = FakeIdentity::start();
    stranger.add_key("unknown");
    for _ in 0..20 {
        let answer = with_token(&strict, "/required/", &stranger.token(|_| {})).await;
        assert_refused(&answer, "Token is invalid");
    }
    assert_eq!(identity.state().key_fetch_count, before);
}

#[actix_web::test]
async fn while_the_list_of_ended_sessions_is_missing_identity_is_asked_or_nobody_passes() {
    let (identity, echo) = (FakeIdentity::start(), Echo::start());
    identity.state().has_feed = false;
    let asking = start(&identity, &echo, |_| {}).await;
    let token = identity.token(|_| {});
    for _ in 0..3 {
        let answer = with_token(&asking, "/required/", &token).await;
        assert_eq!(answer.seen("x-auth-user-id").unwrap(), "7");
    }
    assert_eq!(
        identity.state().verify_count,
        1,
        "its word counts for a short while"
    );
    let refresh = identity.token(|claims| claims["token_type"] = json!("refresh"));
    assert_refused(
        &with_token(&asking, "/required/", &refresh).await,
        "Token has wrong type",
    );
    identity.state().verify = (
        401,
        json!({"detail": "Token is expired", "code": "token_not_valid"}),
    );
    let expired = identity.token(|claims| claims["jti"] = json!("other"));
    assert_refused(
        &with_token(&asking, "/required/", &expired).await,
        "Token is expired",
    );

    let refusing = start(&identity, &echo, |settings| {
        settings.when_stale = WhenStale::Refuse;
    })
    .await;
    let answer = with_token(&refusing, "/required/", &token).await;
    answer.assert_error(503, "Service temporarily unavailable, try again later.");
    assert!(answer.header("retry-after").is_some());
}

/// The token, as if it were signed with a secret.
fn as_hs256(token: &str, kid: Option<&str>) -> String {
    let header = match kid {
        Some(kid) => json!({"alg": "HS256", "kid": kid}),
        None => json!({"alg": "HS256"}),
    };
    let claims = token.split('.').nth(1).unwrap();
    let signature = URL_SAFE_NO_PAD.encode([0; 32]);
    format!(
        "{}.{claims}.{signature}",
        URL_SAFE_NO_PAD.encode(header.to_string())
    )
}

#[actix_web::test]
async fn a_token_whose_key_is_a_secret_is_checked_by_identity() {
    for told in [Some(vec![Some("secret".to_owned())]), Some(vec![None]), None] {
        let (identity, echo) = (FakeIdentity::start(), Echo::start());
        identity.state().secret_keys = told.clone();
        let gateway = start(&identity, &echo, |_| {}).await;
        gateway.until_ready().await;
        let is_named = told
            .as_ref()
            .is_some_and(|told| told.contains(&Some("secret".to_owned())));
        let token = as_hs256(&identity.token(|_| {}), is_named.then_some("secret"));
        let answer = with_token(&gateway, "/required/", &token).await;
        assert_eq!(answer.seen("x-auth-user-id").unwrap(), "7", "{told:?}");
        assert_eq!(identity.state().verify_count, 1);
    }
}

#[actix_web::test]
async fn a_token_that_only_claims_a_secret_key_costs_identity_nothing() {
    let (identity, echo) = (FakeIdentity::start(), Echo::start());
    identity.state().secret_keys = Some(vec![Some("secret".to_owned())]);
    let gateway = start(&identity, &echo, |_| {}).await;
    gateway.until_ready().await;
    let token = identity.token(|_| {});
    for kid in [None, Some("k1"), Some("other")] {
        let answer = with_token(&gateway, "/required/", &as_hs256(&token, kid)).await;
        assert_refused(&answer, "Token is invalid");
    }
    assert_eq!(identity.state().verify_count, 0);
    identity.state().verify = (
        401,
        json!({"detail": "Token is invalid", "code": "token_not_valid"}),
    );
    for _ in 0..50 {
        let answer = with_token(&gateway, "/required/", &as_hs256(&token, Some("secret"))).await;
        assert_refused(&answer, "Token is invalid");
    }
    assert_eq!(
        identity.state().verify_count,
        1,
        "its refusal counts for a moment"
    );
}

#[actix_web::test]
async fn while_the_list_of_ended_sessions_is_missing_a_bad_token_is_not_asked_about() {
    let (identity, echo) = (FakeIdentity::start(), Echo::start());
    identity.state().has_feed = false;
    let gateway = start(&identity, &echo, |_| {}).await;
    let stranger = FakeIdentity::start().token(|_| {});
    let expired = identity.token(|claims| claims["exp"] = json!(1));
    for (token, message) in [(stranger, "Token is invalid"), (expired, "Token is expired")] {
        assert_refused(&with_token(&gateway, "/required/", &token).await, message);
    }
    assert_eq!(identity.state().verify_count, 0);
}

#[actix_web::test]
async fn while_the_keys_cannot_be_fetched_nobody_says_that_a_new_key_is_none() {
    let (identity, echo) = (FakeIdentity::start(), Echo::start());
    let gateway = start(&identity, &echo, |settings| {
        settings.key_fetch_pause = Duration::ZERO;
    })
    .await;
    gateway.until_ready().await;
    let old = identity.token(|_| {});
    identity.add_key("k2");
    let new = identity.token(|_| {});
    identity.state().has_keys = false;
    let answer = with_token(&gateway, "/required/", &new).await;
    answer.assert_error(503, "Service temporarily unavailable, try again later.");
    assert_eq!(with_token(&gateway, "/required/", &old).await.status, 200);
    identity.state().has_keys = true;
    assert_eq!(with_token(&gateway, "/required/", &new).await.status, 200);
}

fn verify(token: &str, lines: &str) -> String {
    let body = json!({ "token": token }).to_string();
    format!(
        "POST /api/auth/token/verify/ HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n{lines}Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

#[actix_web::test]
async fn the_good_case_of_token_verify_is_answered_at_the_edge_and_nothing_else() {
    let (identity, echo) = (FakeIdentity::start(), Echo::start());
    let gateway = start(&identity, &echo, |_| {}).await;
    gateway.until_ready().await;
    let good = identity.token(|_| {});
    let answer = ask(&gateway, verify(&good, "Accept-Language: de, en;q=0.5\r\n")).await;
    assert_eq!((answer.status, answer.body.as_str()), (200, "{}"));
    for (name, value) in [
        ("content-type", "application/json"),
        ("allow", "POST, OPTIONS"),
        ("vary", "Accept, Accept-Language"),
        ("content-language", "en"),
        ("x-content-type-options", "nosniff"),
        ("cache-control", "no-store"),
        ("content-length", "2"),
    ] {
        assert_eq!(answer.header(name).unwrap(), value);
    }
    let own = ["date", "x-request-id"];
    assert!(own.iter().all(|name| answer.header(name).is_some()));
    assert_eq!(
        answer.head.lines().count(),
        1 + 7 + own.len() + 1,
        "{}",
        answer.head
    );
    assert_eq!(identity.state().verify_count, 0);

    identity.revoke("gone");
    let others = [
        verify(
            &identity.token(|claims| claims["token_type"] = json!("refresh")),
            "",
        ),
        verify(&identity.token(|claims| claims["exp"] = json!(1)), ""),
        verify(
            &identity.token(|claims| drop(claims.as_object_mut().unwrap().remove("sid"))),
            "",
        ),
        verify("nonsense", ""),
        verify(&good, "Accept-Language: ru\r\n"),
        verify(&good, "Accept: text/html\r\n"),
        verify(&good, "").replace("application/json", "text/plain"),
        verify(&good, "").replace("{\"token\"", "[\"token\""),
    ];
    for (count, request) in others.iter().enumerate() {
        let answer = ask(&gateway, request).await;
        assert_eq!(answer.header("x-from").unwrap(), "identity", "{request}");
        assert_eq!(identity.state().verify_count, count + 1);
    }
}

#[actix_web::test]
async fn a_proxy_can_ask_whether_a_request_may_pass() {
    let (identity, echo) = (FakeIdentity::start(), Echo::start());
    let gateway = start(&identity, &echo, |_| {}).await;
    gateway.until_ready().await;
    let token = identity.token(|_| {});
    for path in ["/auth/forward", "/auth/forward/any/path?x=1"] {
        let answer = with_token(&gateway, path, &token).await;
        assert_eq!((answer.status, answer.body.as_str()), (200, ""));
        assert_eq!(answer.header("x-auth-user-id").unwrap(), "7");
        assert_eq!(answer.header("x-auth-session-id").unwrap(), "s1");
        let answer = get(&gateway, path, "X-Auth-User-Id: 7\r\nCookie: token=x\r\n").await;
        assert_eq!((answer.status, answer.header("x-auth-user-id")), (401, None));
        assert_refused(&with_token(&gateway, path, "nonsense").await, "Token is invalid");
    }
    get(&gateway, "/auth/forwarded", "")
        .await
        .assert_error(404, "Not found.");
}
