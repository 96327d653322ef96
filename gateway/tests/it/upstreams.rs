//! Several upstreams on a route: who is asked, and what happens when some of them are away, full or frozen.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use gateway::Running;
use gateway::routes::RouteSettings;

use crate::support::{Client, Echo, canned, get, nobody, post, start_gateway};

const UNAVAILABLE: &str = "Service temporarily unavailable, try again later.";

async fn start(upstreams: &[SocketAddr], change: impl FnOnce(&mut RouteSettings)) -> Running {
    let urls = upstreams.iter().map(|address| (*address).try_into().unwrap());
    let mut route = RouteSettings::new("/app/", urls.collect());
    change(&mut route);
    start_gateway(Echo::start().address, |settings| {
        settings.routes.routes = vec![route];
    })
    .await
}

#[actix_web::test]
async fn requests_are_spread_and_a_dead_upstream_costs_nobody_an_answer() {
    let (a, b) = (Echo::start(), Echo::start());
    let gateway = start(&[nobody().await, a.address, b.address], |_| {}).await;
    for _ in 0..20 {
        let answer = crate::support::ask(&gateway, post("/app/", "once")).await;
        assert_eq!(answer.json()["body"], "once");
    }
    assert_eq!(
        a.request_count() + b.request_count(),
        20,
        "nothing was sent twice"
    );
    assert!(a.request_count() > 5 && b.request_count() > 5);
}

#[actix_web::test]
async fn a_frozen_upstream_holds_no_more_than_its_share() {
    let (frozen, well) = (Echo::start_frozen(), Echo::start());
    let gateway = start(&[frozen.address, well.address], |route| {
        route.max_in_flight = Some(4);
    })
    .await;
    let (mut held, mut answered) = (Vec::new(), 0);
    for _ in 0..40 {
        let mut client = Client::connect(&gateway).await;
        client.send("GET /app/ HTTP/1.1\r\nHost: a\r\n\r\n").await;
        tokio::select! {
            answer = client.answer() => {
                assert_eq!(answer.unwrap().status, 200);
                answered += 1;
                continue;
            }
            () = frozen.arrived() => {}
        }
        held.push(client);
    }
    assert!(
        held.len() <= 4 && answered >= 36,
        "{} held, {answered} answered",
        held.len()
    );
    frozen.release_all();
    for mut client in held {
        assert_eq!(client.answer().await.unwrap().status, 200);
    }
}

#[actix_web::test]
async fn beyond_the_share_of_the_only_upstream_the_answer_is_503_at_once() {
    let echo = Echo::start();
    let gateway = start(&[echo.address], |route| route.max_in_flight = Some(2)).await;
    let mut held = Vec::new();
    for _ in 0..2 {
        let mut client = Client::connect(&gateway).await;
        client.send("GET /app/held HTTP/1.1\r\nHost: a\r\n\r\n").await;
        echo.arrived().await;
        held.push(client);
    }
    let begun = Instant::now();
    get(&gateway, "/app/", "").await.assert_error(503, UNAVAILABLE);
    assert!(begun.elapsed() < Duration::from_secs(1));
    echo.release_all();
    for mut client in held {
        assert_eq!(client.answer().await.unwrap().status, 200);
    }
    assert_eq!(get(&gateway, "/app/", "").await.status, 200);
}

#[actix_web::test]
async fn an_upstream_that_never_answers_is_left_alone_after_some_failures() {
    let gateway = start(&[canned(None).await], |route| {
        route.timeout = Some(Duration::from_millis(50));
    })
    .await;
    for _ in 0..5 {
        assert_eq!(get(&gateway, "/app/", "").await.status, 504);
    }
    let answer = get(&gateway, "/app/", "").await;
    answer.assert_error(503, UNAVAILABLE);
    assert_eq!(answer.header("retry-after").unwrap(), "2");
}

#[actix_web::test]
async fn a_request_that_was_sent_is_never_repeated() {
    let cutting = canned(Some("")).await;
    let well = Echo::start();
    let gateway = start(&[cutting, well.address], |_| {}).await;
    let mut statuses = BTreeSet::new();
    for _ in 0..4 {
        statuses.insert(crate::support::ask(&gateway, post("/app/", "x")).await.status);
    }
    assert_eq!(statuses.into_iter().collect::<Vec<_>>(), [200, 502]);
    assert_eq!(well.request_count(), 2);
}

#[actix_web::test]
async fn the_monitor_brings_an_upstream_back_and_tells_whether_identity_is_there() {
    let address = nobody().await;
    let gateway = start_gateway(address, |settings| {
        settings.probe_interval = Duration::from_millis(50);
        settings.admin.address = Some(([127, 0, 0, 1], 0).into());
    })
    .await;
    let admin = gateway.admin_address.unwrap();
    let answer = crate::support::ask_at(admin, "/health/ready").await;
    assert_eq!(answer.status, 503);
    assert!(answer.json()["reasons"].to_string().contains("identity"));
    assert_eq!(crate::support::ask_at(admin, "/health/live").await.status, 200);
    let identity = crate::fake_identity::FakeIdentity::start_at(address);
    gateway.until_ready().await;
    assert_eq!(crate::support::ask_at(admin, "/health/ready").await.status, 200);
    drop(identity);
}
