//! What upstreams do wrong.

use super::{Call, PATIENCE, Reader, SOON, World};
use crate::error::GatewayError;
use crate::server::app_service::BodyLength;
use crate::upstream::Probe;

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// Leaves a kept connection, and returns its other end.
async fn kept(world: &World) -> super::Service {
    let forwarded = world.forward(Call::get("/app/first"));
    let mut service = world.accept().await;
    service.say(OK).await;
    assert_eq!(Reader::of(forwarded.await.unwrap().unwrap()).text().await, "ok");
    service
}

#[actix_web::test]
async fn a_get_on_a_connection_that_the_upstream_closes_unanswered_is_sent_once_more() {
    let world = World::new().await;
    let mut old = kept(&world).await;
    let forwarded = world.forward(Call::get("/app/again"));
    old.read_head().await;
    assert!(old.head.starts_with("GET /app/again "));
    drop(old);
    let mut new = world.accept().await;
    assert!(new.head.starts_with("GET /app/again "));
    new.say(OK).await;
    assert_eq!(Reader::of(forwarded.await.unwrap().unwrap()).text().await, "ok");
    assert!(world.upstream().health.is_ready());
}

#[actix_web::test]
async fn what_fails_on_a_new_connection_is_not_sent_again() {
    let world = World::new().await;
    let forwarded = world.forward(Call::get("/app/"));
    drop(world.accept().await);
    assert_eq!(forwarded.await.unwrap().unwrap_err(), GatewayError::BadGateway);
}

#[actix_web::test]
async fn what_has_begun_to_be_answered_is_not_sent_again() {
    let world = World::new().await;
    let mut old = kept(&world).await;
    let forwarded = world.forward(Call::get("/app/"));
    old.read_head().await;
    old.say("HTTP/1.1 2").await;
    drop(old);
    assert_eq!(forwarded.await.unwrap().unwrap_err(), GatewayError::BadGateway);
}

#[actix_web::test]
async fn a_post_is_never_sent_twice_and_a_connection_just_being_closed_is_no_failure() {
    let world = World::new().await;
    for _ in 0..6 {
        let mut old = kept(&world).await;
        let (call, feed) = Call::post("/app/once", BodyLength::Known(3));
        feed.send("abc");
        drop(feed);
        let forwarded = world.forward(call);
        old.read_head().await;
        old.expect("abc").await;
        drop(old);
        assert_eq!(forwarded.await.unwrap().unwrap_err(), GatewayError::BadGateway);
    }
    assert!(world.upstream().health.is_ready());
}

#[actix_web::test]
async fn an_upstream_that_has_the_whole_request_and_says_nothing_is_late_and_opens_the_circuit() {
    let world = World::with(|route| route.timeout = Some(SOON)).await;
    for _ in 0..5 {
        let (call, feed) = Call::post("/app/", BodyLength::Known(3));
        feed.send("abc");
        drop(feed);
        let forwarded = world.forward(call);
        let _silent = world.accept().await;
        assert_eq!(
            forwarded.await.unwrap().unwrap_err(),
            GatewayError::GatewayTimeout
        );
    }
    assert!(!world.upstream().health.is_ready());
    assert_eq!(
        world.forward(Call::get("/app/")).await.unwrap().unwrap_err(),
        GatewayError::Unavailable
    );
}

#[actix_web::test]
async fn a_torn_response_is_torn_for_the_client_and_counted() {
    let world = World::new().await;
    for text in [
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n7\r\npartial\r\n".to_owned(),
        format!(
            "HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n{}",
            "x".repeat(1000)
        ),
    ] {
        let before = world.upstream().counts.torn.get();
        let forwarded = world.forward(Call::get("/app/"));
        let mut service = world.accept().await;
        service.say(&text).await;
        drop(service);
        let mut reader = Reader::of(forwarded.await.unwrap().unwrap());
        assert!(reader.all().await.is_err());
        assert_eq!(world.upstream().counts.torn.get(), before + 1);
    }
}

#[actix_web::test]
async fn a_short_response_that_breaks_off_is_an_error_and_no_torn_page() {
    let world = World::new().await;
    let forwarded = world.forward(Call::get("/app/"));
    let mut service = world.accept().await;
    service
        .say("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
        .await;
    drop(service);
    assert_eq!(forwarded.await.unwrap().unwrap_err(), GatewayError::BadGateway);
    assert_eq!(world.upstream().counts.torn.get(), 1);
}

#[actix_web::test]
async fn a_response_to_an_old_request_does_not_put_back_an_upstream_that_is_about_to_stop() {
    let world = World::new().await;
    let forwarded = world.forward(Call::get("/app/"));
    let mut service = world.accept().await;
    world.upstream().health.probed(Probe::Unwilling);
    service.say(OK).await;
    assert_eq!(Reader::of(forwarded.await.unwrap().unwrap()).text().await, "ok");
    assert_eq!(
        world.forward(Call::get("/app/")).await.unwrap().unwrap_err(),
        GatewayError::Unavailable
    );
    world.upstream().health.probed(Probe::Well);
    let forwarded = world.forward(Call::get("/app/"));
    service.read_head().await;
    service.say(OK).await;
    assert_eq!(forwarded.await.unwrap().unwrap().status(), 200);
}

#[actix_web::test]
async fn an_upstream_that_is_away_is_passed_over() {
    let gone = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let urls = [&gone, &listener].map(|it| it.local_addr().unwrap().try_into().unwrap());
    drop(gone);
    let world = World::at(urls.to_vec(), listener, |_| {});
    for _ in 0..4 {
        let (call, feed) = Call::post("/app/", BodyLength::Known(3));
        feed.send("abc");
        drop(feed);
        let forwarded = world.forward(call);
        let mut service = world.accept().await;
        service.expect("abc").await;
        service
            .say(&OK.replace("200 OK\r\n", "200 OK\r\nConnection: close\r\n"))
            .await;
        assert_eq!(forwarded.await.unwrap().unwrap().status(), 200);
    }
}

#[actix_web::test]
async fn a_repeated_get_goes_to_another_upstream_when_its_own_is_away() {
    let (first, second) = (
        tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap(),
        tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap(),
    );
    let urls = [&first, &second].map(|it| it.local_addr().unwrap().try_into().unwrap());
    let world = World::at(urls.to_vec(), second, |_| {});
    // The other one is away for now, so that the first has the kept connection.
    let members = world.route("/app/").upstreams.members().to_vec();
    members[1].health.unreachable(false);
    let forwarded = world.forward(Call::get("/app/"));
    let (socket, _) = first.accept().await.unwrap();
    let mut old = super::Service {
        socket,
        head: String::new(),
    };
    old.read_head().await;
    old.say(OK).await;
    assert_eq!(forwarded.await.unwrap().unwrap().status(), 200);
    let forwarded = world.forward(Call::get("/app/again"));
    old.read_head().await;
    members[1].health.reachable();
    drop((old, first));
    let mut new = tokio::time::timeout(PATIENCE, world.accept()).await.unwrap();
    new.say(OK).await;
    assert_eq!(forwarded.await.unwrap().unwrap().status(), 200);
}
