//! A connection can be used again only after exactly one whole request and one whole response.

use std::future::poll_fn;

use actix_http::Method;
use bytes::Bytes;
use tokio::io::AsyncReadExt;

use super::super::{Declared, ResponseError, WrongLength};
use super::{Service, begin, expect, response, say, write};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

#[actix_web::test]
async fn a_whole_request_and_a_whole_response_leave_a_connection_that_can_be_used_again() {
    let service = Service::start().await;
    for (declared, pieces, sent) in [
        (Declared::NoBody, &[][..], "HEAD\r\n\r\n"),
        (Declared::Length(5), &["ab", "cde"], "HEAD\r\n\r\nabcde"),
        (
            Declared::Chunked,
            &["ab", "cde"],
            "HEAD\r\n\r\n2\r\nab\r\n3\r\ncde\r\n0\r\n\r\n",
        ),
    ] {
        let (connection, mut socket) = service.connection().await;
        let mut exchange = begin(connection, Method::POST, declared);
        for piece in pieces {
            exchange
                .sender
                .push(Bytes::from_static(piece.as_bytes()))
                .unwrap();
        }
        if declared != Declared::NoBody {
            exchange.sender.end().unwrap();
        }
        write(&mut exchange).await;
        expect(&mut socket, sent).await;
        say(&mut socket, OK).await;
        assert_eq!(response(&mut exchange).await, (200, "ok".to_owned()));
        assert!(exchange.finish().is_some(), "{declared:?}");
    }
}

#[actix_web::test]
async fn a_large_piece_arrives_whole_between_small_ones() {
    let service = Service::start().await;
    let large = "x".repeat(10_000);
    for (declared, sent) in [
        (Declared::Length(10_002), format!("HEAD\r\n\r\na{large}b")),
        (
            Declared::Chunked,
            format!("HEAD\r\n\r\n1\r\na\r\n2710\r\n{large}\r\n1\r\nb\r\n0\r\n\r\n"),
        ),
    ] {
        let (connection, mut socket) = service.connection().await;
        let mut exchange = begin(connection, Method::POST, declared);
        for piece in ["a", &large, "b"] {
            if !exchange.sender.has_room() {
                write(&mut exchange).await;
            }
            exchange.sender.push(Bytes::from(piece.to_owned())).unwrap();
        }
        exchange.sender.end().unwrap();
        write(&mut exchange).await;
        assert!(exchange.sender.is_sent());
        expect(&mut socket, &sent).await;
    }
}

#[actix_web::test]
async fn small_pieces_are_gathered() {
    let service = Service::start().await;
    let (connection, mut socket) = service.connection().await;
    let mut exchange = begin(connection, Method::POST, Declared::Length(1000));
    for _ in 0..1000 {
        assert!(exchange.sender.has_room());
        exchange.sender.push(Bytes::from_static(b"x")).unwrap();
    }
    assert_eq!(exchange.sender.written_bytes(), 0);
    write(&mut exchange).await;
    assert_eq!(exchange.sender.written_bytes(), 1008);
    expect(&mut socket, &format!("HEAD\r\n\r\n{}", "x".repeat(1000))).await;
}

#[actix_web::test]
async fn a_body_that_is_shorter_than_declared_leaves_no_connection() {
    let service = Service::start().await;
    let (connection, mut socket) = service.connection().await;
    let mut exchange = begin(connection, Method::GET, Declared::Length(5));
    exchange.sender.push(Bytes::from_static(b"abc")).unwrap();
    write(&mut exchange).await;
    say(&mut socket, OK).await;
    assert_eq!(response(&mut exchange).await.0, 200);
    assert_eq!(exchange.sender.end(), Err(WrongLength));
    assert!(!exchange.sender.is_sent());
    assert!(exchange.finish().is_none());
}

