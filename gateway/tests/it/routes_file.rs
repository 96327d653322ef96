//! The routes file: read at the start, read again while requests are under way.

use std::path::PathBuf;

use gateway::{Running, Settings};
use serde_json::json;
use shared::env::Env;

use crate::support::{Answer, Client, Echo, ask, get, start_gateway};

fn write(folder: &tempfile::TempDir, text: &str) -> PathBuf {
    let path = folder.path().join("routes.toml");
    std::fs::write(&path, text).unwrap();
    path
}

fn route(prefix: &str, echo: &Echo, more: &str) -> String {
    format!(
        "[[route]]\nprefix = \"{prefix}\"\nupstreams = [\"http://{}\"]\n{more}\n",
        echo.address
    )
}

#[actix_web::test]
async fn a_reload_changes_the_routes_and_no_request_under_way() {
    let (folder, echo) = (tempfile::tempdir().unwrap(), Echo::start());
    let path = write(&folder, &route("/old/", &echo, "strip_prefix = true"));
    let gateway = start_gateway(echo.address, |settings| {
        settings.routes = gateway::routes::read_file(&path).unwrap();
        settings.routes_file = Some(path.clone());
    })
    .await;
    assert_eq!(get(&gateway, "/old/x?y", "").await.json()["target"], "/x?y");
    get(&gateway, "/new/", "").await.assert_error(404, "Not found.");
    let mut under_way = Client::connect(&gateway).await;
    under_way.send("GET /old/held HTTP/1.1\r\nHost: a\r\n\r\n").await;
    echo.arrived().await;

    write(&folder, &route("/new/", &echo, ""));
    gateway.reload();
    assert_eq!(get(&gateway, "/new/x", "").await.json()["target"], "/new/x");
    get(&gateway, "/old/x", "").await.assert_error(404, "Not found.");
    echo.release_all();
    assert_eq!(under_way.answer().await.unwrap().status, 200);
    under_way.send("GET /new/again HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!(
        under_way.answer().await.unwrap().status,
        200,
        "the same connection"
    );

    write(&folder, "[[route]]\nprefix = 1\n");
    gateway.reload();
    assert_eq!(
        get(&gateway, "/new/x", "").await.status,
        200,
        "a bad file changes nothing"
    );
}

#[actix_web::test]
async fn a_bad_file_is_told_with_file_line_and_reason() {
    let folder = tempfile::tempdir().unwrap();
    let path = write(&folder, "[[route]]\nprefix = \"/a/\"\nupstreams = [\"a:1\"]\n");
    let name = path.display().to_string();
    let env = Env::from_pairs([("GATEHOUSE_GATEWAY_ROUTES_FILE", name.as_str())]);
    Settings::from_env(&env);
    assert_eq!(
        env.finish(&["GATEHOUSE_GATEWAY_"]).unwrap_err().to_string(),
        format!(
            "GATEHOUSE_GATEWAY_ROUTES_FILE is wrong:\n{name}:3: \"a:1\" is not of the form http://host:port or https://host:port"
        )
    );
}

#[actix_web::test]
async fn a_class_of_routes_has_a_budget_for_each_client() {
    let (folder, echo) = (tempfile::tempdir().unwrap(), Echo::start());
    let class = "rate_class = \"slow\"";
    let text = format!(
        "[rate_class.slow]\nrequests_per_minute = 3\n{}{}",
        route("/a/", &echo, class),
        route("/b/", &echo, class)
    );
    let path = write(&folder, &text);
    let clock = shared::clock::Clock::fixed(0);
    let gateway = start_gateway(echo.address, |settings| {
        settings.routes = gateway::routes::read_file(&path).unwrap();
        settings.clock = clock.clone();
    })
    .await;
    for path in ["/a/", "/b/", "/a/"] {
        assert_eq!(get(&gateway, path, "").await.status, 200);
    }
    let answer = get(&gateway, "/b/", "").await;
    assert_eq!(
        (answer.status, answer.json()),
        (
            429,
            json!({"detail": "Request was throttled. Expected available in 60 seconds."})
        )
    );
    assert_eq!(answer.header("retry-after").unwrap(), "60");
    clock.advance(std::time::Duration::from_secs(60));
    assert_eq!(get(&gateway, "/b/", "").await.status, 200);
}

#[actix_web::test]
async fn the_body_limit_of_a_route_is_its_own() {
    let (folder, echo) = (tempfile::tempdir().unwrap(), Echo::start());
    let path = write(&folder, &route("/small/", &echo, "max_body_bytes = 10"));
    let gateway = start_gateway(echo.address, |settings| {
        settings.routes = gateway::routes::read_file(&path).unwrap();
    })
    .await;
    let answer = crate::support::ask(&gateway, crate::support::post("/small/", "0123456789x")).await;
    answer.assert_error(413, "The request body is too large.");
    let answer = crate::support::ask(&gateway, crate::support::post("/small/", "0123456789")).await;
    assert_eq!(answer.status, 200);
}

