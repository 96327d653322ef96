//! How PostgreSQL finds the rows of the hot queries: never by reading a whole table.
#![cfg(feature = "postgres")]

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::Text;

use crate::support::TestDatabase;

#[derive(QueryableByName)]
struct Line {
    #[diesel(sql_type = Text, column_name = "QUERY PLAN")]
    text: String,
}

const FILL: &str = "
INSERT INTO users (uid, username, username_key, email, email_key, is_email_verified, password, first_name, last_name,
                   is_active, created_at_ms, password_set_at_ms)
SELECT 'u' || i, 'n' || i, 'n' || i, 'e' || i, 'e' || i, false, 'p', '', '', true, 0, 0 FROM generate_series(1, 5000) i;
INSERT INTO sessions (sid, user_id, created_at_ms, expires_at_ms, generation, user_agent, address)
SELECT 's' || i, i / 2, 0, 1800000000000 + i, 0, '', '' FROM generate_series(1, 10000) i;
INSERT INTO one_time_secrets SELECT 'd' || i, 'verify_email', i, 0, 1800000000000 + i FROM generate_series(1, 5000) i;
INSERT INTO outbox (job_id, kind, recipient, payload, state, created_at_ms, due_at_ms, failed_attempts, finished_at_ms)
SELECT 'j' || i, 'verify_email', 'e' || i, '', CASE WHEN i > 9900 THEN 'waiting' ELSE 'published' END, i, i, 0, i
FROM generate_series(1, 10000) i;
INSERT INTO login_failures SELECT 'user:' || i, 'a', 1, 0 FROM generate_series(1, 5000) i;
INSERT INTO mail_requests SELECT 'c' || i, 1, i FROM generate_series(1, 5000) i;
INSERT INTO used_legacy_tokens SELECT 'l' || i, i FROM generate_series(1, 5000) i;
ANALYZE;";

const HOT: [&str; 15] = [
    "SELECT * FROM users WHERE username_key = 'n7'",
    "SELECT * FROM users WHERE email_key = 'e7'",
    "SELECT * FROM users WHERE uid = 'u7'",
    "SELECT * FROM users WHERE username_key = ANY('{n7,e7}') OR email_key = 'e7'",
    "SELECT * FROM sessions LEFT JOIN users ON users.id = sessions.user_id WHERE sid = 's7'",
    "UPDATE sessions SET generation = 1 WHERE sid = 's7' AND generation = 0 AND revoked_at_ms IS NULL",
    "UPDATE sessions SET revoked_at_ms = 1 WHERE user_id = 7 AND revoked_at_ms IS NULL AND sid <> ''",
    "SELECT sid FROM sessions WHERE user_id = 7 AND revoked_at_ms IS NULL AND expires_at_ms > 1 \
     ORDER BY sid = 's7' DESC, coalesce(last_used_at_ms, created_at_ms) DESC, sid LIMIT 200",
    "UPDATE sessions SET last_used_at_ms = 1 WHERE sid = 's7' AND revoked_at_ms IS NULL \
     AND (last_used_at_ms IS NULL OR last_used_at_ms <= 0)",
    "SELECT user_id FROM one_time_secrets WHERE digest = 'd7' AND purpose = 'verify_email' AND expires_at_ms > 1",
    "DELETE FROM one_time_secrets WHERE user_id = 7 AND purpose = 'verify_email'",
    "SELECT count(*) FROM outbox WHERE recipient = 'e7' AND kind = 'verify_email' AND created_at_ms > 1",
    "SELECT EXISTS (SELECT 1 FROM outbox WHERE state = 'waiting' AND due_at_ms <= 9950)",
    "WITH due AS (SELECT id FROM outbox WHERE state = 'waiting' AND due_at_ms <= 9950 ORDER BY id LIMIT 20 \
     FOR UPDATE SKIP LOCKED) UPDATE outbox SET due_at_ms = 1 FROM due WHERE outbox.id = due.id RETURNING outbox.id",
    "SELECT * FROM outbox WHERE job_id = 'j7' OR recipient = 'j7'",
];

const CLEANING: [&str; 6] = [
    "SELECT id FROM outbox WHERE state = 'suppressed' AND finished_at_ms < 10 LIMIT 500",
    "DELETE FROM mail_requests WHERE began_at_ms < 10",
    "SELECT sid FROM sessions WHERE expires_at_ms < 1800000000010 LIMIT 500",
    "SELECT digest FROM one_time_secrets WHERE expires_at_ms < 1800000000010 LIMIT 500",
    "SELECT id FROM outbox WHERE state <> 'waiting' AND finished_at_ms < 10 LIMIT 500",
    "DELETE FROM used_legacy_tokens WHERE expires_at_ms < 10",
];

#[test]
fn no_hot_query_reads_a_whole_table() {
    let Some(database) = TestDatabase::postgres() else {
        return;
    };
    let mut connection = diesel::PgConnection::establish(&database.text).unwrap();
    connection.batch_execute(FILL).unwrap();
    for sql in HOT.iter().chain(&CLEANING) {
        let lines: Vec<Line> = diesel::sql_query(format!("EXPLAIN {sql}"))
            .load(&mut connection)
            .unwrap();
        let plan: Vec<String> = lines.into_iter().map(|line| line.text).collect();
        assert!(
            !plan.iter().any(|line| line.contains("Seq Scan")),
            "{sql}\n{plan:#?}"
        );
    }
}
