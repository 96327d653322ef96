//! Which paths and methods reach something.

use std::sync::Arc;

use actix_web::{HttpResponse, web};

use gateway::Settings;
use gateway::routes::{Auth, RouteSettings};

use crate::support::{Echo, ask, get, start_gateway, start_gateway_with_pages};

#[actix_web::test]
async fn the_endpoints_are_forwarded_unchanged_with_every_ordinary_method() {
    let gateway = start_gateway(Echo::start().address, |_| {}).await;
    for method in ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"] {
        let answer = ask(
            &gateway,
            format!("{method} /api/auth/login?x=/../%2e%2e HTTP/1.1\r\nHost: a\r\n\r\n"),
        )
        .await;
        assert_eq!(
            (answer.status, answer.json()["method"].as_str()),
            (200, Some(method))
        );
        assert_eq!(answer.json()["target"], "/api/auth/login?x=/../%2e%2e");
    }
    for path in ["/account/verify-email/abc", "/.well-known/jwks.json"] {
        assert_eq!(get(&gateway, path, "").await.status, 200, "{path}");
    }
}

#[actix_web::test]
async fn no_spelling_of_another_path_reaches_anything() {
    let echo = Echo::start();
    let gateway = start_gateway(echo.address, |_| {}).await;
    for path in [
        "/",
        "/internal/users",
        "/internal",
        "//internal/users",
        "/api/auth/../../internal/users",
        "/api/auth/%2e%2e/%2e%2e/internal/users",
        "/api/auth/..%2f..%2finternal/users",
        "/api/auth/%2E%2E%5Cinternal",
        "/api/auth/login/..;/internal",
        "/api/auth//login/",
        "/api/auth/login/%00",
        "/api/auth/./login/",
        "/api/auth/%252e%252e/internal",
        "/API/AUTH/login/",
        "/api/auth",
        "/metrics",
        "/dev/mailbox",
        "/health/live",
        "/%69nternal/users",
        "/.well-known/jwks.json/../../internal",
        "/account/../internal/",
    ] {
        get(&gateway, path, "").await.assert_error(404, "Not found.");
    }
    get(&gateway, "/api/auth/..\\internal", "")
        .await
        .assert_error(400, "Malformed request: bad character in the target.");
    get(&gateway, "http://gate.example/api/auth/login/", "")
        .await
        .assert_error(400, "Malformed request: the target is not a path.");
    assert_eq!(echo.request_count(), 0);
}

#[actix_web::test]
async fn methods_that_echo_tunnel_or_are_none_are_refused_without_an_echo() {
    let echo = Echo::start();
    let gateway = start_gateway(echo.address, |_| {}).await;
    for (method, status) in [
        ("TRACE", 405),
        ("CONNECT", 405),
        ("TRACK", 405),
        ("get", 501),
        ("GET1", 501),
        ("ABCDEFGHIJKLMNOPQRSTU", 501),
    ] {
        let request = format!("{method} /api/auth/login/ HTTP/1.1\r\nHost: a\r\nX-Secret: s3cret\r\n\r\n");
        let answer = ask(&gateway, request).await;
        assert_eq!(answer.status, status, "{method}");
        assert!(!answer.body.contains("s3cret"));
    }
    assert_eq!(echo.request_count(), 0);
}

