//! Cleaning up, in small batches.

use diesel::QueryResult;

use super::login_attempts::FORGET_AFTER_MS;
use crate::db::connection::DbConnection;
use crate::db::queries::{legacy_tokens, login_failures, one_time_secrets, outbox, sessions};
use crate::db::{DbMessage, Mode};

/// Finished outbox rows are kept this long: they are what the budget of mails an hour counts.
const KEEP_OUTBOX_MS: i64 = 7 * 24 * 3_600_000;
/// Dead ones are kept longer: somebody may ask why a mail never came.
const KEEP_DEAD_MS: i64 = 30 * 24 * 3_600_000;
/// Expired sessions are kept a little, for clocks that differ.
const KEEP_SESSIONS_MS: i64 = 60_000;

/// Deletes at most `limit` rows of each table that nobody needs any more.
#[derive(Clone, Debug)]
pub struct DeleteExpired {
    pub limit: i64,
    pub now_ms: i64,
}

/// How many rows went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Deleted {
    pub sessions: usize,
    pub secrets: usize,
    pub outbox_rows: usize,
    pub others: usize,
}

impl Deleted {
    pub fn largest(self) -> usize {
        self.sessions.max(self.secrets).max(self.outbox_rows)
    }

    pub fn total(self) -> usize {
        self.sessions + self.secrets + self.outbox_rows + self.others
    }
}

impl DbMessage for DeleteExpired {
    type Output = Deleted;
    const MODE: Mode = Mode::Write;

    fn run(&self, connection: &mut DbConnection) -> QueryResult<Deleted> {
        let before_ms = |keep_ms: i64| self.now_ms.saturating_sub(keep_ms);
        Ok(Deleted {
            sessions: sessions::delete_expired(connection, before_ms(KEEP_SESSIONS_MS), self.limit)?,
            secrets: one_time_secrets::delete_expired(connection, self.now_ms, self.limit)?,
            outbox_rows: outbox::delete_finished(
                connection,
                before_ms(KEEP_OUTBOX_MS),
                before_ms(KEEP_DEAD_MS),
                self.limit,
            )?,
            others: login_failures::delete_old(connection, before_ms(FORGET_AFTER_MS))?
                + legacy_tokens::delete_expired(connection, self.now_ms)?,
        })
    }
}
