//! The way of a mail job through relay, queue and back, as the operator sees it.

use std::sync::Arc;
use std::time::Duration;

use identity_svc::db::Db;
use identity_svc::db::messages::FindOutboxDepth;
use identity_svc::encryption::Encryption;
use identity_svc::outbox::{OutboxRelay, OutcomeRecorder, RelaySettings};
use serde_json::json;
use shared::clock::Clock;
use shared::mail_outcome::{MailOutcome, MailResult, SCHEMA};
use shared::queue::{OutcomeConsumer, OutcomeDelivery, in_process};

use crate::support::{Mailer, START_MS, Setup, on_both_databases};

on_both_databases!(
    a_mail_that_is_out_is_delivered,
    a_mail_that_is_refused_is_dead_with_its_reason,
    a_mail_that_failed_is_tried_again_when_it_is_due,
    many_mails_leave_each_of_them_once,
    what_the_mailer_tells_is_written_down_and_acknowledged,
    a_stop_gives_claimed_jobs_back,
    jobs_claimed_ahead_are_given_back_when_the_queue_fails,
);

async fn a_mail_that_is_out_is_delivered(setup: Setup) {
    let app = setup.spawn().await;
    app.register("ann").await;
    let job = app.mail_to("ann@example.org").await.job_id;
    for name in ["ann@example.org", "Ann@Example.org", &job] {
        let status = app.mail_status(name).unwrap();
        let expected = format!(
            "{job}  verify_email    created 2027-01-15T08:00:00.000000Z  delivered 2027-01-15T08:00:00.000000Z\n"
        );
        assert_eq!(status, expected);
    }
    app.post("password/reset/", json!({"email": "nobody@example.org"}))
        .await;
    assert!(
        app.mail_status("nobody@example.org")
            .unwrap()
            .contains("never was a mail")
    );
    let error = app.mail_status("stranger@example.org").unwrap_err();
    assert!(
        error.starts_with("there is no mail to stranger@example.org"),
        "{error}"
    );
    let metrics = &app.running.relay_metrics;
    assert_eq!(
        (metrics.published(), metrics.confirmed(), metrics.failed()),
        (1, 1, 0)
    );
}

async fn a_mail_that_is_refused_is_dead_with_its_reason(setup: Setup) {
    let app = setup.with_mailer(Mailer::Refuses).spawn().await;
    app.expect_dead();
    app.register("ann").await;
    app.mails().await;
    let status = app.mail_status("ann@example.org").unwrap();
    let end = "dead 2027-01-15T08:00:00.000000Z, after one failed attempt: 550 no such user\n";
    assert!(status.ends_with(end), "{status}");
}

async fn a_mail_that_failed_is_tried_again_when_it_is_due(setup: Setup) {
    let app = setup.with_mailer(Mailer::FailsOnce).spawn().await;
    app.register("ann").await;
    app.wait_until("SELECT count(*) FROM outbox WHERE failed_attempts = 1")
        .await;
    let status = app.mail_status("ann@example.org").unwrap();
    let end =
        "waiting for the next attempt at 2027-01-15T08:01:00.000000Z, after one failed attempt: 451 busy\n";
    assert!(status.ends_with(end), "{status}");
    app.advance(60);
    assert_eq!(app.mails().await.len(), 1);
    let status = app.mail_status("ann@example.org").unwrap();
    assert!(status.contains("  delivered "), "{status}");
}

async fn many_mails_leave_each_of_them_once(setup: Setup) {
    let app = setup.spawn().await;
    app.register("ann").await;
    let job = app.mail_to("ann@example.org").await;
    let payload = job.to_json().unwrap().replace('\'', "''");
    app.database.execute(&format!(
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000) \
         INSERT INTO outbox (job_id, kind, recipient, payload, state, created_at_ms, due_at_ms, failed_attempts) \
         SELECT CAST(i AS TEXT), 'verify_email', 'r', '{payload}', 'waiting', {START_MS}, {START_MS}, 0 FROM n"
    ));
    app.wait_until(
        "SELECT CASE WHEN count(*) = 1001 THEN 1 ELSE 0 END FROM outbox WHERE state = 'delivered'",
    )
    .await;
    assert_eq!(app.mails().await.len(), 1001);
    assert_eq!(app.running.relay_metrics.confirmed(), 1001);
}

