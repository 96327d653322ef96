use futures_util::future::join_all;
use serde_json::json;

use crate::support::{PASSWORD, Setup, on_both_databases};

on_both_databases!(
    a_login_answers_with_tokens_and_the_account,
    an_address_or_any_case_logs_in,
    a_given_address_decides_whatever_the_username,
    wrong_credentials_are_one_answer,
    what_is_missing_is_told,
    an_inactive_account_looks_like_a_wrong_password,
    a_profile_that_demands_verification_says_so_after_the_right_password,
    long_and_odd_values_simply_do_not_match,
    failures_make_the_account_wait_from_that_address_only,
    of_twelve_guesses_at_once_as_many_are_looked_at_as_may_fail,
    a_username_equal_to_an_address_is_no_way_around_the_waiting,
    a_name_that_waits_does_not_tell_its_address,
    an_imported_hash_is_replaced_at_the_next_login,
    a_failed_login_is_the_same_work_for_every_account_and_for_none,
    a_stale_bearer_header_does_not_keep_one_from_logging_in,
);

const FAILED: &str = "Unable to log in with provided credentials.";

async fn a_login_answers_with_tokens_and_the_account(setup: Setup) {
    let app = setup.spawn().await;
    app.register("Ann").await;
    let answer = app.login("Ann", PASSWORD).await;
    assert_eq!(answer.status, 200);
    let user =
        json!({"pk": 1, "username": "Ann", "email": "ann@example.org", "first_name": "", "last_name": ""});
    assert_eq!(answer.body["user"], user);
    assert_eq!(answer.body.as_object().unwrap().len(), 3);
    for token in ["access", "refresh"] {
        app.verify(&answer.text(token)).await.is(200, json!({}));
    }
    assert_eq!(answer.header("allow"), "POST, OPTIONS");
    assert_eq!(answer.header("content-language"), "en");
    assert!(answer.header("vary").contains("Accept-Language"));
    assert_eq!(answer.header("set-cookie"), "");
}

async fn an_address_or_any_case_logs_in(setup: Setup) {
    let app = setup.spawn().await;
    app.register("ann").await;
    for name in ["ANN", "ann@example.org", "Ann@Example.ORG", " ann "] {
        assert_eq!(app.login(name, PASSWORD).await.status, 200, "{name}");
    }
    let by_email = json!({"email": "ANN@example.org", "password": PASSWORD, "username": ""});
    assert_eq!(app.post("login/", by_email).await.status, 200);
    assert_eq!(app.login("ann", &PASSWORD.to_uppercase()).await.status, 400);
}

async fn a_given_address_decides_whatever_the_username(setup: Setup) {
    let app = setup.spawn().await;
    app.register("ann").await;
    let body = json!({"username": "ann", "email": "bob@example.org", "password": PASSWORD});
    app.post("login/", body)
        .await
        .refuses("non_field_errors", &[FAILED]);
    let body = json!({"username": "bob", "email": "ann@example.org", "password": PASSWORD});
    assert_eq!(app.post("login/", body).await.status, 200);
}

async fn wrong_credentials_are_one_answer(setup: Setup) {
    let app = setup.spawn().await;
    app.register("ann").await;
    for (name, password) in [("ann", "wrong"), ("nobody", PASSWORD)] {
        let answer = app.login(name, password).await;
        answer.refuses("non_field_errors", &[FAILED]);
        assert_eq!(answer.header("www-authenticate"), "");
    }
    let russian = app
        .post_ru("login/", json!({"username": "ann", "password": "wrong"}))
        .await;
    russian.refuses(
        "non_field_errors",
        &["Невозможно войти в систему с указанными учётными данными."],
    );
    assert_eq!(russian.header("content-language"), "ru");
}

async fn what_is_missing_is_told(setup: Setup) {
    let app = setup.spawn().await;
    app.post("login/", json!({}))
        .await
        .refuses("password", &["This field is required."]);
    let missing = "Must include either \"username\" or \"email\" and \"password\".";
    for body in [
        json!({"password": "x"}),
        json!({"password": "x", "username": " ", "email": ""}),
    ] {
        app.post("login/", body)
            .await
            .refuses("non_field_errors", &[missing]);
    }
    let russian = app.post_ru("login/", json!({"password": "x"})).await;
    russian.refuses(
        "non_field_errors",
        &["Должно включать либо \"username\" либо \"email\" и \"password\"."],
    );
    let body = json!({"username": null, "email": "a@b", "password": ""});
    app.post("login/", body).await.is(
        400,
        json!({
            "username": ["This field may not be null."],
            "email": ["Enter a valid email address."],
            "password": ["This field may not be blank."],
        }),
    );
}

