//! One client's behaviour costs that client, not the others.

use std::rc::Rc;

use actix_http::body::BodySize;

use super::{Call, Reader, World};
use crate::error::GatewayError;
use crate::server::app_service::BodyLength;
use crate::upstream::{OwnRequest, Pool, Requester};

const OTHER: [u8; 4] = [192, 0, 2, 2];

#[actix_web::test]
async fn one_client_cannot_take_all_permits_of_an_upstream() {
    let world = World::with(|route| route.max_in_flight = Some(40)).await;
    let mut held = Vec::new();
    for _ in 0..20 {
        held.push((world.forward(Call::get("/app/")), world.accept().await));
    }
    assert_eq!(
        world.forward(Call::get("/app/")).await.unwrap().unwrap_err(),
        GatewayError::Unavailable
    );
    assert_eq!(world.upstream().counts.share.get(), 1);
    let other = world.forward(Call::get("/app/").from(OTHER));
    let mut service = world.accept().await;
    service.say("HTTP/1.1 204 No Content\r\n\r\n").await;
    assert_eq!(other.await.unwrap().unwrap().status(), 204);
}

#[actix_web::test]
async fn a_slow_reader_of_identitys_documents_holds_no_permit() {
    let world = World::new().await;
    let document = "x".repeat(128_000);
    let identity = world
        .route("/api/schema/")
        .upstreams
        .members()
        .first()
        .unwrap()
        .clone();
    for framing in ["Content-Length: 128000\r\n\r\n", "Connection: close\r\n\r\n"] {
        let forwarded = world.forward(Call::get("/api/schema/"));
        let mut service = world.accept().await;
        service
            .say(&format!("HTTP/1.1 200 OK\r\n{framing}{document}"))
            .await;
        drop(service);
        let reader = Reader::of(forwarded.await.unwrap().unwrap());
        assert_eq!(reader.size(), BodySize::Sized(128_000));
        // Nothing of it was read, and all permits are there.
        let permits: Vec<_> = (0..100_u8)
            .map(|last| identity.enter(Requester::Client([10, 0, 0, last].into())))
            .collect();
        assert!(permits.iter().all(Option::is_some));
        assert_eq!(reader.text().await.len(), 128_000);
    }
}

#[actix_web::test]
async fn what_is_too_long_to_be_held_is_passed_on_and_arrives_whole() {
    let world = World::new().await;
    let forwarded = world.forward(Call::get("/api/schema/"));
    let mut service = world.accept().await;
    let document = "x".repeat(3 << 20);
    let sending = tokio::spawn(async move {
        service.say("HTTP/1.1 200 OK\r\n\r\n").await;
        service.say(&document).await;
    });
    let reader = Reader::of(forwarded.await.unwrap().unwrap());
    assert_eq!(reader.size(), BodySize::Stream);
    assert_eq!(reader.text().await.len(), 3 << 20);
    sending.await.unwrap();
}

#[actix_web::test]
async fn what_one_client_leaves_unread_is_bounded() {
    let world = World::new().await;
    let document = "x".repeat(300_000);
    let response =
        format!("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 300000\r\n\r\n{document}");
    let (mut unread, mut refused) = (Vec::new(), 0);
    for _ in 0..3 {
        let forwarded = world.forward(Call::get("/api/schema/"));
        let mut service = world.accept().await;
        service.say(&response).await;
        match forwarded.await.unwrap() {
            Ok(response) => unread.push(response),
            Err(error) => {
                assert_eq!(error, GatewayError::Unavailable);
                refused += 1;
            }
        }
    }
    assert_eq!((unread.len(), refused), (1, 2), "half of 1 MiB is one client's");
    let forwarded = world.forward(Call::get("/api/schema/").from(OTHER));
    world.accept().await.say(&response).await;
    assert_eq!(forwarded.await.unwrap().unwrap().status(), 200);
}

#[actix_web::test]
async fn stalled_bodies_of_one_client_leave_room_for_others() {
    let world = World::new().await;
    let mut stalled = Vec::new();
    for _ in 0..3 {
        let (call, feed) = Call::post("/api/auth/login/", BodyLength::Known(300_000));
        feed.send(&"x".repeat(299_999));
        stalled.push((world.forward(call), feed));
    }
    let (second, _) = stalled.remove(1);
    assert_eq!(second.await.unwrap().unwrap_err(), GatewayError::Unavailable);
    let (call, feed) = Call::post("/api/auth/login/", BodyLength::Known(300_000));
    feed.send(&"x".repeat(300_000));
    drop(feed);
    let forwarded = world.forward(call.from(OTHER));
    let mut service = world.accept().await;
    service.expect(&"x".repeat(300_000)).await;
    service.say("HTTP/1.1 204 No Content\r\n\r\n").await;
    assert_eq!(forwarded.await.unwrap().unwrap().status(), 204);
}

#[actix_web::test]
async fn the_gateways_own_requests_pass_while_clients_have_every_permit() {
    let world = World::with(|route| route.max_in_flight = Some(1)).await;
    let group = world.route("/app/").upstreams.clone();
    let _held = (world.forward(Call::get("/app/")), world.accept().await);
    let own = tokio::task::spawn_local(async move {
        let request = OwnRequest {
            method: actix_http::Method::GET,
            target: "/.well-known/jwks.json",
            body: None,
            timeout: super::PATIENCE,
            max_bytes: 100,
        };
        request
            .ask(&group, &Rc::new(Pool::default()), Requester::Upkeep)
            .await
    });
    let mut service = world.accept().await;
    service
        .say("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
        .await;
    let (status, body) = own.await.unwrap().unwrap();
    assert_eq!((status.as_u16(), body.as_ref()), (200, b"{}".as_ref()));
}

#[actix_web::test]
async fn an_own_request_reads_no_more_than_it_means_to() {
    let world = World::new().await;
    for framing in ["Content-Length: 101\r\n\r\n", "Connection: close\r\n\r\n"] {
        let group = world.route("/app/").upstreams.clone();
        let own = tokio::task::spawn_local(async move {
            let request = OwnRequest {
                method: actix_http::Method::GET,
                target: "/",
                body: None,
                timeout: super::PATIENCE,
                max_bytes: 100,
            };
            request
                .ask(&group, &Rc::new(Pool::default()), Requester::Upkeep)
                .await
        });
        let mut service = world.accept().await;
        service
            .say(&format!("HTTP/1.1 200 OK\r\n{framing}{}", "x".repeat(101)))
            .await;
        assert!(own.await.unwrap().is_err());
    }
}
