use serde_json::json;
use shared::email_job::Mail;

use crate::support::{PASSWORD, Setup, TestApp, on_both_databases};

on_both_databases!(
    a_registration_logs_in_and_sends_one_mail,
    a_registration_to_be_verified_only_says_so,
    the_mail_is_in_the_language_of_the_request,
    all_field_errors_come_together,
    usernames_have_a_form,
    addresses_have_a_form_and_a_length,
    what_looks_the_same_is_one_account,
    an_address_is_taken_whether_verified_or_not,
    a_username_that_is_another_address_is_taken,
    password_rules_come_in_two_steps,
    the_last_slash_may_be_left_out,
    a_refusal_changes_nothing,
);

fn body(name: &str, email: &str, password: &str) -> serde_json::Value {
    json!({"username": name, "email": email, "password1": password, "password2": password})
}

async fn assert_nobody(app: &TestApp) {
    assert_eq!(app.database.number("SELECT count(*) FROM users"), 0);
    assert!(app.mails().await.is_empty());
}

async fn a_registration_logs_in_and_sends_one_mail(setup: Setup) {
    let app = setup.spawn().await;
    let answer = app.try_register("Ann", "Ann@Example.ORG").await;
    assert_eq!(answer.status, 201);
    let user =
        json!({"pk": 1, "username": "Ann", "email": "ann@example.org", "first_name": "", "last_name": ""});
    assert_eq!(answer.body["user"], user);
    app.verify(&answer.text("access")).await.is(200, json!({}));
    assert_eq!(app.refresh(&answer.text("refresh")).await.status, 200);
    let mails = app.mails().await;
    assert_eq!(mails.len(), 1);
    let Mail::VerifyEmailV1(facts) = &mails[0].mail else {
        panic!("{mails:?}")
    };
    assert_eq!(
        (
            facts.to.as_str(),
            facts.username.as_str(),
            facts.language.as_str()
        ),
        ("ann@example.org", "Ann", "en")
    );
    assert_eq!(facts.valid_seconds, 3 * 86_400);
    assert!(!answer.body.to_string().contains(PASSWORD));
}

async fn a_registration_to_be_verified_only_says_so(setup: Setup) {
    let app = setup.mandatory().spawn().await;
    let answer = app.try_register("ann", "ann@example.org").await;
    answer.is(201, json!({"detail": "Verification e-mail sent."}));
    let answer = app
        .post_ru("registration/", body("bob", "bob@example.org", PASSWORD))
        .await;
    answer.is(201, json!({"detail": "Письмо с подтверждением выслано."}));
    assert_eq!(app.mails().await.len(), 2);
    assert_eq!(app.database.number("SELECT count(*) FROM sessions"), 0);
}

async fn the_mail_is_in_the_language_of_the_request(setup: Setup) {
    let app = setup.spawn().await;
    let answer = app
        .post_ru("registration/", body("ann", "ann@example.org", PASSWORD))
        .await;
    assert_eq!(answer.status, 201);
    assert_eq!(
        app.mail_to("ann@example.org").await.mail.arguments().language,
        "ru"
    );
}

async fn all_field_errors_come_together(setup: Setup) {
    let app = setup.spawn().await;
    let required = ["This field is required."];
    app.post("registration/", json!({})).await.is(
        400,
        json!({"username": required, "email": required, "password1": required, "password2": required}),
    );
    let required = ["Обязательное поле."];
    app.post_ru("registration/", json!({})).await.is(
        400,
        json!({"username": required, "email": required, "password1": required, "password2": required}),
    );
    app.register("ann").await;
    let mixed = json!({"username": "ann", "email": "x", "password1": "1234567", "password2": null});
    app.post("registration/", mixed).await.is(
        400,
        json!({
            "username": ["A user with that username already exists."],
            "email": ["Enter a valid email address."],
            "password1": [
                "This password is too short. It must contain at least 8 characters.",
                "This password is too common.",
                "This password is entirely numeric.",
            ],
            "password2": ["This field may not be null."],
        }),
    );
}

async fn usernames_have_a_form(setup: Setup) {
    let app = setup.spawn().await;
    let refused =
        "Enter a valid username. This value may contain only letters, numbers, and @/./+/-/_ characters.";
    for name in ["a b", "a!", "ann\u{200d}", "💎"] {
        let answer = app
            .post("registration/", body(name, "ann@example.org", PASSWORD))
            .await;
        answer.refuses("username", &[refused]);
    }
    let long = app
        .post(
            "registration/",
            body(&"n".repeat(151), "ann@example.org", PASSWORD),
        )
        .await;
    long.refuses(
        "username",
        &["Ensure this field has no more than 150 characters."],
    );
    assert_nobody(&app).await;
    for (at, name) in ["a@b.c+d-e_f", "Юзер", &"n".repeat(150)].into_iter().enumerate() {
        let email = format!("user{at}@example.org");
        assert_eq!(app.try_register(name, &email).await.status, 201, "{name}");
    }
}

