//! The whole life of an account, and what must not be left behind by it.

use serde_json::{Value, json};

use crate::server::{Folder, NEW_PASSWORD, PASSWORD, Server, last_segment};

fn text<'a>(body: &'a Value, field: &str) -> &'a str {
    body[field]
        .as_str()
        .unwrap_or_else(|| panic!("no {field} in {body}"))
}

/// Everything once; returns what must stay secret.
fn live(server: &Server) -> Vec<String> {
    let created = server.register("ann");
    assert_eq!(created.status, 201, "{}", created.body);
    let verify_link = server.link_in_mail("ann@mail.test", 1);
    let key = last_segment(&verify_link).to_owned();
    assert_eq!(
        server
            .post("registration/verify-email/", &json!({ "key": key }))
            .json(),
        json!({ "detail": "ok" })
    );
    assert_eq!(
        server
            .post("registration/verify-email/", &json!({ "key": key }))
            .status,
        404
    );

    let login = server.login("ANN@mail.test", PASSWORD).json();
    let (access, refresh) = (
        text(&login, "access").to_owned(),
        text(&login, "refresh").to_owned(),
    );
    assert_eq!(login["user"]["username"], "ann");
    assert_eq!(
        server.post("token/verify/", &json!({ "token": access })).json(),
        json!({})
    );
    let renewed = server
        .post("token/refresh/", &json!({ "refresh": refresh }))
        .json();

    let bearer = format!("Bearer {}", text(&renewed, "access"));
    let change =
        json!({ "old_password": PASSWORD, "new_password1": NEW_PASSWORD, "new_password2": NEW_PASSWORD });
    let headers = [("Authorization", bearer.as_str()), ("Accept-Language", "ru")];
    let changed = server.post_with("password/change/", &change, &headers);
    assert_eq!(changed.json(), json!({ "detail": "Новый пароль сохранён." }));

    let notice = server.link_in_mail("ann@mail.test", 2);
    assert_eq!(
        notice, "/account/password/reset",
        "where to go if it was somebody else"
    );
    assert_eq!(server.get(&notice).status, 200);

    assert_eq!(server.post("logout/", &json!({ "refresh": refresh })).status, 200);
    let dead = server.post("token/refresh/", &json!({ "refresh": refresh }));
    assert_eq!(
        (dead.status, text(&dead.json(), "detail")),
        (401, "Token is blacklisted")
    );

    let asked = server.post_with(
        "password/reset/",
        &json!({ "email": "ann@mail.test" }),
        &[("Accept-Language", "ru")],
    );
    assert_eq!(asked.status, 200);
    let reset_link = server.link_in_mail("ann@mail.test", 3);
    let token = last_segment(&reset_link).to_owned();
    let uid = last_segment(reset_link.strip_suffix(&format!("/{token}")).unwrap()).to_owned();
    let reset = json!({ "uid": uid, "token": token, "new_password1": PASSWORD, "new_password2": PASSWORD });
    let done = server.post("password/reset/confirm/", &reset);
    assert_eq!(done.status, 200, "{}", done.body);
    assert_eq!(server.login("ann", NEW_PASSWORD).status, 400);
    assert_eq!(server.login("ann", PASSWORD).status, 200);

    vec![
        key,
        token,
        access,
        refresh,
        PASSWORD.to_owned(),
        NEW_PASSWORD.to_owned(),
        "ann@mail.test".to_owned(),
    ]
}

#[test]
fn an_account_lives_from_registration_to_reset_and_no_secret_is_logged() {
    let told = [("GATEHOUSE_IDENTITY_PASSWORD_CHANGED_MAIL", "on")];
    let server = Server::start_with(Folder::new(), &told);
    let secrets = live(&server);
    let log = server.log();
    assert!(log.contains("/api/auth/login/"), "the log was looked at");
    for secret in secrets {
        assert!(!log.contains(&secret), "the log holds {secret}");
    }
}

#[test]
fn what_was_answered_survives_a_kill() {
    let server = Server::start();
    let before = server.register("bob").json();
    let (_, data) = server.stop("KILL");
    let server = Server::start_with(data, &[]);
    assert_eq!(server.login("bob", PASSWORD).status, 200);
    let token = text(&before, "access");
    assert_eq!(
        server.post("token/verify/", &json!({ "token": token })).status,
        200,
        "keys survive"
    );
    server.link_in_mail("bob@mail.test", 1);
}

#[test]
fn a_signal_ends_it_cleanly() {
    for signal in ["INT", "TERM"] {
        let server = Server::start();
        assert_eq!(server.register("ann").status, 201);
        let (code, data) = server.stop(signal);
        let log = std::fs::read_to_string(data.path().join("log")).unwrap();
        assert!(!log.contains("ERROR"), "a stop is no error: {log}");
        assert_eq!(code, Some(0));
        let mails = std::fs::read_dir(data.path().join("mails")).unwrap().count();
        assert_eq!(mails, 1, "the mail went out before the end");
    }
}

#[test]
fn an_owner_sees_the_sessions_of_an_account_and_ends_them() {
    use crate::http::send;
    let server = Server::start();
    let registered = server.register("ann").json();
    let login = server.login("ann", PASSWORD).json();
    let bearer = format!("Bearer {}", text(&login, "access"));
    let headers = [("Authorization", bearer.as_str()), ("User-Agent", "curl/8.14.1")];
    let ask = |method, path: &str| {
        send(
            server.address,
            method,
            &format!("/api/auth/sessions/{path}"),
            &headers,
            "",
        )
    };
    let shown = ask("GET", "").json();
    let (current, other) = (&shown["sessions"][0], &shown["sessions"][1]);
    assert_eq!(
        (&current["is_current"], &other["is_current"]),
        (&json!(true), &json!(false))
    );
    assert_eq!(current["ip_address"], "127.0.0.1");
    let ended = ask("DELETE", &format!("{}/", text(other, "id")));
    assert_eq!((ended.status, ended.body.as_str()), (204, ""));
    let dead = server.post("token/refresh/", &json!({ "refresh": registered["refresh"] }));
    assert_eq!(dead.status, 401);
    let third = server.login("ann", PASSWORD).json();
    assert_eq!(ask("POST", "revoke-others/").status, 200);
    let dead = server.post("token/refresh/", &json!({ "refresh": third["refresh"] }));
    assert_eq!(dead.status, 401);
    let left = ask("GET", "").json();
    assert_eq!(left["sessions"].as_array().unwrap().len(), 1);
}

#[test]
fn the_three_formats_reach_the_same_account() {
    use crate::http::send;
    let server = Server::start();
    assert_eq!(server.register("ann").status, 201);
    let form = [("Content-Type", "application/x-www-form-urlencoded")];
    let body = format!("username=ann&password={PASSWORD}");
    assert_eq!(
        send(server.address, "POST", "/api/auth/login/", &form, &body).status,
        200
    );
    let multipart = [("Content-Type", "multipart/form-data; boundary=B")];
    let part =
        |name, value| format!("--B\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n");
    let body = part("username", "ann") + &part("password", PASSWORD) + "--B--\r\n";
    assert_eq!(
        send(server.address, "POST", "/api/auth/login", &multipart, &body).status,
        200
    );
}
