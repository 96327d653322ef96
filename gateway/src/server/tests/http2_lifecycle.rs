//! HTTP/2: the lives of client, request and response are tied together, and none of them lasts too long.

use std::time::Duration;

use bytes::Bytes;

use super::frames::{
    DATA, END_HEADERS, END_STREAM, ENHANCE_YOUR_CALM, Frame, GOAWAY, HEADERS, PING, RST_STREAM,
    WINDOW_UPDATE, connect, frame, get, greeted, post, request, reset, setting,
};
use super::support::{Client, Endless, Server, Setup, Work, forever, ok, read, serve, soon, streamed};
use crate::server::connection::Deadlines;
use crate::server::pace::Pace;

const SHORT: Duration = Duration::from_millis(200);
const LONG: Duration = Duration::from_secs(20);
const INITIAL_WINDOW: u16 = 4;

fn http2(change: impl FnOnce(&mut Deadlines)) -> Setup {
    let mut setup = Setup {
        is_http2: true,
        ..Setup::default()
    };
    change(&mut setup.deadlines);
    setup
}

/// What never comes to an end.
#[derive(Clone)]
enum Endlessly {
    MakesResponse,
    /// Which consists of this, again and again, or of nothing at all.
    MakesBody(Option<Bytes>),
}

/// Serves with work that ends only when it is dropped.
fn endless(setup: Setup, endless: Endlessly) -> (Server, Work) {
    let work = Work::default();
    let app = work.clone();
    let server = serve(setup, move |_| {
        let (working, endless) = (app.begin(), endless.clone());
        async move {
            match endless {
                Endlessly::MakesResponse => forever(working).await,
                Endlessly::MakesBody(piece) => streamed(Endless {
                    piece,
                    _working: working,
                }),
            }
        }
    });
    (server, work)
}

#[actix_web::test]
async fn the_work_ends_when_its_client_is_gone() {
    for what in [Endlessly::MakesResponse, Endlessly::MakesBody(None)] {
        let (server, work) = endless(http2(|_| {}), what);
        for ask in [get(1), post(1, &[]), post(1, &[("content-length", "3000")])] {
            let begun = work.begun();
            let mut client = connect(&server, &[]).await;
            client.send(&ask).await;
            work.until(|work| work.begun() > begun).await;
            client.send(reset(1)).await;
            work.until(|work| work.now() == 0).await;
            for resets in [false, true] {
                let begun = work.begun();
                let mut client = connect(&server, &[]).await;
                client.send(&ask).await;
                work.until(|work| work.begun() > begun).await;
                client.leave(resets);
                work.until(|work| work.now() == 0).await;
            }
        }
    }
}

#[actix_web::test]
async fn resets_in_one_write_do_not_pass_the_limit_of_streams() {
    let (server, work) = endless(http2(|_| {}), Endlessly::MakesResponse);
    let mut client = connect(&server, &[]).await;
    let pairs = (0..400).map(|n| [get(2 * n + 1), reset(2 * n + 1)].concat());
    client.send(pairs.collect::<Vec<_>>().concat()).await;
    let frames = client.frames().await;
    let goodbye = frames.iter().find(|frame| frame.kind == GOAWAY).unwrap();
    assert_eq!(goodbye.error(), ENHANCE_YOUR_CALM);
    assert!(work.most() <= 100, "{}", work.most());
    work.until(|work| work.now() == 0).await;
}

#[actix_web::test]
async fn resets_after_the_work_has_begun_are_counted() {
    let (server, work) = endless(http2(|_| {}), Endlessly::MakesResponse);
    let mut client = connect(&server, &[]).await;
    let mut resets = 0;
    for stream in (1..).step_by(2).take(300) {
        let begun = work.begun();
        if !client.try_send(&get(stream)).await {
            break;
        }
        let is_over = soon(async {
            tokio::select! {
                biased;
                () = work.until(|work| work.begun() > begun) => false,
                _ = client.frame_that(|frame| frame.kind == GOAWAY) => true,
            }
        });
        if is_over.await {
            break;
        }
        client.send(reset(stream)).await;
        work.until(|work| work.now() == 0).await;
        resets += 1;
    }
    assert!((100..300).contains(&resets), "{resets}");
    assert_eq!(work.most(), 1);
}

#[actix_web::test]
async fn more_streams_than_allowed_are_refused() {
    let (server, work) = endless(http2(|_| {}), Endlessly::MakesResponse);
    let mut client = connect(&server, &[]).await;
    client
        .send((0..150).map(|n| get(2 * n + 1)).collect::<Vec<_>>().concat())
        .await;
    for _ in 0..50 {
        client.frame_that(|frame| frame.kind == RST_STREAM).await;
    }
    work.until(|work| work.now() == 100).await;
    assert_eq!(work.most(), 100);
}

#[actix_web::test]
async fn a_silent_connection_ends_whatever_its_client_ignores() {
    let half = frame(HEADERS, END_HEADERS | END_STREAM, 1, &request("GET", &[]));
    for (name, bytes) in [
        ("nothing", Vec::new()),
        ("half a frame's head", half[..5].to_vec()),
        ("half a frame", half[..15].to_vec()),
        (
            "a head without its end",
            frame(HEADERS, END_STREAM, 1, &request("GET", &[])),
        ),
        ("an answered request", get(1)),
    ] {
        let deadlines = |deadlines: &mut Deadlines| {
            deadlines.keep_alive = SHORT;
            deadlines.goodbye = SHORT;
        };
        let server = serve(http2(deadlines), |_| async { ok("") });
        let mut client = connect(&server, &[]).await;
        client.send(&bytes).await;
        let frames = client.frames().await;
        assert!(frames.iter().any(|frame| frame.kind == GOAWAY), "{name}");
    }
}

