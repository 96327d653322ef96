//! Table `outbox`: mail jobs on their way to the queue, and what became of them.

use diesel::dsl::sql;
use diesel::expression::SqlLiteral;
use diesel::prelude::*;
use diesel::sql_types::Bool;

use crate::db::connection::DbConnection;
#[cfg(feature = "postgres")]
use crate::db::queries::statement::{Statement, Value};
use crate::db::schema::outbox;

/// The life of a row. A `suppressed` one never was a job: it stands for a request that must look as if it were.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutboxState {
    Waiting,
    Published,
    Delivered,
    Dead,
    Suppressed,
}

impl OutboxState {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Published => "published",
            Self::Delivered => "delivered",
            Self::Dead => "dead",
            Self::Suppressed => "suppressed",
        }
    }
}

// A statement with an optional value left out could not be prepared once for all.
#[derive(Insertable)]
#[diesel(table_name = outbox, treat_none_as_default_value = false)]
pub struct InsertOutboxRow<'a> {
    pub job_id: &'a str,
    pub kind: &'static str,
    pub recipient: &'a str,
    pub payload: &'a str,
    pub state: &'static str,
    pub created_at_ms: i64,
    pub due_at_ms: i64,
    pub failed_attempts: i32,
    pub finished_at_ms: Option<i64>,
}

/// A claimed job.
#[derive(Clone, Queryable)]
pub struct ClaimedJob {
    pub id: i64,
    pub job_id: String,
    pub payload: String,
    pub failed_attempts: i32,
}

pub fn insert_row(connection: &mut DbConnection, row: &InsertOutboxRow<'_>) -> QueryResult<()> {
    diesel::insert_into(outbox::table)
        .values(row)
        .execute(connection)
        .map(drop)
}

/// Lets requests for mails to one address come one after the other until the end of the transaction. An unknown
/// address has no row that could be locked. SQLite's write lock has done that already.
#[cfg_attr(
    not(feature = "postgres"),
    expect(
        unused_variables,
        clippy::unnecessary_wraps,
        reason = "there is nothing to lock on SQLite"
    )
)]
pub fn lock_recipient(connection: &mut DbConnection, recipient: &str) -> QueryResult<()> {
    match connection {
        DbConnection::Sqlite(_) => Ok(()),
        #[cfg(feature = "postgres")]
        DbConnection::Postgres(postgres) => Statement::<()>::new(
            &["SELECT pg_advisory_xact_lock(hashtextextended(", ", 0))"],
            vec![Value::Text(recipient)],
        )
        .execute(postgres)
        .map(drop),
    }
}

/// How many mails of a kind were asked for by an address since `since_ms`.
pub fn count_recent(
    connection: &mut DbConnection,
    recipient: &str,
    kind: &str,
    since_ms: i64,
) -> QueryResult<i64> {
    outbox::table
        .filter(
            outbox::recipient
                .eq(recipient)
                .and(outbox::kind.eq(kind))
                .and(outbox::created_at_ms.gt(since_ms)),
        )
        .count()
        .get_result(connection)
}

/// Claims at most `limit` due jobs, those that wait longest first, until `claimed_until_ms`: nobody else gets them before that.
pub fn claim_due(
    connection: &mut DbConnection,
    now_ms: i64,
    claimed_until_ms: i64,
    limit: i64,
) -> QueryResult<Vec<ClaimedJob>> {
    match connection {
        DbConnection::Sqlite(sqlite) => {
            let due: Vec<i64> = outbox::table
                .filter(is_waiting().and(outbox::due_at_ms.le(now_ms)))
                .order((outbox::due_at_ms, outbox::id))
                .select(outbox::id)
                .limit(limit)
                .load(sqlite)?;
            diesel::update(outbox::table.filter(outbox::id.eq_any(&due)))
                .set(outbox::due_at_ms.eq(claimed_until_ms))
                .returning((
                    outbox::id,
                    outbox::job_id,
                    outbox::payload,
                    outbox::failed_attempts,
                ))
                .load(sqlite)
        }
        // Replicas take different rows, without waiting for each other.
        #[cfg(feature = "postgres")]
        DbConnection::Postgres(postgres) => {
            use diesel::sql_types::{BigInt, Integer, Text};
            Statement::<(BigInt, Text, Text, Integer)>::new(
                &[
                    "WITH due AS (SELECT id FROM outbox WHERE state = 'waiting' AND due_at_ms <= ",
                    " ORDER BY id LIMIT ",
                    " FOR UPDATE SKIP LOCKED) UPDATE outbox SET due_at_ms = ",
                    " FROM due WHERE outbox.id = due.id \
                     RETURNING outbox.id, outbox.job_id, outbox.payload, outbox.failed_attempts",
                ],
                vec![
                    Value::BigInt(now_ms),
                    Value::BigInt(limit),
                    Value::BigInt(claimed_until_ms),
                ],
            )
            .load(postgres)
        }
    }
}

