//! Bodies and heads are bounded in size and in time.

use std::time::Duration;

use crate::support::{Client, Echo, ask, get, post, start_gateway};

const TOO_LARGE: &str = "The request body is too large.";
const TOO_SLOW: &str = "The request took too long to arrive.";

#[actix_web::test]
async fn a_body_that_says_it_is_too_large_is_refused_before_it_is_sent() {
    let echo = Echo::start();
    let gateway = start_gateway(echo.address, |settings| settings.max_body_bytes = 2000).await;
    for expect in ["", "Expect: 100-continue\r\n"] {
        let mut client = Client::connect(&gateway).await;
        let request =
            format!("POST /api/auth/login/ HTTP/1.1\r\nHost: a\r\n{expect}Content-Length: 2001\r\n\r\n");
        client.send(request).await;
        let answer = client.answer().await.unwrap();
        answer.assert_error(413, TOO_LARGE);
        assert!(client.is_closed().await);
    }
    let answer = ask(&gateway, post("/api/auth/login/", &"x".repeat(2000))).await;
    assert_eq!(answer.json()["body"].as_str().unwrap().len(), 2000);
    assert_eq!(echo.request_count(), 1);
}

#[actix_web::test]
async fn a_chunked_body_is_refused_when_it_grows_too_large() {
    let echo = Echo::start();
    let gateway = start_gateway(echo.address, |settings| settings.max_body_bytes = 100_000).await;
    let mut client = Client::connect(&gateway).await;
    client
        .send("POST /api/auth/login/ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
        .await;
    let chunk = format!("2000\r\n{}\r\n", "x".repeat(0x2000));
    let mut sent = 0;
    while sent < 20 && client.try_send(&chunk).await {
        sent += 1;
    }
    client.answer().await.unwrap().assert_error(413, TOO_LARGE);
    assert_eq!(echo.request_count(), 0);
}

#[actix_web::test]
async fn a_large_body_within_the_limit_arrives_whole() {
    let gateway = start_gateway(Echo::start().address, |_| {}).await;
    let body = "0123456789".repeat(200_000);
    let answer = ask(&gateway, post("/api/auth/login/", &body)).await;
    assert_eq!(answer.json()["body"].as_str(), Some(body.as_str()));
}

#[actix_web::test]
async fn a_slow_body_is_answered_408_and_cut() {
    let echo = Echo::start();
    let gateway = start_gateway(echo.address, |settings| {
        settings.body_timeout = Duration::from_millis(200);
    })
    .await;
    for start in [
        "Content-Length: 400\r\n\r\n{",
        "Transfer-Encoding: chunked\r\n\r\n5\r\n{\"tok",
    ] {
        let mut client = Client::connect(&gateway).await;
        client
            .send(format!("POST /api/auth/login/ HTTP/1.1\r\nHost: a\r\n{start}"))
            .await;
        client.answer().await.unwrap().assert_error(408, TOO_SLOW);
        assert!(client.is_closed().await);
    }
    assert_eq!(echo.request_count(), 0);
}

#[actix_web::test]
async fn a_response_that_needs_no_body_does_not_wait_for_it() {
    let gateway = start_gateway(Echo::start().address, |_| {}).await;
    let mut client = Client::connect(&gateway).await;
    client
        .send("POST /nowhere HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{\"tok")
        .await;
    client.answer().await.unwrap().assert_error(404, "Not found.");
    client
        .send("\r\n0\r\n\r\nGET /nowhere HTTP/1.1\r\nHost: a\r\n\r\n")
        .await;
    client.answer().await.unwrap().assert_error(404, "Not found.");
}

#[actix_web::test]
async fn a_slow_header_is_cut_on_the_first_request_and_on_every_other() {
    let echo = Echo::start();
    let gateway = start_gateway(echo.address, |settings| {
        settings.header_timeout = Duration::from_millis(200);
    })
    .await;
    let mut client = Client::connect(&gateway).await;
    client.send("GET /api/auth/login/ HTTP/1.1\r\nHo").await;
    client.answer().await.unwrap().assert_error(408, TOO_SLOW);
    assert!(client.is_closed().await);

    let mut client = Client::connect(&gateway).await;
    client
        .send(format!("{}GET /api", post("/api/auth/login/", "{}")))
        .await;
    assert_eq!(client.answer().await.unwrap().status, 200);
    client.answer().await.unwrap().assert_error(408, TOO_SLOW);
    assert!(client.is_closed().await);
}

#[actix_web::test]
async fn a_connection_without_a_request_is_closed_in_silence() {
    let echo = Echo::start();
    let gateway = start_gateway(echo.address, |settings| {
        settings.header_timeout = Duration::from_millis(200);
        settings.keep_alive = Duration::from_millis(300);
    })
    .await;
    let mut silent = Client::connect(&gateway).await;
    assert!(silent.is_closed().await);
    let mut idle = Client::connect(&gateway).await;
    idle.send(post("/api/auth/login/", "{}")).await;
    assert_eq!(idle.answer().await.unwrap().status, 200);
    assert!(idle.is_closed().await);
}

#[actix_web::test]
async fn many_idle_connections_leave_room_for_others() {
    let gateway = start_gateway(Echo::start().address, |_| {}).await;
    let mut idle = Vec::new();
    for _ in 0..300 {
        idle.push(Client::connect(&gateway).await);
    }
    assert_eq!(get(&gateway, "/api/auth/login/", "").await.status, 200);
}
