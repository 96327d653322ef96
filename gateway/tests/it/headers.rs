//! Header fields: nobody else sends ours, hop-by-hop ones end here, the client's address is one.

use gateway::routes::RouteSettings;
use gateway::service::Running;
use shared::env::Env;
use shared::internal_secret::InternalSecret;

use crate::support::{Echo, ask, canned, get, start_gateway};

async fn start() -> Running {
    start_gateway(Echo::start().address, |_| {}).await
}

#[actix_web::test]
async fn identity_headers_cannot_be_forged_in_any_spelling() {
    let gateway = start().await;
    for name in [
        "X-Auth-User-Id",
        "x-auth-user-id",
        "X_Auth_User_Id",
        "X-Auth_User-Id",
        "X.Auth.User.Id",
        "x-AUTH-session-id",
        "X--Auth--User-Id",
        "X-Gatehouse-Throttle-Wait",
        "X_Gatehouse_Throttle_Wait",
        "x.gatehouse.throttle.wait",
        "X-Real-IP",
        "Forwarded",
        "X-Forwarded-User",
        "X_Forwarded_User",
        "X-Original-URL",
        "True-Client-IP",
    ] {
        let answer = get(&gateway, "/api/auth/user/", &format!("{name}: forged\r\n")).await;
        assert_eq!(answer.status, 200);
        assert!(!answer.body.contains("forged"), "{name}: {}", answer.body);
        let answer = get(
            &gateway,
            "/api/auth/user/",
            &format!("{name}: forged\r\nConnection: {name}\r\n"),
        )
        .await;
        assert!(!answer.body.contains("forged"), "{name}: {}", answer.body);
    }
}

#[actix_web::test]
async fn our_own_headers_are_set_exactly_once_whatever_the_client_sends() {
    let gateway = start().await;
    let forged = "X-Gatehouse-Client-Address: 6.6.6.6\r\nx_gatehouse_client_address: 6.6.6.6\r\nX-Forwarded-For: 6.6.6.6\r\n\
                  X-Forwarded-For: 6.6.6.7\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: evil.example\r\n\
                  Connection: X-Gatehouse-Client-Address, X-Forwarded-For, close\r\n";
    let answer = get(&gateway, "/api/auth/user/", forged).await;
    assert_eq!(answer.seen("x-gatehouse-client-address").unwrap(), "127.0.0.1");
    assert_eq!(answer.seen("x-forwarded-for").unwrap(), "127.0.0.1");
    assert_eq!(answer.seen("x-forwarded-proto").unwrap(), "http");
    assert_eq!(answer.seen("x-forwarded-host").unwrap(), "gate.example");
    assert_eq!(answer.seen("x-gatehouse-throttle-wait"), None);
}

#[actix_web::test]
async fn a_trusted_proxy_says_who_the_client_is() {
    let echo = Echo::start();
    let trusting = |trusted: &'static str| {
        start_gateway(echo.address, |settings| {
            settings.trusted_proxies = trusted.parse().unwrap();
        })
    };
    let lines = "X-Forwarded-For: 6.6.6.6, 192.0.2.1\r\nX-Forwarded-For: 10.1.1.1\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: app.example\r\n";

    let answer = get(
        &trusting("127.0.0.0/8, 10.0.0.0/8").await,
        "/api/auth/user/",
        lines,
    )
    .await;
    assert_eq!(answer.seen("x-gatehouse-client-address").unwrap(), "192.0.2.1");
    assert_eq!(answer.seen("x-forwarded-for").unwrap(), "192.0.2.1");
    assert_eq!(answer.seen("x-forwarded-proto").unwrap(), "https");
    assert_eq!(answer.seen("x-forwarded-host").unwrap(), "app.example");

    let answer = get(&trusting("10.0.0.0/8").await, "/api/auth/user/", lines).await;
    assert_eq!(answer.seen("x-gatehouse-client-address").unwrap(), "127.0.0.1");
    assert_eq!(answer.seen("x-forwarded-proto").unwrap(), "http");
}

