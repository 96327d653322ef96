//! Upstreams that are down, frozen or broken.

use std::net::SocketAddr;
use std::time::Duration;

use gateway::routes::RouteSettings;
use gateway::service::Running;

use crate::support::{Client, canned, get, nobody, start_gateway};

const UNAVAILABLE: &str = "Service temporarily unavailable, try again later.";

/// A gateway whose `/app/` and identity's paths both lead to `upstream`.
async fn start(upstream: SocketAddr) -> Running {
    start_gateway(upstream, |settings| {
        settings.upstream_timeout = Duration::from_millis(300);
        let upstream = upstream.try_into().unwrap();
        settings.routes.routes = vec![RouteSettings::new("/app/", vec![upstream])];
    })
    .await
}

#[actix_web::test]
async fn a_failure_of_identity_is_503_and_one_of_another_service_says_which() {
    let too_late = "The service behind the gateway did not answer in time.";
    let broken = "The service behind the gateway gave no valid answer.";
    for (upstream, status, detail) in [
        (nobody().await, 503, UNAVAILABLE),
        (canned(None).await, 504, too_late),
        (canned(Some("")).await, 502, broken),
        (canned(Some("SSH-2.0-nonsense\r\n\r\n")).await, 502, broken),
        (
            canned(Some("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{}")).await,
            502,
            broken,
        ),
        (
            canned(Some("HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n{}")).await,
            502,
            broken,
        ),
        (
            canned(Some(
                "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
            ))
            .await,
            502,
            broken,
        ),
    ] {
        let gateway = start(upstream).await;
        let answer = get(&gateway, "/app/", "").await;
        answer.assert_error(status, detail);
        assert_eq!(answer.header("retry-after").unwrap(), "2");
        let answer = get(&gateway, "/api/auth/token/verify/", "").await;
        answer.assert_error(503, UNAVAILABLE);
        assert_eq!(answer.header("retry-after").unwrap(), "2");
    }
}

#[actix_web::test]
async fn a_connection_survives_an_upstream_that_is_down() {
    let gateway = start(nobody().await).await;
    let mut client = Client::connect(&gateway).await;
    for _ in 0..3 {
        client
            .send("POST /api/auth/login/ HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}")
            .await;
        client.answer().await.unwrap().assert_error(503, UNAVAILABLE);
    }
}

#[actix_web::test]
async fn an_upstream_that_comes_up_is_used_at_once() {
    let address = nobody().await;
    let gateway = start(address).await;
    assert_eq!(get(&gateway, "/app/", "").await.status, 503);
    let listener = tokio::net::TcpListener::bind(address).await.unwrap();
    tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nup";
        tokio::io::AsyncWriteExt::write_all(&mut socket, answer)
            .await
            .unwrap();
        std::future::pending::<()>().await;
    });
    assert_eq!(get(&gateway, "/app/", "").await.body, "up");
}

#[actix_web::test]
async fn a_long_answer_of_unknown_length_is_passed_on_piece_by_piece() {
    let upstream = canned(Some(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n7\r\n, world\r\n0\r\n\r\n",
    ))
    .await;
    let answer = get(&start(upstream).await, "/app/", "").await;
    assert_eq!((answer.status, answer.body.as_str()), (200, "hello, world"));
    assert_eq!(answer.header("transfer-encoding").unwrap(), "chunked");
}
