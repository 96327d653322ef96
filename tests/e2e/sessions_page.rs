//! The page that shows where an account is logged in.

use serde_json::json;

use crate::http::{Answer, send};
use crate::pages::post_form;
use crate::server::{Folder, NEW_PASSWORD, PASSWORD, Server};

/// The value of the hidden field.
fn proof_in(page: &Answer) -> String {
    let (_, rest) = page.body.split_once("name=\"proof\" value=\"").unwrap();
    rest.split_once('"').unwrap().0.to_owned()
}

/// Which sessions have a button.
fn sessions_in(page: &Answer) -> Vec<String> {
    let buttons = page.body.split("name=\"end\" value=\"").skip(1);
    let ids = buttons.map(|rest| rest.split_once('"').unwrap().0.to_owned());
    ids.filter(|id| id != "all").collect()
}

#[test]
fn sessions_are_shown_and_ended_without_a_front_end() {
    let server = Server::start();
    let first = server.register("ann").json();
    let second = server.login("ann", PASSWORD).json();
    let form = server.get("/account/sessions");
    assert_eq!(form.status, 200);
    assert!(
        form.body.contains("action=\"/account/sessions\""),
        "{}",
        form.body
    );
    let path = "/account/sessions?lang=en";
    for (body, field, sentence) in [
        ("username=&password=x", "username", "This field may not be blank."),
        ("username=ann", "password", "This field is required."),
        (
            "username=ann&password=wrong-one",
            "password",
            "Unable to log in with provided credentials.",
        ),
    ] {
        let refused = post_form(&server, path, body);
        assert_eq!(refused.status, 400);
        let description = format!("aria-invalid=\"true\" aria-describedby=\"{field}-errors\" autofocus");
        assert!(refused.body.contains(&description), "{}", refused.body);
        assert!(refused.body.contains(sentence), "{}", refused.body);
        assert!(!refused.body.contains("wrong-one"), "no password is sent back");
        assert_eq!(
            refused.body.contains("value=\"ann\""),
            body.contains("ann"),
            "the name stays"
        );
    }
    let shown = post_form(
        &server,
        path,
        &format!("username=ann%40mail.test&password={PASSWORD}"),
    );
    assert_eq!(shown.status, 200, "{}", shown.body);
    for header in [
        "cache-control: no-store",
        "referrer-policy: no-referrer",
        "content-security-policy: default-src 'none';",
        "content-language: en",
    ] {
        assert!(shown.headers.contains(header), "{}", shown.headers);
    }
    assert!(!shown.headers.contains("set-cookie"), "{}", shown.headers);
    let (sessions, proof) = (sessions_in(&shown), proof_in(&shown));
    assert_eq!(sessions.len(), 2, "looking opened none: {}", shown.body);
    assert!(shown.body.contains("action=\"/account/sessions/end?lang=en\""));
    let end = |proof: &str, end: &str| {
        let body = format!("proof={proof}&end={end}");
        post_form(&server, "/account/sessions/end?lang=en", &body)
    };
    // The newer one comes first.
    let dead = |tokens: &serde_json::Value| {
        let body = json!({ "refresh": tokens["refresh"] });
        server.post("token/refresh/", &body).status == 401
    };
    let ended = end(&proof, &sessions[0]);
    assert!(
        ended.body.contains("That device is logged out."),
        "{}",
        ended.body
    );
    assert_eq!(sessions_in(&ended), sessions[1..]);
    assert!(dead(&second) && !dead(&first));
    let again = end(&proof, &sessions[0]);
    assert!(again.body.contains("was logged out already"), "{}", again.body);
    let bobs = server.register("bob").json();
    let bobs_page = post_form(&server, path, &format!("username=bob&password={PASSWORD}"));
    let foreign = end(&proof, &sessions_in(&bobs_page)[0]);
    assert!(
        foreign.body.contains("was logged out already"),
        "{}",
        foreign.body
    );
    let all = end(&proof_in(&foreign), "all");
    assert!(all.body.contains("All devices are logged out."), "{}", all.body);
    assert!(all.body.contains("logged in nowhere"), "{}", all.body);
    assert!(dead(&first) && !dead(&bobs));
    assert_eq!(
        server.get("/account/sessions/end").status,
        200,
        "an address that was kept leads to the form"
    );
}

#[test]
fn the_proof_of_a_page_is_good_for_that_page_alone_and_ends_with_the_password() {
    let server = Server::start();
    let tokens = server.register("ann").json();
    let name_and_password = format!("username=ann&password={PASSWORD}");
    let proof = proof_in(&post_form(&server, "/account/sessions", &name_and_password));
    let bearer = format!("Bearer {proof}");
    for path in ["user/", "sessions/"] {
        let headers = [("Authorization", bearer.as_str())];
        let answer = send(server.address, "GET", &format!("/api/auth/{path}"), &headers, "");
        assert_eq!(answer.status, 401, "{}", answer.body);
    }
    for (path, field) in [
        ("token/refresh/", "refresh"),
        ("logout/", "refresh"),
        ("token/verify/", "token"),
    ] {
        let answer = server.post(path, &json!({ field: proof }));
        assert_eq!(answer.status, 401, "{path}: {}", answer.body);
    }
    let end = |proof: &str| {
        let body = format!("proof={proof}&end=all");
        post_form(&server, "/account/sessions/end", &body)
    };
    let access = tokens["access"].as_str().unwrap();
    for other in [access, tokens["refresh"].as_str().unwrap(), "", "x.y"] {
        let refused = end(other);
        assert_eq!(refused.status, 403, "{}", refused.body);
        assert!(refused.body.contains("Ничего не сделано"), "{}", refused.body);
        assert!(refused.body.contains("name=\"password\""), "asked once more");
    }
    let change = json!({
        "old_password": PASSWORD, "new_password1": NEW_PASSWORD, "new_password2": NEW_PASSWORD,
    });
    let bearer = format!("Bearer {access}");
    let changed = server.post_with("password/change/", &change, &[("Authorization", &bearer)]);
    assert_eq!(changed.status, 200, "{}", changed.body);
    assert_eq!(end(&proof).status, 403);
    let verified = server.post("token/verify/", &json!({ "token": access }));
    assert_eq!(verified.status, 200, "nothing was ended");
}

#[test]
fn guesses_at_the_page_of_sessions_are_slowed_down_as_at_a_login() {
    let settings = [("GATEHOUSE_IDENTITY_LOGIN_FAILURES", "3")];
    let server = Server::start_with(Folder::new(), &settings);
    assert_eq!(server.register("ann").status, 201);
    let guess = |password: &str| {
        let body = format!("username=ann&password={password}");
        post_form(&server, "/account/sessions", &body).status
    };
    assert_eq!((guess("x"), guess("x")), (400, 400));
    assert_eq!(guess(PASSWORD), 200, "which forgets the failures");
    assert_eq!((guess("x"), guess("x"), guess("x")), (400, 400, 400));
    assert_eq!(guess(PASSWORD), 429);
    assert_eq!(
        server.login("ann", PASSWORD).status,
        429,
        "one count for both ways"
    );
}
