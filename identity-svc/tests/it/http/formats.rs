//! One body in three formats is one request; and what was rotated out is never accepted again.

use std::time::Duration;

use awc::http::Method;
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, TestRunner};
use serde_json::json;

use crate::support::{Answer, Body, Setup, TestApp};

fn multipart(fields: &[(&str, &str)]) -> Body {
    let parts = fields.iter().map(|(name, value)| {
        format!("--B-x\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
    });
    let body = parts.collect::<String>() + "--B-x--\r\n";
    Body::Raw("multipart/form-data; boundary=B-x", body.into_bytes())
}

fn form(fields: &[(&str, &str)]) -> Body {
    let body = form_urlencoded::Serializer::new(String::new())
        .extend_pairs(fields)
        .finish();
    Body::Raw("application/x-www-form-urlencoded", body.into_bytes())
}

fn object(fields: &[(&str, &str)]) -> Body {
    let object: serde_json::Map<_, _> = fields
        .iter()
        .map(|(name, value)| ((*name).to_owned(), json!(value)))
        .collect();
    Body::Json(object.into())
}

async fn post(app: &TestApp, path: &str, body: Body) -> Answer {
    app.send(Method::POST, path, &[], body).await
}

#[actix_web::test]
async fn all_ten_endpoints_read_all_three_formats() {
    let app = Setup::sqlite().with("MAILS_PER_HOUR", 0).spawn().await;
    app.register("ann").await;
    let paths = [
        ("login/", vec![("username", "ann"), ("password", "x")]),
        ("logout/", vec![("refresh", "x")]),
        ("password/reset/", vec![("email", "nobody@example.org")]),
        ("password/reset/confirm/", vec![("uid", "x"), ("token", "y")]),
        ("registration/", vec![("username", "ann"), ("email", "x")]),
        (
            "registration/resend-email/",
            vec![("email", "nobody@example.org")],
        ),
        ("registration/verify-email/", vec![("key", "x")]),
        ("token/refresh/", vec![("refresh", "x")]),
        ("token/verify/", vec![("token", "x")]),
    ];
    for (path, fields) in paths {
        let expected = post(&app, path, object(&fields)).await;
        for body in [form(&fields), multipart(&fields)] {
            let answer = post(&app, path, body).await;
            assert_eq!(
                (answer.status, &answer.body),
                (expected.status, &expected.body),
                "{path}"
            );
        }
    }
}

#[actix_web::test]
async fn any_values_are_the_same_in_three_formats() {
    let app = Setup::sqlite().spawn().await;
    // What a line of multipart can hold: no line break, which would need no escape in the two others.
    let values = ("[^\r\n]{0,40}", "[^\r\n]{0,40}", "[^\r\n]{0,40}");
    let mut runner = TestRunner::new(Config::with_cases(40));
    let cases: Vec<(String, String, String)> = (0..40)
        .map(|_| values.new_tree(&mut runner).unwrap().current())
        .collect();
    for (username, email, password) in cases {
        let fields = [
            ("username", username.as_str()),
            ("email", email.as_str()),
            ("password1", password.as_str()),
        ];
        let expected = post(&app, "registration/", object(&fields)).await;
        for body in [form(&fields), multipart(&fields)] {
            let answer = post(&app, "registration/", body).await;
            assert_eq!(answer.body, expected.body, "{fields:?}");
        }
    }
}

#[actix_web::test]
async fn whatever_the_order_of_refreshes_only_the_newest_token_is_accepted() {
    let app = Setup::sqlite().with_rotation(Duration::ZERO).spawn().await;
    let mut runner = TestRunner::new(Config::with_cases(1));
    for case in 0..12 {
        let orders = proptest::collection::vec(0_usize..4, 1..8);
        let order = orders.new_tree(&mut runner).unwrap().current();
        let mut tokens = vec![app.register(&format!("user{case}")).await.text("refresh")];
        let mut is_live = true;
        for back in order {
            let at = tokens.len().saturating_sub(back + 1);
            let answer = app.refresh(&tokens[at]).await;
            let is_newest = at + 1 == tokens.len();
            assert_eq!(answer.status == 200, is_newest && is_live, "{tokens:?}");
            if answer.status == 200 {
                tokens.push(answer.text("refresh"));
            } else {
                is_live = false;
            }
        }
    }
}