async fn what_the_mailer_tells_is_written_down_and_acknowledged(setup: Setup) {
    let app = setup.spawn().await;
    app.expect_dead();
    app.register("ann").await;
    let job_id = app.mail_to("ann@example.org").await.job_id;
    let (sender, outcomes) = tokio::sync::mpsc::channel(8);
    let (trigger, shutdown) = shared::shutdown::channel();
    let outcomes = OutcomeConsumer::InProcess(outcomes);
    let ended = OutcomeRecorder::start(app.running.db.clone(), outcomes, shutdown);
    let reason = "550 mailbox full".to_owned();
    let (delivery, acked) = OutcomeDelivery::in_process(MailOutcome {
        schema: SCHEMA,
        job_id,
        at_ms: START_MS + 1000,
        attempts: 4,
        result: MailResult::Dead { reason },
    });
    sender.send(delivery).await.unwrap();
    acked.await.unwrap();
    let status = app.mail_status("ann@example.org").unwrap();
    let end = "dead 2027-01-15T08:00:01.000000Z, after 4 failed attempts: 550 mailbox full\n";
    assert!(status.ends_with(end), "{status}");
    trigger.trigger();
    ended.await.unwrap();
}

async fn a_stop_gives_claimed_jobs_back(setup: Setup) {
    let app = setup.with_mailer(Mailer::Sleeps).spawn().await;
    app.register("ann").await;
    app.wait_until(&format!(
        "SELECT count(*) FROM outbox WHERE due_at_ms > {START_MS}"
    ))
    .await;
    let db = app.running.db.clone();
    // Not for as long as a mailer may sleep: the relay waits for what is in flight, and then no more.
    let stopped = tokio::time::timeout(Duration::from_secs(20), app.stop()).await;
    let database = stopped.unwrap();
    assert_eq!(db.call(FindOutboxDepth).await.unwrap().waiting_count, 1);
    let due = format!("SELECT count(*) FROM outbox WHERE due_at_ms <= {START_MS}");
    assert_eq!(database.number(&due), 1);
}

async fn jobs_claimed_ahead_are_given_back_when_the_queue_fails(setup: Setup) {
    let db = Db::start(setup.database.url.clone(), 4);
    setup.database.execute(&format!(
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100) \
         INSERT INTO outbox (job_id, kind, recipient, payload, state, created_at_ms, due_at_ms, failed_attempts) \
         SELECT CAST(i AS TEXT), 'verify_email', 'r', '{{}}', 'waiting', {START_MS}, {START_MS}, 0 FROM n"
    ));
    let settings = RelaySettings {
        in_flight: 4,
        claimed_ahead: 8,
        claim: Duration::from_secs(60),
        takes_when_delivered: false,
    };
    let (publisher, mut consumer) = in_process::channel();
    let (trigger, shutdown) = shared::shutdown::channel();
    let clock = Clock::fixed(START_MS);
    let relay = OutboxRelay::start(
        db.clone(),
        publisher,
        Encryption::in_memory().unwrap(),
        clock,
        settings,
        Arc::default(),
        shutdown,
    );
    let claimed = format!("SELECT count(*) FROM outbox WHERE due_at_ms > {START_MS}");
    let until_claimed = async |count: i64| {
        for _ in 0..1000 {
            if setup.database.number(&claimed) == count {
                return;
            }
            actix_web::rt::time::sleep(Duration::from_millis(5)).await;
        }
        panic!(
            "never were {count} claimed, now {}",
            setup.database.number(&claimed)
        );
    };
    let mut in_flight = Vec::new();
    for _ in 0..4 {
        in_flight.push(consumer.next().await.unwrap());
    }
    until_claimed(12).await;
    // A delivery without an end is what a broker does that goes away.
    drop(in_flight.pop());
    until_claimed(3).await;
    trigger.trigger();
    drop(in_flight);
    relay.await.unwrap();
    assert_eq!(db.call(FindOutboxDepth).await.unwrap().waiting_count, 100);
    assert_eq!(setup.database.number(&claimed), 0);
}
