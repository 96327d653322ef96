//! HTTP/1.1: the lives of client, request and response are tied together, and none of them lasts too long.

use std::time::Duration;

use actix_http::body::BoxBody;
use actix_http::{Request, Response, StatusCode};
use bytes::Bytes;
use futures_util::StreamExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::support::{Client, Endless, Setup, Work, forever, ok, read, serve, soon, streamed};
use crate::server::connection::Deadlines;
use crate::server::pace::Pace;

const GET: &str = "GET /x HTTP/1.1\r\nHost: a\r\n\r\n";
const SHORT: Duration = Duration::from_millis(200);
const LONG: Duration = Duration::from_secs(20);

fn post(lines: &str, body: &str) -> String {
    format!("POST /x HTTP/1.1\r\nHost: a\r\n{lines}\r\n{body}")
}

fn with_deadlines(change: impl FnOnce(&mut Deadlines)) -> Setup {
    let mut setup = Setup::default();
    change(&mut setup.deadlines);
    setup
}

async fn too_large(_: Request) -> Response<BoxBody> {
    Response::with_body(StatusCode::PAYLOAD_TOO_LARGE, BoxBody::new("too large"))
}

#[actix_web::test]
async fn the_work_ends_when_its_client_is_gone() {
    let work = Work::default();
    let app = work.clone();
    let server = serve(Setup::default(), move |mut request| {
        let working = app.begin();
        async move {
            match request.path() {
                "/read" => drop(read(request.take_payload()).await),
                "/streams" => {
                    return streamed(Endless {
                        piece: None,
                        _working: working,
                    });
                }
                _ => {}
            }
            forever(working).await
        }
    });
    for request in [
        GET.to_owned(),
        post("Content-Length: 3\r\n", "abc"),
        // Nobody asks for this body.
        post("Content-Length: 3000\r\n", "abc"),
        post("Expect: 100-continue\r\nContent-Length: 3000\r\n", ""),
        "POST /read HTTP/1.1\r\nHost: a\r\nContent-Length: 3000\r\n\r\nabc".to_owned(),
        "GET /streams HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(),
        // Further requests wait behind it.
        GET.repeat(1000),
    ] {
        for resets in [false, true] {
            let before = work.begun();
            let mut client = Client::connect(&server).await;
            client.send(&request).await;
            work.until(|work| work.begun() > before).await;
            client.leave(resets);
            work.until(|work| work.now() == 0).await;
            assert_eq!(work.begun(), before + 1, "{request}");
        }
    }
}

#[actix_web::test]
async fn a_response_may_run_while_its_request_still_comes() {
    let server = serve(Setup::default(), |mut request| async move {
        streamed(request.take_payload())
    });
    let mut client = Client::connect(&server).await;
    client.send(post("Transfer-Encoding: chunked\r\n", "")).await;
    client.until("\r\n\r\n").await;
    for word in ["one", "two", "three"] {
        client.send(format!("{:x}\r\n{word}\r\n", word.len())).await;
        client.until(&format!("{:x}\r\n{word}\r\n", word.len())).await;
    }
    client.send("0\r\n\r\n").await;
    client.until("0\r\n\r\n").await;
    client.send(GET).await;
    client.until("HTTP/1.1 200").await;
}

#[actix_web::test]
async fn an_early_response_reaches_a_client_that_still_sends() {
    let server = serve(Setup::default(), too_large);
    for lines in ["Content-Length: 8000000\r\n", "Transfer-Encoding: chunked\r\n"] {
        let mut client = Client::connect(&server).await;
        client.send(post(lines, "")).await;
        let piece = match lines.contains("chunked") {
            true => [b"f424\r\n".as_slice(), &vec![b'x'; 62500], b"\r\n"].concat(),
            false => vec![b'x'; 62500],
        };
        for _ in 0..128 {
            client.send(&piece).await;
        }
        let (text, end) = client.rest().await;
        assert!(
            text.starts_with("HTTP/1.1 413 ") && text.ends_with("too large"),
            "{text}"
        );
        assert!(end.is_ok(), "{end:?}");
    }
}

