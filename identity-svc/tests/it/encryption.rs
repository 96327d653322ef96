//! Mail jobs are encrypted in the database, and readable only with the keys of their time.

use crate::support::{Mailer, Setup, on_both_databases};

on_both_databases!(
    a_waiting_mail_is_not_readable_in_the_database,
    rows_can_be_written_in_clear_while_an_earlier_release_still_reads_them,
    a_job_whose_key_is_missing_is_kept_and_counted_until_the_key_is_there,
    a_new_key_takes_over_what_is_stored_and_the_old_one_can_go,
);

const LIKE_ENCRYPTED: &str = "SELECT count(*) FROM outbox WHERE payload LIKE 'enc1.%'";

async fn a_waiting_mail_is_not_readable_in_the_database(setup: Setup) {
    let app = setup.with_mailer(Mailer::Sleeps).spawn().await;
    app.register("ann").await;
    let readable =
        "SELECT count(*) FROM outbox WHERE payload LIKE '%app.test%' OR payload LIKE '%example.org%'";
    assert_eq!(app.database.number(readable), 0);
    assert_eq!(app.database.number(LIKE_ENCRYPTED), 1);
}

async fn rows_can_be_written_in_clear_while_an_earlier_release_still_reads_them(setup: Setup) {
    let app = setup
        .with("ENCRYPT_ROWS", "off")
        .with_mailer(Mailer::Sleeps)
        .spawn()
        .await;
    app.register("ann").await;
    assert_eq!(
        app.database
            .number("SELECT count(*) FROM outbox WHERE payload LIKE '{%'"),
        1
    );
}

async fn a_job_whose_key_is_missing_is_kept_and_counted_until_the_key_is_there(setup: Setup) {
    let app = setup.with_mailer(Mailer::FailsOnce).spawn().await;
    app.register("ann").await;
    app.wait_until("SELECT count(*) FROM outbox WHERE failed_attempts = 1")
        .await;
    // As if it had been written with a key of another file.
    app.database
        .execute("UPDATE outbox SET payload = replace(payload, 'enc1.', 'enc1.0')");
    app.advance(60);
    app.wait_until(
        "SELECT count(*) FROM outbox WHERE state = 'waiting' AND last_error LIKE '%not in the file%'",
    )
    .await;
    assert_eq!(app.running.relay_metrics.unreadable(), 1);
    let status = app.mail_status("ann@example.org").unwrap();
    assert!(
        status.contains("2027-01-15T08:02:00") && status.contains("the key 0"),
        "{status}"
    );
    assert!(
        status.contains("after one failed attempt"),
        "no attempt is counted: {status}"
    );
    app.database
        .execute("UPDATE outbox SET payload = replace(payload, 'enc1.0', 'enc1.')");
    app.advance(60);
    assert_eq!(app.mails().await.len(), 1);
}

async fn a_new_key_takes_over_what_is_stored_and_the_old_one_can_go(setup: Setup) {
    let app = setup.with_mailer(Mailer::Sleeps).spawn().await;
    app.register("ann").await;
    let run = |arguments: &[&str]| {
        let arguments: Vec<&str> = ["encryption-keys"].iter().chain(arguments).copied().collect();
        app.command(&arguments).unwrap()
    };
    let keys = run(&["list"]);
    let old = keys.split(' ').next().unwrap();
    assert!(keys.ends_with("1 rows\n") && keys.contains("encrypts"), "{keys}");
    assert!(run(&["rotate", "--if-none"]).contains("already"));
    assert_eq!(
        app.command(&["keys", "init"]).unwrap(),
        "there is a key already\nthere is an encryption key already\n"
    );
    run(&["rotate"]);
    assert!(run(&["prune"]).starts_with("no key can go"));
    app.advance(7200);
    assert!(run(&["prune"]).starts_with("no key can go"), "a row needs it");
    // Written in clear by an earlier release.
    app.database.execute(
        "INSERT INTO outbox (job_id, kind, recipient, payload, state, created_at_ms, due_at_ms, failed_attempts) \
         VALUES ('j', 'verify_email', 'r', '{}', 'dead', 1, 1, 1)",
    );
    app.expect_dead();
    assert_eq!(
        run(&["re-encrypt"]),
        "2 rows are encrypted again, 0 cannot be read\n"
    );
    assert_eq!(
        run(&["re-encrypt"]),
        "0 rows are encrypted again, 0 cannot be read\n"
    );
    assert_eq!(app.database.number(LIKE_ENCRYPTED), 2);
    assert_eq!(run(&["prune"]), format!("{old} is removed\n"));
}
