//! Connections as a whole: how many, how large, and how they end with the gateway.

use futures_util::FutureExt;
use tokio::io::AsyncWriteExt;

use super::support::{Client, Setup, Work, ok, read, serve};
use crate::server::connection;

const GET: &str = "GET /x HTTP/1.1\r\nHost: a\r\n\r\n";

#[actix_web::test]
async fn one_address_has_so_many_connections() {
    let setup = |trusted_proxies| Setup {
        per_address: 2,
        trusted_proxies,
        ..Setup::default()
    };
    let server = serve(setup(""), |_| async { ok("") });
    let mut clients = Vec::new();
    for _ in 0..2 {
        let mut client = Client::connect(&server).await;
        client.send(GET).await;
        client.until("HTTP/1.1 200").await;
        clients.push(client);
    }
    let (text, _) = Client::connect(&server).await.rest().await;
    assert_eq!(text, "");
    assert!(
        server.metrics.text().contains("refused_total 1"),
        "{}",
        server.metrics.text()
    );
    // A place is free again when its connection ends.
    let mut leaving = clients.pop().unwrap();
    leaving.socket.shutdown().await.unwrap();
    assert!(leaving.rest().await.1.is_ok());
    let mut client = Client::connect(&server).await;
    client.send(GET).await;
    client.until("HTTP/1.1 200").await;

    let server = serve(setup("127.0.0.1"), |_| async { ok("") });
    let mut clients = Vec::new();
    for _ in 0..5 {
        let mut client = Client::connect(&server).await;
        client.send(GET).await;
        client.until("HTTP/1.1 200").await;
        clients.push(client);
    }
}

#[actix_web::test]
async fn a_stop_lets_a_request_finish_and_closes_idle_connections() {
    let work = Work::default();
    let app = work.clone();
    let server = serve(Setup::default(), move |mut request| {
        let working = app.begin();
        async move {
            let body = read(request.take_payload()).await.unwrap();
            drop(working);
            ok(body)
        }
    });
    let mut idle = Client::connect(&server).await;
    idle.send(GET).await;
    idle.until("\r\n\r\n").await;
    let mut busy = Client::connect(&server).await;
    busy.send("POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nab")
        .await;
    work.until(|work| work.now() == 1).await;
    server.shutdown.trigger();
    assert!(idle.rest().await.1.is_ok());
    busy.send("c").await;
    let (text, end) = busy.rest().await;
    assert!(
        text.contains("connection: close") && text.ends_with("abc") && end.is_ok(),
        "{text}"
    );
}

#[actix_web::test]
async fn an_idle_connection_is_small() {
    let server = serve(Setup::default(), |_| async { ok("") });
    let client = Client::connect(&server).await;
    let wire = server.wire.clone();
    let task = connection::serve(client.socket, wire);
    let bytes = std::mem::size_of_val(&task);
    assert!(bytes <= 1536, "{bytes}");
    assert!(task.now_or_never().is_none());
}