#[actix_web::test]
async fn unusual_methods_are_for_the_service_to_answer() {
    let echo = Echo::start();
    let gateway = start_gateway(echo.address, |_| {}).await;
    for method in ["QUERY", "PROPFIND", "M-SEARCH"] {
        let request = format!("{method} /api/auth/login/ HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(ask(&gateway, request).await.status, 200, "{method}");
    }
    assert_eq!(echo.request_count(), 3);
}

#[actix_web::test]
async fn pages_of_its_own_are_served_below_dev_only() {
    let echo = Echo::start();
    let pages: gateway::ExtraPages = Arc::new(|config: &mut web::ServiceConfig| {
        config.route(
            "/dev/mailbox",
            web::get().to(|| async { HttpResponse::Ok().body("mails") }),
        );
        config.route("/dev/panic", web::get().to(|| async { broken_page() }));
        config.route(
            "/api/auth/login/",
            web::get().to(|| async { HttpResponse::Ok().body("wrong") }),
        );
    });
    let gateway = start_gateway_with_pages(echo.address, Some(pages), |_| {}).await;
    let answer = get(&gateway, "/dev/mailbox", "").await;
    assert_eq!((answer.status, answer.body.as_str()), (200, "mails"));
    assert_eq!(answer.header("x-content-type-options").unwrap(), "nosniff");
    get(&gateway, "/dev/other", "")
        .await
        .assert_error(404, "Not found.");
    get(&gateway, "/dev/../dev/mailbox", "")
        .await
        .assert_error(404, "Not found.");
    assert_eq!(
        get(&gateway, "/api/auth/login/", "").await.json()["method"],
        "GET"
    );
    get(&gateway, "/dev/panic", "")
        .await
        .assert_error(500, "Internal error.");
    assert_eq!(get(&gateway, "/dev/mailbox", "").await.status, 200);
}

#[expect(clippy::panic, reason = "the page of a test that wants one")]
fn broken_page() -> HttpResponse {
    panic!("a page is broken")
}

fn protected_and_open(settings: &mut Settings, echo: &Echo) {
    let upstreams = vec![echo.address.try_into().unwrap()];
    let mut admin = RouteSettings::new("/admin/", upstreams.clone());
    admin.auth = Auth::Required;
    settings.routes.routes = vec![RouteSettings::new("/", upstreams), admin];
}

#[actix_web::test]
async fn no_spelling_of_a_protected_path_reaches_its_service_without_a_token() {
    let echo = Echo::start();
    let gateway = start_gateway(echo.address, |settings| protected_and_open(settings, &echo)).await;
    for (path, status) in [
        ("/admin/users", 401),
        ("/%61dmin/users", 401),
        ("/a%64min/%75sers", 401),
        ("/%61%64%6D%69%6E/x", 401),
        ("/adm%69n", 404),
        ("/admin", 404),
        ("/Admin/users", 404),
        ("/ADM%49N", 404),
        ("/%2561dmin/users", 404),
        ("/admin%2Fusers", 404),
        ("/x/%2e%2e/admin/users", 404),
        ("/admin;a=b/users", 404),
        ("//admin/users", 404),
    ] {
        let answer = get(&gateway, path, "X-Auth-User-Id: 1\r\n").await;
        assert_eq!(answer.status, status, "{path}");
    }
    assert_eq!(echo.request_count(), 0);
    let answer = get(&gateway, "/%61dministr%61tion/%7ex%2fy", "").await;
    assert_eq!(answer.status, 404, "an escaped slash is nobody's");
    let answer = get(&gateway, "/%61dministr%61tion/%7ex%3a%c3%a9?%61", "").await;
    assert_eq!(
        answer.json()["target"],
        "/administration/~x%3A%C3%A9?%61",
        "the service sees the canonical path, and the query as it was"
    );
}

#[actix_web::test]
async fn the_budget_counts_the_canonical_path() {
    let echo = Echo::start();
    let gateway = start_gateway(echo.address, |settings| settings.auth_requests_per_minute = 3).await;
    for path in [
        "/api/auth/log%69n/",
        "/%61pi/auth/login",
        "/api/auth/p%61ssword/reset/",
    ] {
        let answer = get(&gateway, path, "").await;
        assert_eq!(
            (answer.status, answer.seen("x-gatehouse-throttle-wait")),
            (200, None),
            "{path}"
        );
    }
    for path in ["/api/auth/login/", "/api/auth/l%6Fgin/"] {
        let answer = get(&gateway, path, "").await;
        let is_told = answer.seen("x-gatehouse-throttle-wait").is_some();
        assert!(is_told, "{path}: {}", answer.body);
    }
}