async fn start_with(echo: &Echo, text: &str) -> (tempfile::TempDir, Running) {
    let folder = tempfile::tempdir().unwrap();
    let path = write(&folder, text);
    let gateway = start_gateway(echo.address, |settings| {
        settings.routes = gateway::routes::read_file(&path).unwrap();
        settings.routes_file = Some(path.clone());
    })
    .await;
    (folder, gateway)
}

async fn get_at(gateway: &Running, host: &str, path: &str) -> Answer {
    ask(gateway, format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n")).await
}

#[actix_web::test]
async fn a_file_that_protects_one_place_in_two_ways_leaves_the_old_routes() {
    let echo = Echo::start();
    let (folder, gateway) = start_with(&echo, &route("/old/", &echo, "")).await;
    let admin = route("/admin/", &echo, "auth = \"required\"");
    write(&folder, &(admin.clone() + &route("/Admin/", &echo, "")));
    gateway.reload();
    assert_eq!(get(&gateway, "/old/", "").await.status, 200);
    get(&gateway, "/Admin/", "").await.assert_error(404, "Not found.");
    let on_purpose =
        admin.replace("\n\n", "\n") + "near_spellings = \"open\"\n" + &route("/Admin/", &echo, "");
    write(&folder, &on_purpose);
    gateway.reload();
    assert_eq!(get(&gateway, "/Admin/", "").await.status, 200);
    assert_eq!(get(&gateway, "/admin/", "").await.status, 401);
}

#[actix_web::test]
async fn a_route_of_a_host_is_for_that_host_and_may_keep_its_name() {
    let echo = Echo::start();
    let text = route("/x", &echo, "host = \"app.example.org\"\npreserve_host = true")
        + &route("/y", &echo, "host = \"*.example.org\"");
    let (_folder, gateway) = start_with(&echo, &text).await;
    let answer = get_at(&gateway, "App.Example.org:8443", "/x").await;
    assert_eq!(answer.seen("host").unwrap(), "App.Example.org:8443");
    assert_eq!(answer.seen("x-forwarded-host").unwrap(), "App.Example.org:8443");
    let answer = get_at(&gateway, "b.example.org", "/y").await;
    assert_eq!(answer.seen("host").unwrap(), echo.address.to_string());
    for (host, path) in [
        ("b.example.org", "/x"),
        ("example.org", "/y"),
        ("app.example.org.evil", "/x"),
    ] {
        get_at(&gateway, host, path).await.assert_error(404, "Not found.");
    }
    let answer = get_at(&gateway, "app.example.org", "/api/auth/login/").await;
    assert_eq!(
        answer.status, 200,
        "Gatehouse's own paths are the same at every host"
    );
}

#[actix_web::test]
async fn a_route_sets_and_removes_headers_both_ways() {
    let echo = Echo::start();
    let rules = "request_headers = { set = { X-Tenant = \"main\", X-New = \"1\" }, remove = [\"cookie\"] }\n\
                 response_headers = { set = { Cache-Control = \"no-store\", X-Frame-Options = \"DENY\" }, remove = [\"content-type\"] }";
    let (_folder, gateway) = start_with(&echo, &(route("/a", &echo, rules) + &route("/b", &echo, ""))).await;
    let lines = "Cookie: a=b\r\nX-Tenant: other\r\nx-tenant: third\r\nX-Kept: 1\r\n";
    let answer = get(&gateway, "/a", lines).await;
    assert_eq!(answer.seen("x-tenant").unwrap(), "main");
    assert_eq!(answer.seen("x-new").unwrap(), "1");
    assert_eq!(answer.seen("x-kept").unwrap(), "1");
    assert_eq!(answer.seen("cookie"), None);
    assert_eq!(answer.header("cache-control").unwrap(), "no-store");
    assert_eq!(answer.header("x-frame-options").unwrap(), "DENY");
    assert_eq!(answer.header("content-type"), None);
    let answer = get(&gateway, "/b", lines).await;
    assert_eq!(answer.seen("cookie").unwrap(), "a=b");
    assert_eq!(answer.header("content-type").unwrap(), "application/json");
}

#[actix_web::test]
async fn a_route_is_for_the_addresses_that_it_allows() {
    let echo = Echo::start();
    let text = route("/inside", &echo, "allow = [\"10.0.0.0/8\", \"::1\"]")
        + &route("/local", &echo, "allow = [\"127.0.0.0/8\"]")
        + &route("/outside", &echo, "deny = [\"127.0.0.1\"]");
    let (_folder, gateway) = start_with(&echo, &text).await;
    assert_eq!(get(&gateway, "/local", "").await.status, 200);
    for path in ["/inside", "/outside"] {
        let answer = get(&gateway, path, "X-Forwarded-For: 10.0.0.1\r\n").await;
        answer.assert_error(403, "You do not have permission to perform this action.");
    }
    get(&gateway, "/Local", "").await.assert_error(404, "Not found.");
    assert_eq!(echo.request_count(), 1);
}
