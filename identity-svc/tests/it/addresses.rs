//! One mailbox is one address, however its domain is spelled.

use serde_json::{Value, json};

use crate::support::{PASSWORD, Setup, TestApp, on_both_databases};

on_both_databases!(
    a_domain_in_another_spelling_is_the_same_address_everywhere,
    an_address_whose_domain_has_no_ascii_form_is_refused,
    addresses_of_an_earlier_release_get_the_new_form,
);

fn registration(name: &str, email: &str) -> Value {
    json!({"username": name, "email": email, "password1": PASSWORD, "password2": PASSWORD})
}

async fn login(app: &TestApp, field: &str, name: &str) -> Value {
    let answer = app
        .post("login/", json!({field: name, "password": PASSWORD}))
        .await;
    assert_eq!(answer.status, 200, "{name}: {answer:?}");
    answer.body["user"]["username"].clone()
}

async fn a_domain_in_another_spelling_is_the_same_address_everywhere(setup: Setup) {
    let app = setup.with("MAILS_PER_HOUR", 2).spawn().await;
    let answer = app
        .post("registration/", registration("ann", "Ann@Bücher.example"))
        .await;
    assert_eq!(
        (answer.status, &answer.body["user"]["email"]),
        (201, &json!("ann@bücher.example"))
    );
    let spellings = [
        "ann@bücher.example",
        "ANN@XN--BCHER-KVA.example",
        "ann@ｂücher.example",
    ];
    for email in spellings {
        let answer = app.post("registration/", registration("bob", email)).await;
        assert_eq!(answer.status, 400, "{email}");
        assert!(
            answer.body["email"][0].as_str().unwrap().contains("already"),
            "{answer:?}"
        );
        assert_eq!(login(&app, "email", email).await, "ann");
        assert_eq!(login(&app, "username", email).await, "ann");
        let answer = app.post("password/reset/", json!({"email": email})).await;
        assert_eq!(answer.status, 200);
        app.post("registration/resend-email/", json!({"email": email}))
            .await;
    }
    // One verification mail of the registration and one that was asked for; two resets: one budget for all spellings.
    assert_eq!(app.mails().await.len(), 4);
    let stored = "SELECT count(*) FROM users WHERE email_key = 'ann@xn--bcher-kva.example'";
    assert_eq!(app.database.number(stored), 1);
}

async fn an_address_whose_domain_has_no_ascii_form_is_refused(setup: Setup) {
    let app = setup.spawn().await;
    for email in ["ann@xn--a.org", "ann@א1a.org"] {
        let answer = app.post("registration/", registration("ann", email)).await;
        assert_eq!(answer.status, 400);
        assert_eq!(answer.body, json!({"email": ["Enter a valid email address."]}));
    }
    let answer = app
        .post(
            "login/",
            json!({"username": "ann@xn--a.org", "password": PASSWORD}),
        )
        .await;
    assert_eq!(answer.status, 400, "nobody's, and no error of ours");
}

async fn addresses_of_an_earlier_release_get_the_new_form(setup: Setup) {
    let app = setup.spawn().await;
    for name in ["ann", "bob", "cid", "dan"] {
        app.register(name).await;
    }
    app.mails().await;
    let set = |name: &str, key: &str| {
        let sql = format!("UPDATE users SET email = '{key}', email_key = '{key}' WHERE username = '{name}'");
        app.database.execute(&sql);
    };
    set("ann", "ann@пример.рф");
    // Two accounts with one mailbox, and one that has the form already.
    set("bob", "x@ｅxample.org");
    set("cid", "x@eｘample.org");
    set("dan", "ann@xn--e1afmkfd.example");
    app.database.url.migrate().unwrap();
    app.database.url.migrate().unwrap();
    assert_eq!(login(&app, "email", "ann@xn--e1afmkfd.xn--p1ai").await, "ann");
    assert_eq!(login(&app, "email", "ann@пример.рф").await, "ann");
    for email in ["x@example.org", "x@eｘample.org"] {
        assert_eq!(
            login(&app, "email", email).await,
            "bob",
            "the older one keeps the address"
        );
    }
    assert_eq!(login(&app, "username", "cid").await, "cid");
    assert_eq!(login(&app, "email", "ann@пример.example").await, "dan");
}
