//! HTTP/1.1: what the application is given, and what its responses become.

use std::cell::RefCell;
use std::rc::Rc;

use actix_http::body::{BoxBody, SizedStream};
use actix_http::error::PayloadError;
use actix_http::header::{CONNECTION, CONTENT_LENGTH, HeaderValue};
use actix_http::{HttpMessage, Request, Response, StatusCode};
use bytes::Bytes;
use futures_util::{StreamExt, stream};

use super::support::{Client, Setup, ok, read, serve, streamed};
use crate::server::app_service::{BodyLength, ClientConnection, WebSocketUpgrade, gateway_error};

const GET: &str = "GET /x HTTP/1.1\r\nHost: a\r\n\r\n";

fn post(lines: &str, body: &str) -> String {
    format!("POST /x HTTP/1.1\r\nHost: a\r\n{lines}\r\n{body}")
}

async fn facts(mut request: Request) -> Response<BoxBody> {
    let payload = request.take_payload();
    let body = read(payload).await.map_err(|error| gateway_error(&error));
    let extensions = request.extensions();
    let text = format!(
        "{} {} {:?} {} {:?} {:?} {} {:?}",
        request.method(),
        request.uri(),
        request.version(),
        request
            .headers()
            .get("x-a")
            .map_or("", |value| value.to_str().unwrap()),
        extensions.get::<ClientConnection>().unwrap().address,
        extensions.get::<BodyLength>().unwrap(),
        extensions.contains::<WebSocketUpgrade>(),
        body.map(|bytes| String::from_utf8(bytes).unwrap()),
    );
    drop(extensions);
    ok(text)
}

/// The body of the response to `request`, which says that the connection goes on.
async fn answered(client: &mut Client, request: &str) -> String {
    client.send(request).await;
    let head = client.until("\r\n\r\n").await;
    assert!(
        head.starts_with("HTTP/1.1 200 OK\r\n") && !head.contains("connection:"),
        "{head}"
    );
    let length = head
        .split("content-length: ")
        .nth(1)
        .unwrap()
        .split("\r\n")
        .next()
        .unwrap();
    String::from_utf8(client.exactly(length.parse().unwrap()).await).unwrap()
}

#[actix_web::test]
async fn a_request_arrives_as_it_was_sent() {
    let server = serve(Setup::default(), facts);
    let client = &mut Client::connect(&server).await;
    for (request, told) in [
        (
            "GET /a%20b?c=d HTTP/1.1\r\nHost: a\r\nX-A: b\r\n\r\n".to_owned(),
            r#"GET /a%20b?c=d HTTP/1.1 b 127.0.0.1 None false Ok("")"#,
        ),
        (
            post("Content-Length: 5\r\n", "hello"),
            r#"POST /x HTTP/1.1  127.0.0.1 Known(5) false Ok("hello")"#,
        ),
        (
            post("Content-Length: 0\r\n", ""),
            r#"POST /x HTTP/1.1  127.0.0.1 Known(0) false Ok("")"#,
        ),
        (
            post(
                "Transfer-Encoding: chunked\r\n",
                "2\r\nhe\r\n3;x=y\r\nllo\r\n0\r\nX: y\r\n\r\n",
            ),
            r#"POST /x HTTP/1.1  127.0.0.1 Unknown false Ok("hello")"#,
        ),
        (
            "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n".to_owned(),
            r#"GET / HTTP/1.1  127.0.0.1 None true Ok("")"#,
        ),
    ] {
        assert_eq!(answered(client, &request).await, told);
    }
}

#[actix_web::test]
async fn pipelined_requests_are_answered_in_their_order() {
    let server = serve(Setup::default(), facts);
    let client = &mut Client::connect(&server).await;
    let three =
        ["one", "two", "three"].map(|body| post(&format!("Content-Length: {}\r\n", body.len()), body));
    client.send(three.concat()).await;
    for body in ["one", "two", "three"] {
        client.until(&format!("Ok(\"{body}\")")).await;
    }
}

#[actix_web::test]
async fn what_is_no_request_is_rejected_and_the_connection_ends() {
    for (bytes, status) in [
        ("GET /x HTTP/1.1\nHost: a\r\n\r\n", 400),
        (
            "GET /x HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx",
            400,
        ),
        ("GET /x HTTP/3.0\r\nHost: a\r\n\r\n", 505),
        ("BREW1 /x HTTP/1.1\r\nHost: a\r\n\r\n", 501),
    ] {
        let server = serve(Setup::default(), |_| async { panic!("it came through") });
        let mut client = Client::connect(&server).await;
        client.send(bytes).await;
        client.send(GET).await;
        let (text, end) = client.rest().await;
        assert!(text.starts_with(&format!("HTTP/1.1 {status} ")), "{text}");
        assert!(text.contains("connection: close\r\n") && end.is_ok(), "{text}");
        assert_eq!(text.matches("HTTP/1.1").count(), 1, "{text}");
    }
}

#[actix_web::test]
async fn a_broken_body_is_an_error_and_ends_the_connection() {
    let server = serve(Setup::default(), facts);
    let mut client = Client::connect(&server).await;
    client
        .send(post(
            "Transfer-Encoding: chunked\r\n",
            "5\r\nhello\r\n5 \r\nworld\r\n",
        ))
        .await;
    client.send(GET).await;
    let (text, _) = client.rest().await;
    assert!(text.contains("connection: close\r\n"), "{text}");
    assert!(
        text.ends_with("Err(BadRequest(\"the body is broken or incomplete\"))"),
        "{text}"
    );
}

