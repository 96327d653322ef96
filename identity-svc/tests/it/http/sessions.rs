use std::time::Duration;

use awc::http::Method;
use identity_svc::db::messages::FindRevoked;
use serde_json::{Value, json};

use crate::support::{Answer, Body, PASSWORD, START_MS, Setup, TestApp, legacy_token, on_both_databases};

on_both_databases!(
    an_owner_sees_the_sessions_that_live,
    a_use_is_noted_every_ten_minutes,
    a_use_that_cannot_be_noted_is_a_refresh_all_the_same,
    a_rotation_is_a_use,
    a_session_is_ended_as_by_a_logout,
    somebody_elses_session_is_an_unknown_one,
    the_others_end_and_the_asking_one_goes_on,
    a_token_of_a_former_site_has_no_session_and_sees_them_all,
    an_ended_session_ends_no_other,
);

const FIREFOX: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";
const ENDED: &str = "All other sessions have been ended.";

impl TestApp {
    async fn ask(&self, access: &str, method: Method, path: &str, headers: &[(&str, &str)]) -> Answer {
        let bearer = format!("Bearer {access}");
        let mut all = vec![("authorization", bearer.as_str())];
        all.extend_from_slice(headers);
        self.send(method, path, &all, Body::Nothing).await
    }

    async fn sessions(&self, access: &str) -> Vec<Value> {
        let answer = self.ask(access, Method::GET, "sessions/", &[]).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.body["sessions"].as_array().unwrap().clone()
    }

    async fn delete(&self, access: &str, id: &str) -> Answer {
        self.ask(access, Method::DELETE, &format!("sessions/{id}/"), &[])
            .await
    }

    /// The id of the session of a token.
    async fn id_of(&self, access: &str) -> String {
        let sessions = self.sessions(access).await;
        assert_eq!(sessions[0]["is_current"], true);
        sessions[0]["id"].as_str().unwrap().to_owned()
    }

    /// How many the gateways are told of.
    async fn told_count(&self) -> usize {
        let after = (0, String::new());
        let told = self.running.db.call(FindRevoked { after, limit: 100 });
        told.await.unwrap().len()
    }
}

async fn an_owner_sees_the_sessions_that_live(setup: Setup) {
    let app = setup.spawn().await;
    let first = app.register("ann").await.text("access");
    app.register("bob").await;
    app.advance(60);
    let login = json!({"username": "ann", "password": PASSWORD});
    let from = [
        ("user-agent", FIREFOX),
        ("x-gatehouse-client-address", "2001:db8:1:2:3::9"),
    ];
    let second = app
        .send(Method::POST, "login/", &from, Body::Json(login))
        .await
        .text("access");
    let id = app.id_of(&second).await;
    let answer = app
        .ask(&second, Method::GET, "sessions", &[("accept-language", "ru")])
        .await;
    assert_eq!(answer.header("allow"), "GET, HEAD, OPTIONS");
    assert_eq!(answer.header("cache-control"), "no-store");
    assert_eq!(answer.header("content-language"), "ru");
    assert_eq!(answer.header("vary"), "Accept, Accept-Language");
    let sessions = answer.body["sessions"].as_array().unwrap();
    assert_eq!(sessions.len(), 2, "{sessions:?}");
    let shown = json!({
        "id": id, "is_current": true, "device": "Firefox, Linux", "user_agent": FIREFOX,
        "ip_address": "2001:db8:1:2::/64", "created_at": "2027-01-15T08:01:00.000000Z",
        "last_used_at": "2027-01-15T08:01:00.000000Z", "expires_at": "2027-01-16T08:01:00.000000Z",
    });
    assert_eq!(sessions[0], shown);
    assert_eq!(sessions[1]["is_current"], false);
    assert_eq!(sessions[1]["device"], "Неизвестное устройство");
    assert_eq!(sessions[1]["ip_address"], "127.0.0.1");
    // The one that asks comes first, whichever was used last.
    let ids = async |access: &str| -> Vec<Value> {
        let sessions = app.sessions(access).await;
        sessions.iter().map(|session| session["id"].clone()).collect()
    };
    let mut turned = ids(&first).await;
    turned.reverse();
    assert_eq!(turned, ids(&second).await);
    let head = app.ask(&first, Method::HEAD, "sessions/", &[]).await;
    assert_eq!((head.status, &head.body), (200, &Value::Null));
    app.ask(&first, Method::POST, "sessions/", &[])
        .await
        .is(405, json!({"detail": "Method \"POST\" not allowed."}));
    app.ask(&first, Method::GET, "sessions/", &[("accept", "text/html")])
        .await
        .is(
            406,
            json!({"detail": "Could not satisfy the request Accept header."}),
        );
    assert_eq!(
        app.ask(&first, Method::OPTIONS, "sessions/", &[]).await.status,
        200
    );
    for (method, path) in [
        (Method::GET, "sessions/"),
        (Method::DELETE, "sessions/x/"),
        (Method::POST, "sessions/revoke-others/"),
    ] {
        let answer = app.send(method, path, &[], Body::Nothing).await;
        let detail = "Authentication credentials were not provided.";
        answer.is(401, json!({ "detail": detail }));
        assert_eq!(answer.header("www-authenticate"), "Bearer realm=\"api\"");
    }
    // The first expires a minute before the second.
    app.advance(86_400 - 60);
    let fresh = app.login("ann", PASSWORD).await.text("access");
    assert_eq!(app.sessions(&fresh).await.len(), 2);
}