async fn an_inactive_account_looks_like_a_wrong_password(setup: Setup) {
    let app = setup.spawn().await;
    app.register("ann").await;
    app.database.execute("UPDATE users SET is_active = false");
    for password in [PASSWORD, "wrong"] {
        app.login("ann", password)
            .await
            .refuses("non_field_errors", &[FAILED]);
    }
}

async fn a_profile_that_demands_verification_says_so_after_the_right_password(setup: Setup) {
    let app = setup.mandatory().spawn().await;
    app.register("ann").await;
    app.login("ann", "wrong")
        .await
        .refuses("non_field_errors", &[FAILED]);
    app.login("ann", PASSWORD)
        .await
        .refuses("non_field_errors", &["E-mail is not verified."]);
    let russian = app
        .post_ru("login/", json!({"username": "ann", "password": PASSWORD}))
        .await;
    russian.refuses("non_field_errors", &["E-mail не подтверждён."]);
    let key = app.verification_key("ann@example.org").await;
    let verified = app
        .post("registration/verify-email/", json!({ "key": key }))
        .await;
    verified.is(200, json!({"detail": "ok"}));
    assert_eq!(app.login("ann", PASSWORD).await.status, 200);
}

async fn long_and_odd_values_simply_do_not_match(setup: Setup) {
    let app = setup.spawn().await;
    let long = "x".repeat(20_000);
    app.login(&long, &long)
        .await
        .refuses("non_field_errors", &[FAILED]);
    let body = json!({"username": 7, "password": 7.5});
    app.post("login/", body)
        .await
        .refuses("non_field_errors", &[FAILED]);
    let body = json!({"username": "a\u{0}", "password": "x"});
    app.post("login/", body)
        .await
        .refuses("username", &["Null characters are not allowed."]);
}

async fn failures_make_the_account_wait_from_that_address_only(setup: Setup) {
    let app = setup.with("LOGIN_FAILURES", 3).spawn().await;
    app.register("ann").await;
    let from = async |address: &str, password: &str| {
        let body = crate::support::Body::Json(json!({"username": "ann", "password": password}));
        let headers = [("x-gatehouse-client-address", address)];
        app.send(awc::http::Method::POST, "login/", &headers, body).await
    };
    for _ in 0..3 {
        from("192.0.2.1", "wrong")
            .await
            .refuses("non_field_errors", &[FAILED]);
    }
    let detail = "Request was throttled. Expected available in 30 seconds.";
    let waiting = from("192.0.2.1", PASSWORD).await;
    waiting.is(429, json!({ "detail": detail }));
    assert_eq!(waiting.header("retry-after"), "30");
    assert_eq!(
        from("192.0.2.2", PASSWORD).await.status,
        200,
        "a stranger locks nobody out"
    );
    app.advance(29);
    let detail = "Request was throttled. Expected available in 1 second.";
    from("192.0.2.1", PASSWORD)
        .await
        .is(429, json!({ "detail": detail }));
    app.advance(1);
    from("192.0.2.1", "wrong")
        .await
        .refuses("non_field_errors", &[FAILED]);
    assert_eq!(
        from("192.0.2.1", PASSWORD).await.header("retry-after"),
        "60",
        "it has doubled"
    );
    app.advance(60);
    assert_eq!(from("192.0.2.1", PASSWORD).await.status, 200);
    from("192.0.2.1", "wrong")
        .await
        .refuses("non_field_errors", &[FAILED]);
    assert_eq!(
        from("192.0.2.1", PASSWORD).await.status,
        200,
        "a login forgets them"
    );
}

async fn of_twelve_guesses_at_once_as_many_are_looked_at_as_may_fail(setup: Setup) {
    let app = setup.with("LOGIN_FAILURES", 5).spawn().await;
    app.register("ann").await;
    let guesses = async || {
        let answers = join_all((0..12).map(|_| app.login("ann", "wrong"))).await;
        let statuses = answers.iter().map(|answer| answer.status);
        assert!(statuses.clone().all(|status| status == 400 || status == 429));
        statuses.filter(|status| *status == 400).count()
    };
    assert_eq!(guesses().await, 5);
    app.advance(30);
    assert_eq!(guesses().await, 1, "when the waiting is over, one");
}

