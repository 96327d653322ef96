//! Table `outbox`: mail jobs on their way to the queue.

use diesel::prelude::*;

use crate::db::connection::DbConnection;
use crate::db::schema::outbox;

/// The life of a row. A `suppressed` one never was a job: it stands for a request that must look as if it were.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutboxState {
    Waiting,
    Published,
    Suppressed,
    Dead,
}

impl OutboxState {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Published => "published",
            Self::Suppressed => "suppressed",
            Self::Dead => "dead",
        }
    }
}

#[derive(Insertable)]
#[diesel(table_name = outbox)]
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

/// Claims at most `limit` due jobs, oldest first, until `claimed_until_ms`: nobody else gets them before that.
pub fn claim_due(
    connection: &mut DbConnection,
    now_ms: i64,
    claimed_until_ms: i64,
    limit: i64,
) -> QueryResult<Vec<ClaimedJob>> {
    let due: Vec<i64> = match connection {
        DbConnection::Sqlite(sqlite) => due_ids(now_ms, limit).load(sqlite)?,
        // Replicas take different rows, without waiting for each other.
        #[cfg(feature = "postgres")]
        DbConnection::Postgres(postgres) => {
            due_ids(now_ms, limit).for_update().skip_locked().load(postgres)?
        }
    };
    if due.is_empty() {
        return Ok(Vec::new());
    }
    diesel::update(outbox::table.filter(outbox::id.eq_any(&due)))
        .set(outbox::due_at_ms.eq(claimed_until_ms))
        .execute(connection)?;
    outbox::table
        .filter(outbox::id.eq_any(&due))
        .order(outbox::id)
        .select((
            outbox::id,
            outbox::job_id,
            outbox::payload,
            outbox::failed_attempts,
        ))
        .load(connection)
}

#[diesel::dsl::auto_type(no_type_alias)]
fn due_ids(now_ms: i64, limit: i64) -> _ {
    let waiting: &'static str = "waiting";
    outbox::table
        .filter(outbox::state.eq(waiting).and(outbox::due_at_ms.le(now_ms)))
        .order(outbox::id)
        .select(outbox::id)
        .limit(limit)
}

/// When the next waiting job is due.
pub fn find_next_due(connection: &mut DbConnection) -> QueryResult<Option<i64>> {
    outbox::table
        .filter(outbox::state.eq(OutboxState::Waiting.as_str()))
        .select(diesel::dsl::min(outbox::due_at_ms))
        .first(connection)
}

/// Marks jobs as out of our hands and forgets their content, which holds links with one-time secrets.
pub fn update_published(connection: &mut DbConnection, ids: &[i64], now_ms: i64) -> QueryResult<()> {
    diesel::update(outbox::table.filter(outbox::id.eq_any(ids)))
        .set((
            outbox::state.eq(OutboxState::Published.as_str()),
            outbox::payload.eq(""),
            outbox::finished_at_ms.eq(Some(now_ms)),
        ))
        .execute(connection)
        .map(drop)
}

pub fn update_retry(connection: &mut DbConnection, id: i64, due_at_ms: i64, reason: &str) -> QueryResult<()> {
    diesel::update(outbox::table.find(id))
        .set((
            outbox::due_at_ms.eq(due_at_ms),
            outbox::failed_attempts.eq(outbox::failed_attempts + 1),
            outbox::last_error.eq(Some(reason)),
        ))
        .execute(connection)
        .map(drop)
}

/// Gives claimed jobs back, due at `due_at_ms`: the queue is away, which is no fault of theirs.
pub fn update_released(connection: &mut DbConnection, ids: &[i64], due_at_ms: i64) -> QueryResult<()> {
    diesel::update(outbox::table.filter(outbox::id.eq_any(ids)))
        .set(outbox::due_at_ms.eq(due_at_ms))
        .execute(connection)
        .map(drop)
}

pub fn update_all_due(connection: &mut DbConnection, now_ms: i64) -> QueryResult<()> {
    let waiting = outbox::state
        .eq(OutboxState::Waiting.as_str())
        .and(outbox::due_at_ms.gt(now_ms));
    diesel::update(outbox::table.filter(waiting))
        .set(outbox::due_at_ms.eq(now_ms))
        .execute(connection)
        .map(drop)
}

pub fn update_dead(connection: &mut DbConnection, id: i64, now_ms: i64, reason: &str) -> QueryResult<()> {
    diesel::update(outbox::table.find(id))
        .set((
            outbox::state.eq(OutboxState::Dead.as_str()),
            outbox::finished_at_ms.eq(Some(now_ms)),
            outbox::last_error.eq(Some(reason)),
        ))
        .execute(connection)
        .map(drop)
}

/// Deletes at most `limit` rows that were published or suppressed before `before_ms`; returns how many.
pub fn delete_finished(connection: &mut DbConnection, before_ms: i64, limit: i64) -> QueryResult<usize> {
    let states = [OutboxState::Published.as_str(), OutboxState::Suppressed.as_str()];
    let ids: Vec<i64> = outbox::table
        .filter(
            outbox::state
                .eq_any(states)
                .and(outbox::finished_at_ms.lt(before_ms)),
        )
        .select(outbox::id)
        .limit(limit)
        .load(connection)?;
    diesel::delete(outbox::table.filter(outbox::id.eq_any(ids))).execute(connection)
}
