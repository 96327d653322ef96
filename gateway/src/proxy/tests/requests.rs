//! What a service gets, and what a client gets of its response.

use actix_http::header::{HeaderName, HeaderValue};
use actix_web::test::TestRequest;

use super::{Call, Reader, World};
use crate::routes::HeaderRules;
use crate::server::app_service::BodyLength;

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

#[actix_web::test]
async fn the_canonical_path_is_what_goes_out_and_the_query_stays_as_it_was_sent() {
    let world = World::with(|route| route.strip_prefix = true).await;
    for (sent, seen) in [
        ("/app/%61dmin?a=%61&b", "GET /admin?a=%61&b HTTP/1.1\r\n"),
        ("/app/x?", "GET /x? HTTP/1.1\r\n"),
        ("/app/x", "GET /x HTTP/1.1\r\n"),
    ] {
        let forwarded = world.forward(Call::get(sent));
        let mut service = world.accept().await;
        assert!(service.head.starts_with(seen), "{}", service.head);
        service
            .say("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
            .await;
        assert_eq!(forwarded.await.unwrap().unwrap().status(), 200);
    }
}

#[actix_web::test]
async fn the_host_is_the_upstreams_own_or_the_clients_as_the_route_says() {
    for preserves in [false, true] {
        let world = World::with(|route| route.preserve_host = preserves).await;
        let forwarded = world.forward(Call::get("/app/"));
        let mut service = world.accept().await;
        let own = format!("host: {}\r\n", world.listener.local_addr().unwrap());
        let wanted = if preserves { "host: gate.example\r\n" } else { &own };
        assert!(service.head.contains(wanted), "{}", service.head);
        assert_eq!(service.head.matches("\r\nhost: ").count(), 1, "{}", service.head);
        assert!(service.head.contains("x-forwarded-host: gate.example\r\n"));
        service.say(OK).await;
        forwarded.await.unwrap().unwrap();
    }
}

#[actix_web::test]
async fn a_route_sets_and_removes_headers_both_ways() {
    let pair = |name, value| (HeaderName::from_static(name), HeaderValue::from_static(value));
    let world = World::with(|route| {
        route.headers = HeaderRules {
            request_set: vec![pair("x-tenant", "one"), pair("accept", "text/plain")],
            request_remove: vec![HeaderName::from_static("cookie")],
            response_set: vec![pair("cache-control", "private")],
            response_remove: vec![HeaderName::from_static("x-debug")],
        };
    })
    .await;
    let request = TestRequest::get()
        .uri("/app/")
        .insert_header(("cookie", "a=b"))
        .insert_header(("accept", "*/*"))
        .insert_header(("x-tenant", "forged"));
    let forwarded = world.forward(Call::of(request));
    let mut service = world.accept().await;
    assert!(
        !service.head.contains("cookie") && !service.head.contains("*/*") && !service.head.contains("forged")
    );
    assert!(service.head.contains("x-tenant: one\r\n") && service.head.contains("accept: text/plain\r\n"));
    service
        .say("HTTP/1.1 200 OK\r\nX-Debug: 1\r\nCache-Control: public\r\nContent-Length: 2\r\n\r\nok")
        .await;
    let response = forwarded.await.unwrap().unwrap();
    assert!(!response.headers().contains_key("x-debug"));
    assert_eq!(response.headers().get("cache-control").unwrap(), "private");
}

#[actix_web::test]
async fn nobody_but_the_gateway_says_who_the_user_is_but_a_services_own_token_passes() {
    let world = World::new().await;
    let request = TestRequest::get()
        .uri("/app/")
        .insert_header(("x-auth-user-id", "forged"))
        .insert_header(("x_auth_session_id", "forged"))
        .insert_header(("x-auth-token", "mine"))
        .insert_header(("connection", "x-auth-user-id"));
    let forwarded = world.forward(Call::of(request));
    let mut service = world.accept().await;
    assert!(!service.head.contains("forged"), "{}", service.head);
    assert!(
        service.head.contains("x-auth-token: mine\r\n"),
        "{}",
        service.head
    );
    service.say(OK).await;
    forwarded.await.unwrap().unwrap();
}

#[actix_web::test]
async fn a_body_of_unknown_length_goes_out_in_chunks_and_an_empty_one_has_a_length() {
    let world = World::new().await;
    let (call, feed) = Call::post("/app/", BodyLength::Unknown);
    feed.send("abc");
    drop(feed);
    let forwarded = world.forward(call);
    let mut service = world.accept().await;
    assert!(service.head.contains("transfer-encoding: chunked\r\n"));
    service.expect("3\r\nabc\r\n0\r\n\r\n").await;
    service.say(OK).await;
    forwarded.await.unwrap().unwrap();
    let (call, feed) = Call::post("/app/", BodyLength::Known(0));
    drop(feed);
    let forwarded = world.forward(call);
    service.read_head().await;
    assert!(service.head.contains("content-length: 0\r\n"), "{}", service.head);
    service.say(OK).await;
    assert_eq!(Reader::of(forwarded.await.unwrap().unwrap()).text().await, "ok");
}
