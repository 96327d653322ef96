//! What a browser sees: the mailbox and the pages behind the links of mails.

use serde_json::json;

use crate::http::{Answer, send, send_to};
use crate::server::{Folder, NEW_PASSWORD, PASSWORD, Server};

const FORM: (&str, &str) = ("Content-Type", "application/x-www-form-urlencoded");

pub fn post_form(server: &Server, path: &str, body: &str) -> Answer {
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
fn the_mailbox_is_shown_only_under_names_of_our_own() {
    let server = Server::start();
    let (address, port) = (server.address, server.address.port());
    let ask = |host: &str, path: &str| send_to(host, address, "GET", path, &[], "");
    for host in [
        format!("127.0.0.1:{port}"),
        format!("localhost:{port}"),
        "gatehouse.test".to_owned(),
    ] {
        assert_eq!(ask(&host, "/dev/mailbox").status, 200, "{host}");
    }
    for host in [
        format!("evil.example:{port}"),
        format!("127.0.0.1.evil.example:{port}"),
    ] {
        for path in ["/dev/mailbox", "/dev/mailbox/", "/dev/mailbox/x/raw"] {
            assert_eq!(ask(&host, path).status, 404, "{host} {path}");
        }
        assert_eq!(
            ask(&host, "/.well-known/jwks.json").status,
            200,
            "the API is there for every name"
        );
    }
}

#[test]
fn there_is_no_mailbox_where_others_can_reach_it() {
    let settings = [("GATEHOUSE_GATEWAY_LISTEN", "0.0.0.0:0")];
    let server = Server::start_with(Folder::new(), &settings);
    let address = (std::net::Ipv4Addr::LOCALHOST, server.address.port()).into();
    assert_eq!(
        send_to("localhost", address, "GET", "/dev/mailbox", &[], "").status,
        404
    );
    assert!(server.log().contains("the mailbox page is not shown"));
}

#[test]
fn who_reaches_identitys_port_is_not_taken_for_the_gateway() {
    let free = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let settings = [("GATEHOUSE_IDENTITY_LISTEN", free.to_string())];
    let settings = settings.each_ref().map(|(name, value)| (*name, value.as_str()));
    let server = Server::start_with(Folder::new(), &settings);
    assert_eq!(server.register("ann").status, 201);
    for path in [
        "/.well-known/jwks.json",
        "/internal/revocations",
        "/api/auth/user/",
    ] {
        let answer = send(
            free,
            "GET",
            path,
            &[("X-Gatehouse-Internal-Secret", "guessed")],
            "",
        );
        assert_eq!(answer.status, 403, "{path}");
    }
    assert_eq!(server.login("ann", PASSWORD).status, 200);
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
    let used = post_form(&server, &link, &both);
    assert_eq!(used.status, 404, "used up");
    assert!(used.body.contains("href=\"/account/password/reset\""), "a way on");
    assert_eq!(server.get(&link).status, 404, "told before a password is typed");
}

#[test]
fn a_reset_is_asked_for_and_what_was_typed_stays() {
    let server = Server::start();
    assert_eq!(server.register("ann").status, 201);
    server.link_in_mail("ann@mail.test", 1);
    for (typed, shown) in [
        ("ann%40mail", "value=\"ann@mail\""),
        ("%3Cb+%22x%22%3E", "value=\"&lt;b &quot;x&quot;&gt;\""),
        ("", "Это поле не может быть пустым."),
    ] {
        let refused = post_form(&server, "/account/password/reset", &format!("email={typed}"));
        assert_eq!(refused.status, 400);
        assert!(refused.body.contains(shown), "{}", refused.body);
        assert!(
            refused
                .body
                .contains("aria-invalid=\"true\" aria-describedby=\"email-errors\"")
        );
    }
    for address in ["ann%40mail.test", "nobody%40mail.test"] {
        let asked = post_form(
            &server,
            "/account/password/reset?lang=en",
            &format!("email={address}"),
        );
        assert_eq!(asked.status, 200);
        assert!(
            asked.body.contains("If there is an account with this address"),
            "{}",
            asked.body
        );
        assert!(
            asked.headers.contains("content-language: en"),
            "{}",
            asked.headers
        );
    }
    assert!(
        server
            .link_in_mail("ann@mail.test", 2)
            .starts_with("/account/password/reset/confirm/")
    );
    let resend = post_form(&server, "/account/verify-email/", "email=ann%40mail.test");
    assert_eq!(resend.status, 200);
    assert!(
        server
            .link_in_mail("ann@mail.test", 3)
            .starts_with("/account/verify-email/")
    );
}

#[test]
fn the_forms_of_the_pages_share_the_clients_budget_with_the_api() {
    let settings = [("GATEHOUSE_GATEWAY_AUTH_REQUESTS_PER_MINUTE", "3")];
    let server = Server::start_with(Folder::new(), &settings);
    let ask = || post_form(&server, "/account/password/reset", "email=nobody%40mail.test");
    assert_eq!(server.login("nobody", PASSWORD).status, 400);
    assert_eq!((ask().status, ask().status), (200, 200));
    let refused = ask();
    assert_eq!(refused.status, 429, "{}", refused.body);
    assert!(refused.headers.contains("retry-after: "), "{}", refused.headers);
    assert!(
        refused.headers.contains("content-type: text/html"),
        "{}",
        refused.headers
    );
    assert_eq!(
        server.get("/account/password/reset").status,
        200,
        "looking is free"
    );
    assert_eq!(server.login("nobody", PASSWORD).status, 429);
}

#[test]
fn bad_input_is_answered_with_a_page() {
    let server = Server::start();
    let big = "x".repeat(3_000_000);
    let html = |status: u16, answer: &Answer| {
        assert_eq!(answer.status, status, "{}", answer.body);
        assert!(
            answer.headers.contains("content-type: text/html"),
            "{}",
            answer.headers
        );
        assert!(
            answer.headers.contains("cache-control: no-store"),
            "{}",
            answer.headers
        );
        assert!(answer.headers.contains("referrer-policy: no-referrer"));
        assert!(answer.headers.contains("default-src 'none'; style-src 'nonce-"));
    };
    for path in [
        "/account/nothing",
        "/account/",
        "/account/verify-email/a/b",
        "/account/verify-email/unknown",
    ] {
        html(404, &server.get(path));
    }
    html(404, &server.get("/account/password/reset/confirm/u/t"));
    let (ask, plain) = ("/account/password/reset", [("Content-Type", "text/plain")]);
    html(415, &send(server.address, "POST", ask, &plain, "x"));
    html(
        400,
        &send(
            server.address,
            "POST",
            ask,
            &[("Content-Type", "application/json")],
            "{",
        ),
    );
    html(405, &send(server.address, "PUT", ask, &[], ""));
    html(400, &post_form(&server, ask, ""));
    html(400, &post_form(&server, ask, "email=a%00b"));
    assert!(matches!(post_form(&server, ask, &big).status, 400 | 413));
    assert_eq!(server.get("/account/logo").status, 404, "there is none");
}

#[test]
fn the_brand_is_on_every_page() {
    let folder = Folder::new();
    let logo = folder.path().join("logo.svg");
    std::fs::write(
        &logo,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"9\" height=\"9\"/>",
    )
    .unwrap();
    let logo = logo.to_str().unwrap().to_owned();
    let settings = [
        ("GATEHOUSE_BRAND_NAME", "Birch & <Co>"),
        ("GATEHOUSE_BRAND_COLOR", "#ffd400"),
        ("GATEHOUSE_BRAND_URL", "https://birch.example/"),
        ("GATEHOUSE_BRAND_LOGO_FILE", logo.as_str()),
    ];
    let server = Server::start_with(folder, &settings);
    let page = server.get("/account/password/reset").body;
    for part in [
        "Birch &amp; &lt;Co&gt;</title>",
        "--brand:#ffd400;--on-brand:#000000",
        "href=\"https://birch.example/\"",
        "src=\"/account/logo\"",
    ] {
        assert!(page.contains(part), "{part} is not in {page}");
    }
    let logo = server.get("/account/logo");
    assert!(
        logo.status == 200 && logo.headers.contains("content-type: image/svg+xml"),
        "{}",
        logo.headers
    );
    assert!(logo.headers.contains("content-security-policy: sandbox"));
    let mailbox = server.get("/dev/mailbox").body;
    assert!(
        mailbox.contains("--brand:#ffd400") && mailbox.contains("Birch &amp; &lt;Co&gt;"),
        "{mailbox}"
    );
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
