//! Which pages of other origins may read answers.

use gateway::{Cors, Running};

use crate::support::{Echo, ask, get, start_gateway};

async fn start(echo: &Echo, origins: &[&str]) -> Running {
    start_gateway(echo.address, |settings| {
        settings.cors = Cors {
            origins: origins.iter().map(ToString::to_string).collect(),
            allows_credentials: true,
        };
    })
    .await
}

fn preflight(origin: &str) -> String {
    format!(
        "OPTIONS /api/auth/login/ HTTP/1.1\r\nHost: a\r\nOrigin: {origin}\r\nAccess-Control-Request-Method: POST\r\n\
         Access-Control-Request-Headers: authorization, content-type\r\n\r\n"
    )
}

#[actix_web::test]
async fn an_origin_that_is_configured_may_ask_and_read() {
    let echo = Echo::start();
    let gateway = start(&echo, &["https://app.example"]).await;
    let answer = ask(&gateway, preflight("https://app.example")).await;
    assert_eq!(answer.status, 204);
    assert_eq!(
        answer.header("access-control-allow-origin").unwrap(),
        "https://app.example"
    );
    assert_eq!(answer.header("access-control-allow-credentials").unwrap(), "true");
    assert_eq!(
        answer.header("access-control-allow-headers").unwrap(),
        "authorization, content-type"
    );
    assert_eq!(echo.request_count(), 0);
    let answer = get(&gateway, "/api/auth/user/", "Origin: https://app.example\r\n").await;
    assert_eq!(
        answer.header("access-control-allow-origin").unwrap(),
        "https://app.example"
    );
    assert!(answer.header("vary").unwrap().contains("Origin"));
    let answer = get(&gateway, "/nowhere", "Origin: https://app.example\r\n").await;
    assert_eq!(
        answer.header("access-control-allow-origin").unwrap(),
        "https://app.example"
    );
}

#[actix_web::test]
async fn another_origin_is_told_nothing_and_neither_is_anybody_by_default() {
    let echo = Echo::start();
    for origins in [&["https://app.example"][..], &[]] {
        let gateway = start(&echo, origins).await;
        for origin in ["https://evil.example", "null", "https://app.example.evil.example"] {
            for answer in [
                ask(&gateway, preflight(origin)).await,
                get(&gateway, "/api/auth/user/", &format!("Origin: {origin}\r\n")).await,
            ] {
                assert_eq!(answer.status, 200, "it goes to the service");
                assert_eq!(answer.header("access-control-allow-origin"), None);
            }
        }
    }
}

#[actix_web::test]
async fn every_origin_is_allowed_only_without_credentials() {
    let gateway = start(&Echo::start(), &["*"]).await;
    let answer = get(&gateway, "/api/auth/user/", "Origin: https://any.example\r\n").await;
    assert_eq!(answer.header("access-control-allow-origin").unwrap(), "*");
    assert_eq!(answer.header("access-control-allow-credentials"), None);
}
