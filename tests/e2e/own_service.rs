//! A user's own service behind the gateway, with a real identity-svc: how late an ended session is noticed.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::http;
use crate::server::{Folder, NEW_PASSWORD, PASSWORD, Server};

/// The interval between two looks at the list of ended sessions is one second; the rest is for a busy machine.
const LATEST: Duration = Duration::from_secs(3);

/// Answers every request with 200, until the test's process ends.
fn own_service() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            // A health probe connects and says nothing.
            if stream.read(&mut [0; 4096]).is_ok_and(|length| length > 0) {
                let answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok";
                stream.write_all(answer.as_bytes()).unwrap();
            }
        }
    });
    address
}

fn start() -> Server {
    let data = Folder::new();
    let routes = data.path().join("routes.toml");
    let text = format!(
        "[[route]]\nprefix = \"/own/\"\nupstreams = [\"http://{}\"]\nauth = \"required\"\n",
        own_service()
    );
    std::fs::write(&routes, text).unwrap();
    let routes = routes.to_str().unwrap().to_owned();
    Server::start_with(data, &[("GATEHOUSE_GATEWAY_ROUTES_FILE", &routes)])
}

fn ask(server: &Server, access: &str) -> u16 {
    let bearer = format!("Bearer {access}");
    http::send(server.address, "GET", "/own/", &[("Authorization", &bearer)], "").status
}

/// How long the gateway still lets an access token through.
fn lag(server: &Server, access: &str) -> Duration {
    let begun = Instant::now();
    while ask(server, access) == 200 {
        assert!(begun.elapsed() < Duration::from_secs(30), "it is never refused");
        thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(ask(server, access), 401);
    begun.elapsed()
}

fn log_in(server: &Server) -> String {
    let login = server.login("ann", PASSWORD).json();
    login["access"].as_str().unwrap().to_owned()
}

#[test]
fn a_logout_and_a_change_of_password_reach_the_gateway_within_about_a_second() {
    let server = start();
    assert_eq!(server.register("ann").status, 201);
    let (first, second, third) = (log_in(&server), log_in(&server), log_in(&server));
    for access in [&first, &second, &third] {
        assert_eq!(ask(&server, access), 200);
    }

    let bearer = format!("Bearer {first}");
    let out = server.post_with("logout/", &json!({}), &[("Authorization", &bearer)]);
    assert_eq!(out.status, 200, "{}", out.body);
    let after_logout = lag(&server, &first);

    let bearer = format!("Bearer {second}");
    let change =
        json!({"old_password": PASSWORD, "new_password1": NEW_PASSWORD, "new_password2": NEW_PASSWORD});
    let changed = server.post_with("password/change/", &change, &[("Authorization", &bearer)]);
    assert_eq!(changed.status, 200, "{}", changed.body);
    let after_change = lag(&server, &third);
    assert_eq!(
        ask(&server, &second),
        200,
        "the session that made the change goes on"
    );

    println!("lag of a logout {after_logout:?}, of a change of password {after_change:?}");
    assert!(
        after_logout < LATEST && after_change < LATEST,
        "{after_logout:?} {after_change:?}"
    );
}