#[actix_web::test]
async fn hop_by_hop_headers_end_here_and_end_to_end_ones_cannot_be_taken_away() {
    let gateway = start().await;
    let lines = "Connection: keep-alive, X-Hop, Authorization, Content-Type, Host\r\nKeep-Alive: timeout=5\r\nX-Hop: 1\r\nTE: trailers\r\n\
                 Trailer: X-Sum\r\nProxy-Authorization: Basic x\r\nProxy-Connection: keep-alive\r\nAuthorization: Bearer a.b.c\r\n\
                 Content-Type: application/json\r\nX-Kept: 1\r\nX-Kept: 2\r\nCookie: a=b\r\ntraceparent: 00-aa-bb-01\r\n";
    let answer = get(&gateway, "/api/auth/user/", lines).await;
    for gone in [
        "connection",
        "keep-alive",
        "x-hop",
        "te",
        "trailer",
        "proxy-authorization",
        "proxy-connection",
    ] {
        assert_eq!(answer.seen(gone), None, "{gone}");
    }
    assert_eq!(answer.seen("authorization").unwrap(), "Bearer a.b.c");
    assert_eq!(answer.seen("content-type").unwrap(), "application/json");
    assert_eq!(answer.seen("x-kept").unwrap(), "1 | 2");
    assert_eq!(answer.seen("cookie").unwrap(), "a=b");
    assert_eq!(answer.seen("traceparent").unwrap(), "00-aa-bb-01");
}

#[actix_web::test]
async fn nothing_is_added_that_changes_the_request() {
    let gateway = start().await;
    let answer = get(&gateway, "/api/auth/user/?a=%20b&c", "").await;
    assert_eq!(answer.json()["target"], "/api/auth/user/?a=%20b&c");
    for absent in [
        "accept-encoding",
        "user-agent",
        "content-length",
        "transfer-encoding",
        "expect",
    ] {
        assert_eq!(answer.seen(absent), None, "{absent}");
    }
}

#[actix_web::test]
async fn an_upgrade_is_not_forwarded_and_the_request_is_answered() {
    let gateway = start().await;
    let lines = "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n";
    let answer = get(&gateway, "/api/auth/user/", lines).await;
    assert_eq!(
        (answer.status, answer.header("connection").unwrap().as_str()),
        (200, "close")
    );
    assert_eq!(
        (answer.seen("upgrade"), answer.seen("http2-settings")),
        (None, None)
    );
    let lines = "Connection: Upgrade\r\nUpgrade: websocket\r\n";
    get(&gateway, "/api/auth/user/", lines)
        .await
        .assert_error(400, "Malformed request: WebSocket is not supported.");
}

#[actix_web::test]
async fn a_request_id_is_kept_when_it_has_the_form_of_one() {
    let gateway = start().await;
    let answer = get(&gateway, "/api/auth/user/", "X-Request-ID: abc-123\r\n").await;
    assert_eq!(answer.header("x-request-id").unwrap(), "abc-123");
    assert_eq!(answer.seen("x-request-id").unwrap(), "abc-123");
    let answer = get(
        &gateway,
        "/api/auth/user/",
        "X-Request-ID: a b\r\nX_Request_Id: c\r\n",
    )
    .await;
    assert_eq!(answer.header("x-request-id").unwrap().len(), 32);
    assert_eq!(answer.seen("x-request-id"), answer.header("x-request-id"));
    assert_eq!(answer.seen("x_request_id"), None);
}

