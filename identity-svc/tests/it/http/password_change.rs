use awc::http::Method;
use serde_json::{Value, json};

use crate::support::{Body, PASSWORD, Setup, on_both_databases};

on_both_databases!(
    a_change_keeps_this_session_and_ends_the_others,
    checks_come_in_the_contracts_order,
    the_header_is_checked_before_everything_else,
    wrong_old_passwords_are_slowed_down,
    the_new_password_may_be_the_old_one,
    the_owner_is_told_in_a_mail,
    a_refused_change_sends_no_mail,
);

const PATH: &str = "password/change/";
const NEW: &str = "Copper-Kite-31";

fn body(old: &str, new1: &str, new2: &str) -> Value {
    json!({"old_password": old, "new_password1": new1, "new_password2": new2})
}

async fn a_change_keeps_this_session_and_ends_the_others(setup: Setup) {
    let app = setup.spawn().await;
    let other = app.register("ann").await;
    let this = app.login("ann", PASSWORD).await;
    let access = this.text("access");
    let answer = app.post_as(&access, PATH, body(PASSWORD, NEW, NEW)).await;
    answer.is(200, json!({"detail": "New password has been saved."}));
    let answer = app
        .post_as(&other.text("access"), PATH, body(NEW, NEW, NEW))
        .await;
    assert_eq!(answer.status, 401, "the other session has ended");
    app.refresh(&other.text("refresh"))
        .await
        .refuses_token("Token is blacklisted");
    assert_eq!(app.refresh(&this.text("refresh")).await.status, 200);
    app.verify(&access).await.is(200, json!({}));
    assert_eq!(app.login("ann", PASSWORD).await.status, 400);
    assert_eq!(app.login("ann", NEW).await.status, 200);
}

async fn the_owner_is_told_in_a_mail(setup: Setup) {
    let setup = setup.with("ASK_RESET_URL", "https://app.test/forgotten");
    let app = setup.spawn().await;
    let access = app.register("ann").await.text("access");
    let answer = app.post_as(&access, PATH, body(PASSWORD, NEW, NEW)).await;
    assert_eq!(answer.status, 200);
    let mails = app.mails().await;
    assert_eq!(mails.len(), 2, "after the verification mail");
    let told = app.mail_to("ann@example.org").await.mail;
    assert_eq!(told.template(), "password_changed");
    assert_eq!(told.arguments().link.expose(), "https://app.test/forgotten");

    let asked = app
        .post("password/reset/", json!({"email": "ann@example.org"}))
        .await;
    assert_eq!(asked.status, 200);
    let (uid, token) = app.reset_link("ann@example.org").await;
    let reset = json!({"uid": uid, "token": token, "new_password1": PASSWORD, "new_password2": PASSWORD});
    assert_eq!(app.post_ru("password/reset/confirm/", reset).await.status, 200);
    let told = app.mail_to("ann@example.org").await.mail;
    assert_eq!(
        (told.template(), told.arguments().language),
        ("password_changed", "ru")
    );
}

async fn a_refused_change_sends_no_mail(setup: Setup) {
    let app = setup.spawn().await;
    let access = app.register("ann").await.text("access");
    for (old, new1, new2) in [
        ("wrong", NEW, NEW),
        (PASSWORD, NEW, "other"),
        (PASSWORD, "1", "1"),
    ] {
        assert_eq!(
            app.post_as(&access, PATH, body(old, new1, new2)).await.status,
            400
        );
    }
    assert_eq!(app.mails().await.len(), 1, "the verification mail");
}

#[actix_web::test]
async fn no_mail_on_a_change_unless_it_is_switched_on() {
    let app = Setup::sqlite().with("PASSWORD_CHANGED_MAIL", "off").spawn().await;
    let access = app.register("ann").await.text("access");
    let answer = app.post_as(&access, PATH, body(PASSWORD, NEW, NEW)).await;
    assert_eq!(answer.status, 200);
    assert_eq!(app.mails().await.len(), 1);
}

