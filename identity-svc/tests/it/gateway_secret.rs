//! Only the gateway is answered: whoever shows the secret that both share. Shown on SQLite: the database has no part in it.

use awc::http::Method;
use serde_json::{Value, json};

use crate::support::{Body, PASSWORD, Setup};

const SECRET: &str = "0123456789abcdef0123456789abcdef";
const OLD: &str = "old-old-old-old-old-old-old-old-old";
const HEADER: &str = "x-gatehouse-internal-secret";

#[actix_web::test]
async fn who_reaches_the_port_without_the_secret_is_refused_everything() {
    let setup = Setup::sqlite().with_variable("GATEHOUSE_INTERNAL_SECRET", &format!("{SECRET} {OLD}"));
    let app = setup.spawn().await;
    let login = || Body::Json(json!({"username": "ann", "password": PASSWORD}));
    let paths = [
        (Method::POST, "login/"),
        (Method::OPTIONS, "login/"),
        (Method::GET, "/internal/ready"),
        (Method::GET, "/internal/revocations"),
        (Method::GET, "/.well-known/jwks.json"),
        (Method::GET, "/account/password/reset"),
        (Method::GET, "/nothing"),
    ];
    for (method, path) in paths {
        for shown in ["", "x", &SECRET[1..], &format!("{SECRET} {OLD}")] {
            let headers = [(HEADER, shown), ("x-gatehouse-client-address", "192.0.2.7")];
            let answer = app.send(method.clone(), path, &headers, login()).await;
            assert_eq!(answer.status, 403, "{method} {path} {shown}");
        }
    }
    let answer = app.post("login/", json!({})).await;
    answer.is(
        403,
        json!({"detail": "This server takes requests of its gateway only."}),
    );
    assert_eq!(
        app.database.number("SELECT count(*) FROM login_failures"),
        0,
        "nothing was done"
    );
    for secret in [SECRET, OLD] {
        let headers = [(HEADER, secret), ("x-gatehouse-client-address", "192.0.2.7")];
        let answer = app.send(Method::POST, "login/", &headers, login()).await;
        assert_eq!(answer.status, 400);
        assert_ne!(answer.body, Value::Null);
    }
    let counted = "SELECT count(*) FROM login_failures WHERE address = '192.0.2.7'";
    assert_eq!(app.database.number(counted), 1, "the gateway is believed");
}
