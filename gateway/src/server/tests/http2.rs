//! HTTP/2: what the application is given, and what its responses become.

use actix_http::body::{BoxBody, SizedStream};
use actix_http::error::PayloadError;
use actix_http::header::{CONTENT_LENGTH, HOST};
use actix_http::{HttpMessage, Request, Response, StatusCode};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use tokio::net::TcpStream;

use super::frames::{DATA, END_HEADERS, END_STREAM, HEADERS, RST_STREAM, connect, frame, post, request};
use super::support::{Server, Setup, ok, read, serve, soon, streamed};
use crate::server::app_service::{BodyLength, ClientConnection, gateway_error};

fn http2() -> Setup {
    Setup {
        is_http2: true,
        ..Setup::default()
    }
}

async fn facts(mut request: Request) -> Response<BoxBody> {
    let payload = request.take_payload();
    let body = read(payload).await.map_err(|error| gateway_error(&error));
    let extensions = request.extensions();
    let text = format!(
        "{} {} {:?} {:?} {:?} {:?} {} {:?}",
        request.method(),
        request.uri(),
        request.version(),
        request.headers().get(HOST).unwrap(),
        request.headers().get("cookie"),
        extensions.get::<BodyLength>().unwrap(),
        extensions.get::<ClientConnection>().unwrap().is_tls,
        body.map(|bytes| String::from_utf8(bytes).unwrap()),
    );
    drop(extensions);
    ok(text)
}

/// A well-behaved client's request, and the response to it.
async fn asked(
    server: &Server,
    request: http_1::request::Builder,
    body: Option<&'static str>,
) -> (http_1::response::Parts, Result<String, h2::Error>) {
    let socket = TcpStream::connect(server.address).await.unwrap();
    let (mut client, connection) = h2::client::handshake(socket).await.unwrap();
    tokio::task::spawn_local(async move { connection.await.ok() });
    let request = request.body(()).unwrap();
    let (response, mut stream) = client.send_request(request, body.is_none()).unwrap();
    if let Some(body) = body {
        stream.send_data(Bytes::from(body), true).unwrap();
    }
    let (head, mut body) = soon(response).await.unwrap().into_parts();
    let mut text = String::new();
    while let Some(piece) = soon(body.data()).await {
        match piece {
            Ok(piece) => text += std::str::from_utf8(&piece).unwrap(),
            Err(error) => return (head, Err(error)),
        }
    }
    (head, Ok(text))
}

fn to(method: &str) -> http_1::request::Builder {
    http_1::Request::builder()
        .method(method)
        .uri("https://a.example:8443/a%20b?c=d")
}

#[actix_web::test]
async fn a_request_arrives_as_one_of_http_1_would() {
    let server = serve(http2(), facts);
    for (request, body, told) in [
        (
            to("GET"),
            None,
            r#"GET /a%20b?c=d HTTP/2.0 "a.example:8443" None None true Ok("")"#,
        ),
        (
            to("POST").header("content-length", "5"),
            Some("hello"),
            r#"POST /a%20b?c=d HTTP/2.0 "a.example:8443" None Known(5) true Ok("hello")"#,
        ),
        (
            to("POST"),
            Some("hello"),
            r#"POST /a%20b?c=d HTTP/2.0 "a.example:8443" None Unknown true Ok("hello")"#,
        ),
        (
            to("GET").header("content-length", "0"),
            None,
            r#"GET /a%20b?c=d HTTP/2.0 "a.example:8443" None Known(0) true Ok("")"#,
        ),
        (
            to("GET")
                .header("cookie", "a=b")
                .header("cookie", "c=d")
                .header("host", "a.example:8443"),
            None,
            r#"GET /a%20b?c=d HTTP/2.0 "a.example:8443" Some("a=b; c=d") None true Ok("")"#,
        ),
    ] {
        let (head, text) = asked(&server, request, body).await;
        assert_eq!((head.status.as_u16(), text.unwrap().as_str()), (200, told));
        assert_eq!(head.headers.get("date").unwrap(), "Sun, 06 Nov 1994 08:49:37 GMT");
    }
}

#[actix_web::test]
async fn what_http_1_would_refuse_is_refused() {
    let server = serve(http2(), |_| async { panic!("it came through") });
    for (request, status) in [
        (to("GET").header("host", "b.example"), 400),
        (
            to("GET")
                .header("authorization", "a")
                .header("authorization", "b"),
            400,
        ),
        (to("GET").header("expect", "nonsense"), 417),
        (to("TRACE"), 405),
        (to("BREW1"), 501),
        (
            (0..91).fold(to("GET"), |request, n| request.header(format!("x-{n}"), "")),
            431,
        ),
    ] {
        let (head, _) = asked(&server, request, None).await;
        assert_eq!(head.status.as_u16(), status);
    }
}

