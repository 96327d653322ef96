//! What a browser sees: the mailbox and the pages behind the links of mails.

use serde_json::json;

use crate::http::{Answer, send};
use crate::server::{Folder, NEW_PASSWORD, PASSWORD, Server};

const FORM: (&str, &str) = ("Content-Type", "application/x-www-form-urlencoded");

fn post_form(server: &Server, path: &str, body: &str) -> Answer {
    send(
        server.address,
        "POST",
        path,
        &[FORM, ("Accept-Language", "ru")],
        body,
    )
}

#[test]
fn the_mailbox_shows_what_was_sent() {
    let server = Server::start();
    assert_eq!(server.register("ann").status, 201);
    server.link_in_mail("ann@mail.test", 1);
    let mailbox = server.get("/dev/mailbox");
    assert_eq!(mailbox.status, 200);
    assert!(mailbox.body.contains("ann@mail.test"), "{}", mailbox.body);
}

#[test]
fn there_is_no_mailbox_when_mails_go_by_smtp() {
    let settings = [("GATEHOUSE_MAILER_SENDER_URL", "smtp://127.0.0.1:1")];
    let server = Server::start_with(Folder::new(), &settings);
    assert_eq!(server.get("/dev/mailbox").status, 404);
}

#[test]
fn a_link_confirms_nothing_until_its_button_is_pressed() {
    let settings = [("GATEHOUSE_IDENTITY_EMAIL_VERIFICATION", "mandatory")];
    let server = Server::start_with(Folder::new(), &settings);
    assert_eq!(server.register("ann").status, 201);
    let link = server.link_in_mail("ann@mail.test", 1);
    for _ in 0..2 {
        let page = server.get(&link);
        assert_eq!(page.status, 200);
        assert!(page.body.contains("<form method=\"post\">"));
        assert!(page.headers.contains("referrer-policy: no-referrer"));
        assert_eq!(server.login("ann", PASSWORD).status, 400, "still unverified");
    }
    assert_eq!(post_form(&server, &link, "").status, 200);
    assert_eq!(server.login("ann", PASSWORD).status, 200);
    assert_eq!(post_form(&server, &link, "").status, 404, "used up");
}

#[test]
fn a_password_is_reset_without_a_front_end() {
    let server = Server::start();
    assert_eq!(server.register("ann").status, 201);
    server.link_in_mail("ann@mail.test", 1);
    assert_eq!(
        server
            .post("password/reset/", &json!({ "email": "ann@mail.test" }))
            .status,
        200
    );
    let link = server.link_in_mail("ann@mail.test", 2);
    assert!(server.get(&link).body.contains("new_password1"));
    let weak = post_form(&server, &link, "new_password1=1234567&new_password2=1234567");
    assert_eq!(weak.status, 400);
    assert!(
        weak.body.contains("Введённый пароль слишком короткий."),
        "{}",
        weak.body
    );
    let both = format!("new_password1={NEW_PASSWORD}&new_password2={NEW_PASSWORD}");
    assert_eq!(post_form(&server, &link, &both).status, 200);
    assert_eq!(server.login("ann", NEW_PASSWORD).status, 200);
    assert_eq!(post_form(&server, &link, &both).status, 400, "used up");
}

#[test]
fn what_is_inside_cannot_be_reached() {
    let server = Server::start();
    for path in [
        "/internal/revocations",
        "/api/auth/../../internal/revocations",
        "/api/auth/%2e%2e/internal",
        "/nothing",
    ] {
        assert!(matches!(server.get(path).status, 400 | 404), "{path}");
    }
}