async fn a_use_is_noted_every_ten_minutes(setup: Setup) {
    let app = setup.spawn().await;
    let registered = app.register("ann").await;
    let refresh = registered.text("refresh");
    let last_used = async || {
        let access = app.refresh(&refresh).await.text("access");
        app.sessions(&access).await[0]["last_used_at"].clone()
    };
    app.advance(599);
    assert_eq!(last_used().await, "2027-01-15T08:00:00.000000Z");
    app.advance(1);
    assert_eq!(last_used().await, "2027-01-15T08:10:00.000000Z");
    // As a release before wrote it.
    app.database.execute("UPDATE sessions SET last_used_at_ms = NULL");
    let access = app.login("ann", PASSWORD).await.text("access");
    let sessions = app.sessions(&access).await;
    assert_eq!(sessions[1]["last_used_at"], sessions[1]["created_at"]);
    assert_eq!(last_used().await, "2027-01-15T08:10:00.000000Z");
}

async fn a_use_that_cannot_be_noted_is_a_refresh_all_the_same(setup: Setup) {
    let forbid = match setup.database.text.starts_with("sqlite") {
        true => {
            "CREATE TRIGGER forbid BEFORE UPDATE OF last_used_at_ms ON sessions \
             BEGIN SELECT RAISE(ABORT, 'forbidden'); END"
        }
        false => "ALTER TABLE sessions ADD CONSTRAINT forbid CHECK (last_used_at_ms = created_at_ms)",
    };
    let app = setup.spawn().await;
    let refresh = app.register("ann").await.text("refresh");
    app.database.execute(forbid);
    app.advance(600);
    let answer = app.refresh(&refresh).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let sessions = app.sessions(&answer.text("access")).await;
    assert_eq!(sessions[0]["last_used_at"], sessions[0]["created_at"]);
}

async fn a_rotation_is_a_use(setup: Setup) {
    let app = setup.with_rotation(Duration::ZERO).spawn().await;
    let refresh = app.register("ann").await.text("refresh");
    app.advance(100);
    let access = app.refresh(&refresh).await.text("access");
    let session = app.sessions(&access).await[0].clone();
    assert_eq!(session["created_at"], "2027-01-15T08:00:00.000000Z");
    assert_eq!(session["last_used_at"], "2027-01-15T08:01:40.000000Z");
    assert_eq!(session["expires_at"], "2027-01-16T08:01:40.000000Z");
}

async fn a_session_is_ended_as_by_a_logout(setup: Setup) {
    let app = setup.spawn().await;
    let first = app.register("ann").await;
    let second = app.login("ann", PASSWORD).await;
    let (first_access, second_access) = (first.text("access"), second.text("access"));
    let id = app.id_of(&first_access).await;
    let answer = app.delete(&second_access, &id).await;
    assert_eq!((answer.status, &answer.body), (204, &Value::Null));
    assert_eq!(answer.header("allow"), "DELETE, OPTIONS");
    assert_eq!(answer.header("cache-control"), "no-store");
    app.refresh(&first.text("refresh"))
        .await
        .refuses_token("Token is blacklisted");
    app.verify(&first_access).await.refuses_token("Token is invalid");
    assert_eq!(app.told_count().await, 1);
    assert_eq!(app.sessions(&second_access).await.len(), 1);
    // Ended before.
    let gone = app.delete(&second_access, &id).await;
    gone.is(404, json!({"detail": "Not found."}));
    // The one that asks.
    let id = app.id_of(&second_access).await;
    let path = format!("sessions/{id}");
    let looked = app.ask(&second_access, Method::GET, &path, &[]).await;
    looked.is(405, json!({"detail": "Method \"GET\" not allowed."}));
    assert_eq!(app.delete(&second_access, &id).await.status, 204);
    assert_eq!(app.delete(&second_access, &id).await.status, 401);
    app.refresh(&second.text("refresh"))
        .await
        .refuses_token("Token is blacklisted");
    assert_eq!(app.told_count().await, 2);
}

