//! The budget of a client (contract, section 12). identity-svc answers 429; the gateway tells it when.

use std::time::Duration;

use gateway::service::Running;
use shared::clock::Clock;

use crate::support::{Echo, ask, post, start_gateway};

async fn start(clock: &Clock, trusted: &str) -> Running {
    start_gateway(Echo::start().address, |settings| {
        settings.auth_requests_per_minute = 5;
        settings.clock = clock.clone();
        settings.trusted_proxies = trusted.parse().unwrap();
    })
    .await
}

async fn wait(gateway: &Running, path: &str) -> Option<String> {
    ask(gateway, post(path, "{}"))
        .await
        .seen("x-gatehouse-throttle-wait")
}

async fn wait_of(gateway: &Running, client: &str) -> Option<String> {
    let request = format!("POST /api/auth/login/ HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: {client}\r\n\r\n");
    ask(gateway, request).await.seen("x-gatehouse-throttle-wait")
}

#[actix_web::test]
async fn beyond_the_budget_a_request_is_forwarded_with_the_seconds_to_wait() {
    let clock = Clock::fixed(1_000_000);
    let gateway = start(&clock, "").await;
    for path in [
        "/api/auth/login/",
        "/api/auth/logout",
        "/api/auth/password/reset/",
        "/api/auth/registration",
        "/api/auth/password/change/",
    ] {
        assert_eq!(wait(&gateway, path).await, None, "{path}");
    }
    assert_eq!(wait(&gateway, "/api/auth/login/").await.unwrap(), "60");
    clock.advance(Duration::from_secs(1));
    assert_eq!(
        wait(&gateway, "/api/auth/password/reset/confirm/").await.unwrap(),
        "59"
    );
    clock.advance(Duration::from_millis(1));
    assert_eq!(wait(&gateway, "/api/auth/registration/").await.unwrap(), "59");
    clock.advance(Duration::from_millis(58_999));
    for _ in 0..5 {
        assert_eq!(
            wait(&gateway, "/api/auth/login/").await,
            None,
            "a refused request does not count"
        );
    }
    assert_eq!(wait(&gateway, "/api/auth/login/").await.unwrap(), "60");
}

#[actix_web::test]
async fn other_endpoints_have_no_part_in_the_budget() {
    let gateway = start(&Clock::fixed(0), "").await;
    let free = [
        "token/verify/",
        "token/refresh/",
        "registration/resend-email/",
        "registration/verify-email/",
        "user/",
    ];
    for path in free.iter().cycle().take(20) {
        assert_eq!(wait(&gateway, &format!("/api/auth/{path}")).await, None, "{path}");
    }
    for _ in 0..6 {
        wait(&gateway, "/api/auth/login/").await;
    }
    assert_eq!(wait(&gateway, "/api/auth/token/verify/").await, None);
    assert!(wait(&gateway, "/api/auth/login/").await.is_some());
}

#[actix_web::test]
async fn every_client_has_its_own_budget_and_an_ipv6_network_is_one_client() {
    let gateway = start(&Clock::fixed(0), "127.0.0.1").await;
    for number in 0..5 {
        assert_eq!(wait_of(&gateway, &format!("2001:db8::{number}")).await, None);
        assert_eq!(wait_of(&gateway, "192.0.2.1").await, None);
    }
    assert_eq!(wait_of(&gateway, "2001:db8::ffff:1:2:3").await.unwrap(), "60");
    assert_eq!(wait_of(&gateway, "2001:db8:0:1::1").await, None);
    assert_eq!(wait_of(&gateway, "192.0.2.1").await.unwrap(), "60");
    assert_eq!(wait_of(&gateway, "::ffff:192.0.2.1").await.unwrap(), "60");
    assert_eq!(wait_of(&gateway, "192.0.2.2").await, None);
}

#[actix_web::test]
async fn a_forged_client_address_opens_no_new_budget() {
    let gateway = start(&Clock::fixed(0), "").await;
    for number in 0..5 {
        assert_eq!(wait_of(&gateway, &format!("192.0.2.{number}")).await, None);
    }
    assert_eq!(wait_of(&gateway, "192.0.2.99").await.unwrap(), "60");
}

#[actix_web::test]
async fn a_budget_of_zero_is_no_budget() {
    let gateway = start_gateway(Echo::start().address, |settings| {
        settings.auth_requests_per_minute = 0;
    })
    .await;
    for _ in 0..100 {
        assert_eq!(wait(&gateway, "/api/auth/login/").await, None);
    }
}