#[actix_web::test]
async fn not_one_byte_over_the_declared_length_is_sent() {
    let service = Service::start().await;
    for declared in [Declared::Length(3), Declared::NoBody] {
        let (connection, mut socket) = service.connection().await;
        let mut exchange = begin(connection, Method::GET, declared);
        write(&mut exchange).await;
        assert_eq!(
            exchange.sender.push(Bytes::from_static(b"GET /x")),
            Err(WrongLength)
        );
        assert!(poll_fn(|cx| exchange.poll_write(cx)).await.is_err() || declared == Declared::NoBody);
        drop(exchange);
        let mut seen = String::new();
        socket.read_to_string(&mut seen).await.unwrap();
        assert_eq!(seen, "HEAD\r\n\r\n");
    }
}

#[actix_web::test]
async fn a_response_that_is_not_read_to_its_end_leaves_no_connection() {
    let service = Service::start().await;
    for (text, why) in [
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok!",
            "there is more than the response",
        ),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok",
            "the upstream says so",
        ),
        (
            "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
            "it speaks HTTP/1.0",
        ),
    ] {
        let (connection, mut socket) = service.connection().await;
        let mut exchange = begin(connection, Method::GET, Declared::NoBody);
        write(&mut exchange).await;
        say(&mut socket, text).await;
        assert_eq!(response(&mut exchange).await, (200, "ok".to_owned()));
        assert!(exchange.finish().is_none(), "{why}");
    }
    let (connection, mut socket) = service.connection().await;
    let mut exchange = begin(connection, Method::GET, Declared::NoBody);
    write(&mut exchange).await;
    say(&mut socket, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nok").await;
    poll_fn(|cx| exchange.poll_head(cx)).await.unwrap();
    poll_fn(|cx| exchange.poll_body(cx)).await.unwrap();
    assert!(exchange.finish().is_none(), "the body is not over");
}

#[actix_web::test]
async fn a_head_request_leaves_no_connection_since_a_body_may_follow_all_the_same() {
    let service = Service::start().await;
    let (connection, mut socket) = service.connection().await;
    let mut exchange = begin(connection, Method::HEAD, Declared::NoBody);
    write(&mut exchange).await;
    say(&mut socket, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n").await;
    assert_eq!(response(&mut exchange).await, (200, String::new()));
    assert!(exchange.finish().is_none());
}

#[actix_web::test]
async fn interim_responses_are_read_over() {
    let service = Service::start().await;
    let (connection, mut socket) = service.connection().await;
    let mut exchange = begin(connection, Method::GET, Declared::NoBody);
    write(&mut exchange).await;
    let interim = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n";
    say(&mut socket, &format!("{interim}{OK}")).await;
    assert_eq!(response(&mut exchange).await, (200, "ok".to_owned()));
    assert!(exchange.finish().is_some());
}

#[actix_web::test]
async fn interim_responses_without_end_are_cut() {
    let service = Service::start().await;
    let (connection, mut socket) = service.connection().await;
    let mut exchange = begin(connection, Method::GET, Declared::NoBody);
    write(&mut exchange).await;
    say(&mut socket, &"HTTP/1.1 103 Early Hints\r\n\r\n".repeat(200)).await;
    let error = poll_fn(|cx| exchange.poll_head(cx)).await.unwrap_err();
    assert!(matches!(error, ResponseError::Malformed(_)), "{error}");
}

#[actix_web::test]
async fn a_response_that_breaks_off_is_torn() {
    let service = Service::start().await;
    for text in [
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
    ] {
        let (connection, mut socket) = service.connection().await;
        let mut exchange = begin(connection, Method::GET, Declared::NoBody);
        write(&mut exchange).await;
        say(&mut socket, text).await;
        drop(socket);
        poll_fn(|cx| exchange.poll_head(cx)).await.unwrap();
        let first = poll_fn(|cx| exchange.poll_body(cx)).await.unwrap().unwrap();
        assert_eq!(first, "ab");
        let error = poll_fn(|cx| exchange.poll_body(cx)).await.unwrap_err();
        assert!(
            matches!(error, ResponseError::Torn | ResponseError::Io(_)),
            "{error}"
        );
    }
}
