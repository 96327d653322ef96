//! HTTP/2 frames that no library sends: lengths that lie, resets, silence, floods; and what of them reaches an upstream.

use std::time::Duration;

use gateway::routes::{Auth, RouteSettings};
use gateway::{Running, Settings};
use tempfile::TempDir;
use tokio_rustls::rustls::pki_types::CertificateDer;

use crate::fault_upstream::FaultUpstream;
use crate::raw_http2::{DATA, END_HEADERS, END_STREAM, HEADERS, PING, RawHttp2, block, frame, request};
use crate::support::{Echo, start_gateway};
use crate::tls;

struct Setup {
    upstream: FaultUpstream,
    gateway: Running,
    trusted: CertificateDer<'static>,
    _folder: TempDir,
}

impl Setup {
    async fn start() -> Self {
        Self::start_with(|_, _| {}).await
    }

    async fn start_with(change: impl FnOnce(&mut Settings, &mut RouteSettings)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (files, trusted) = tls::certificate(folder.path());
        let upstream = FaultUpstream::start().await;
        let urls = vec![upstream.address.try_into().unwrap()];
        let gateway = start_gateway(Echo::start().address, |settings| {
            let mut open = RouteSettings::new("/app/", urls.clone());
            let mut closed = RouteSettings::new("/secret/", urls);
            closed.auth = Auth::Required;
            settings.tls = Some(files);
            change(settings, &mut open);
            settings.routes.routes = vec![open, closed];
        })
        .await;
        Self {
            upstream,
            gateway,
            trusted,
            _folder: folder,
        }
    }

    async fn connect(&self) -> RawHttp2 {
        RawHttp2::connect(&self.gateway, &self.trusted).await
    }

    /// The status of a request on a connection of its own; 0 when it got no response.
    async fn status(&self, path: &str) -> u16 {
        let mut client = self.connect().await;
        client.get(1, path).await;
        client.response(1).await.status
    }

