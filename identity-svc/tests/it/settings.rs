//! What the settings refuse at start, each in one sentence that names the setting.

use identity_svc::Settings;
use shared::env::Env;

/// What is wrong with these settings, beside what every start needs.
fn problems(pairs: &[(&str, &str)]) -> String {
    let needed = [
        ("DATABASE_URL", "sqlite:/nowhere"),
        ("QUEUE_URL", "memory:"),
        ("KEYS_FILE", "/nowhere"),
        ("ENCRYPTION_KEYS_FILE", "/nowhere"),
    ];
    let pairs = needed.iter().chain(pairs);
    let pairs = pairs.map(|(name, value)| (format!("GATEHOUSE_IDENTITY_{name}"), (*value).to_owned()));
    let env = Env::from_pairs(pairs);
    Settings::from_env(&env);
    match env.finish(&["GATEHOUSE_"]) {
        Ok(()) => String::new(),
        Err(error) => error.to_string(),
    }
}

#[test]
fn a_short_or_known_signing_secret_is_refused_without_repeating_it() {
    let legacy = |secret| problems(&[("LEGACY_JWT_SECRET", secret), ("LEGACY_JWT_UNTIL", "2027-12-31")]);
    let own = |secret| problems(&[("HS256_SECRET", secret), ("SIGNING_ALGORITHM", "HS256")]);
    for secret in [
        "abc",
        "aaaaaaaa",
        "django-insecure-8q$k2#v9x!r4m7w1z5t3y6u8i0o2p4a6s8d0f2g4",
        "a-string-secret-at-least-256-bits-long",
    ] {
        for (said, name) in [
            (legacy(secret), "LEGACY_JWT_SECRET"),
            (own(secret), "HS256_SECRET"),
        ] {
            assert!(said.contains(&format!("GATEHOUSE_IDENTITY_{name}")), "{said}");
            assert!(!said.contains(secret), "{said}");
        }
    }
    let good = shared::random::base64url_256();
    assert_eq!((legacy(&good), own(&good)), (String::new(), String::new()));
}

#[test]
fn claims_that_every_token_has_are_not_carried_over() {
    for name in ["user_id", "sid", "gen", "exp", "iss", "aud"] {
        let said = problems(&[("LEGACY_JWT_CLAIMS", &format!("tenant,{name}"))]);
        assert!(said.contains(&format!("names \"{name}\"")), "{said}");
    }
    assert_eq!(problems(&[("LEGACY_JWT_CLAIMS", "tenant, plan")]), "");
}
