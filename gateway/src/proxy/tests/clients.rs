//! What clients do wrong, and that they go.

use std::time::Duration;

use actix_http::body::{BodySize, MessageBody};
use actix_web::test::TestRequest;
use tokio::io::AsyncReadExt;

use super::{Call, Reader, SOON, World};
use crate::error::GatewayError;
use crate::server::app_service::BodyLength;

const BROKEN: GatewayError = GatewayError::BadRequest("the body is broken or incomplete");

#[actix_web::test]
async fn a_body_that_is_not_as_long_as_declared_is_refused_and_its_connection_closed() {
    let world = World::new().await;
    for pieces in [&["abc"][..], &["abc", "def"], &["abcdefghi"], &[]] {
        let (call, feed) = Call::post("/app/", BodyLength::Known(5));
        let forwarded = world.forward(call);
        for piece in pieces {
            feed.send(piece);
        }
        drop(feed);
        let error = forwarded.await.unwrap().unwrap_err();
        assert!(
            matches!(error, GatewayError::BadRequest(_)),
            "{pieces:?}: {error}"
        );
        let (mut socket, _) = world.listener.accept().await.unwrap();
        let mut seen = String::new();
        let _ = socket.read_to_string(&mut seen).await;
        let body = seen.split("\r\n\r\n").nth(1).unwrap_or_default();
        assert!(body.len() < 5, "{pieces:?}: it never becomes whole: {seen}");
        assert!(world.proxy.pool.take(&world.upstream()).is_none(), "{pieces:?}");
    }
    assert!(world.upstream().health.is_ready());
}

#[actix_web::test]
async fn uploads_that_their_client_breaks_off_are_never_counted_against_the_upstream() {
    let world = World::with(|route| route.body_timeout = Some(SOON)).await;
    for number in 0..12 {
        let (call, feed) = Call::post("/app/", BodyLength::Known(10_000));
        let forwarded = world.forward(call);
        feed.send("abc");
        let mut service = world.accept().await;
        service.expect("abc").await;
        match number % 3 {
            0 => {
                feed.fail(BROKEN);
                assert_eq!(forwarded.await.unwrap().unwrap_err(), BROKEN);
            }
            1 => assert_eq!(
                forwarded.await.unwrap().unwrap_err(),
                GatewayError::RequestTimeout
            ),
            _ => {
                forwarded.abort();
                assert!(forwarded.await.unwrap_err().is_cancelled());
            }
        }
        service.closed().await;
        assert!(world.upstream().health.is_ready());
    }
    let counts = &world.upstream().counts;
    assert_eq!(
        (counts.broken.get(), counts.late.get(), counts.torn.get()),
        (0, 0, 0)
    );
}

#[actix_web::test]
async fn a_body_over_the_limit_is_refused_however_its_length_is_told() {
    let world = World::with(|route| route.max_body_bytes = Some(5)).await;
    let (call, _feed) = Call::post("/app/", BodyLength::Known(6));
    assert_eq!(
        world.forward(call).await.unwrap().unwrap_err(),
        GatewayError::PayloadTooLarge
    );
    let (call, feed) = Call::post("/app/", BodyLength::Unknown);
    feed.send("abcdef");
    assert_eq!(
        world.forward(call).await.unwrap().unwrap_err(),
        GatewayError::PayloadTooLarge
    );
}

#[actix_web::test]
async fn a_client_that_goes_while_it_waits_ends_the_work_and_frees_the_permit() {
    let world = World::with(|route| route.max_in_flight = Some(1)).await;
    let forwarded = world.forward(Call::get("/app/"));
    let mut service = world.accept().await;
    assert_eq!(
        world.forward(Call::get("/app/")).await.unwrap().unwrap_err(),
        GatewayError::Unavailable
    );
    forwarded.abort();
    service.closed().await;
    let (status, _) = world
        .answered("/app/", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        .await;
    assert_eq!(status, 200);
}

#[actix_web::test]
async fn a_client_that_goes_while_it_reads_ends_the_work_and_frees_the_permit() {
    let world = World::with(|route| route.max_in_flight = Some(1)).await;
    let forwarded = world.forward(Call::get("/app/events"));
    let mut service = world.accept().await;
    service
        .say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
        .await;
    let mut reader = Reader::of(forwarded.await.unwrap().unwrap());
    assert_eq!(reader.next().await.unwrap().unwrap(), "hello");
    assert_eq!(
        world.forward(Call::get("/app/")).await.unwrap().unwrap_err(),
        GatewayError::Unavailable
    );
    drop(reader);
    service.closed().await;
    let (status, _) = world
        .answered("/app/", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        .await;
    assert_eq!(status, 200);
    assert_eq!(world.upstream().counts.torn.get(), 0);
}

#[actix_web::test]
async fn a_client_that_stalls_after_the_response_has_begun_is_cut_without_a_failure_of_the_upstream() {
    let world = World::with(|route| route.body_timeout = Some(SOON)).await;
    let (call, feed) = Call::post("/app/", BodyLength::Known(100));
    feed.send("abc");
    let forwarded = world.forward(call);
    let mut service = world.accept().await;
    service
        .say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
        .await;
    let mut reader = Reader::of(forwarded.await.unwrap().unwrap());
    assert_eq!(reader.next().await.unwrap().unwrap(), "hello");
    assert!(reader.next().await.unwrap().is_err());
    service.closed().await;
    assert_eq!(world.upstream().counts.torn.get(), 0);
    drop(feed);
}

#[actix_web::test]
async fn the_response_to_a_head_request_has_a_length_and_no_body() {
    let world = World::new().await;
    let forwarded = world.forward(Call::of(
        TestRequest::default()
            .method(actix_http::Method::HEAD)
            .uri("/app/"),
    ));
    let mut service = world.accept().await;
    service.say("HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n").await;
    let response = forwarded.await.unwrap().unwrap();
    assert_eq!(response.body().size(), BodySize::Sized(7));
    assert!(world.proxy.pool.take(&world.upstream()).is_none());
    tokio::time::timeout(Duration::from_secs(20), service.closed())
        .await
        .unwrap();
}