    async fn status_when_free(&self, path: &str) -> u16 {
        for _ in 0..200 {
            let status = self.status(path).await;
            if status != 503 {
                return status;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("the permit was never given back");
    }
}

const HIDDEN: &str = "GET /secret/admin HTTP/1.1\r\nhost: x\r\nx-auth-user-id: 1\r\n\r\n";

#[actix_web::test]
async fn an_ordinary_request_with_and_without_a_length_passes() {
    let setup = Setup::start().await;
    assert_eq!(setup.status("/app/x").await, 200);
    assert_eq!(setup.status("/secret/admin").await, 401);
    let mut client = setup.connect().await;
    for (stream, fields) in [(1, vec![]), (3, vec![("content-length", "5")])] {
        let head = request("POST", "/app/body", &fields);
        client.send(&frame(HEADERS, END_HEADERS, stream, &head)).await;
        client.send(&frame(DATA, END_STREAM, stream, b"hello")).await;
        assert_eq!(client.response(stream).await.status, 200);
    }
    let seen = setup.upstream.observed();
    assert!(seen.of("/app/body").all(|request| request.body == b"hello"));
    assert_eq!(seen.count("/secret/"), 0);
}

#[actix_web::test]
async fn a_length_without_its_body_is_refused_and_hides_no_request() {
    let setup = Setup::start().await;
    // As long as the head that the gateway writes for the request after it, which would be read as this one's body.
    let mut client = setup.connect().await;
    let length = HIDDEN.len().to_string();
    let carrier = request("POST", "/app/carrier", &[("content-length", &length)]);
    client.send(&frame(HEADERS, END_HEADERS, 1, &carrier)).await;
    client.send(&frame(DATA, END_STREAM, 1, HIDDEN.as_bytes())).await;
    assert_eq!(client.response(1).await.status, 200);
    let seen = setup.upstream.observed();
    let head_bytes = seen.of("/app/carrier").next().unwrap().head.len();

    for method in ["GET", "OPTIONS", "POST"] {
        for shape in [
            "end of stream",
            "trailers",
            "empty data",
            "one byte too few",
            "one too many",
        ] {
            let name = format!("{method}, {shape}");
            let lie = request(method, "/app/lie", &[("content-length", &head_bytes.to_string())]);
            let mut client = setup.connect().await;
            match shape {
                "end of stream" => {
                    client
                        .send(&frame(HEADERS, END_HEADERS | END_STREAM, 1, &lie))
                        .await;
                }
                "trailers" => {
                    let trailers = block(&[("x-t", "1")]);
                    client.send(&frame(HEADERS, END_HEADERS, 1, &lie)).await;
                    client
                        .send(&frame(HEADERS, END_HEADERS | END_STREAM, 1, &trailers))
                        .await;
                }
                _ => {
                    let body = vec![
                        b'z';
                        match shape {
                            "empty data" => 0,
                            "one byte too few" => head_bytes - 1,
                            _ => head_bytes + 1,
                        }
                    ];
                    client.send(&frame(HEADERS, END_HEADERS, 1, &lie)).await;
                    client.send(&frame(DATA, END_STREAM, 1, &body)).await;
                }
            }
            let response = client.response(1).await;
            // The upstream answers a GET before its body, perhaps before the lie is told; without a body it never is.
            let is_early = method == "GET" && shape != "end of stream" && response.status == 200;
            assert!(
                is_early || response.status == 400 || response.reset.is_some() || client.is_closed,
                "{name}: {response:?}"
            );
            drop(client);
            let before = setup.upstream.observed().count("/app/carrier");
            for _ in 0..3 {
                let mut other = setup.connect().await;
                other.send(&frame(HEADERS, END_HEADERS, 1, &carrier)).await;
                other.send(&frame(DATA, END_STREAM, 1, HIDDEN.as_bytes())).await;
                assert_eq!(other.response(1).await.status, 200, "{name}: another's request");
            }
            let seen = setup.upstream.observed();
            assert_eq!(seen.count("/secret/"), 0, "{name}: the hidden request ran");
            assert!(
                seen.requests
                    .iter()
                    .all(|request| request.header("x-auth-user-id").is_none()),
                "{name}: a forged user arrived"
            );
            assert_eq!(
                seen.count("/app/carrier"),
                before + 3,
                "{name}: another's request was swallowed"
            );
        }
    }
}

#[actix_web::test]
async fn a_reset_stream_ends_its_work() {
    let setup = Setup::start_with(|_, route| route.max_in_flight = Some(1)).await;
    let mut client = setup.connect().await;
    for (stream, path) in [(1, "/app/silent"), (3, "/app/events")] {
        client.get(stream, path).await;
        setup.upstream.until_whole(path).await;
        client.reset(stream).await;
        setup.upstream.until_abandoned(path, 1).await;
        assert_eq!(setup.status_when_free("/app/x").await, 200, "{path}");
    }
}

#[actix_web::test]
async fn a_connection_that_is_dropped_ends_its_streams_work() {
    let setup = Setup::start().await;
    let mut client = setup.connect().await;
    for stream in [1, 3, 5] {
        client.get(stream, "/app/silent").await;
    }
    setup
        .upstream
        .until("three requests", |seen| seen.count("silent") == 3)
        .await;
    drop(client);
    setup.upstream.until_abandoned("silent", 3).await;
}

#[actix_web::test]
async fn streams_that_are_reset_at_once_never_work_beyond_the_limit_of_streams() {
    let setup = Setup::start().await;
    let mut client = setup.connect().await;
    let mut bytes = Vec::new();
    for number in 0..600_u32 {
        let stream = 2 * number + 1;
        let head = request("GET", "/app/silent", &[]);
        bytes.extend(frame(HEADERS, END_HEADERS | END_STREAM, stream, &head));
        bytes.extend(frame(3, 0, stream, &8_u32.to_be_bytes()));
    }
    for piece in bytes.chunks(1000) {
        client.send(piece).await;
        tokio::task::yield_now().await;
    }
    // Either the flood ends the connection, or it goes on to serve what comes after it.
    client.get(1201, "/app/after").await;
    client
        .read_until(|client| client.of(1201).is_over() || client.goaway.is_some())
        .await;
    drop(client);
    let seen = setup
        .upstream
        .until("the end of all work", |seen| {
            seen.of("silent").all(|request| request.is_abandoned)
        })
        .await;
    assert!(seen.most_under_way <= 101, "{} at once", seen.most_under_way);
    assert_eq!(setup.status("/app/x").await, 200);
}

#[actix_web::test]
async fn a_silent_connection_is_closed_although_its_client_does_not_close() {
    let setup = Setup::start_with(|settings, _| {
        settings.keep_alive = Duration::from_millis(300);
        settings.header_timeout = Duration::from_millis(300);
    })
    .await;
    // One that asked for nothing, one that was answered, one in the middle of a frame, one in the middle of a head.
    let mut unused = setup.connect().await;
    let mut idle = setup.connect().await;
    idle.get(1, "/app/x").await;
    assert_eq!(idle.response(1).await.status, 200);
    let mut half_frame = setup.connect().await;
    half_frame.send(&frame(PING, 0, 0, b"12345678")[..12]).await;
    let mut half_head = setup.connect().await;
    let head = request("GET", "/app/x", &[]);
    half_head
        .send(&frame(HEADERS, END_STREAM, 1, &head[..head.len() / 2]))
        .await;
    for client in [&mut unused, &mut idle, &mut half_frame, &mut half_head] {
        client.answers_pings = false;
        client.until_closed().await;
    }
}

#[actix_web::test]
async fn a_stream_under_way_keeps_its_connection_open() {
    let setup = Setup::start_with(|settings, _| settings.keep_alive = Duration::from_millis(200)).await;
    let mut client = setup.connect().await;
    client.get(1, "/app/held").await;
    setup.upstream.until_whole("held").await;
    // Longer than the idle time.
    tokio::time::sleep(Duration::from_millis(600)).await;
    setup.upstream.release(1);
    assert_eq!(client.response(1).await.status, 200);
}

#[actix_web::test]
async fn empty_data_frames_without_end_are_not_kept() {
    let setup = Setup::start().await;
    let mut client = setup.connect().await;
    let head = request("POST", "/app/never-reads", &[]);
    client.send(&frame(HEADERS, END_HEADERS, 1, &head)).await;
    // As much as the gateway takes before somebody reads it, so that what follows is not drained.
    for _ in 0..16 {
        client.send(&frame(DATA, 0, 1, &[b'x'; 16_000])).await;
    }
    let empty: Vec<u8> = frame(DATA, 0, 1, b"").repeat(1000);
    let mut sent = 0;
    while sent < 300_000 && !client.is_closed {
        client.send(&empty).await;
        sent += 1000;
        // A GOAWAY is read between the sends; there need not be one.
        let waited = tokio::time::timeout(Duration::from_millis(1), client.read_until(|_| false)).await;
        drop(waited);
    }
    assert!(client.is_closed, "{sent} empty frames were taken");
    assert_eq!(setup.status("/app/x").await, 200);
}

#[actix_web::test]
async fn what_a_stream_may_not_say_is_refused() {
    let setup = Setup::start().await;
    for (name, method, path, fields) in [
        (
            "two lengths",
            "POST",
            "/app/bad",
            vec![("content-length", "1"), ("content-length", "1")],
        ),
        (
            "a length that is none",
            "POST",
            "/app/bad",
            vec![("content-length", "1x")],
        ),
        (
            "a coding",
            "POST",
            "/app/bad",
            vec![("transfer-encoding", "chunked")],
        ),
        (
            "a connection header",
            "GET",
            "/app/bad",
            vec![("connection", "x-a")],
        ),
        ("a line break", "GET", "/app/bad", vec![("x-a", "1\r\nx-b: 2")]),
        ("an upper-case name", "GET", "/app/bad", vec![("X-A", "1")]),
        ("a space in a name", "GET", "/app/bad", vec![("x a", "1")]),
        ("a space in the path", "GET", "/app/bad x", vec![]),
        (
            "a second host",
            "GET",
            "/app/bad",
            vec![("host", "other.example")],
        ),
        ("a space in the method", "GE T", "/app/bad", vec![]),
    ] {
        let mut client = setup.connect().await;
        let head = request(method, path, &fields);
        client
            .send(&frame(HEADERS, END_HEADERS | END_STREAM, 1, &head))
            .await;
        let response = client.response(1).await;
        assert!(
            response.status / 100 == 4 || response.reset.is_some() || client.is_closed,
            "{name}: {response:?}"
        );
    }
    assert_eq!(setup.upstream.observed().count("/app/bad"), 0);
}