#[actix_web::test]
async fn a_length_without_its_body_never_comes_through() {
    let server = serve(http2(), |mut request| async move {
        match read(request.take_payload()).await {
            Ok(body) => panic!("a short body came through as {body:?}"),
            Err(error) => Response::with_body(gateway_error(&error).status(), BoxBody::new("")),
        }
    });
    let length = [("content-length", "5")];
    let trailers = frame(
        HEADERS,
        END_HEADERS | END_STREAM,
        1,
        &super::frames::block(&[("x-t", "1")]),
    );
    for (name, frames) in [
        (
            "END_STREAM on the head",
            frame(HEADERS, END_HEADERS | END_STREAM, 1, &request("GET", &length)),
        ),
        ("trailers", [post(1, &length), trailers].concat()),
        (
            "no byte",
            [post(1, &length), frame(DATA, END_STREAM, 1, b"")].concat(),
        ),
        (
            "too few",
            [post(1, &length), frame(DATA, END_STREAM, 1, b"abcd")].concat(),
        ),
        (
            "too many",
            [post(1, &length), frame(DATA, END_STREAM, 1, b"abcdef")].concat(),
        ),
        (
            "too many in two",
            [
                post(1, &length),
                frame(DATA, 0, 1, b"abc"),
                frame(DATA, END_STREAM, 1, b"def"),
            ]
            .concat(),
        ),
    ] {
        let mut client = connect(&server, &[]).await;
        client.send(frames).await;
        let refused = client
            .frame_that(|frame| frame.stream == 1 && [HEADERS, RST_STREAM].contains(&frame.kind))
            .await;
        // The first byte of a response's head is its status; 400 has an index of its own.
        assert!(
            refused.kind == RST_STREAM || refused.payload[0] == 0x8c,
            "{name}: {refused:?}"
        );
    }
}

#[actix_web::test]
async fn responses_end_as_their_length_says() {
    let server = serve(http2(), |request| async move {
        let bytes = || stream::iter(["ab", "", "cde"]).map(|it| Ok::<_, PayloadError>(Bytes::from(it)));
        let sized = |bytes_said| {
            let body = BoxBody::new(SizedStream::new(bytes_said, bytes()));
            Response::with_body(StatusCode::OK, body)
        };
        match request.headers().get("x-want").unwrap().to_str().unwrap() {
            "streamed" => streamed(bytes()),
            "sized" => sized(5),
            "short" => sized(6),
            "long" => sized(4),
            "torn" => streamed(stream::iter([
                Ok(Bytes::from("half")),
                Err(PayloadError::Overflow),
            ])),
            "none" => Response::with_body(StatusCode::NO_CONTENT, BoxBody::new("never")),
            "said" => {
                let mut response = ok("");
                response.headers_mut().insert(CONTENT_LENGTH, 77.into());
                response
            }
            _ => ok(vec![b'x'; 300_000]),
        }
    });
    let large = "x".repeat(300_000);
    for (method, want, length, text) in [
        ("GET", "streamed", None, Some("abcde")),
        ("GET", "sized", Some("5"), Some("abcde")),
        ("GET", "none", None, Some("")),
        ("HEAD", "said", Some("77"), Some("")),
        ("HEAD", "large", Some("300000"), Some("")),
    ] {
        let (head, got) = asked(&server, to(method).header("x-want", want), None).await;
        let said = head
            .headers
            .get("content-length")
            .map(|value| value.to_str().unwrap());
        assert_eq!((said, got.ok().as_deref()), (length, text), "{method} {want}");
    }
    // Others end in a reset.
    for want in ["short", "long", "torn"] {
        let mut client = connect(&server, &[]).await;
        let fields = request("GET", &[("x-want", want)]);
        client
            .send(frame(HEADERS, END_HEADERS | END_STREAM, 1, &fields))
            .await;
        let end = client.frame_that(|frame| {
            frame.stream == 1 && (frame.kind == RST_STREAM || frame.flags & END_STREAM != 0)
        });
        assert_eq!(end.await.kind, RST_STREAM, "{want}");
    }
    // Larger than the client's window: it comes as the client makes room.
    let socket = TcpStream::connect(server.address).await.unwrap();
    let (mut client, connection) = h2::client::handshake(socket).await.unwrap();
    tokio::task::spawn_local(async move { connection.await.ok() });
    let request = to("GET").header("x-want", "large").body(()).unwrap();
    let (response, _) = client.send_request(request, true).unwrap();
    let mut body = soon(response).await.unwrap().into_body();
    let mut got = Vec::new();
    while let Some(piece) = soon(body.data()).await {
        let piece = piece.unwrap();
        body.flow_control().release_capacity(piece.len()).unwrap();
        got.extend_from_slice(&piece);
    }
    assert_eq!(got, large.as_bytes());
}

#[actix_web::test]
async fn a_response_may_run_while_its_request_still_comes() {
    let server = serve(
        http2(),
        |mut request| async move { streamed(request.take_payload()) },
    );
    let mut client = connect(&server, &[]).await;
    client.send(post(1, &[])).await;
    for word in ["one", "two", "three"] {
        client.send(frame(DATA, 0, 1, word.as_bytes())).await;
        let echo = client.frame_that(|frame| frame.kind == DATA).await;
        assert_eq!(echo.payload, word.as_bytes());
    }
    client.send(frame(DATA, END_STREAM, 1, b"")).await;
    client
        .frame_that(|frame| frame.kind == DATA && frame.flags & END_STREAM != 0)
        .await;
}