async fn a_username_equal_to_an_address_is_no_way_around_the_waiting(setup: Setup) {
    let app = setup.with("LOGIN_FAILURES", 3).spawn().await;
    app.register("ann").await;
    app.try_register("decoy", "decoy@example.org").await;
    // From before that was refused. Its owner knows its password.
    app.database.execute(
        "UPDATE users SET username = 'ann@example.org', username_key = 'ann@example.org' WHERE username = 'decoy'; \
         UPDATE users SET password = 'md5$NaClNaClNaCl$0f9f0d8b2087bad9c8d35dc5372ec4ce' WHERE username = 'ann'",
    );
    for _ in 0..3 {
        let guess = app.login("ann@example.org", "wrong").await;
        guess.refuses("non_field_errors", &[FAILED]);
        let own = app.login("ann@example.org", PASSWORD).await;
        assert!(own.status == 200 || own.status == 429, "{own:?}");
    }
    for field in ["username", "email"] {
        let body = json!({ field: "ann@example.org", "password": "Brine-lantern-42" });
        assert_eq!(app.post("login/", body).await.status, 429, "{field}");
    }
    assert_eq!(app.login("ann", "Brine-lantern-42").await.status, 200);
}

async fn a_name_that_waits_does_not_tell_its_address(setup: Setup) {
    let app = setup.with("LOGIN_FAILURES", 3).spawn().await;
    app.register("ann").await;
    app.register("bob").await;
    for name in ["ann", "ann", "ann", "nobody", "nobody", "nobody"] {
        app.login(name, "wrong")
            .await
            .refuses("non_field_errors", &[FAILED]);
    }
    for name in ["ann", "nobody"] {
        assert_eq!(app.login(name, "wrong").await.status, 429, "{name}");
    }
    for address in ["ann@example.org", "bob@example.org"] {
        app.login(address, "wrong")
            .await
            .refuses("non_field_errors", &[FAILED]);
    }
}

async fn an_imported_hash_is_replaced_at_the_next_login(setup: Setup) {
    let app = setup.spawn().await;
    app.register("ann").await;
    app.database
        .execute("UPDATE users SET password = 'md5$NaClNaClNaCl$0f9f0d8b2087bad9c8d35dc5372ec4ce'");
    assert_eq!(app.login("ann", "Brine-lantern-42").await.status, 200);
    let replaced = "SELECT count(*) FROM users WHERE password LIKE 'bcrypt_sha256$%'";
    assert_eq!(app.database.number(replaced), 1);
    assert_eq!(app.login("ann", "Brine-lantern-42").await.status, 200);
}

async fn a_failed_login_is_the_same_work_for_every_account_and_for_none(setup: Setup) {
    let app = setup.with("BCRYPT_COST", 6).spawn().await;
    let hash = "b".repeat(31);
    let stored = [
        (
            "pbkdf2",
            "pbkdf2_sha256$93750$NaClNaClNaCl$I2Nmy5LvAhuc9jKJLC6Ye+S6zrwi1EdRk6V5xaM4ZD0=".to_owned(),
        ),
        (
            "md5",
            "md5$NaClNaClNaCl$0f9f0d8b2087bad9c8d35dc5372ec4ce".to_owned(),
        ),
        ("cheap", format!("bcrypt$$2b$04$aaaaaaaaaaaaaaaaaaaaa.{hash}")),
        (
            "equal",
            format!("bcrypt_sha256$$2b$06$aaaaaaaaaaaaaaaaaaaaa.{hash}"),
        ),
        ("unusable", "!".to_owned()),
        ("off", format!("bcrypt$$2b$04$aaaaaaaaaaaaaaaaaaaaa.{hash}")),
    ];
    for (name, encoded) in &stored {
        app.register(name).await;
        app.database.execute(&format!(
            "UPDATE users SET password = '{encoded}' WHERE username = '{name}'"
        ));
    }
    app.database
        .execute("UPDATE users SET is_active = false WHERE username = 'off'");
    let work_of = async |name: &str, password: &str| {
        let before = app.running.passwords.rounds_done();
        app.login(name, password)
            .await
            .refuses("non_field_errors", &[FAILED]);
        app.running.passwords.rounds_done() - before
    };
    assert_eq!(work_of("nobody", "wrong").await, 64, "one hash of our own");
    // The dearest form that is met is what all cost from then on.
    let dearest = work_of("pbkdf2", "wrong").await;
    assert_eq!(dearest, 125);
    for (name, _) in &stored {
        let work = work_of(name, "wrong").await;
        assert!(
            (dearest - 16..=dearest).contains(&work),
            "{name}: {work} of {dearest}"
        );
    }
    let work = work_of("off", "Brine-lantern-42").await;
    assert!((dearest - 16..=dearest).contains(&work), "switched off: {work}");
    let work = work_of("nobody", "wrong").await;
    assert!((dearest - 16..=dearest).contains(&work), "nobody: {work}");
}

async fn a_stale_bearer_header_does_not_keep_one_from_logging_in(setup: Setup) {
    let app = setup.spawn().await;
    app.register("ann").await;
    let body = json!({"username": "ann", "password": PASSWORD});
    assert_eq!(app.post_as("stale", "login/", body).await.status, 200);
}
