//! The lives of clients and of their work at an upstream are tied together, and what one client breaks hurts nobody else.

use std::net::SocketAddr;
use std::time::Duration;

use gateway::Running;
use gateway::routes::RouteSettings;

use crate::fault_upstream::FaultUpstream;
use crate::support::{Answer, Client, Echo, get, post, start_gateway};

async fn start_at(upstreams: &[SocketAddr], change: impl FnOnce(&mut RouteSettings)) -> Running {
    let urls = upstreams.iter().map(|address| (*address).try_into().unwrap());
    let mut route = RouteSettings::new("/app/", urls.collect());
    route.timeout = Some(Duration::from_secs(10));
    change(&mut route);
    start_gateway(Echo::start().address, |settings| {
        settings.probe_interval = Duration::from_millis(50);
        settings.routes.routes = vec![route];
    })
    .await
}

async fn start(change: impl FnOnce(&mut RouteSettings)) -> (FaultUpstream, Running) {
    let upstream = FaultUpstream::start().await;
    let gateway = start_at(&[upstream.address], change).await;
    (upstream, gateway)
}

async fn send(gateway: &Running, request: &str) -> Client {
    let mut client = Client::connect(gateway).await;
    client.send(request).await;
    client
}

fn request_for(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n")
}

/// Asks until a permit is free again; the upstream has been seen to lose the request that held it.
async fn get_when_free(gateway: &Running, path: &str) -> Answer {
    for _ in 0..200 {
        let answer = get(gateway, path, "").await;
        if answer.status != 503 {
            return answer;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the permit was never given back");
}

#[actix_web::test]
async fn a_client_that_leaves_ends_its_work_and_gives_its_permit_back() {
    let (upstream, gateway) = start(|route| route.max_in_flight = Some(1)).await;
    let body = "POST /app/silent?body HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc";
    for (name, request) in [
        ("silent?wait", request_for("/app/silent?wait")),
        ("silent?body", body.to_owned()),
        ("events", request_for("/app/events")),
        ("held?1", request_for("/app/held?1")),
    ] {
        let client = send(&gateway, &request).await;
        upstream.until_whole(name).await;
        drop(client);
        upstream.until_abandoned(name, 1).await;
        assert_eq!(get_when_free(&gateway, "/app/x").await.status, 200, "{name}");
    }
}

#[actix_web::test]
async fn a_client_that_resets_ends_its_work() {
    let (upstream, gateway) = start(|_| {}).await;
    let client = send(&gateway, &request_for("/app/silent")).await;
    upstream.until_whole("silent").await;
    client.reset();
    upstream.until_abandoned("silent", 1).await;
}

#[actix_web::test]
async fn a_client_that_breaks_its_body_off_ends_its_work() {
    let (upstream, gateway) = start(|_| {}).await;
    let request = "POST /app/x HTTP/1.1\r\nHost: a\r\nContent-Length: 3000\r\n\r\nabc";
    let client = send(&gateway, request).await;
    upstream
        .until("three bytes", |seen| {
            seen.of("/app/x").any(|request| request.body_bytes == 3)
        })
        .await;
    drop(client);
    upstream.until_abandoned("/app/x", 1).await;
}

#[actix_web::test]
async fn streams_of_many_departed_clients_block_nobody() {
    let (upstream, gateway) = start(|route| route.max_in_flight = Some(20)).await;
    for _ in 0..20 {
        let mut client = send(&gateway, &request_for("/app/events")).await;
        client.read_head().await;
    }
    upstream.until_abandoned("events", 20).await;
    assert_eq!(get_when_free(&gateway, "/app/x").await.status, 200);
}

#[actix_web::test]
async fn a_client_that_stays_gets_its_late_response() {
    let (upstream, gateway) = start(|_| {}).await;
    let mut client = send(&gateway, &request_for("/app/held")).await;
    upstream.until_whole("held").await;
    upstream.release(1);
    assert_eq!(client.answer().await.unwrap().body, "held");
}

#[actix_web::test]
async fn a_response_that_drips_is_passed_on_as_it_comes() {
    let (upstream, gateway) = start(|_| {}).await;
    let mut client = send(&gateway, &request_for("/app/drips")).await;
    client.read_head().await;
    for _ in 0..20 {
        upstream.release(1);
        assert_eq!(client.take_text(1).await, "x");
    }
    drop(client);
    upstream.until_abandoned("drips", 1).await;
}

#[actix_web::test]
async fn uploads_that_their_clients_break_off_open_no_circuit() {
    let (upstream, gateway) = start(|_| {}).await;
    for number in 0..12 {
        let path = format!("/app/broken{number}x");
        let request = format!("POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\nabc");
        let client = send(&gateway, &request).await;
        upstream
            .until("an upload", |seen| {
                seen.of(&path).any(|request| request.body_bytes == 3)
            })
            .await;
        if number % 2 == 0 {
            client.reset();
        } else {
            drop(client);
        }
        upstream.until_abandoned(&path, 1).await;
    }
    assert_eq!(get(&gateway, "/app/x", "").await.status, 200);
}

#[actix_web::test]
async fn an_upstream_that_reads_no_body_is_not_waited_for_without_end() {
    let (_upstream, gateway) = start(|route| {
        route.timeout = Some(Duration::from_millis(300));
        route.max_in_flight = Some(1);
    })
    .await;
    let mut client = send(&gateway, &post("/app/never-reads", "abc")).await;
    assert_eq!(client.answer().await.unwrap().status, 504);
    assert_eq!(get_when_free(&gateway, "/app/x").await.status, 200);
}

#[actix_web::test]
async fn an_idempotent_request_that_a_kept_connection_swallowed_is_sent_again() {
    let (upstream, gateway) = start(|_| {}).await;
    for method in ["GET", "HEAD"] {
        for number in 0..6 {
            let path = format!("/app/{method}{number}/closes-at-second");
            let request = format!("{method} {path} HTTP/1.1\r\nHost: a\r\n\r\n");
            let mut client = send(&gateway, &request).await;
            let answer = client.answer_to(method).await.unwrap();
            assert_eq!(answer.status, 200, "{path}");
        }
    }
    let seen = upstream.observed();
    assert!(
        seen.requests.iter().any(|request| request.number == 2),
        "no connection was kept, and nothing was tried: {seen:#?}"
    );
}

#[actix_web::test]
async fn any_other_request_is_sent_once() {
    let (upstream, gateway) = start(|_| {}).await;
    for number in 0..6 {
        // Leaves a kept connection, which is closed at the next request.
        get(&gateway, "/app/closes-at-second", "").await;
        let path = format!("/app/once{number}x/closes-at-second");
        let mut client = send(&gateway, &post(&path, "abc")).await;
        let status = client.answer().await.unwrap().status;
        assert!(status == 200 || status == 502, "{status}");
        assert_eq!(upstream.observed().count(&path), 1, "{path}");
    }
}

#[actix_web::test]
async fn connections_that_an_upstream_closes_when_idle_cost_nobody_a_response() {
    let (_upstream, gateway) = start(|_| {}).await;
    for _ in 0..30 {
        assert_eq!(get(&gateway, "/app/closes-when-idle", "").await.status, 200);
    }
}

#[actix_web::test]
async fn a_torn_response_is_torn_for_the_client_too() {
    let (upstream, gateway) = start(|_| {}).await;
    for path in ["/app/torn-length", "/app/torn-chunked", "/app/torn-close"] {
        for version in ["1.0", "1.1"] {
            let target = format!("{path}?{version}");
            let request = format!("GET {target} HTTP/{version}\r\nHost: a\r\nConnection: close\r\n\r\n");
            let mut client = send(&gateway, &request).await;
            upstream.until_whole(&target).await;
            upstream.release(1);
            let (response, is_reset) = client.rest().await;
            let name = format!("{path} HTTP/{version}: {response:?}");
            let Some((head, body)) = response.split_once("\r\n\r\n") else {
                assert!(is_reset, "{name} looks like no response at all");
                continue;
            };
            let head = head.to_lowercase();
            if head.starts_with("http/1.1 5") {
                continue;
            }
            if head.contains("transfer-encoding:") {
                assert!(!body.ends_with("0\r\n\r\n"), "{name}");
            } else if head.contains("content-length: 100") {
                assert_eq!(body, "partial", "{name}");
            } else {
                assert!(is_reset, "{name} looks whole");
            }
        }
    }
    assert_eq!(get(&gateway, "/app/x", "").await.status, 200);
}

const UPGRADE: &str = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                       Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

async fn websocket(gateway: &Running) -> Client {
    let request = format!("GET /app/websocket HTTP/1.1\r\nHost: a\r\n{UPGRADE}\r\n");
    send(gateway, &request).await
}

#[actix_web::test]
async fn a_websocket_holds_a_permit_until_it_is_closed() {
    let (upstream, gateway) = start(|route| route.max_in_flight = Some(2)).await;
    let mut open = Vec::new();
    for _ in 0..2 {
        let mut client = websocket(&gateway).await;
        assert_eq!(client.answer().await.unwrap().status, 101);
        client.send("hi").await;
        assert_eq!(client.take_text(4).await, "[hi]");
        open.push(client);
    }
    assert_eq!(websocket(&gateway).await.answer().await.unwrap().status, 503);
    assert_eq!(get(&gateway, "/app/x", "").await.status, 503);
    drop(open);
    upstream.until_abandoned("websocket", 2).await;
    assert_eq!(get_when_free(&gateway, "/app/x").await.status, 200);
}

#[actix_web::test]
async fn an_upstream_that_drains_gets_no_new_requests_while_it_finishes_old_ones() {
    let (well, draining) = (FaultUpstream::start().await, FaultUpstream::start().await);
    let gateway = start_at(&[well.address, draining.address], |route| {
        route.health_path = Some("/health".to_owned());
    })
    .await;
    let mut waiting = Vec::new();
    while draining.observed().count("held") < 6 {
        let before = well.observed().count("held") + draining.observed().count("held");
        waiting.push(send(&gateway, &request_for("/app/held")).await);
        while well.observed().count("held") + draining.observed().count("held") == before {
            tokio::task::yield_now().await;
        }
    }
    draining.set_health(503);
    let checks = draining.observed().health_checks;
    // The check under way when it changed, and one that saw the change; the third begins after its response was read.
    draining
        .until("three more checks", |seen| seen.health_checks >= checks + 3)
        .await;
    for _ in 0..5 {
        let before = draining.observed();
        let answered = before.of("held").filter(|request| request.is_answered).count();
        draining.release(1);
        draining
            .until("an old request answered", |seen| {
                seen.of("held").filter(|request| request.is_answered).count() > answered
            })
            .await;
        for _ in 0..4 {
            assert_eq!(get(&gateway, "/app/new", "").await.status, 200);
        }
    }
    assert_eq!(draining.observed().count("/app/new"), 0);
    draining.set_health(200);
    while draining.observed().count("/app/again") == 0 {
        assert_eq!(get(&gateway, "/app/again", "").await.status, 200);
    }
    drop(waiting);
}

#[actix_web::test]
async fn a_head_that_begins_late_in_the_idle_time_has_its_own_time() {
    let upstream = FaultUpstream::start().await;
    let gateway = start_gateway(Echo::start().address, |settings| {
        settings.routes.routes = vec![RouteSettings::new(
            "/app/",
            vec![upstream.address.try_into().unwrap()],
        )];
        settings.keep_alive = Duration::from_millis(1500);
        settings.header_timeout = Duration::from_secs(20);
    })
    .await;
    let mut client = send(&gateway, &request_for("/app/x")).await;
    assert_eq!(client.answer().await.unwrap().status, 200);
    client.send("GET /app/x HTTP/1.1\r\n").await;
    // Past the idle time, and far within the head's; nothing tells of a time-out that does not come.
    tokio::time::sleep(Duration::from_millis(2500)).await;
    client.send("Host: a\r\n\r\n").await;
    let answer = client.answer().await.unwrap();
    assert_eq!(answer.status, 200);
}

#[actix_web::test]
async fn a_token_header_of_a_users_own_service_is_passed_on() {
    let (upstream, gateway) = start(|_| {}).await;
    get(
        &gateway,
        "/app/x",
        "X-Auth-Token: their-own\r\nX-Auth-User-Id: 1\r\n",
    )
    .await;
    let seen = upstream.observed();
    let request = seen.of("/app/x").next().unwrap();
    assert_eq!(request.header("x-auth-token"), Some("their-own"));
    assert_eq!(request.header("x-auth-user-id"), None);
}