async fn addresses_have_a_form_and_a_length(setup: Setup) {
    let app = setup.spawn().await;
    for email in [
        "a@b",
        "a..b@x.test",
        ".a@x.test",
        "a@-x.test",
        "a@x.test.",
        "юзер@x.test",
        "a\n@x.test",
    ] {
        let answer = app.post("registration/", body("ann", email, PASSWORD)).await;
        answer.refuses("email", &["Enter a valid email address."]);
    }
    let long = format!(
        "{}@{}.test",
        "a".repeat(64),
        ["b".repeat(63), "c".repeat(63), "d".repeat(63)].join(".")
    );
    assert_eq!(long.len(), 261);
    let answer = app.post("registration/", body("ann", &long, PASSWORD)).await;
    answer.refuses("email", &["Ensure this field has no more than 254 characters."]);
    assert_nobody(&app).await;
    assert_eq!(app.try_register("ann", "a@[127.0.0.1]").await.status, 201);
    assert_eq!(app.try_register("bob", "b@localhost").await.status, 201);
}

async fn what_looks_the_same_is_one_account(setup: Setup) {
    let app = setup.spawn().await;
    let taken = ["A user with that username already exists."];
    for (at, (first, second)) in [("fi", "ﬁ"), ("юзер", "ЮЗЕР"), ("ann", "ANN")]
        .into_iter()
        .enumerate()
    {
        let email = |half| format!("{half}{at}@example.org");
        assert_eq!(app.try_register(first, &email("a")).await.status, 201);
        app.try_register(second, &email("b"))
            .await
            .refuses("username", &taken);
    }
}

async fn a_username_that_is_another_address_is_taken(setup: Setup) {
    let app = setup.spawn().await;
    app.register("ann").await;
    // Whether the address has an account makes no difference.
    for (at, name) in ["ann@example.org", "ＡＮＮ@example.org", "nobody@example.org"]
        .iter()
        .enumerate()
    {
        let email = format!("bob{at}@example.org");
        app.try_register(name, &email)
            .await
            .refuses("username", &["A user with that username already exists."]);
        let russian = app.post_ru("registration/", body(name, &email, PASSWORD)).await;
        russian.refuses("username", &["Пользователь с таким именем уже существует."]);
    }
    let own = app.try_register("Bob@Example.org", "bob@example.org").await;
    assert_eq!(own.status, 201, "one's own address is a good username");
    assert_eq!(app.login("bob@example.org", PASSWORD).await.status, 200);
    let answer = app.try_register("bob", "bob@example.org").await;
    answer.refuses("email", &["User is already registered with this e-mail address."]);
}

async fn an_address_is_taken_whether_verified_or_not(setup: Setup) {
    let app = setup.spawn().await;
    app.register("ann").await;
    for is_verified in ["false", "true"] {
        app.database
            .execute(&format!("UPDATE users SET is_email_verified = {is_verified}"));
        let answer = app.try_register("bob", "ANN@example.org").await;
        answer.refuses("email", &["User is already registered with this e-mail address."]);
    }
    let russian = app
        .post_ru("registration/", body("ann", "ann@example.org", PASSWORD))
        .await;
    russian.is(
        400,
        json!({
            "username": ["Пользователь с таким именем уже существует."],
            "email": ["Пользователь с таким e-mail адресом уже зарегистрирован."],
        }),
    );
}

async fn password_rules_come_in_two_steps(setup: Setup) {
    let app = setup.spawn().await;
    let different =
        json!({"username": "ann", "email": "ann@example.org", "password1": PASSWORD, "password2": "other"});
    let answer = app.post("registration/", different.clone()).await;
    answer.refuses("non_field_errors", &["The two password fields didn't match."]);
    let answer = app.post_ru("registration/", different).await;
    answer.refuses("non_field_errors", &["Пароли не совпадают."]);
    let similar = body("quartzlamp", "ann@example.org", "quartzlamp9");
    let answer = app.post("registration/", similar.clone()).await;
    answer.refuses(
        "non_field_errors",
        &["The password is too similar to the username."],
    );
    let answer = app.post_ru("registration/", similar).await;
    answer.refuses(
        "non_field_errors",
        &["Введённый пароль слишком похож на имя пользователя."],
    );
    let long = body("ann", "ann@example.org", &"Qx7-".repeat(33));
    let answer = app.post("registration/", long).await;
    answer.refuses(
        "password1",
        &["Ensure this field has no more than 128 characters."],
    );
    let short = app
        .post_ru("registration/", body("ann", "ann@example.org", "Qx7-"))
        .await;
    short.refuses(
        "password1",
        &["Введённый пароль слишком короткий. Он должен состоять из как минимум 8 символов."],
    );
    assert_nobody(&app).await;
}

async fn the_last_slash_may_be_left_out(setup: Setup) {
    let app = setup.spawn().await;
    let answer = app
        .post("registration", body("ann", "ann@example.org", PASSWORD))
        .await;
    assert_eq!(answer.status, 201);
}

async fn a_refusal_changes_nothing(setup: Setup) {
    let app = setup.spawn().await;
    let answer = app.try_register("ann", "ann@example").await;
    answer.refuses("email", &["Enter a valid email address."]);
    assert_nobody(&app).await;
}
