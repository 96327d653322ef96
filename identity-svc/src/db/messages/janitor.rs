//! Cleaning up, in small batches.

use diesel::QueryResult;

use super::login_attempts::FORGET_AFTER_MS;
use super::mails::HOUR_MS;
use crate::db::connection::DbConnection;
use crate::db::queries::{legacy_tokens, login_failures, mail_requests, one_time_secrets, outbox, sessions};
use crate::db::{DbMessage, Mode};

/// Mails that were sent are kept this long: somebody may ask what became of one.
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
    /// Of requests for mails that sent nothing: kept for the hour in which they count.
    pub suppressed_rows: usize,
    pub others: usize,
}

impl Deleted {
    pub fn largest(self) -> usize {
        let outbox = self.outbox_rows.max(self.suppressed_rows);
        self.sessions.max(self.secrets).max(outbox)
    }

    pub fn total(self) -> usize {
        self.sessions + self.secrets + self.outbox_rows + self.suppressed_rows + self.others
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
            suppressed_rows: outbox::delete_suppressed(connection, before_ms(HOUR_MS), self.limit)?,
            others: login_failures::delete_old(connection, before_ms(FORGET_AFTER_MS))?
                + mail_requests::delete_old(connection, before_ms(HOUR_MS))?
                + legacy_tokens::delete_expired(connection, self.now_ms)?,
        })
    }
}
