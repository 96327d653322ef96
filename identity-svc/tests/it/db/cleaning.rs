use identity_svc::db::messages::{DeleteExpired, Deleted};

use super::{register, start};
use crate::support::{START_MS, Setup, on_both_databases};

on_both_databases!(what_nobody_needs_goes_in_batches);

const DAY_MS: i64 = 86_400_000;

async fn what_nobody_needs_goes_in_batches(setup: Setup) {
    let db = start(&setup);
    for name in ["ann", "bob", "eve"] {
        register(&db, name).await;
    }
    setup.database.execute(&format!(
        "UPDATE outbox SET state = 'published', finished_at_ms = {START_MS} WHERE recipient LIKE 'ann%'; \
         UPDATE outbox SET state = 'dead', finished_at_ms = {START_MS} WHERE recipient LIKE 'bob%'; \
         INSERT INTO used_legacy_tokens (jti, expires_at_ms) VALUES ('0f', {START_MS}); \
         INSERT INTO login_failures (account, address, failure_count, last_failed_at_ms) \
         VALUES ('user:1', 'a', 1, {START_MS})"
    ));
    let delete = async |limit, now_ms| db.call(DeleteExpired { limit, now_ms }).await.unwrap();
    assert_eq!(delete(100, START_MS).await, Deleted::default());
    let two = Deleted {
        sessions: 2,
        secrets: 2,
        outbox_rows: 0,
        suppressed_rows: 0,
        others: 2,
    };
    assert_eq!(delete(2, START_MS + 2 * DAY_MS).await, two);
    let one = Deleted {
        sessions: 1,
        secrets: 1,
        outbox_rows: 1,
        suppressed_rows: 0,
        others: 0,
    };
    assert_eq!(delete(2, START_MS + 8 * DAY_MS).await, one);
    let dead = Deleted {
        outbox_rows: 1,
        ..Deleted::default()
    };
    assert_eq!(delete(2, START_MS + 31 * DAY_MS).await, dead);
    let left = "SELECT count(*) FROM outbox WHERE state = 'waiting'";
    assert_eq!(
        setup.database.number(left),
        1,
        "a job that waits is never deleted"
    );
}
