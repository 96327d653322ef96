//! `iss` and `aud`, where the settings have them.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::support::{Setup, legacy_token};

const LEGACY: &str = "a secret of a former site with many bytes";

fn claims(token: &str) -> Value {
    let payload = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap()
}

#[actix_web::test]
async fn issuer_and_audience_are_in_every_token_and_a_former_sites_token_needs_none() {
    let setup = Setup::sqlite()
        .with_variable("GATEHOUSE_TOKEN_ISSUER", "https://auth.test")
        .with_variable("GATEHOUSE_TOKEN_AUDIENCE", "shop")
        .with("LEGACY_JWT_SECRET", LEGACY)
        .with("LEGACY_JWT_UNTIL", "2099-12-31");
    let app = setup.spawn().await;
    let answer = app.register("ann").await;
    let refreshed = app.refresh(&answer.text("refresh")).await;
    for token in [
        answer.text("access"),
        answer.text("refresh"),
        refreshed.text("access"),
    ] {
        let claims = claims(&token);
        assert_eq!(
            (&claims["iss"], &claims["aud"]),
            (&json!("https://auth.test"), &json!("shop"))
        );
        assert_eq!(app.verify(&token).await.status, 200);
    }
    let legacy = legacy_token(LEGACY, "refresh", "j", &answer.body["user"]["pk"]);
    let opened = app.refresh(&legacy).await;
    assert_eq!(claims(&opened.text("access"))["iss"], json!("https://auth.test"));
}

#[actix_web::test]
async fn without_the_settings_tokens_have_neither() {
    let app = Setup::sqlite().spawn().await;
    let claims = claims(&app.register("ann").await.text("access"));
    assert_eq!((&claims["iss"], &claims["aud"]), (&Value::Null, &Value::Null));
}
