//! What the gateway and identity-svc are both told: who issues tokens, and the secret that they share.

use serde_json::{Value, json};
use shared::env::Env;
use shared::internal_secret::InternalSecret;
use shared::token_names::TokenNames;

use crate::fake_identity::{FakeIdentity, start};
use crate::support::{Echo, get};

#[actix_web::test]
async fn issuer_and_audience_are_demanded_at_the_edge_where_the_settings_have_them() {
    let (identity, echo) = (FakeIdentity::start(), Echo::start());
    let gateway = start(&identity, &echo, |settings| {
        settings.token_names = TokenNames {
            issuer: Some("https://auth.test".to_owned()),
            audience: Some("shop".to_owned()),
        };
    })
    .await;
    gateway.until_ready().await;
    let status = async |claims: Value| {
        let token = identity.token(|all| {
            let claims = claims.as_object().unwrap().clone();
            all.as_object_mut().unwrap().extend(claims);
        });
        get(
            &gateway,
            "/required/",
            &format!("Authorization: Bearer {token}\r\n"),
        )
        .await
        .status
    };
    let good = json!({"iss": "https://auth.test", "aud": ["mail", "shop"]});
    assert_eq!(status(good).await, 200);
    for bad in [
        json!({}),
        json!({"iss": "https://auth.test"}),
        json!({"iss": "https://auth.test", "aud": "mail"}),
    ] {
        assert_eq!(status(bad).await, 401);
    }
}

#[actix_web::test]
async fn the_gateways_own_questions_show_the_internal_secret() {
    const SECRET: &str = "the-secret-of-both-with-many-bytes-in-it";
    let (identity, echo) = (FakeIdentity::start(), Echo::start());
    identity.state().internal_secret = Some(SECRET);
    let env = Env::from_pairs([("GATEHOUSE_INTERNAL_SECRET", SECRET)]);
    let gateway = start(&identity, &echo, |settings| {
        settings.internal_secret = InternalSecret::from_env(&env);
    })
    .await;
    // Keys, ended sessions, health: all of them were asked for.
    gateway.until_ready().await;
    let token = identity.token(|_| {});
    let lines = format!("Authorization: Bearer {token}\r\n");
    assert_eq!(get(&gateway, "/required/", &lines).await.status, 200);
}
