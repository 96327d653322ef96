//! Bodies of users' own services pass piece by piece, both ways; WebSocket and server-sent events work.

use std::net::SocketAddr;

use gateway::Running;
use gateway::routes::RouteSettings;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

use crate::support::{Client, Echo, canned, start_gateway};

async fn start(upstream: SocketAddr) -> Running {
    start_gateway(Echo::start().address, |settings| {
        let mut route = RouteSettings::new("/app/", vec![upstream.try_into().unwrap()]);
        route.max_body_bytes = Some(1 << 30);
        settings.routes.routes = vec![route];
    })
    .await
}

/// A service that takes one connection, reads a head, and gives both back.
async fn one_connection() -> (SocketAddr, oneshot::Receiver<(TcpStream, String)>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (sender, receiver) = oneshot::channel();
    tokio::spawn(async move {
        // The gateway's look at whether somebody is here ends without a word.
        loop {
            let (mut socket, _) = listener.accept().await.unwrap();
            let mut head = Vec::new();
            while let Ok(byte) = socket.read_u8().await {
                head.push(byte);
                if head.ends_with(b"\r\n\r\n") {
                    sender.send((socket, String::from_utf8(head).unwrap())).unwrap();
                    return;
                }
            }
        }
    });
    (address, receiver)
}

async fn expect(socket: &mut TcpStream, bytes: &[u8]) {
    let mut seen = vec![0; bytes.len()];
    socket.read_exact(&mut seen).await.unwrap();
    assert_eq!(String::from_utf8_lossy(&seen), String::from_utf8_lossy(bytes));
}

#[actix_web::test]
async fn a_body_is_passed_on_while_it_is_being_sent() {
    let (address, upstream) = one_connection().await;
    let gateway = start(address).await;
    let mut client = Client::connect(&gateway).await;
    client
        .send("POST /app/ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n")
        .await;
    let (mut upstream, head) = upstream.await.unwrap();
    assert!(
        head.to_lowercase().contains("transfer-encoding: chunked\r\n"),
        "{head}"
    );
    expect(&mut upstream, b"5\r\nfirst\r\n").await;
    client.send("4\r\nlast\r\n0\r\nX-Auth-User-Id: 1\r\n\r\n").await;
    expect(&mut upstream, b"4\r\nlast\r\n0\r\n\r\n").await;
    upstream
        .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        .await
        .unwrap();
    assert_eq!(client.answer().await.unwrap().body, "ok");
}

#[actix_web::test]
async fn many_megabytes_pass_both_ways() {
    const BYTES: usize = 64 << 20;
    let (address, upstream) = one_connection().await;
    let gateway = start(address).await;
    let mut client = Client::connect(&gateway).await;
    let head = format!("POST /app/ HTTP/1.1\r\nHost: a\r\nContent-Length: {BYTES}\r\n\r\n");
    client.send(head).await;
    let (mut upstream, _) = upstream.await.unwrap();
    let receiving = tokio::spawn(async move {
        let (mut space, mut seen) = (vec![0; 1 << 20], 0);
        while seen < BYTES {
            seen += upstream.read(&mut space).await.unwrap();
        }
        let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {BYTES}\r\n\r\n");
        upstream.write_all(answer.as_bytes()).await.unwrap();
        for _ in 0..BYTES >> 20 {
            upstream.write_all(&space).await.unwrap();
        }
    });
    let piece = "x".repeat(1 << 20);
    for _ in 0..BYTES >> 20 {
        client.send(&piece).await;
    }
    assert_eq!(client.answer().await.unwrap().body.len(), BYTES);
    receiving.await.unwrap();
}

#[actix_web::test]
async fn events_arrive_as_they_happen() {
    let (address, upstream) = one_connection().await;
    let gateway = start(address).await;
    let mut client = Client::connect(&gateway).await;
    client.send("GET /app/events HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let (mut upstream, _) = upstream.await.unwrap();
    let head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
    upstream.write_all(head).await.unwrap();
    client.read_head().await;
    for number in 0..3 {
        let event = format!("data: {number}\n\n");
        upstream
            .write_all(format!("{:x}\r\n{event}\r\n", event.len()).as_bytes())
            .await
            .unwrap();
        assert_eq!(client.chunk().await, event);
    }
    upstream.write_all(b"0\r\n\r\n").await.unwrap();
    assert_eq!(client.chunk().await, "");
}

#[actix_web::test]
async fn a_client_that_goes_away_ends_its_stream_at_the_upstream() {
    let (address, upstream) = one_connection().await;
    let gateway = start(address).await;
    let mut client = Client::connect(&gateway).await;
    client.send("GET /app/events HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let (mut upstream, _) = upstream.await.unwrap();
    upstream.write_all(b"HTTP/1.1 200 OK\r\n\r\nfirst").await.unwrap();
    client.read_head().await;
    drop(client);
    while upstream.write_all(&[b'x'; 4096]).await.is_ok() {}
}

#[actix_web::test]
async fn a_websocket_is_passed_through() {
    let (address, upstream) = one_connection().await;
    let gateway = start(address).await;
    let mut client = Client::connect(&gateway).await;
    let request = "GET /app/socket HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\
                   Sec-WebSocket-Key: abc\r\nSec-WebSocket-Version: 13\r\n\r\n";
    client.send(format!("{request}early")).await;
    let (mut upstream, head) = upstream.await.unwrap();
    let head = head.to_lowercase();
    for line in [
        "connection: upgrade\r\n",
        "upgrade: websocket\r\n",
        "sec-websocket-key: abc\r\n",
    ] {
        assert!(head.contains(line), "{head}");
    }
    let answer = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: x\r\n\r\nhello";
    upstream.write_all(answer).await.unwrap();
    let head = client.read_head().await;
    assert!(head.starts_with("HTTP/1.1 101 Switching Protocols\r\n"), "{head}");
    assert!(
        head.contains("sec-websocket-accept: x") || head.contains("Sec-WebSocket-Accept: x"),
        "{head}"
    );
    assert_eq!(client.take_text(5).await, "hello");
    expect(&mut upstream, b"early").await;
    client.send("ping").await;
    expect(&mut upstream, b"ping").await;
    upstream.write_all(b"pong").await.unwrap();
    assert_eq!(client.take_text(4).await, "pong");
    drop(upstream);
    assert!(client.is_closed().await);
}

#[actix_web::test]
async fn an_upgrade_that_the_service_does_not_take_is_an_ordinary_answer() {
    let upstream = canned(Some(
        "HTTP/1.1 426 Upgrade Required\r\nContent-Length: 2\r\n\r\nno",
    ))
    .await;
    let gateway = start(upstream).await;
    let lines = "Connection: Upgrade\r\nUpgrade: websocket\r\n";
    let answer = crate::support::get(&gateway, "/app/", lines).await;
    assert_eq!((answer.status, answer.body.as_str()), (426, "no"));
    let answer = crate::support::get(&gateway, "/app/", "Upgrade: websocket\r\n").await;
    answer.assert_error(400, "Malformed request: a WebSocket upgrade that is none.");
}