async fn somebody_elses_session_is_an_unknown_one(setup: Setup) {
    let app = setup.spawn().await;
    let ann = app.register("ann").await.text("access");
    let bob = app.register("bob").await.text("access");
    let id = app.id_of(&ann).await;
    let unknown = "0".repeat(32);
    let (upper, long) = (id.to_uppercase(), format!("{id}0"));
    for id in [
        &id,
        &unknown,
        &upper,
        &long,
        "x",
        "%00",
        "0'%20OR%201=1--",
        "%D1%8F",
    ] {
        let answer = app.delete(&bob, id).await;
        answer.is(404, json!({"detail": "Not found."}));
    }
    let russian = [("accept-language", "ru")];
    let path = format!("sessions/{id}/");
    let answer = app.ask(&bob, Method::DELETE, &path, &russian).await;
    answer.is(404, json!({"detail": "Страница не найдена."}));
    assert_eq!(app.sessions(&ann).await.len(), 1);
    assert_eq!(app.told_count().await, 0);
}

async fn the_others_end_and_the_asking_one_goes_on(setup: Setup) {
    let app = setup.spawn().await;
    let first = app.register("ann").await;
    let bob = app.register("bob").await.text("access");
    let second = app.login("ann", PASSWORD).await;
    let third = app.login("ann", PASSWORD).await;
    let access = second.text("access");
    let answer = app.post_as(&access, "sessions/revoke-others/", json!({})).await;
    answer.is(200, json!({ "detail": ENDED }));
    assert_eq!(answer.header("allow"), "POST, OPTIONS");
    for ended in [&first, &third] {
        app.refresh(&ended.text("refresh"))
            .await
            .refuses_token("Token is blacklisted");
    }
    assert_eq!(app.refresh(&second.text("refresh")).await.status, 200);
    assert_eq!(app.told_count().await, 2);
    assert_eq!(app.sessions(&bob).await.len(), 1, "nobody else's");
    // Nothing left to end.
    let again = app
        .ask(
            &access,
            Method::POST,
            "sessions/revoke-others",
            &[("accept-language", "ru")],
        )
        .await;
    again.is(200, json!({"detail": "Все остальные сеансы завершены."}));
    let path = "sessions/revoke-others/";
    let answer = app.ask(&access, Method::DELETE, path, &[]).await;
    answer.is(405, json!({"detail": "Method \"DELETE\" not allowed."}));
    let answer = app.post_as(&access, path, json!([])).await;
    answer.refuses(
        "non_field_errors",
        &["Invalid data. Expected a dictionary, but got list."],
    );
    assert_eq!(app.told_count().await, 2);
}

async fn a_token_of_a_former_site_has_no_session_and_sees_them_all(setup: Setup) {
    let secret = "a-former-django-sites-signing-key";
    let setup = setup
        .with("LEGACY_JWT_SECRET", secret)
        .with("LEGACY_JWT_UNTIL", "2027-12-31");
    let app = setup.spawn().await;
    app.register("ann").await;
    let access = legacy_token(secret, "access", "0f", &json!(1));
    let sessions = app.sessions(&access).await;
    assert_eq!(sessions.len(), 1);
    assert_eq!(sessions[0]["is_current"], false);
    let answer = app.post_as(&access, "sessions/revoke-others/", json!({})).await;
    answer.is(200, json!({ "detail": ENDED }));
    assert!(app.sessions(&access).await.is_empty());
}

async fn an_ended_session_ends_no_other(setup: Setup) {
    let app = setup.spawn().await;
    let first = app.register("ann").await.text("access");
    let second = app.login("ann", PASSWORD).await.text("access");
    let (first_id, second_id) = (app.id_of(&first).await, app.id_of(&second).await);
    assert_eq!(app.delete(&second, &first_id).await.status, 204);
    for answer in [
        app.delete(&first, &second_id).await,
        app.post_as(&first, "sessions/revoke-others/", json!({})).await,
        app.ask(&first, Method::GET, "sessions/", &[]).await,
    ] {
        assert_eq!(answer.status, 401, "{answer:?}");
        assert_eq!(answer.body["messages"][0]["message"], "Token is invalid");
    }
    assert_eq!(app.sessions(&second).await.len(), 1);
    let feed = FindRevoked {
        after: (START_MS - 1, String::new()),
        limit: 10,
    };
    assert_eq!(
        app.running.db.call(feed).await.unwrap(),
        [(first_id, START_MS)],
        "gateways are told of it"
    );
}
