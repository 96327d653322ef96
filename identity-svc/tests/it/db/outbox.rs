use std::collections::HashSet;

use futures_util::future::join_all;
use identity_svc::db::Db;
use identity_svc::db::messages::{
    ClaimOutboxBatch, ClaimedJob, FindMails, FindOutboxDepth, HasDueJob, MailRow, MarkDead, MarkRetry,
    MarkSent, OutboxDepth, RecordOutcomes, ReleaseAllClaims, ReleaseClaims,
};
use shared::mail_outcome::{MailOutcome, MailResult, SCHEMA};

use super::{register, start};
use crate::support::{START_MS, Setup, on_both_databases};

on_both_databases!(
    four_relays_claim_five_hundred_jobs_each_of_them_once,
    a_claim_ends_by_itself_or_is_given_back,
    a_sent_job_is_emptied_and_counts_no_more,
    a_failed_job_waits_for_its_next_attempt,
    of_two_ends_the_later_counts,
    an_end_may_be_known_before_the_job_is_marked,
    whether_one_is_due_and_the_depth_are_told,
);

fn claim(limit: i64, now_ms: i64) -> ClaimOutboxBatch {
    ClaimOutboxBatch {
        limit,
        now_ms,
        claimed_until_ms: now_ms + 60_000,
    }
}

async fn claim_one(db: &Db) -> ClaimedJob {
    register(db, "ann").await;
    let mut jobs = db.call(claim(10, START_MS)).await.unwrap();
    assert_eq!(jobs.len(), 1);
    jobs.remove(0)
}

async fn find(db: &Db, job_or_recipient: &str) -> Vec<MailRow> {
    let message = FindMails {
        job_or_recipient: job_or_recipient.to_owned(),
        limit: 20,
    };
    db.call(message).await.unwrap()
}

fn outcome(job: &ClaimedJob, at_ms: i64, result: MailResult) -> RecordOutcomes {
    let outcome = MailOutcome {
        schema: SCHEMA,
        job_id: job.job_id.clone(),
        at_ms,
        attempts: 3,
        result,
    };
    RecordOutcomes {
        outcomes: vec![outcome],
    }
}

async fn four_relays_claim_five_hundred_jobs_each_of_them_once(setup: Setup) {
    let db = start(&setup);
    setup.database.execute(&format!(
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 500) \
         INSERT INTO outbox (job_id, kind, recipient, payload, state, created_at_ms, due_at_ms, failed_attempts) \
         SELECT CAST(i AS TEXT), 'verify_email', 'r', '{{}}', 'waiting', {START_MS}, {START_MS}, 0 FROM n"
    ));
    let relay = async || {
        let mut claimed = Vec::new();
        loop {
            let jobs = db.call(claim(20, START_MS)).await.unwrap();
            if jobs.is_empty() {
                return claimed;
            }
            claimed.extend(jobs.iter().map(|job| job.id));
        }
    };
    let claimed = join_all((0..4).map(|_| relay())).await;
    let all: Vec<i64> = claimed.into_iter().flatten().collect();
    let different: HashSet<i64> = all.iter().copied().collect();
    assert_eq!((all.len(), different.len()), (500, 500));
}

async fn a_claim_ends_by_itself_or_is_given_back(setup: Setup) {
    let db = start(&setup);
    let job = claim_one(&db).await;
    let count = async |now_ms| db.call(claim(10, now_ms)).await.unwrap().len();
    assert_eq!(count(START_MS + 59_999).await, 0);
    assert_eq!(count(START_MS + 60_000).await, 1, "its relay was killed");
    let release = ReleaseClaims {
        ids: vec![job.id],
        due_at_ms: START_MS,
    };
    db.call(release).await.unwrap();
    assert_eq!(count(START_MS).await, 1);
    db.call(ReleaseAllClaims { now_ms: START_MS }).await.unwrap();
    assert_eq!(count(START_MS).await, 1);
}

async fn a_sent_job_is_emptied_and_counts_no_more(setup: Setup) {
    let db = start(&setup);
    for (is_delivered, state) in [(false, "published"), (true, "delivered")] {
        setup.database.execute("DELETE FROM users; DELETE FROM outbox");
        let job = claim_one(&db).await;
        assert!(job.payload.starts_with("enc1."));
        let sent = MarkSent {
            ids: vec![job.id, 77],
            is_delivered,
            now_ms: START_MS + 5,
        };
        db.call(sent).await.unwrap();
        let row = find(&db, &job.job_id).await.remove(0);
        assert_eq!(
            (row.state.as_str(), row.finished_at_ms),
            (state, Some(START_MS + 5))
        );
        assert_eq!(
            setup
                .database
                .number("SELECT count(*) FROM outbox WHERE payload <> ''"),
            0
        );
        let release = ReleaseClaims {
            ids: vec![job.id],
            due_at_ms: START_MS,
        };
        db.call(release).await.unwrap();
        assert_eq!(db.call(claim(10, START_MS + 99_000)).await.unwrap().len(), 0);
    }
}