async fn checks_come_in_the_contracts_order(setup: Setup) {
    let app = setup.spawn().await;
    let access = app.register("ann").await.text("access");
    let post = async |body| app.post_as(&access, PATH, body).await;
    let wrong = "Your old password was entered incorrectly. Please enter it again.";
    let required = ["This field is required."];
    post(json!({})).await.is(
        400,
        json!({"old_password": required, "new_password1": required, "new_password2": required}),
    );
    post(json!({"old_password": "wrong", "new_password1": "x"}))
        .await
        .is(400, json!({"old_password": [wrong], "new_password2": required}));
    post(body("wrong", "1", "2"))
        .await
        .refuses("old_password", &[wrong]);
    post(body(PASSWORD, "1", "2"))
        .await
        .refuses("new_password2", &["The two password fields didn’t match."]);
    post(body(PASSWORD, "1234567", "1234567")).await.refuses(
        "new_password2",
        &[
            "This password is too short. It must contain at least 8 characters.",
            "This password is too common.",
            "This password is entirely numeric.",
        ],
    );
    let bearer = format!("Bearer {access}");
    let headers = [("authorization", bearer.as_str()), ("accept-language", "ru")];
    let russian = app
        .send(Method::POST, PATH, &headers, Body::Json(body("wrong", "1", "1")))
        .await;
    let text = "Ваш старый пароль введен неправильно. Пожалуйста, введите его снова.";
    russian.refuses("old_password", &[text]);
    let russian = app
        .send(Method::POST, PATH, &headers, Body::Json(body(PASSWORD, NEW, NEW)))
        .await;
    russian.is(200, json!({"detail": "Новый пароль сохранён."}));
}

async fn the_header_is_checked_before_everything_else(setup: Setup) {
    let app = setup.spawn().await;
    let registered = app.register("ann").await;
    let missing = json!({"detail": "Authentication credentials were not provided."});
    let words = json!({
        "detail": "Authorization header must contain two space-delimited values",
        "code": "bad_authorization_header",
    });
    let refused = |message: &str| {
        json!({
            "detail": "Given token not valid for any token type",
            "code": "token_not_valid",
            "messages": [{"token_class": "AccessToken", "token_type": "access", "message": message}],
        })
    };
    let refresh = format!("Bearer {}", registered.text("refresh"));
    let good = format!("Bearer {}", registered.text("access"));
    let ask = async |method: Method, authorization: &str| {
        let body = Body::Raw("text/plain", b"x".to_vec());
        let answer = app
            .send(method, PATH, &[("authorization", authorization)], body)
            .await;
        if answer.status == 401 {
            assert_eq!(answer.header("www-authenticate"), "Bearer realm=\"api\"");
        }
        answer
    };
    for scheme in ["Basic YTpi", "bearer x", "JWT x", "Token x"] {
        ask(Method::POST, scheme).await.is(401, missing.clone());
    }
    for header in ["Bearer", "Bearer a b"] {
        ask(Method::POST, header).await.is(401, words.clone());
    }
    ask(Method::POST, "Bearer x")
        .await
        .is(401, refused("Token is invalid"));
    ask(Method::POST, &refresh)
        .await
        .is(401, refused("Token has wrong type"));
    ask(Method::GET, "Basic YTpi").await.is(401, missing.clone());
    ask(Method::GET, &good)
        .await
        .is(405, json!({"detail": "Method \"GET\" not allowed."}));
    ask(Method::POST, &good).await.is(
        415,
        json!({"detail": "Unsupported media type \"text/plain\" in request."}),
    );
    app.advance(300);
    ask(Method::POST, &good)
        .await
        .is(401, refused("Token is expired"));
    let fresh = app.login("ann", PASSWORD).await.text("access");
    let fresh = format!("Bearer {fresh}");
    app.database.execute("UPDATE users SET is_active = false");
    ask(Method::POST, &fresh).await.is(
        401,
        json!({"detail": "User is inactive", "code": "user_inactive"}),
    );
    app.database.execute("DELETE FROM users");
    ask(Method::POST, &fresh)
        .await
        .is(401, json!({"detail": "User not found", "code": "user_not_found"}));
}

async fn wrong_old_passwords_are_slowed_down(setup: Setup) {
    let app = setup.with("LOGIN_FAILURES", 2).spawn().await;
    let access = app.register("ann").await.text("access");
    for _ in 0..2 {
        assert_eq!(
            app.post_as(&access, PATH, body("wrong", NEW, NEW)).await.status,
            400
        );
    }
    let answer = app.post_as(&access, PATH, body(PASSWORD, NEW, NEW)).await;
    let detail = "Request was throttled. Expected available in 30 seconds.";
    answer.is(429, json!({ "detail": detail }));
    assert_eq!(
        app.login("ann", PASSWORD).await.status,
        429,
        "guesses are counted together"
    );
}

async fn the_new_password_may_be_the_old_one(setup: Setup) {
    let app = setup.spawn().await;
    let access = app.register("ann").await.text("access");
    let answer = app
        .post_as(&access, PATH, body(PASSWORD, PASSWORD, PASSWORD))
        .await;
    assert_eq!(answer.status, 200);
}