#[actix_web::test]
async fn responses_end_as_their_length_says() {
    let server = serve(Setup::default(), |request| async move {
        let bytes = || stream::iter(["ab", "", "cde"]).map(|it| Ok::<_, PayloadError>(Bytes::from(it)));
        let sized = |bytes_said| {
            let body = BoxBody::new(SizedStream::new(bytes_said, bytes()));
            Response::with_body(StatusCode::OK, body)
        };
        match request.path() {
            "/streamed" => streamed(bytes()),
            "/sized" => sized(5),
            "/short" => sized(6),
            "/long" => sized(4),
            "/none" => Response::with_body(StatusCode::NO_CONTENT, BoxBody::new("never")),
            "/closes" => {
                let mut response = ok("bye");
                let close = HeaderValue::from_static("close");
                response.headers_mut().insert(CONNECTION, close);
                response
            }
            "/said" => {
                let mut response = ok("");
                response.headers_mut().insert(CONTENT_LENGTH, 77.into());
                response
            }
            _ => ok("whole"),
        }
    });
    let date = "date: Sun, 06 Nov 1994 08:49:37 GMT\r\n";
    for (line, expected) in [
        (
            "GET /whole HTTP/1.1",
            format!("200 OK\r\n{date}content-length: 5\r\nconnection: close\r\n\r\nwhole"),
        ),
        (
            "HEAD /whole HTTP/1.1",
            format!("200 OK\r\n{date}content-length: 5\r\nconnection: close\r\n\r\n"),
        ),
        (
            "HEAD /said HTTP/1.1",
            format!("200 OK\r\n{date}content-length: 77\r\nconnection: close\r\n\r\n"),
        ),
        (
            "GET /sized HTTP/1.1",
            format!("200 OK\r\n{date}content-length: 5\r\nconnection: close\r\n\r\nabcde"),
        ),
        (
            "GET /short HTTP/1.1",
            format!("200 OK\r\n{date}content-length: 6\r\nconnection: close\r\n\r\nabcde"),
        ),
        (
            "GET /none HTTP/1.1",
            format!("204 No Content\r\n{date}connection: close\r\n\r\n"),
        ),
        (
            "GET /closes HTTP/1.1",
            format!("200 OK\r\n{date}content-length: 3\r\nconnection: close\r\n\r\nbye"),
        ),
        (
            "GET /streamed HTTP/1.0",
            format!("200 OK\r\n{date}connection: close\r\n\r\nabcde"),
        ),
        (
            "GET /streamed HTTP/1.1",
            format!(
                "200 OK\r\n{date}transfer-encoding: chunked\r\nconnection: close\r\n\r\n2\r\nab\r\n3\r\ncde\r\n0\r\n\r\n"
            ),
        ),
    ] {
        let mut client = Client::connect(&server).await;
        client
            .send(format!("{line}\r\nHost: a\r\nConnection: close\r\n\r\n"))
            .await;
        let (text, end) = client.rest().await;
        assert_eq!(text, format!("HTTP/1.1 {expected}"), "{line}");
        // Only what is short of its length is not told by an end in order.
        assert!(end.is_ok(), "{line}");
    }
    // A connection whose response is not as long as it said ends with it.
    for path in ["/short", "/long"] {
        let mut client = Client::connect(&server).await;
        client
            .send(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n").repeat(2))
            .await;
        let (text, _) = client.rest().await;
        assert_eq!(text.matches("HTTP/1.1 200").count(), 1, "{text}");
        assert_eq!(text.ends_with("cde"), path == "/short", "{text}");
    }
}

#[actix_web::test]
async fn a_torn_response_without_a_length_ends_in_a_reset() {
    let server = serve(Setup::default(), |_| async {
        let pieces = [Ok(Bytes::from("half")), Err(PayloadError::Overflow)];
        streamed(stream::iter(pieces))
    });
    let mut client = Client::connect(&server).await;
    client.send("GET / HTTP/1.0\r\n\r\n").await;
    let (_, end) = client.rest().await;
    assert_eq!(end.unwrap_err().kind(), std::io::ErrorKind::ConnectionReset);
    let mut client = Client::connect(&server).await;
    client.send(GET).await;
    let (text, _) = client.rest().await;
    assert!(!text.ends_with("0\r\n\r\n"), "{text}");
}

#[actix_web::test]
async fn tiny_chunks_of_a_request_come_together() {
    let pieces = Rc::new(RefCell::new(Vec::new()));
    let seen = pieces.clone();
    let server = serve(Setup::default(), move |mut request| {
        let seen = seen.clone();
        async move {
            let mut payload = request.take_payload();
            while let Some(piece) = payload.next().await {
                seen.borrow_mut().push(piece.unwrap().len());
            }
            ok("")
        }
    });
    let mut client = Client::connect(&server).await;
    let body = "1\r\nx\r\n".repeat(2000) + "0\r\n\r\n";
    client.send(post("Transfer-Encoding: chunked\r\n", &body)).await;
    client.until("\r\n\r\n").await;
    let pieces = pieces.borrow();
    assert_eq!(pieces.iter().sum::<usize>(), 2000);
    assert!(pieces.len() < 20, "{pieces:?}");
}