/// Written out, not bound: only so do the databases know that the partial index will do.
fn is_waiting() -> SqlLiteral<Bool> {
    sql("state = 'waiting'")
}

/// Whether a waiting job is due.
pub fn has_due(connection: &mut DbConnection, now_ms: i64) -> QueryResult<bool> {
    let due = outbox::table.filter(is_waiting().and(outbox::due_at_ms.le(now_ms)));
    diesel::select(diesel::dsl::exists(due)).get_result(connection)
}

/// How many jobs wait, and when the oldest of them was written (Unix milliseconds).
pub fn find_depth(connection: &mut DbConnection) -> QueryResult<(i64, Option<i64>)> {
    outbox::table
        .filter(is_waiting())
        .select((diesel::dsl::count_star(), diesel::dsl::min(outbox::created_at_ms)))
        .first(connection)
}

/// Marks waiting jobs as out of our hands (`state`: published or delivered) and forgets their content, which holds
/// links with one-time secrets. One whose outcome has come already stays as it is.
pub fn update_sent(
    connection: &mut DbConnection,
    ids: &[i64],
    state: OutboxState,
    now_ms: i64,
) -> QueryResult<()> {
    match connection {
        DbConnection::Sqlite(sqlite) => {
            diesel::update(outbox::table.filter(outbox::id.eq_any(ids).and(is_waiting())))
                .set((
                    outbox::state.eq(state.as_str()),
                    outbox::payload.eq(""),
                    outbox::published_at_ms.eq(Some(now_ms)),
                    outbox::finished_at_ms.eq(Some(now_ms)),
                ))
                .execute(sqlite)
        }
        #[cfg(feature = "postgres")]
        DbConnection::Postgres(postgres) => Statement::<()>::new(
            &[
                "UPDATE outbox SET payload = '', state = ",
                ", published_at_ms = ",
                ", finished_at_ms = ",
                " WHERE state = 'waiting' AND id = ANY(",
                ")",
            ],
            vec![
                Value::Text(state.as_str()),
                Value::BigInt(now_ms),
                Value::BigInt(now_ms),
                Value::BigInts(ids),
            ],
        )
        .execute(postgres),
    }
    .map(drop)
}

pub fn update_retry(connection: &mut DbConnection, id: i64, due_at_ms: i64, reason: &str) -> QueryResult<()> {
    diesel::update(outbox::table.filter(outbox::id.eq(id).and(is_waiting())))
        .set((
            outbox::due_at_ms.eq(due_at_ms),
            outbox::failed_attempts.eq(outbox::failed_attempts + 1),
            outbox::last_error.eq(Some(reason)),
        ))
        .execute(connection)
        .map(drop)
}

/// Makes a waiting job due later, for a reason that is no failed attempt.
pub fn update_postponed(
    connection: &mut DbConnection,
    id: i64,
    due_at_ms: i64,
    reason: &str,
) -> QueryResult<()> {
    diesel::update(outbox::table.filter(outbox::id.eq(id).and(is_waiting())))
        .set((
            outbox::due_at_ms.eq(due_at_ms),
            outbox::last_error.eq(Some(reason)),
        ))
        .execute(connection)
        .map(drop)
}

/// Gives claimed jobs back, due at `due_at_ms`: the queue is away, which is no fault of theirs.
pub fn update_released(connection: &mut DbConnection, ids: &[i64], due_at_ms: i64) -> QueryResult<()> {
    match connection {
        DbConnection::Sqlite(sqlite) => {
            diesel::update(outbox::table.filter(outbox::id.eq_any(ids).and(is_waiting())))
                .set(outbox::due_at_ms.eq(due_at_ms))
                .execute(sqlite)
        }
        #[cfg(feature = "postgres")]
        DbConnection::Postgres(postgres) => Statement::<()>::new(
            &[
                "UPDATE outbox SET due_at_ms = ",
                " WHERE state = 'waiting' AND id = ANY(",
                ")",
            ],
            vec![Value::BigInt(due_at_ms), Value::BigInts(ids)],
        )
        .execute(postgres),
    }
    .map(drop)
}

pub fn update_all_due(connection: &mut DbConnection, now_ms: i64) -> QueryResult<()> {
    diesel::update(outbox::table.filter(is_waiting().and(outbox::due_at_ms.gt(now_ms))))
        .set(outbox::due_at_ms.eq(now_ms))
        .execute(connection)
        .map(drop)
}

