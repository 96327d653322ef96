//! Upstreams that answer before they have read the request's body, or in between: what they say is heard.

use std::time::Duration;

use gateway::Running;
use gateway::routes::RouteSettings;
use tokio::io::AsyncWriteExt;

use crate::fault_upstream::{FaultUpstream, LARGE_BODY_BYTES};
use crate::support::{Answer, Client, Echo, get, start_gateway};

const PIECE: usize = 64 * 1024;

async fn start() -> (FaultUpstream, Running) {
    let upstream = FaultUpstream::start().await;
    let gateway = start_gateway(Echo::start().address, |settings| {
        let mut route = RouteSettings::new("/app/", vec![upstream.address.try_into().unwrap()]);
        route.max_body_bytes = Some(1 << 30);
        route.timeout = Some(Duration::from_secs(10));
        settings.routes.routes = vec![route];
    })
    .await;
    (upstream, gateway)
}

/// A client that sends a body of this size and reads the response at the same time, as it should.
async fn upload(gateway: &Running, path: &str, size: usize) -> Answer {
    let mut client = Client::connect(gateway).await;
    client
        .send(format!(
            "POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: {size}\r\n\r\n"
        ))
        .await;
    let mut sender = client.sender();
    let sending = tokio::spawn(async move {
        let piece = vec![b'x'; PIECE];
        let mut left = size;
        while left > 0 && sender.write_all(&piece[..left.min(PIECE)]).await.is_ok() {
            left -= left.min(PIECE);
        }
    });
    let answer = client.answer().await;
    sending.abort();
    assert!(answer.is_some(), "the connection was closed without a response");
    answer.unwrap()
}

#[actix_web::test]
async fn a_refusal_during_an_upload_reaches_the_client() {
    let (_upstream, gateway) = start().await;
    for (path, status) in [
        ("/app/early-413-close", 413),
        ("/app/late-413-close", 413),
        ("/app/early-413-keep", 413),
        ("/app/early-403-drain", 403),
    ] {
        for size in [100, 1_000_000, 30_000_000] {
            // What comes late comes after a part of the body; and who reads no more can have got a short one whole.
            if size < PIECE && path.contains("late") || size < 10_000_000 && path.contains("keep") {
                continue;
            }
            let answer = upload(&gateway, path, size).await;
            assert_eq!(answer.status, status, "{path}, {size} bytes: {answer:?}");
        }
    }
}

#[actix_web::test]
async fn uploads_that_an_upstream_refuses_do_not_count_against_it() {
    let (_upstream, gateway) = start().await;
    for _ in 0..8 {
        upload(&gateway, "/app/early-413-close", 4_000_000).await;
        upload(&gateway, "/app/late-413-close", 4_000_000).await;
    }
    assert_eq!(get(&gateway, "/app/x", "").await.status, 200);
}

#[actix_web::test]
async fn an_interim_response_ends_no_upload() {
    let (upstream, gateway) = start().await;
    let mut client = Client::connect(&gateway).await;
    client
        .send("POST /app/hints-103 HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nfirst")
        .await;
    // The interim response has been sent when the first half of the body is there.
    upstream
        .until("half a body", |seen| {
            seen.of("hints-103").any(|request| request.body_bytes == 5)
        })
        .await;
    client.send("after").await;
    let answer = client.answer().await.unwrap();
    assert_eq!((answer.status, answer.body.as_str()), (200, "/app/hints-103"));
    let seen = upstream.observed();
    assert_eq!(seen.of("hints-103").next().unwrap().body, b"firstafter");
    assert_eq!(
        upload(&gateway, "/app/hints-103", 3_000_000).await.status,
        200,
        "a long one"
    );
}

#[actix_web::test]
async fn interim_responses_without_end_are_given_up() {
    let (upstream, gateway) = start().await;
    let mut client = Client::connect(&gateway).await;
    client
        .send("GET /app/informational-flood HTTP/1.1\r\nHost: a\r\n\r\n")
        .await;
    // The client gets an error or its connection is closed; the upstream's is.
    if let Some(answer) = client.answer().await {
        assert_eq!(answer.status / 100, 5, "{answer:?}");
    }
    upstream.until_abandoned("informational-flood", 1).await;
}

#[actix_web::test]
async fn a_response_may_run_while_the_body_still_comes() {
    let (_upstream, gateway) = start().await;
    let mut client = Client::connect(&gateway).await;
    client
        .send("POST /app/duplex-echo HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n")
        .await;
    let head = client.read_head().await;
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    for piece in ["one", "two", "four"] {
        client.send(piece).await;
        assert_eq!(client.chunk().await, piece);
    }
    assert_eq!(client.chunk().await, "");
    let answer = upload(&gateway, "/app/duplex-echo", 5_000_000).await;
    assert_eq!((answer.status, answer.body.len()), (200, 5_000_000));
}

#[actix_web::test]
async fn a_response_that_is_followed_by_a_reset_is_whole() {
    let (_upstream, gateway) = start().await;
    for _ in 0..8 {
        let answer = upload(&gateway, "/app/answers-then-resets", 10).await;
        assert_eq!(
            (answer.status, answer.body.as_str()),
            (200, "/app/answers-then-resets")
        );
    }
    assert_eq!(get(&gateway, "/app/x", "").await.status, 200);
}

#[actix_web::test]
async fn a_connection_that_was_answered_early_is_not_used_again_before_its_body_is_sent() {
    let (upstream, gateway) = start().await;
    let mut client = Client::connect(&gateway).await;
    // The upstream answers a GET at once; of its body three bytes of nine come.
    client
        .send("GET /app/first HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc")
        .await;
    assert_eq!(client.answer().await.unwrap().body, "/app/first");
    for number in 0..3 {
        let path = format!("/app/other{number}");
        assert_eq!(get(&gateway, &path, "").await.body, path);
    }
    drop(client);
    let seen = upstream
        .until("three others", |seen| seen.count("/app/other") == 3)
        .await;
    let first = seen.of("/app/first").next().unwrap();
    assert!(first.body_bytes <= 3, "another's request was read as its body");
    assert!(
        seen.of("/app/other")
            .all(|other| other.connection != first.connection)
    );
}

#[actix_web::test]
async fn a_hundred_megabytes_pass() {
    let (_upstream, gateway) = start().await;
    let answer = get(&gateway, "/app/large", "").await;
    assert_eq!((answer.status, answer.body.len()), (200, LARGE_BODY_BYTES));
}

#[actix_web::test]
async fn a_response_with_two_readings_is_not_passed_on() {
    let (upstream, gateway) = start().await;
    for (path, may_begin) in [
        ("/app/wrong-both", false),
        ("/app/wrong-lengths", false),
        ("/app/wrong-chunk", true),
    ] {
        let mut client = Client::connect(&gateway).await;
        client
            .send(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n"))
            .await;
        match client.answer().await {
            Some(answer) => assert_eq!(answer.status, 502, "{path}: {answer:?}"),
            None => assert!(may_begin, "{path}: closed without a response"),
        }
        let seen = upstream.observed();
        let wrong = seen.of(path).next().unwrap().connection;
        let next = path.replace("wrong", "next");
        get(&gateway, &next, "").await;
        let seen = upstream.observed();
        assert!(
            seen.of(&next).all(|next| next.connection != wrong),
            "{path}: its connection is used again"
        );
    }
}