async fn a_failed_job_waits_for_its_next_attempt(setup: Setup) {
    let db = start(&setup);
    let job = claim_one(&db).await;
    let retry = MarkRetry {
        id: job.id,
        due_at_ms: START_MS + 10_000,
        reason: "451 busy".to_owned(),
    };
    db.call(retry).await.unwrap();
    assert_eq!(db.call(claim(10, START_MS + 9_999)).await.unwrap().len(), 0);
    let again = db.call(claim(10, START_MS + 10_000)).await.unwrap();
    assert_eq!(again[0].failed_attempts, 1);
    let dead = MarkDead {
        id: job.id,
        reason: "550 no such user".to_owned(),
        now_ms: START_MS + 11_000,
    };
    db.call(dead).await.unwrap();
    let row = find(&db, "ann@example.org").await.remove(0);
    assert_eq!((row.state.as_str(), row.failed_attempts), ("dead", 2));
    assert_eq!(row.last_error.as_deref(), Some("550 no such user"));
}

async fn of_two_ends_the_later_counts(setup: Setup) {
    let db = start(&setup);
    let job = claim_one(&db).await;
    let sent = MarkSent {
        ids: vec![job.id],
        is_delivered: false,
        now_ms: START_MS + 500,
    };
    db.call(sent).await.unwrap();
    let dead = || MailResult::Dead {
        reason: "550 no".to_owned(),
    };
    // The mailer's clock is behind ours.
    assert_eq!(db.call(outcome(&job, START_MS + 100, dead())).await, Ok(1));
    assert_eq!(
        db.call(outcome(&job, START_MS + 100, dead())).await,
        Ok(0),
        "told again"
    );
    let row = find(&db, &job.job_id).await.remove(0);
    assert_eq!((row.state.as_str(), row.failed_attempts), ("dead", 3));
    let replayed = outcome(&job, START_MS + 9_000, MailResult::Delivered);
    assert_eq!(db.call(replayed).await, Ok(1));
    assert_eq!(
        db.call(outcome(&job, START_MS + 200, dead())).await,
        Ok(0),
        "too late"
    );
    let row = find(&db, &job.job_id).await.remove(0);
    assert_eq!((row.state.as_str(), row.failed_attempts), ("delivered", 2));
    assert_eq!(
        (row.last_error, row.finished_at_ms),
        (None, Some(START_MS + 9_000))
    );
    let unknown = ClaimedJob {
        job_id: "unknown".to_owned(),
        ..job
    };
    let unknown = outcome(&unknown, START_MS, MailResult::Delivered);
    assert_eq!(db.call(unknown).await, Ok(0));
}

async fn an_end_may_be_known_before_the_job_is_marked(setup: Setup) {
    let db = start(&setup);
    let job = claim_one(&db).await;
    let delivered = outcome(&job, START_MS + 100, MailResult::Delivered);
    assert_eq!(db.call(delivered).await, Ok(1));
    // Its relay was killed before it could mark the job: nobody sends it again.
    assert_eq!(db.call(claim(10, START_MS + 99_000)).await.unwrap().len(), 0);
    let sent = MarkSent {
        ids: vec![job.id],
        is_delivered: false,
        now_ms: START_MS + 200,
    };
    db.call(sent).await.unwrap();
    assert_eq!(find(&db, &job.job_id).await[0].state, "delivered");
}

async fn whether_one_is_due_and_the_depth_are_told(setup: Setup) {
    let db = start(&setup);
    assert_eq!(
        db.call(HasDueJob {
            now_ms: START_MS + 60_000
        })
        .await,
        Ok(false)
    );
    assert_eq!(db.call(FindOutboxDepth).await, Ok(OutboxDepth::default()));
    claim_one(&db).await;
    assert_eq!(
        db.call(HasDueJob {
            now_ms: START_MS + 59_999
        })
        .await,
        Ok(false)
    );
    assert_eq!(
        db.call(HasDueJob {
            now_ms: START_MS + 60_000
        })
        .await,
        Ok(true)
    );
    let depth = OutboxDepth {
        waiting_count: 1,
        oldest_created_at_ms: Some(START_MS),
    };
    assert_eq!(db.call(FindOutboxDepth).await, Ok(depth));
}