pub fn update_dead(connection: &mut DbConnection, id: i64, now_ms: i64, reason: &str) -> QueryResult<()> {
    diesel::update(outbox::table.find(id))
        .set((
            outbox::state.eq(OutboxState::Dead.as_str()),
            outbox::failed_attempts.eq(outbox::failed_attempts + 1),
            outbox::finished_at_ms.eq(Some(now_ms)),
            outbox::last_error.eq(Some(reason)),
        ))
        .execute(connection)
        .map(drop)
}

/// How a published job ended, as the mailer told it.
pub struct JobEnd<'a> {
    pub state: OutboxState,
    pub failed_attempts: i32,
    pub at_ms: i64,
    pub reason: Option<&'a str>,
}

/// Writes the end of a job down; `false` when it is unknown, or a later end is known. It may come before the relay has
/// marked the job as published, and then saves sending it twice.
pub fn update_ended(connection: &mut DbConnection, job_id: &str, end: &JobEnd<'_>) -> QueryResult<bool> {
    let is_news = sql::<Bool>("state IN ('waiting', 'published')")
        .or(outbox::finished_at_ms.lt(end.at_ms).assume_not_null());
    let row = outbox::table.filter(outbox::job_id.eq(job_id).and(is_news));
    let updated = diesel::update(row)
        .set((
            outbox::state.eq(end.state.as_str()),
            outbox::payload.eq(""),
            outbox::failed_attempts.eq(end.failed_attempts),
            outbox::finished_at_ms.eq(Some(end.at_ms)),
            outbox::last_error.eq(end.reason),
        ))
        .execute(connection)?;
    Ok(updated == 1)
}

/// What the operator may know of a mail: neither content nor link.
#[derive(Clone, Debug, PartialEq, Eq, Queryable)]
pub struct MailRow {
    pub job_id: String,
    pub kind: String,
    pub state: String,
    pub created_at_ms: i64,
    pub due_at_ms: i64,
    pub failed_attempts: i32,
    pub published_at_ms: Option<i64>,
    pub finished_at_ms: Option<i64>,
    pub last_error: Option<String>,
}

/// The mail of a job, or the latest `limit` mails to an address, newest first.
pub fn find_mails(
    connection: &mut DbConnection,
    job_or_recipient: &str,
    limit: i64,
) -> QueryResult<Vec<MailRow>> {
    outbox::table
        .filter(
            outbox::job_id
                .eq(job_or_recipient)
                .or(outbox::recipient.eq(job_or_recipient)),
        )
        .order((outbox::created_at_ms.desc(), outbox::id.desc()))
        .select((
            outbox::job_id,
            outbox::kind,
            outbox::state,
            outbox::created_at_ms,
            outbox::due_at_ms,
            outbox::failed_attempts,
            outbox::published_at_ms,
            outbox::finished_at_ms,
            outbox::last_error,
        ))
        .limit(limit)
        .load(connection)
}

/// Deletes at most `limit` rows of requests before `before_ms` that sent nothing; returns how many.
pub fn delete_suppressed(connection: &mut DbConnection, before_ms: i64, limit: i64) -> QueryResult<usize> {
    let ids: Vec<i64> = outbox::table
        .filter(sql::<Bool>("state = 'suppressed'"))
        .filter(outbox::finished_at_ms.lt(before_ms))
        .select(outbox::id)
        .limit(limit)
        .load(connection)?;
    if ids.is_empty() {
        return Ok(0);
    }
    diesel::delete(outbox::table.filter(outbox::id.eq_any(ids))).execute(connection)
}

/// Deletes at most `limit` rows that were finished before `before_ms`, dead ones before `dead_before_ms`; returns how
/// many.
pub fn delete_finished(
    connection: &mut DbConnection,
    before_ms: i64,
    dead_before_ms: i64,
    limit: i64,
) -> QueryResult<usize> {
    let is_old = outbox::finished_at_ms.lt(before_ms).and(
        outbox::state
            .ne(OutboxState::Dead.as_str())
            .or(outbox::finished_at_ms.lt(dead_before_ms)),
    );
    let ids: Vec<i64> = outbox::table
        .filter(sql::<Bool>("state <> 'waiting'"))
        .filter(is_old)
        .select(outbox::id)
        .limit(limit)
        .load(connection)?;
    if ids.is_empty() {
        return Ok(0);
    }
    diesel::delete(outbox::table.filter(outbox::id.eq_any(ids))).execute(connection)
}
