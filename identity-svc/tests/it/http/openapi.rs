//! The OpenAPI document and the server, held against each other: no route without its operation, no answer that the
//! document does not describe.

use std::collections::BTreeSet;

use awc::http::Method;
use serde_json::{Value, json};
use shared::headers;

use crate::support::{Answer, Body, Document, PASSWORD, Setup, TestApp, on_both_databases};

on_both_databases!(
    what_is_documented_is_what_the_server_does,
    refusals_are_documented,
    the_document_follows_the_settings,
    language_and_format_are_the_clients_choice,
    without_documents_both_addresses_are_unknown,
);

/// Calls as a client would, and asserts that the document describes what comes back.
struct Client<'a> {
    app: &'a TestApp,
    document: Document,
    access: String,
}

impl Client<'_> {
    async fn call(&mut self, method: &str, path: &str, body: Body, headers: &[(&str, &str)]) -> Answer {
        let bearer = format!("Bearer {}", self.access);
        let mut sent = headers.to_vec();
        if !self.access.is_empty() {
            sent.push(("authorization", &bearer));
        }
        let real = path.replace("{id}", "00000000000000000000000000000000");
        let answer = self.app.send(method.parse().unwrap(), &real, &sent, body).await;
        self.document.describes(method, path, &answer);
        answer
    }

    async fn post(&mut self, path: &str, body: Value) -> Answer {
        self.call("POST", &format!("/api/auth/{path}"), Body::Json(body), &[])
            .await
    }
}

async fn client(app: &TestApp) -> Client<'_> {
    Client {
        app,
        document: Document::of(app).await,
        access: String::new(),
    }
}

/// Every operation succeeds once, and some fail.
async fn what_is_documented_is_what_the_server_does(setup: Setup) {
    let app = setup.with_rotation(std::time::Duration::ZERO).spawn().await;
    let mut client = client(&app).await;
    let account =
        json!({"username": "ann", "email": "ann@example.org", "password1": PASSWORD, "password2": PASSWORD});
    client.post("registration/", account.clone()).await;
    assert_eq!(client.post("registration/", account).await.status, 400);
    let key = app.verification_key("ann@example.org").await;
    client
        .post("registration/resend-email/", json!({"email": "ann@example.org"}))
        .await;
    client
        .post("registration/verify-email/", json!({ "key": key }))
        .await;
    let twice = client
        .post("registration/verify-email/", json!({ "key": key }))
        .await;
    assert_eq!(twice.status, 404);
    let wrong = client
        .post("login/", json!({"username": "ann", "password": "no"}))
        .await;
    assert_eq!(wrong.status, 400);
    let credentials = json!({"username": "ann", "password": PASSWORD});
    let other = client.post("login/", credentials.clone()).await;
    let login = client.post("login/", credentials).await;
    client
        .post("token/verify/", json!({"token": login.text("access")}))
        .await;
    let refresh = json!({"refresh": login.text("refresh")});
    let refreshed = client.post("token/refresh/", refresh.clone()).await;
    client.access = refreshed.text("access");

    let user = "/api/auth/user/";
    client.call("GET", user, Body::Nothing, &[]).await;
    client
        .call("PUT", user, Body::Json(json!({"username": "ann2"})), &[])
        .await;
    client
        .call("PATCH", user, Body::Json(json!({"first_name": "Ann"})), &[])
        .await;
    let list = client
        .call("GET", "/api/auth/sessions/", Body::Nothing, &[])
        .await;
    assert_eq!(list.body["sessions"][0]["is_current"], true);
    let ended = format!(
        "/api/auth/sessions/{}/",
        list.body["sessions"][1]["id"].as_str().unwrap()
    );
    let bearer = format!("Bearer {}", client.access);
    let answer = app
        .send(
            Method::DELETE,
            &ended,
            &[("authorization", &bearer)],
            Body::Nothing,
        )
        .await;
    assert_eq!(answer.status, 204);
    client
        .document
        .describes("DELETE", "/api/auth/sessions/{id}/", &answer);
    client.post("sessions/revoke-others/", json!({})).await;

    let logged_out = client
        .post("token/verify/", json!({"token": other.text("refresh")}))
        .await;
    assert_eq!(logged_out.status, 400);
    let change =
        json!({"old_password": PASSWORD, "new_password1": "Basalt-Kite-7", "new_password2": "Basalt-Kite-7"});
    client.post("password/change/", change).await;
    client.post("logout/", json!({})).await;
    assert_eq!(client.post("token/refresh/", refresh).await.status, 401);
    client.access.clear();
    assert_eq!(client.post("logout/", json!({})).await.status, 401);
    client
        .post("password/reset/", json!({"email": "ann@example.org"}))
        .await;
    let (uid, token) = app.reset_link("ann@example.org").await;
    let confirm = json!({"uid": uid, "token": token, "new_password1": "Quartz-Lamp-8", "new_password2": "Quartz-Lamp-8"});
    client.post("password/reset/confirm/", confirm.clone()).await;
    assert_eq!(client.post("password/reset/confirm/", confirm).await.status, 400);

    let documented = client.document.operations().into_iter();
    let documented: BTreeSet<String> = documented
        .map(|(method, path)| format!("{method} {path}"))
        .collect();
    assert_eq!(client.document.seen, documented, "every operation succeeded once");
    assert_eq!(
        documented_paths(&client.document),
        routes(),
        "every route is documented"
    );
}