#[actix_web::test]
async fn pings_do_not_keep_a_connection() {
    let deadlines = |deadlines: &mut Deadlines| {
        deadlines.keep_alive = SHORT;
        deadlines.goodbye = SHORT;
    };
    let server = serve(http2(deadlines), |_| async { ok("") });
    let mut client = connect(&server, &[]).await;
    assert!(client.drip(&frame(PING, 0, 0, b"12345678"), SHORT / 10).await);
}

#[actix_web::test]
async fn without_a_preface_a_connection_ends() {
    let server = serve(http2(|deadlines| deadlines.header = SHORT), |_| async { ok("") });
    for bytes in ["", "PRI * HTTP"] {
        let mut client = Client::connect(&server).await;
        client.send(bytes).await;
        client.rest().await.1.unwrap();
    }
}

/// RUSTSEC-2026-0258.
#[actix_web::test]
async fn empty_data_without_end_is_cut() {
    let server = serve(http2(|_| {}), |mut request| async move {
        read(request.take_payload()).await.ok();
        ok("")
    });
    let mut client = connect(&server, &[]).await;
    client.send(post(1, &[])).await;
    let many = frame(DATA, 0, 1, b"").repeat(1000);
    assert!(client.drip(&many, Duration::ZERO).await);
}

#[actix_web::test]
async fn who_opens_no_window_gives_up_its_place() {
    let pace = |deadlines: &mut Deadlines| deadlines.pace.stall = SHORT;
    let (server, work) = endless(http2(pace), Endlessly::MakesBody(Some(Bytes::from("some"))));
    let mut client = connect(&server, &setting(INITIAL_WINDOW, 0)).await;
    client.send(get(1)).await;
    client
        .frame_that(|frame| frame.kind == RST_STREAM && frame.stream == 1)
        .await;
    work.until(|work| work.begun() == 1 && work.now() == 0).await;
}

#[actix_web::test]
async fn who_opens_next_to_no_window_gives_up_its_place() {
    let pace = Pace {
        stall: LONG,
        bytes_per_second: 1 << 50,
        window: SHORT,
    };
    let (server, work) = endless(
        http2(|deadlines| deadlines.pace = pace),
        Endlessly::MakesBody(Some(Bytes::from("some"))),
    );
    let mut client = connect(&server, &setting(INITIAL_WINDOW, 0)).await;
    client.send(get(1)).await;
    work.until(|work| work.begun() == 1).await;
    let room = frame(WINDOW_UPDATE, 0, 1, &1_u32.to_be_bytes());
    let drip = client.drip(&room, SHORT / 20);
    tokio::select! {
        _ = drip => {}
        () = work.until(|work| work.now() == 0) => {}
    }
    work.until(|work| work.now() == 0).await;
}

#[actix_web::test]
async fn who_opens_the_window_and_reads_nothing_gives_up_its_place() {
    let pace = |deadlines: &mut Deadlines| deadlines.pace.stall = SHORT;
    let (server, work) = endless(
        http2(pace),
        Endlessly::MakesBody(Some(Bytes::from(vec![0; 16384]))),
    );
    let narrow = Client::narrow(&server).await;
    let mut client = greeted(narrow, &setting(INITIAL_WINDOW, (1 << 31) - 1)).await;
    client
        .send(frame(WINDOW_UPDATE, 0, 0, &((1_u32 << 31) - 65536).to_be_bytes()))
        .await;
    client.send([get(1), get(3), get(5)].concat()).await;
    work.until(|work| work.begun() == 3 && work.now() == 0).await;
}

#[actix_web::test]
async fn a_stalled_stream_holds_no_other_one() {
    let server = serve(http2(|_| {}), |_| async { ok("some") });
    let mut client = connect(&server, &setting(INITIAL_WINDOW, 0)).await;
    client.send([get(1), get(3)].concat()).await;
    client
        .send(frame(WINDOW_UPDATE, 0, 3, &100_u32.to_be_bytes()))
        .await;
    let data = client.frame_that(|frame| frame.kind == DATA).await;
    assert_eq!(
        (data.stream, data.flags, data.payload.as_slice()),
        (3, END_STREAM, &b"some"[..])
    );
}

#[actix_web::test]
async fn a_stop_lets_streams_finish_and_closes_idle_connections() {
    let work = Work::default();
    let app = work.clone();
    let server = serve(
        http2(|deadlines| deadlines.goodbye = SHORT),
        move |mut request| {
            let working = app.begin();
            async move {
                let body = read(request.take_payload()).await.unwrap();
                drop(working);
                ok(body)
            }
        },
    );
    let mut idle = connect(&server, &[]).await;
    idle.send(get(1)).await;
    idle.frame_that(|frame| frame.kind == HEADERS).await;
    let mut busy = connect(&server, &[]).await;
    busy.send([post(1, &[]), frame(DATA, 0, 1, b"ab")].concat()).await;
    work.until(|work| work.begun() == 2).await;
    server.shutdown.trigger();
    let is_goodbye = |frame: &Frame| frame.kind == GOAWAY && frame.error() == 0;
    assert!(idle.frames().await.iter().any(is_goodbye));
    // It takes longer than the goodbye, and ends all the same.
    tokio::time::sleep(2 * SHORT).await;
    busy.send(frame(DATA, END_STREAM, 1, b"c")).await;
    let frames = busy.frames().await;
    assert!(frames.iter().any(is_goodbye));
    let data: Vec<u8> = frames
        .iter()
        .filter(|frame| frame.kind == DATA)
        .flat_map(|frame| frame.payload.clone())
        .collect();
    assert_eq!(data, b"abc");
}
