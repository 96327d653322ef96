//! What holds for every endpoint (contract, sections 2 and 12), shown on SQLite: the database has no part in it.

use awc::http::Method;
use serde_json::{Value, json};

use crate::support::{Answer, Body, Setup, TestApp};

const ENDPOINTS: [&str; 10] = [
    "login/",
    "logout/",
    "password/change/",
    "password/reset/",
    "password/reset/confirm/",
    "registration/",
    "registration/resend-email/",
    "registration/verify-email/",
    "token/refresh/",
    "token/verify/",
];

async fn app() -> TestApp {
    Setup::sqlite().spawn().await
}

async fn raw(app: &TestApp, content_type: &'static str, body: &str) -> Answer {
    let body = Body::Raw(content_type, body.as_bytes().to_vec());
    app.send(Method::POST, "token/verify/", &[], body).await
}

#[actix_web::test]
async fn other_methods_are_not_allowed() {
    let app = app().await;
    for path in ENDPOINTS {
        for method in ["GET", "PUT", "PATCH", "DELETE", "BREW"] {
            let method = Method::from_bytes(method.as_bytes()).unwrap();
            let answer = app.send(method.clone(), path, &[], Body::Nothing).await;
            if path == "password/change/" {
                assert_eq!(answer.status, 401, "authentication comes first");
                continue;
            }
            answer.is(
                405,
                json!({"detail": format!("Method \"{method}\" not allowed.")}),
            );
            assert!(answer.header("allow").contains("POST"));
        }
    }
    let russian = [("accept-language", "ru")];
    let answer = app.send(Method::GET, "login/", &russian, Body::Nothing).await;
    answer.is(405, json!({"detail": "Метод \"GET\" не разрешен."}));
    let answer = app.send(Method::HEAD, "login/", &[], Body::Nothing).await;
    assert_eq!((answer.status, &answer.body), (405, &Value::Null));
    let answer = app.send(Method::OPTIONS, "login/", &[], Body::Nothing).await;
    assert_eq!(answer.status, 200);
}

#[actix_web::test]
async fn a_client_that_takes_no_json_is_told_before_anything_else() {
    let app = app().await;
    for path in ENDPOINTS {
        let headers = [("accept", "text/html"), ("x-gatehouse-throttle-wait", "60")];
        let answer = app.send(Method::GET, path, &headers, Body::Nothing).await;
        answer.is(
            406,
            json!({"detail": "Could not satisfy the request Accept header."}),
        );
    }
    let headers = [("accept", "text/html"), ("accept-language", "ru")];
    let answer = app.send(Method::POST, "login/", &headers, Body::Nothing).await;
    answer.is(
        406,
        json!({"detail": "Невозможно удовлетворить \"Accept\" заголовок запроса."}),
    );
}

#[actix_web::test]
async fn a_client_whose_budget_is_used_up_waits_where_the_budget_counts() {
    let app = app().await;
    let headers = [("x-gatehouse-throttle-wait", "60")];
    for path in ENDPOINTS {
        for method in [Method::POST, Method::GET] {
            let answer = app.send(method, path, &headers, Body::Nothing).await;
            let is_budgeted = !path.starts_with("token/")
                && !["registration/resend-email/", "registration/verify-email/"].contains(&path);
            if path == "password/change/" {
                assert_eq!(answer.status, 401);
            } else if is_budgeted {
                let detail = "Request was throttled. Expected available in 60 seconds.";
                answer.is(429, json!({ "detail": detail }));
                assert_eq!(answer.header("retry-after"), "60");
            } else {
                assert_ne!(answer.status, 429, "{path}");
            }
        }
    }
}

#[actix_web::test]
async fn bodies_that_cannot_be_read_are_refused() {
    let app = app().await;
    let unsupported =
        |kind: &str| json!({"detail": format!("Unsupported media type \"{kind}\" in request.")});
    for kind in ["text/plain", "text/json", "application/vnd.api+json"] {
        raw(&app, kind, "{}").await.is(415, unsupported(kind));
    }
    for bad in [
        "{",
        "{\"a\": NaN}",
        "\u{feff}{}",
        "{} x",
        "{\"token\": \"\\ud800\"}",
    ] {
        let answer = raw(&app, "application/json", bad).await;
        assert_eq!(answer.status, 400, "{bad}");
        assert!(answer.text("detail").starts_with("JSON parse error - "), "{bad}");
    }
    let deep = raw(&app, "application/json", &"[".repeat(100_000)).await;
    assert_eq!(deep.status, 400);
    let answer = raw(&app, "multipart/form-data", "x").await;
    assert_eq!(answer.status, 400);
    assert!(answer.text("detail").starts_with("Multipart form parse error - "));
    for (json, name) in [
        ("[]", "list"),
        ("\"x\"", "str"),
        ("7", "int"),
        ("1.5", "float"),
        ("true", "bool"),
    ] {
        let text = format!("Invalid data. Expected a dictionary, but got {name}.");
        raw(&app, "application/json", json)
            .await
            .refuses("non_field_errors", &[&text]);
    }
    raw(&app, "application/json", "null")
        .await
        .refuses("non_field_errors", &["No data provided"]);
    raw(&app, "text/plain", "")
        .await
        .refuses("token", &["This field is required."]);
    let large = format!("{{\"token\": \"{}\"}}", "x".repeat(2_700_000));
    assert!([400, 413].contains(&raw(&app, "application/json", &large).await.status));
}

#[actix_web::test]
async fn paths_are_exact_but_for_the_last_slash() {
    let app = app().await;
    for path in ["token/verify", "token/verify/"] {
        app.post(path, json!({}))
            .await
            .refuses("token", &["This field is required."]);
    }
    for path in ["Token/verify/", "token//verify/", "token/verify//", "nothing/"] {
        assert_eq!(app.post(path, json!({})).await.status, 404, "{path}");
    }
}

#[actix_web::test]
async fn the_language_is_negotiated() {
    let app = app().await;
    for (accept, language) in [
        ("ru", "ru"),
        ("RU-ru", "ru"),
        ("en;q=0.5, ru;q=0.9", "ru"),
        ("ru;q=0.1, en", "en"),
        ("*", "en"),
        ("de, fr", "en"),
        ("", "en"),
    ] {
        let headers = [("accept-language", accept)];
        let answer = app
            .send(Method::POST, "token/verify/", &headers, Body::Json(json!({})))
            .await;
        assert_eq!(answer.header("content-language"), language, "{accept}");
        let text = if language == "ru" {
            "Обязательное поле."
        } else {
            "This field is required."
        };
        answer.refuses("token", &[text]);
    }
}