fn documented_paths(document: &Document) -> BTreeSet<String> {
    document.operations().into_iter().map(|(_, path)| path).collect()
}

/// The paths of the routes, from the place where they are made.
fn routes() -> BTreeSet<String> {
    let source = include_str!("../../../src/http/mod.rs");
    let calls = source.split("add(").skip(1);
    let paths = calls.filter_map(|call| call.trim_start().strip_prefix("\"/")?.split('"').next());
    paths.map(|path| format!("/api/auth/{path}/")).collect()
}

async fn refusals_are_documented(setup: Setup) {
    let app = setup.spawn().await;
    let access = app.register("ann").await.text("access");
    let mut client = client(&app).await;
    for (method, path) in client.document.operations() {
        let is_private = client.document.is_private(&method, &path);
        if is_private {
            client.access.clear();
            let nobody = client.call(&method, &path, Body::Nothing, &[]).await;
            assert_eq!(nobody.status, 401, "{method} {path}");
            client.access.clone_from(&access);
        }
        let html = client
            .call(&method, &path, Body::Nothing, &[("accept", "text/html")])
            .await;
        assert_eq!(html.status, 406, "{method} {path}");
        let bearer = format!("Bearer {access}");
        let unknown = app
            .send(
                "QUERY".parse().unwrap(),
                &path,
                &[("authorization", &bearer)],
                Body::Nothing,
            )
            .await;
        assert_eq!(unknown.status, 405, "{method} {path}");
        client.document.describes(&method, &path, &unknown);
        assert!(unknown.header("allow").contains(&method), "{method} {path}");
        let throttled = client
            .call(
                &method,
                &path,
                Body::Raw("application/json", b"{".to_vec()),
                &[(headers::THROTTLE_WAIT, "7")],
            )
            .await;
        let operation = client.document.operation(&method, &path);
        assert_eq!(
            throttled.status == 429,
            operation["responses"].get("429").is_some(),
            "{method} {path}"
        );
        if operation["responses"].get("415").is_some() {
            let text = Body::Raw("text/plain", b"x".to_vec());
            assert_eq!(client.call(&method, &path, text, &[]).await.status, 415);
            let broken = Body::Raw("application/json", b"{".to_vec());
            assert_eq!(client.call(&method, &path, broken, &[]).await.status, 400);
            for odd in [
                json!([]),
                json!({"username": null, "email": [], "password1": {}, "key": 1.5}),
            ] {
                client.call(&method, &path, Body::Json(odd), &[]).await;
            }
            let large = Body::Raw("application/json", vec![b' '; 2_700_000]);
            assert_eq!(client.call(&method, &path, large, &[]).await.status, 413);
        }
        // What the document shows as an example has the form of a request.
        let operation = client.document.operation(&method, &path);
        let example = &operation["requestBody"]["content"]["application/json"]["example"];
        if example.is_object() {
            let answer = client
                .call(&method, &path, Body::Json(example.clone()), &[])
                .await;
            let said = answer.body.to_string();
            assert!(
                !said.contains("required") && !said.contains("Enter a valid"),
                "{answer:?}"
            );
        }
    }
}

