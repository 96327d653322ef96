//! Requests that two parsers could read differently are refused, and nothing after them is read.

use crate::support::{Client, Echo, post, start_gateway};

/// What must never be taken for a request.
const HIDDEN: &str = "GET /api/auth/hidden/ HTTP/1.1\r\nHost: a\r\n\r\n";

#[actix_web::test]
async fn an_ambiguous_request_is_answered_once_and_closes_the_connection() {
    let echo = Echo::start();
    let gateway = start_gateway(echo.address, |_| {}).await;
    let start = "POST /api/auth/login/ HTTP/1.1\r\nHost: a\r\n";
    for (bad, status) in [
        (
            format!("{start}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
            400,
        ),
        (
            format!("{start}Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n"),
            400,
        ),
        (
            format!("{start}Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n"),
            400,
        ),
        (format!("{start}Transfer-Encoding: identity\r\n\r\n"), 400),
        (
            format!("{start}Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
            400,
        ),
        (
            format!("{start}Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n"),
            400,
        ),
        (
            format!("{start}Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
            400,
        ),
        (
            "POST /api/auth/login/ HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
                .to_owned(),
            400,
        ),
        (
            format!("{start}Content-Length: 0\r\nContent-Length: 0\r\n\r\n"),
            400,
        ),
        (format!("{start}Content-Length: 0, 0\r\n\r\n"), 400),
        (format!("{start}Content-Length: +0\r\n\r\n"), 400),
        (format!("{start}Content-Length: \r\n\r\n"), 400),
        (format!("{start}Host: b\r\n\r\n"), 400),
        ("GET /api/auth/login/ HTTP/1.1\r\n\r\n".to_owned(), 400),
        (
            "GET /api/auth/login/ HTTP/1.1\r\nHost: a@b\r\n\r\n".to_owned(),
            400,
        ),
        ("GET /api/auth/login/ HTTP/1.1\nHost: a\n\n".to_owned(), 400),
        (format!("{start}X: a\rY: b\r\n\r\n"), 400),
        (format!("{start}X: a\r\n b\r\n\r\n"), 400),
        (format!("{start}X: a\0b\r\n\r\n"), 400),
        (format!("{start}: a\r\n\r\n"), 400),
        (format!("{start}no colon\r\n\r\n"), 400),
        (format!("{start}X(Y): a\r\n\r\n"), 400),
        (
            format!("{start}Authorization: Bearer a\r\nAuthorization: Bearer b\r\n\r\n"),
            400,
        ),
        ("GET /api/auth/a b HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(), 400),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(), 505),
        ("\u{16}\u{3}\u{1}\r\n\r\n".to_owned(), 400),
        (format!("{start}X: {}\r\n\r\n", "a".repeat(40_000)), 431),
        (format!("{start}{}\r\n", "X: a\r\n".repeat(120)), 431),
        (
            format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "a".repeat(9000)),
            414,
        ),
    ] {
        let mut client = Client::connect(&gateway).await;
        client.send(format!("{bad}{HIDDEN}")).await;
        let answer = client
            .answer()
            .await
            .unwrap_or_else(|| panic!("no answer to {bad:?}"));
        assert_eq!(answer.status, status, "{bad:?}: {answer:?}");
        assert!(answer.json()["detail"].is_string());
        assert_eq!(answer.header("connection").unwrap(), "close", "{bad:?}");
        assert_eq!(answer.header("x-content-type-options").unwrap(), "nosniff");
        assert!(client.is_closed().await, "{bad:?}");
    }
    assert_eq!(echo.request_count(), 0);
}

#[actix_web::test]
async fn a_chunked_body_that_parsers_disagree_about_is_refused() {
    let echo = Echo::start();
    let gateway = start_gateway(echo.address, |_| {}).await;
    for body in [
        "0x2\r\n{}\r\n0\r\n\r\n",
        "+2\r\n{}\r\n0\r\n\r\n",
        " 2\r\n{}\r\n0\r\n\r\n",
        "2 \r\n{}\r\n0\r\n\r\n",
        "\r\n{}\r\n0\r\n\r\n",
        "2;a\nb\r\n{}\r\n0\r\n\r\n",
        "2\n{}\n0\n\n",
        "1\r\n{}\r\n0\r\n\r\n",
        "2\r\n{}0\r\n\r\n",
        "10000000000000002\r\n{}\r\n0\r\n\r\n",
    ] {
        let mut client = Client::connect(&gateway).await;
        let head = "POST /api/auth/login/ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
        client.send(format!("{head}{body}{HIDDEN}")).await;
        client
            .answer()
            .await
            .unwrap()
            .assert_error(400, "Malformed request: the body is broken or incomplete.");
        assert!(client.is_closed().await, "{body:?}");
    }
    assert_eq!(echo.request_count(), 0);
}

#[actix_web::test]
async fn a_well_formed_chunked_body_is_forwarded_whole_and_without_its_trailers() {
    let gateway = start_gateway(Echo::start().address, |_| {}).await;
    let mut client = Client::connect(&gateway).await;
    let head = "POST /api/auth/login/ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    let body = "2;x=\"y\"\r\n{\"\r\n5\r\na\": 1\r\n1\r\n}\r\n0\r\nX-Auth-User-Id: 1\r\n\r\n";
    client.send(format!("{head}{body}{head}{body}")).await;
    for _ in 0..2 {
        let answer = client.answer().await.unwrap();
        assert_eq!(answer.json()["body"], "{\"a\": 1}");
        assert_eq!(answer.seen("content-length").unwrap(), "8");
        assert_eq!(
            (answer.seen("transfer-encoding"), answer.seen("x-auth-user-id")),
            (None, None)
        );
    }
}

#[actix_web::test]
async fn pipelined_requests_are_answered_in_order_each_by_its_own_rules() {
    let gateway = start_gateway(Echo::start().address, |_| {}).await;
    let mut client = Client::connect(&gateway).await;
    let mut requests = String::from("\r\n");
    for number in 0..20 {
        let request = match number % 4 {
            0 => post(&format!("/api/auth/{number}"), &"x".repeat(number)),
            1 => post("/nowhere", "ignored"),
            2 => format!("HEAD /api/auth/{number} HTTP/1.1\r\nHost: a\r\n\r\n"),
            _ => format!("GET /api/auth/{number} HTTP/1.1\r\nHost: a\r\n\r\n"),
        };
        requests.push_str(&request);
    }
    client.send(requests + "GET / HTTP/1.0\r\n\r\n").await;
    for number in 0..20 {
        let answer = client
            .answer_to(if number % 4 == 2 { "HEAD" } else { "GET" })
            .await
            .unwrap();
        match number % 4 {
            1 => answer.assert_error(404, "Not found."),
            2 => assert!(answer.status == 200 && answer.body.is_empty()),
            _ => assert_eq!(answer.json()["target"], format!("/api/auth/{number}")),
        }
    }
    assert_eq!(client.answer().await.unwrap().status, 404);
    assert!(client.is_closed().await);
}

#[actix_web::test]
async fn a_request_may_arrive_byte_by_byte() {
    let gateway = start_gateway(Echo::start().address, |_| {}).await;
    let mut client = Client::connect(&gateway).await;
    for byte in post("/api/auth/login/", "{}").bytes() {
        client.send([byte]).await;
    }
    assert_eq!(client.answer().await.unwrap().json()["body"], "{}");
}

#[actix_web::test]
async fn a_client_that_ends_its_side_is_gone() {
    let echo = Echo::start();
    let gateway = start_gateway(echo.address, |_| {}).await;
    let mut client = Client::connect(&gateway).await;
    client.send(post("/api/auth/held/", "{}")).await;
    echo.arrived().await;
    client.finish().await;
    assert!(client.is_closed().await);
}
