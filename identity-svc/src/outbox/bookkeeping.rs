//! Writes down what became of published jobs: many in one update.

use std::time::Duration;

use shared::clock::to_ms;
use shared::queue::PublishError;

use crate::db::messages::{ClaimedJob, MarkDead, MarkRetry, MarkSent, MarkUnreadable, ReleaseClaims};
use crate::db::{Db, DbError};

/// A job whose publish has ended.
pub struct Ended {
    pub job: ClaimedJob,
    pub outcome: Result<(), NotSent>,
}

/// Why a job is not on its way.
pub enum NotSent {
    Queue(PublishError),
    /// Its payload cannot be decrypted now.
    Unreadable {
        reason: String,
    },
}

/// When a job that cannot be decrypted is looked at again.
const UNREADABLE_RETRY: Duration = Duration::from_secs(60);

/// `is_delivered`: the queue takes a job when its mail is out.
///
/// # Errors
/// When the database cannot be written. Writing the same down again does no harm.
pub async fn write_down(db: &Db, ended: &[Ended], is_delivered: bool, now_ms: i64) -> Result<(), DbError> {
    let (mut sent, mut released) = (Vec::new(), Vec::new());
    for Ended { job, outcome } in ended {
        match outcome {
            Ok(()) => sent.push(job.id),
            Err(NotSent::Queue(PublishError::Unavailable(_))) => released.push(job.id),
            Err(NotSent::Queue(PublishError::Retry { after, reason })) => {
                let due_at_ms = now_ms.saturating_add(to_ms(*after));
                db.call(MarkRetry {
                    id: job.id,
                    due_at_ms,
                    reason: reason.clone(),
                })
                .await?;
            }
            Err(NotSent::Unreadable { reason }) => {
                db.call(MarkUnreadable {
                    id: job.id,
                    due_at_ms: now_ms.saturating_add(to_ms(UNREADABLE_RETRY)),
                    reason: reason.clone(),
                })
                .await?;
            }
            Err(NotSent::Queue(PublishError::Dead { reason })) => {
                log::error!(job_id = job.job_id.as_str(); "a mail was given up: {reason}");
                db.call(MarkDead {
                    id: job.id,
                    reason: reason.clone(),
                    now_ms,
                })
                .await?;
            }
        }
    }
    if !sent.is_empty() {
        db.call(MarkSent {
            ids: sent,
            is_delivered,
            now_ms,
        })
        .await?;
    }
    release(db, released, now_ms).await
}

/// Gives claims back: any relay may take the jobs at once.
pub async fn release(db: &Db, ids: Vec<i64>, now_ms: i64) -> Result<(), DbError> {
    if ids.is_empty() {
        return Ok(());
    }
    db.call(ReleaseClaims {
        ids,
        due_at_ms: now_ms,
    })
    .await
}
