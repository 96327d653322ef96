//! Table `outbox`, column `payload`: stored jobs as they are encrypted, for a change of the key.

use diesel::prelude::*;

use crate::db::connection::DbConnection;
use crate::db::schema::outbox;

/// A stored job, as it is encrypted.
#[derive(Clone, Queryable)]
pub struct PayloadRow {
    pub id: i64,
    pub job_id: String,
    pub payload: String,
}

/// At most `limit` rows that have a payload, after the row `after_id`.
pub fn find_payloads(
    connection: &mut DbConnection,
    after_id: i64,
    limit: i64,
) -> QueryResult<Vec<PayloadRow>> {
    outbox::table
        .filter(outbox::id.gt(after_id).and(outbox::payload.ne("")))
        .order(outbox::id)
        .select((outbox::id, outbox::job_id, outbox::payload))
        .limit(limit)
        .load(connection)
}

/// `false`: it is not `old` any more.
pub fn update_payload(connection: &mut DbConnection, id: i64, old: &str, new: &str) -> QueryResult<bool> {
    let row = outbox::table.filter(outbox::id.eq(id).and(outbox::payload.eq(old)));
    let updated = diesel::update(row)
        .set(outbox::payload.eq(new))
        .execute(connection)?;
    Ok(updated == 1)
}

/// `prefix` has no characters that mean something to LIKE.
pub fn count_payloads(connection: &mut DbConnection, prefix: &str) -> QueryResult<i64> {
    outbox::table
        .filter(outbox::payload.like(format!("{prefix}%")))
        .count()
        .get_result(connection)
}