#[actix_web::test]
async fn an_answer_loses_what_is_of_one_hop_or_names_versions() {
    let upstream = canned(Some(
        "HTTP/1.1 201 Created\r\nConnection: close, X-Hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\nServer: identity/1.2.3\r\n\
         X-Powered-By: Rust/1.90\r\nX-Gatehouse-Secret: 1\r\nX-Request-ID: other\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n\
         WWW-Authenticate: Bearer realm=\"api\"\r\nContent-Length: 2\r\n\r\n{}",
    ))
    .await;
    let gateway = start_gateway(upstream, |_| {}).await;
    let answer = get(&gateway, "/api/auth/user/", "X-Request-ID: mine\r\n").await;
    assert_eq!((answer.status, answer.body.as_str()), (201, "{}"));
    for gone in [
        "connection",
        "x-hop",
        "keep-alive",
        "server",
        "x-powered-by",
        "x-gatehouse-secret",
    ] {
        assert_eq!(answer.header(gone), None, "{gone}");
    }
    assert_eq!(answer.header("set-cookie").unwrap(), "a=1 | b=2");
    assert_eq!(answer.header("www-authenticate").unwrap(), "Bearer realm=\"api\"");
    assert_eq!(answer.header("x-content-type-options").unwrap(), "nosniff");
    assert_eq!(answer.header("x-request-id").unwrap(), "mine");
}

#[actix_web::test]
async fn a_head_is_answered_without_a_body_but_with_its_length() {
    let upstream = canned(Some(
        "HTTP/1.1 405 Method Not Allowed\r\nContent-Length: 33\r\n\r\n",
    ))
    .await;
    let gateway = start_gateway(upstream, |_| {}).await;
    let mut client = crate::support::Client::connect(&gateway).await;
    for _ in 0..2 {
        client
            .send("HEAD /api/auth/login/ HTTP/1.1\r\nHost: a\r\n\r\n")
            .await;
        let answer = client.answer_to("HEAD").await.unwrap();
        assert_eq!(
            (answer.status, answer.header("content-length").unwrap().as_str()),
            (405, "33")
        );
    }
    client
        .send("HEAD /nowhere HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        .await;
    assert_eq!(client.answer_to("HEAD").await.unwrap().status, 404);
    assert!(client.is_closed().await);
}

#[actix_web::test]
async fn a_client_that_expects_to_be_told_to_go_on_is_told() {
    let gateway = start().await;
    let request =
        "POST /api/auth/login/ HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n{}";
    let answer = ask(&gateway, request).await;
    assert_eq!((answer.status, answer.seen("expect")), (200, None));
    let answer = get(&gateway, "/api/auth/login/", "Expect: a-miracle\r\n").await;
    answer.assert_error(417, "The expectation cannot be met.");
}

#[actix_web::test]
async fn only_identity_sees_the_internal_secret_and_only_the_gateway_sends_it() {
    const SECRET: &str = "the-secret-of-both-with-many-bytes-in-it";
    const NAME: &str = "x-gatehouse-internal-secret";
    let (identity, own) = (Echo::start(), Echo::start());
    let env = Env::from_pairs([("GATEHOUSE_INTERNAL_SECRET", SECRET)]);
    let gateway = start_gateway(identity.address, |settings| {
        settings.internal_secret = InternalSecret::from_env(&env);
        let urls = |echo: &Echo| vec![echo.address.try_into().unwrap()];
        settings.routes.routes = vec![
            RouteSettings::new("/own/", urls(&own)),
            // A route of one's own that leads to identity-svc speaks for nobody.
            RouteSettings::new("/around/", urls(&identity)),
        ];
    })
    .await;
    for lines in [
        "",
        "X-Gatehouse-Internal-Secret: forged\r\n",
        "X_Gatehouse_Internal_Secret: forged\r\n",
    ] {
        let answer = get(&gateway, "/api/auth/user/", lines).await;
        assert_eq!(answer.seen(NAME).as_deref(), Some(SECRET));
        for path in ["/own/a", "/around/a"] {
            let answer = get(&gateway, path, lines).await;
            assert_eq!(answer.status, 200);
            assert!(
                !answer.body.contains("secret") && !answer.body.contains("forged"),
                "{}",
                answer.body
            );
        }
    }
}
