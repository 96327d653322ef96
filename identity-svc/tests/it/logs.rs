//! No secret and no address is ever logged. This test owns the process's logger, so it takes all lines of all tests.

use std::sync::{Mutex, PoisonError};

use serde_json::json;

use crate::support::{Body, PASSWORD, Setup};

static LINES: Mutex<String> = Mutex::new(String::new());

struct Capture;

impl log::Log for Capture {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        struct Pairs<'a>(&'a mut String);
        impl<'kvs> log::kv::VisitSource<'kvs> for Pairs<'_> {
            fn visit_pair(
                &mut self,
                key: log::kv::Key<'kvs>,
                value: log::kv::Value<'kvs>,
            ) -> Result<(), log::kv::Error> {
                self.0.extend([" ", key.as_str(), "=", &value.to_string()]);
                Ok(())
            }
        }
        let mut lines = LINES.lock().unwrap_or_else(PoisonError::into_inner);
        lines.extend([record.target(), " ", &record.args().to_string()]);
        record.key_values().visit(&mut Pairs(&mut lines)).unwrap();
        lines.push('\n');
    }

    fn flush(&self) {}
}

#[actix_web::test]
async fn no_secret_and_no_address_is_logged() {
    log::set_logger(&Capture).unwrap();
    log::set_max_level(log::LevelFilter::Trace);
    let app = Setup::sqlite()
        .with_rotation(std::time::Duration::ZERO)
        .with("LOGIN_FAILURES", 1)
        .spawn()
        .await;
    let name = "marigold-visitor";
    let email = format!("{name}@example.org");
    let registered = app.register(name).await;
    let key = app.verification_key(&email).await;
    app.post("registration/verify-email/", json!({ "key": key }))
        .await;
    app.post("password/reset/", json!({ "email": email })).await;
    let (uid, token) = app.reset_link(&email).await;
    let refreshed = app.refresh(&registered.text("refresh")).await;
    app.refresh(&registered.text("refresh")).await;
    app.login(name, "Wrong-Wharf-55").await;
    app.login(name, "Wrong-Wharf-55").await;
    app.post_as(&refreshed.text("access"), "logout/", json!({})).await;
    let broken = Body::Raw(
        "application/json",
        format!("{{\"password\": \"{PASSWORD}\"").into_bytes(),
    );
    app.send(awc::http::Method::POST, "login/", &[], broken).await;
    app.database.execute("DROP TABLE login_failures");
    assert!(
        app.login(name, PASSWORD).await.status >= 500,
        "the database is broken"
    );
    let lines = LINES.lock().unwrap_or_else(PoisonError::into_inner).clone();
    assert!(lines.contains("request failed"), "the causes of 5xx are logged");
    for secret in [
        PASSWORD,
        "Wrong-Wharf-55",
        &email,
        &key,
        &uid,
        &token,
        &registered.text("access"),
        &registered.text("refresh"),
        &refreshed.text("access"),
    ] {
        assert!(!lines.contains(secret), "{secret} was logged");
    }
}