#[actix_web::test]
async fn a_slow_client_sees_an_early_response_too() {
    let server = serve(Setup::default(), too_large);
    let mut client = Client::connect(&server).await;
    client.send(post("Content-Length: 8000000\r\n", "")).await;
    for _ in 0..8 {
        client.send([b'x'; 1000]).await;
        tokio::time::sleep(SHORT).await;
    }
    let (text, end) = client.rest().await;
    assert!(text.starts_with("HTTP/1.1 413 ") && end.is_ok(), "{text} {end:?}");
}

#[actix_web::test]
async fn a_short_body_that_nobody_wants_is_read_over() {
    let server = serve(Setup::default(), too_large);
    let mut client = Client::connect(&server).await;
    for (lines, body) in [
        ("Content-Length: 100000\r\n", "x".repeat(100_000)),
        (
            "Transfer-Encoding: chunked\r\n",
            "1\r\nx\r\n".repeat(10_000) + "0\r\n\r\n",
        ),
    ] {
        client.send(post(lines, "")).await;
        let head = client.until("too large").await;
        assert!(!head.contains("connection: close"), "{head}");
        client.send(body).await;
    }
    client.send(GET).await;
    client.until("too large").await;
}

#[actix_web::test]
async fn a_client_is_told_to_go_on_when_somebody_wants_its_body() {
    let server = serve(Setup::default(), |mut request| async move {
        match request.path() {
            "/unread" => {
                tokio::task::yield_now().await;
                ok("no")
            }
            _ => ok(read(request.take_payload()).await.unwrap()),
        }
    });
    let mut client = Client::connect(&server).await;
    client
        .send(post("Expect: 100-continue\r\nContent-Length: 3\r\n", ""))
        .await;
    assert_eq!(client.until("\r\n\r\n").await, "HTTP/1.1 100 Continue\r\n\r\n");
    client.send("abc").await;
    client.until("\r\n\r\nabc").await;
    // Who sends it unasked is not told.
    client
        .send(post("Expect: 100-continue\r\nContent-Length: 3\r\n", "abc"))
        .await;
    assert!(client.until("\r\n\r\nabc").await.starts_with("HTTP/1.1 200"));
    let unread = "POST /unread HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n";
    client.send(unread).await;
    let (text, _) = client.rest().await;
    assert!(
        text.starts_with("HTTP/1.1 200") && text.contains("connection: close"),
        "{text}"
    );
}

#[actix_web::test]
async fn a_later_head_has_its_own_time() {
    let server = serve(
        with_deadlines(|deadlines| deadlines.keep_alive = SHORT),
        |_| async { ok("") },
    );
    let mut client = Client::connect(&server).await;
    client.send(GET).await;
    client.until("\r\n\r\n").await;
    client.send("GET /x HTTP/1.1\r\n").await;
    tokio::time::sleep(2 * SHORT).await;
    client.send("Host: a\r\n\r\n").await;
    client.until("HTTP/1.1 200").await;
    // Without a head the connection ends, and without a word.
    client.until("\r\n\r\n").await;
    let (text, end) = client.rest().await;
    assert!(text.is_empty() && end.is_ok(), "{text}");
}

