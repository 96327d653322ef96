//! Responses that come before the request is over.

use std::future::pending;

use actix_http::body::BodySize;
use tokio::io::AsyncWriteExt;

use super::{Call, Reader, World};
use crate::error::GatewayError;
use crate::server::app_service::BodyLength;

const TOO_LARGE: &str = "HTTP/1.1 413 X\r\nContent-Length: 3\r\nConnection: close\r\n\r\nbig";

#[actix_web::test]
async fn a_refusal_during_the_upload_reaches_the_client_also_when_the_service_closes_after_it() {
    let world = World::with(|route| route.max_body_bytes = Some(1 << 30)).await;
    for closes in [true, false] {
        let (call, feed) = Call::post("/app/", BodyLength::Known(64 << 20));
        let forwarded = world.forward(call);
        let sending = tokio::task::spawn_local(async move {
            let piece = "x".repeat(64 * 1024);
            for _ in 0..1024 {
                feed.send(&piece);
                tokio::task::yield_now().await;
            }
            pending::<()>().await;
        });
        let mut service = world.accept().await;
        service.say(TOO_LARGE).await;
        let kept = (!closes).then_some(service);
        let response = forwarded.await.unwrap().unwrap();
        assert_eq!(response.status(), 413);
        assert_eq!(Reader::of(response).text().await, "big");
        assert!(world.upstream().health.is_ready());
        drop(kept);
        sending.abort();
    }
}

#[actix_web::test]
async fn uploads_that_the_service_breaks_off_without_a_word_never_open_the_circuit() {
    let world = World::with(|route| route.max_body_bytes = Some(1 << 30)).await;
    for _ in 0..10 {
        let (call, feed) = Call::post("/app/", BodyLength::Known(64 << 20));
        let forwarded = world.forward(call);
        let service = world.accept().await;
        // What it has not read makes the close a reset, as of a service that finds a body too large.
        feed.send(&"x".repeat(1 << 20));
        service.socket.readable().await.unwrap();
        drop(service);
        assert_eq!(forwarded.await.unwrap().unwrap_err(), GatewayError::BadGateway);
        assert!(world.upstream().health.is_ready());
    }
    assert_eq!(world.upstream().counts.broken.get(), 10);
}

#[actix_web::test]
async fn an_interim_response_does_not_end_the_upload() {
    let world = World::new().await;
    let (call, feed) = Call::post("/app/", BodyLength::Known(6));
    let forwarded = world.forward(call);
    let mut service = world.accept().await;
    feed.send("abc");
    service.expect("abc").await;
    service
        .say("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")
        .await;
    feed.send("def");
    drop(feed);
    service.expect("def").await;
    service
        .say("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        .await;
    let response = forwarded.await.unwrap().unwrap();
    assert!(!response.headers().contains_key("link"));
    assert_eq!(Reader::of(response).text().await, "ok");
    assert!(
        world.proxy.pool.take(&world.upstream()).is_some(),
        "both were whole"
    );
}

#[actix_web::test]
async fn a_response_streams_while_the_request_still_comes() {
    for length in [BodyLength::Known(6), BodyLength::Unknown] {
        let world = World::new().await;
        let (call, feed) = Call::post("/app/", length);
        let forwarded = world.forward(call);
        let mut service = world.accept().await;
        service
            .say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nbegin\r\n")
            .await;
        let mut reader = Reader::of(forwarded.await.unwrap().unwrap());
        assert_eq!(reader.size(), BodySize::Stream);
        assert_eq!(reader.next().await.unwrap().unwrap(), "begin");
        for piece in ["abc", "def"] {
            feed.send(piece);
            // Nobody but the reader of the response drives the upload now.
            let echo = async {
                match length {
                    BodyLength::Unknown => service.expect(&format!("3\r\n{piece}\r\n")).await,
                    _ => service.expect(piece).await,
                }
                service.say(&format!("3\r\n{piece}\r\n")).await;
            };
            let (next, ()) = tokio::join!(reader.next(), echo);
            assert_eq!(next.unwrap().unwrap(), piece);
        }
        drop(feed);
        let end = async {
            if length == BodyLength::Unknown {
                service.expect("0\r\n\r\n").await;
            }
            service.say("0\r\n\r\n").await;
        };
        let (next, ()) = tokio::join!(reader.next(), end);
        assert!(next.is_none());
        assert!(world.proxy.pool.take(&world.upstream()).is_some());
    }
}

#[actix_web::test]
async fn a_short_response_before_the_end_of_the_request_leaves_no_connection() {
    let world = World::new().await;
    let (call, feed) = Call::post("/app/", BodyLength::Known(400));
    let forwarded = world.forward(call);
    let mut service = world.accept().await;
    service
        .say("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        .await;
    let response = forwarded.await.unwrap().unwrap();
    assert_eq!(Reader::of(response).text().await, "ok");
    assert!(world.proxy.pool.take(&world.upstream()).is_none());
    assert_eq!(service.closed().await, 0);
    drop(feed);
}

#[actix_web::test]
async fn small_pieces_that_are_there_leave_together() {
    let world = World::new().await;
    let (call, feed) = Call::post("/app/", BodyLength::Known(1000));
    for _ in 0..1000 {
        feed.send("x");
    }
    drop(feed);
    let forwarded = world.forward(call);
    let mut service = world.accept().await;
    // All of it is there with the first read, which one write alone makes sure of.
    let mut body = vec![0; 4096];
    service.socket.readable().await.unwrap();
    assert_eq!(service.socket.try_read(&mut body).unwrap(), 1000);
    service.say("HTTP/1.1 204 No Content\r\n\r\n").await;
    service.socket.flush().await.unwrap();
    assert_eq!(forwarded.await.unwrap().unwrap().status(), 204);
}
