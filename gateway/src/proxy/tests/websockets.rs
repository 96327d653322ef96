//! A `WebSocket` holds their permit, and end with their session.

use std::time::Duration;

use actix_http::{HttpMessage, StatusCode};
use actix_web::HttpResponse;
use actix_web::test::TestRequest;
use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::time::timeout;

use super::{Call, PATIENCE, Service, World};
use crate::edge_auth::Caller;
use crate::error::GatewayError;
use crate::server::app_service::BodyLength;
use crate::server::app_service::Upgraded;

const SWITCH: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\nSec-WebSocket-Accept: x\r\n\r\n";

/// An open tunnel: the client's end and the service's.
async fn open(world: &World, call: Call) -> (DuplexStream, Service) {
    let forwarded = world.forward(call);
    let mut service = world.accept().await;
    assert!(
        service.head.contains("connection: upgrade\r\n") && service.head.contains("upgrade: websocket\r\n")
    );
    service.say(&format!("{SWITCH}hello")).await;
    let mut response: HttpResponse = forwarded.await.unwrap().unwrap();
    assert_eq!(response.status(), StatusCode::SWITCHING_PROTOCOLS);
    let tunnel = response.extensions_mut().remove::<Upgraded>().unwrap();
    let (mut client, mut wire) = duplex(1024);
    tokio::task::spawn_local(async move { tunnel.run(&mut wire, b"early").await });
    let mut seen = [0; 5];
    client.read_exact(&mut seen).await.unwrap();
    assert_eq!(&seen, b"hello");
    service.expect("early").await;
    (client, service)
}

fn caller(world: &World) -> Caller {
    Caller {
        user_id: Bytes::from_static(b"1"),
        session_id: Some(Bytes::from_static(b"session")),
        expires_at_seconds: world.clock.now_seconds() + 300,
    }
}

/// Whether bytes pass both ways.
async fn assert_open((client, service): &mut (DuplexStream, Service)) {
    client.write_all(b"ping").await.unwrap();
    service.expect("ping").await;
    service.say("pong").await;
    let mut seen = [0; 4];
    client.read_exact(&mut seen).await.unwrap();
    assert_eq!(&seen, b"pong");
}

async fn assert_closed((mut client, mut service): (DuplexStream, Service)) {
    let mut rest = Vec::new();
    timeout(PATIENCE, client.read_to_end(&mut rest))
        .await
        .unwrap()
        .unwrap();
    service.closed().await;
}

#[actix_web::test]
async fn a_websocket_holds_its_permit_for_its_whole_life() {
    let world = World::with(|route| route.max_in_flight = Some(2)).await;
    let mut first = open(&world, Call::websocket("/app/")).await;
    let second = open(&world, Call::websocket("/app/")).await;
    for call in [Call::websocket("/app/"), Call::get("/app/")] {
        assert_eq!(
            world.forward(call).await.unwrap().unwrap_err(),
            GatewayError::Unavailable
        );
    }
    assert_open(&mut first).await;
    drop(second);
    super::until(|| {
        let upstream = world.upstream();
        upstream
            .enter(crate::upstream::Requester::Client([192, 0, 2, 9].into()))
            .is_some()
    })
    .await;
    open(&world, Call::websocket("/app/")).await;
}

#[actix_web::test]
async fn a_websocket_ends_with_the_session_that_opened_it() {
    let world = World::new().await;
    let mut tunnel = open(&world, Call::websocket("/app/").of_caller(caller(&world))).await;
    let stranger = Caller {
        session_id: Some(Bytes::from_static(b"other")),
        ..caller(&world)
    };
    let mut other = open(&world, Call::websocket("/app/").of_caller(stranger)).await;
    assert_open(&mut tunnel).await;
    world.revocations.end("session");
    assert_closed(tunnel).await;
    assert_open(&mut other).await;
}

#[actix_web::test]
async fn a_websocket_ends_when_its_session_changes_the_password() {
    let world = &World::new().await;
    let segment = |text: &str| base64::Engine::encode(&base64::prelude::BASE64_URL_SAFE_NO_PAD, text);
    let now = world.clock.now_seconds();
    let expires_at = now + 300;
    let claims = format!(
        r#"{{"token_type": "access", "iat": {now}, "exp": {expires_at}, "jti": "j", "user_id": "1", "sid": "session"}}"#
    );
    let token = format!("{}.{}.c2ln", segment(r#"{"alg": "EdDSA"}"#), segment(&claims));
    let change = |status: &'static str| {
        let (mut call, feed) = Call::post("/api/auth/password/change/", BodyLength::Known(2));
        let request = TestRequest::post()
            .uri("/api/auth/password/change/")
            .insert_header(("authorization", format!("Bearer {token}")));
        call.request = request.to_http_request();
        call.request.extensions_mut().insert(BodyLength::Known(2));
        feed.send("{}");
        drop(feed);
        let forwarded = world.forward(call);
        async move {
            let mut service = world.accept().await;
            service
                .say(&format!(
                    "HTTP/1.1 {status} X\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{{}}"
                ))
                .await;
            forwarded.await.unwrap().unwrap().status().as_u16()
        }
    };
    let session = world.checker.session(&caller(world));
    let mut tunnel = open(world, Call::websocket("/app/").of_caller(caller(world))).await;
    assert_eq!(change("400").await, 400);
    assert!(!session.has_ended(), "nothing was changed");
    assert_open(&mut tunnel).await;
    assert_eq!(change("200").await, 200);
    assert_closed(tunnel).await;
    let mut later = open(world, Call::websocket("/app/").of_caller(caller(world))).await;
    assert!(
        !world.checker.session(&caller(world)).has_ended(),
        "the session goes on"
    );
    assert_open(&mut later).await;
}

#[actix_web::test]
async fn a_websocket_ends_when_its_access_token_expires() {
    let world = World::new().await;
    let mut tunnel = open(&world, Call::websocket("/app/").of_caller(caller(&world))).await;
    let mut open_to_all = open(&world, Call::websocket("/app/")).await;
    assert_open(&mut tunnel).await;
    world.clock.advance(Duration::from_secs(300));
    assert_closed(tunnel).await;
    assert_open(&mut open_to_all).await;
}

#[actix_web::test]
async fn a_service_cannot_switch_protocols_when_nobody_asked() {
    let world = World::new().await;
    let forwarded = world.forward(Call::get("/app/"));
    world.accept().await.say(SWITCH).await;
    assert_eq!(forwarded.await.unwrap().unwrap_err(), GatewayError::BadGateway);
}

#[actix_web::test]
async fn identity_has_no_websockets() {
    let world = World::new().await;
    let error = world
        .forward(Call::websocket("/api/auth/user/"))
        .await
        .unwrap()
        .unwrap_err();
    assert_eq!(error, GatewayError::BadRequest("WebSocket is not supported"));
}