#[actix_web::test]
async fn a_head_that_drips_is_cut() {
    let server = serve(with_deadlines(|deadlines| deadlines.header = SHORT), |_| async {
        ok("")
    });
    let half = "GET /x HTTP/1.1\r\nX: ";
    for (is_later, start, drop, is_told) in [
        (false, half, "a", true),
        (true, half, "a", true),
        // Empty lines before a head are ignored, but not for ever.
        (false, "\r\n", "\r\n", false),
        (true, "\r\n", "\r\n", false),
    ] {
        let mut client = Client::connect(&server).await;
        if is_later {
            client.send(GET).await;
            client.until("\r\n\r\n").await;
        }
        client.send(start).await;
        let (mut reader, mut writer) = client.socket.split();
        let drip = async {
            while writer.write_all(drop.as_bytes()).await.is_ok() {
                tokio::time::sleep(SHORT / 10).await;
            }
        };
        let mut text = Vec::new();
        let end = soon(async {
            tokio::select! {
                () = drip => None,
                end = reader.read_to_end(&mut text) => Some(end),
            }
        });
        end.await;
        let text = String::from_utf8(text).unwrap();
        assert_eq!(text.contains("HTTP/1.1 408 "), is_told, "{start:?}: {text}");
    }
}

#[actix_web::test]
async fn who_takes_nothing_gives_up_its_place() {
    let work = Work::default();
    let app = work.clone();
    let server = serve(
        with_deadlines(|deadlines| deadlines.pace.stall = SHORT),
        move |_| {
            let working = app.begin();
            async {
                streamed(Endless {
                    piece: Some(Bytes::from(vec![0; 65536])),
                    _working: working,
                })
            }
        },
    );
    let mut client = Client::narrow(&server).await;
    client.send(GET).await;
    work.until(|work| work.begun() == 1 && work.now() == 0).await;
}

#[actix_web::test]
async fn who_takes_next_to_nothing_gives_up_its_place() {
    let work = Work::default();
    let app = work.clone();
    let pace = Pace {
        stall: LONG,
        bytes_per_second: 1 << 50,
        window: SHORT,
    };
    let server = serve(with_deadlines(|deadlines| deadlines.pace = pace), move |_| {
        let working = app.begin();
        async {
            streamed(Endless {
                piece: Some(Bytes::from(vec![0; 65536])),
                _working: working,
            })
        }
    });
    let mut client = Client::connect(&server).await;
    client.send(GET).await;
    let reads = async {
        let mut space = vec![0; 65536];
        while client.socket.read(&mut space).await.is_ok_and(|bytes| bytes > 0) {
            tokio::time::sleep(SHORT / 20).await;
        }
    };
    soon(async {
        tokio::select! {
            () = reads => {}
            () = work.until(|work| work.begun() == 1 && work.now() == 0) => {}
        }
    })
    .await;
    work.until(|work| work.now() == 0).await;
}

#[actix_web::test]
async fn a_quiet_response_waits_for_nobody() {
    let work = Work::default();
    let app = work.clone();
    let deadlines = |deadlines: &mut Deadlines| {
        deadlines.pace.stall = SHORT;
        deadlines.keep_alive = SHORT;
        deadlines.header = SHORT;
    };
    let server = serve(with_deadlines(deadlines), move |_| {
        let working = app.begin();
        async {
            streamed(Endless {
                piece: None,
                _working: working,
            })
        }
    });
    let mut client = Client::connect(&server).await;
    client.send(GET).await;
    client.until("\r\n\r\n").await;
    tokio::time::sleep(3 * SHORT).await;
    assert_eq!(work.now(), 1);
}

#[actix_web::test]
async fn a_body_that_outlives_its_exchange_ends_in_an_error() {
    let (sender, receiver) = tokio::sync::oneshot::channel();
    let sender = std::cell::Cell::new(Some(sender));
    let server = serve(Setup::default(), move |mut request| {
        let (mut payload, sender) = (request.take_payload(), sender.take());
        tokio::task::spawn_local(async move {
            while let Some(piece) = payload.next().await {
                if piece.is_err() {
                    sender.and_then(|sender| sender.send(()).ok());
                    return;
                }
            }
        });
        async { ok("") }
    });
    let mut client = Client::connect(&server).await;
    client.send(post("Content-Length: 1000000\r\n", "abc")).await;
    client.until("\r\n\r\n").await;
    drop(client);
    soon(receiver).await.unwrap();
}
