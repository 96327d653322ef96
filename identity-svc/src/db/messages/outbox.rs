//! The relay's units of work.

use diesel::QueryResult;
use shared::mail_outcome::{MailOutcome, MailResult};

use crate::db::connection::DbConnection;
use crate::db::queries::outbox::{self, ClaimedJob, JobEnd, MailRow, OutboxState};
use crate::db::queries::outbox_payloads;
use crate::db::{DbMessage, Mode};
use crate::encryption::{Encryption, Place};

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

/// Whether a waiting job is due.
#[derive(Clone, Debug)]
pub struct HasDueJob {
    pub now_ms: i64,
}

impl DbMessage for HasDueJob {
    type Output = bool;
    const MODE: Mode = Mode::Read;

    fn run(&self, connection: &mut DbConnection) -> QueryResult<bool> {
        outbox::has_due(connection, self.now_ms)
    }
}

/// How many jobs wait, for the metrics.
#[derive(Clone, Debug)]
pub struct FindOutboxDepth;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OutboxDepth {
    pub waiting_count: i64,
    /// When the oldest of them was written (Unix milliseconds).
    pub oldest_created_at_ms: Option<i64>,
}

impl DbMessage for FindOutboxDepth {
    type Output = OutboxDepth;
    const MODE: Mode = Mode::Read;

    fn run(&self, connection: &mut DbConnection) -> QueryResult<OutboxDepth> {
        let (waiting_count, oldest_created_at_ms) = outbox::find_depth(connection)?;
        Ok(OutboxDepth {
            waiting_count,
            oldest_created_at_ms,
        })
    }
}

/// Jobs that are safe with the queue, or whose mails are out already.
#[derive(Clone, Debug)]
pub struct MarkSent {
    pub ids: Vec<i64>,
    /// The queue is in-process: it takes a job when its mail is out.
    pub is_delivered: bool,
    pub now_ms: i64,
}

impl DbMessage for MarkSent {
    type Output = ();
    const MODE: Mode = Mode::Write;

    fn run(&self, connection: &mut DbConnection) -> QueryResult<()> {
        let state = if self.is_delivered {
            OutboxState::Delivered
        } else {
            OutboxState::Published
        };
        outbox::update_sent(connection, &self.ids, state, self.now_ms)
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

/// A job that cannot be decrypted now, which is no failed attempt: due again at `due_at_ms`.
#[derive(Clone, Debug)]
pub struct MarkUnreadable {
    pub id: i64,
    pub due_at_ms: i64,
    pub reason: String,
}

impl DbMessage for MarkUnreadable {
    type Output = ();
    const MODE: Mode = Mode::Write;

    fn run(&self, connection: &mut DbConnection) -> QueryResult<()> {
        outbox::update_postponed(connection, self.id, self.due_at_ms, &self.reason)
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

/// How mail jobs ended, as the mailer told it. Of two ends of one job the later counts.
#[derive(Clone, Debug)]
pub struct RecordOutcomes {
    pub outcomes: Vec<MailOutcome>,
}

impl DbMessage for RecordOutcomes {
    /// How many were news.
    type Output = usize;
    const MODE: Mode = Mode::Write;

    fn run(&self, connection: &mut DbConnection) -> QueryResult<usize> {
        // In one order everywhere, so that two replicas never wait for each other.
        let mut outcomes: Vec<&MailOutcome> = self.outcomes.iter().collect();
        outcomes.sort_by_key(|outcome| (&outcome.job_id, outcome.at_ms));
        let mut news_count = 0;
        for outcome in outcomes {
            let (state, reason, failed) = match &outcome.result {
                MailResult::Delivered => (OutboxState::Delivered, None, outcome.attempts.saturating_sub(1)),
                MailResult::Dead { reason } => (OutboxState::Dead, Some(reason.as_str()), outcome.attempts),
            };
            let end = JobEnd {
                state,
                failed_attempts: i32::try_from(failed).unwrap_or(i32::MAX),
                at_ms: outcome.at_ms,
                reason,
            };
            news_count += usize::from(outbox::update_ended(connection, &outcome.job_id, &end)?);
        }
        Ok(news_count)
    }
}

/// Encrypts stored jobs again with the key that is used now, at most `limit` of those after the row `after_id`.
#[derive(Clone, Debug)]
pub struct ReEncryptOutbox {
    pub encryption: Encryption,
    pub after_id: i64,
    pub limit: i64,
    pub now_ms: i64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReEncrypted {
    /// The last row looked at; `None`: there was none.
    pub last_id: Option<i64>,
    pub changed_count: usize,
    /// Rows whose key is unknown, or that are damaged. They stay as they are.
    pub unreadable_count: usize,
}

impl DbMessage for ReEncryptOutbox {
    type Output = ReEncrypted;
    const MODE: Mode = Mode::Write;

    fn run(&self, connection: &mut DbConnection) -> QueryResult<ReEncrypted> {
        let up_to_date = self.encryption.prefix_now(self.now_ms);
        let mut done = ReEncrypted::default();
        for row in outbox_payloads::find_payloads(connection, self.after_id, self.limit)? {
            done.last_id = Some(row.id);
            if up_to_date
                .as_deref()
                .is_some_and(|prefix| row.payload.starts_with(prefix))
            {
                continue;
            }
            let place = Place::outbox_payload(&row.job_id);
            let Ok(text) = self.encryption.decrypt(place, &row.payload) else {
                done.unreadable_count += 1;
                continue;
            };
            let payload = self
                .encryption
                .encrypt(place, &text, self.now_ms)
                .map_err(|error| diesel::result::Error::SerializationError(Box::new(error)))?;
            // A relay may have finished it meanwhile.
            done.changed_count += usize::from(outbox_payloads::update_payload(
                connection,
                row.id,
                &row.payload,
                &payload,
            )?);
        }
        Ok(done)
    }
}

/// How many stored jobs begin with `prefix`: those of one encryption key.
#[derive(Clone, Debug)]
pub struct CountPayloads {
    pub prefix: String,
}

impl DbMessage for CountPayloads {
    type Output = i64;
    const MODE: Mode = Mode::Read;

    fn run(&self, connection: &mut DbConnection) -> QueryResult<i64> {
        outbox_payloads::count_payloads(connection, &self.prefix)
    }
}

/// Finds the mail of a job, or the latest mails to an address, newest first.
#[derive(Clone, Debug)]
pub struct FindMails {
    /// A job id, or an address in the form that is compared.
    pub job_or_recipient: String,
    pub limit: i64,
}

impl DbMessage for FindMails {
    type Output = Vec<MailRow>;
    const MODE: Mode = Mode::Read;

    fn run(&self, connection: &mut DbConnection) -> QueryResult<Vec<MailRow>> {
        outbox::find_mails(connection, &self.job_or_recipient, self.limit)
    }
}
