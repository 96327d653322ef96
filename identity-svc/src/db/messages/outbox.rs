//! The relay's units of work.

use diesel::QueryResult;

use crate::db::connection::DbConnection;
use crate::db::queries::outbox::{self, ClaimedJob};
use crate::db::{DbMessage, Mode};

/// Claims due jobs: nobody else gets them until `claimed_until_ms`, and everybody may after it.
#[derive(Clone, Debug)]
pub struct ClaimOutboxBatch {
    pub limit: i64,
    pub now_ms: i64,
    pub claimed_until_ms: i64,
}

impl DbMessage for ClaimOutboxBatch {
    type Output = Vec<ClaimedJob>;
    const MODE: Mode = Mode::Write;

    fn run(&self, connection: &mut DbConnection) -> QueryResult<Vec<ClaimedJob>> {
        outbox::claim_due(connection, self.now_ms, self.claimed_until_ms, self.limit)
    }
}

/// When the next waiting job is due (Unix milliseconds).
#[derive(Clone, Debug)]
pub struct FindNextDue;

impl DbMessage for FindNextDue {
    type Output = Option<i64>;
    const MODE: Mode = Mode::Read;

    fn run(&self, connection: &mut DbConnection) -> QueryResult<Option<i64>> {
        outbox::find_next_due(connection)
    }
}

/// Jobs that are safe with the queue.
#[derive(Clone, Debug)]
pub struct MarkPublished {
    pub ids: Vec<i64>,
    pub now_ms: i64,
}

impl DbMessage for MarkPublished {
    type Output = ();
    const MODE: Mode = Mode::Write;

    fn run(&self, connection: &mut DbConnection) -> QueryResult<()> {
        outbox::update_published(connection, &self.ids, self.now_ms)
    }
}

/// A job that failed and is to be tried again at `due_at_ms`.
#[derive(Clone, Debug)]
pub struct MarkRetry {
    pub id: i64,
    pub due_at_ms: i64,
    pub reason: String,
}

impl DbMessage for MarkRetry {
    type Output = ();
    const MODE: Mode = Mode::Write;

    fn run(&self, connection: &mut DbConnection) -> QueryResult<()> {
        outbox::update_retry(connection, self.id, self.due_at_ms, &self.reason)
    }
}

/// Claimed jobs that the queue could not take: due again at `due_at_ms`.
#[derive(Clone, Debug)]
pub struct ReleaseClaims {
    pub ids: Vec<i64>,
    pub due_at_ms: i64,
}

impl DbMessage for ReleaseClaims {
    type Output = ();
    const MODE: Mode = Mode::Write;

    fn run(&self, connection: &mut DbConnection) -> QueryResult<()> {
        outbox::update_released(connection, &self.ids, self.due_at_ms)
    }
}

/// Makes every waiting job due: for the start of the only process that has this outbox.
#[derive(Clone, Debug)]
pub struct ReleaseAllClaims {
    pub now_ms: i64,
}

impl DbMessage for ReleaseAllClaims {
    type Output = ();
    const MODE: Mode = Mode::Write;

    fn run(&self, connection: &mut DbConnection) -> QueryResult<()> {
        outbox::update_all_due(connection, self.now_ms)
    }
}

/// A job that will never succeed; the row stays, with the reason.
#[derive(Clone, Debug)]
pub struct MarkDead {
    pub id: i64,
    pub reason: String,
    pub now_ms: i64,
}

impl DbMessage for MarkDead {
    type Output = ();
    const MODE: Mode = Mode::Write;

    fn run(&self, connection: &mut DbConnection) -> QueryResult<()> {
        outbox::update_dead(connection, self.id, self.now_ms, &self.reason)
    }
}