async fn the_document_follows_the_settings(setup: Setup) {
    let app = setup.mandatory().spawn().await;
    let mut client = client(&app).await;
    let account =
        json!({"username": "ann", "email": "ann@example.org", "password1": PASSWORD, "password2": PASSWORD});
    let answer = client.post("registration/", account).await;
    answer.is(201, json!({"detail": "Verification e-mail sent."}));
    let key = app.verification_key("ann@example.org").await;
    client
        .post("registration/verify-email/", json!({ "key": key }))
        .await;
    let login = client
        .post("login/", json!({"username": "ann", "password": PASSWORD}))
        .await;
    // Without rotation there is no new refresh token.
    let refresh = json!({"refresh": login.text("refresh")});
    let refreshed = client.post("token/refresh/", refresh).await;
    assert!(refreshed.body.get("refresh").is_none());
}

async fn language_and_format_are_the_clients_choice(setup: Setup) {
    let app = setup.spawn().await;
    let get = async |path: &str, headers: &[(&str, &str)]| {
        app.send(Method::GET, path, headers, Body::Nothing).await
    };
    let summary = |answer: &Answer| answer.body["paths"]["/api/auth/logout/"]["post"]["summary"].clone();
    let russian = get("/api/schema/", &[("accept-language", "ru")]).await;
    assert_eq!(
        (summary(&russian), russian.header("content-language")),
        (json!("Выход"), "ru")
    );
    assert_eq!(summary(&get("/api/schema?lang=ru", &[]).await), json!("Выход"));
    assert_eq!(summary(&get("/api/schema/", &[]).await), json!("Log out"));
    for (path, accept) in [
        ("/api/schema/?format=yaml", "*/*"),
        ("/api/schema/", "application/yaml"),
    ] {
        let yaml = get(path, &[("accept", accept)]).await;
        assert_eq!(yaml.header("content-type"), "application/yaml");
        assert!(
            yaml.raw
                .starts_with("openapi: \"3.0.3\"\ninfo:\n  title: \"Gatehouse API\"\n")
        );
    }
    assert_eq!(get("/api/schema/", &[("accept", "image/png")]).await.status, 406);
    let posted = app.send(Method::POST, "/api/schema/", &[], Body::Nothing).await;
    assert_eq!((posted.status, posted.header("allow")), (405, "GET, HEAD"));

    let page = get("/api/docs/?lang=ru", &[]).await;
    assert_eq!(page.status, 200);
    let policy = page.header("content-security-policy");
    assert!(policy.starts_with("default-src 'none'; ") && policy.contains("connect-src 'self'"));
    for (method, path) in Document::of(&app).await.operations() {
        assert!(
            page.raw.contains(&format!("<code>{method} {path}</code>")),
            "{method} {path}"
        );
    }
    assert!(page.raw.contains("Авторизация пользователя") && !page.raw.contains("src=\"http"));
}

async fn without_documents_both_addresses_are_unknown(setup: Setup) {
    let app = setup.with("API_DOCS", "off").spawn().await;
    for path in ["/api/schema/", "/api/docs/"] {
        let answer = app.send(Method::GET, path, &[], Body::Nothing).await;
        answer.is(404, json!({"detail": "Not found."}));
    }
}
