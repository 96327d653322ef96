//! Table `one_time_secrets`: verification keys and reset tokens, by their SHA-256.

use diesel::prelude::*;

use crate::db::connection::DbConnection;
use crate::db::schema::one_time_secrets;
use crate::tokens::one_time::Purpose;

#[derive(Clone, Debug, Insertable)]
#[diesel(table_name = one_time_secrets)]
pub struct InsertSecret<'a> {
    pub digest: &'a str,
    pub purpose: &'static str,
    pub user_id: i64,
    pub created_at_ms: i64,
    pub expires_at_ms: i64,
}

pub fn insert_secret(connection: &mut DbConnection, secret: &InsertSecret<'_>) -> QueryResult<()> {
    diesel::insert_into(one_time_secrets::table)
        .values(secret)
        .execute(connection)
        .map(drop)
}

/// The account that a live secret belongs to.
pub fn find_owner(
    connection: &mut DbConnection,
    digest: &str,
    purpose: Purpose,
    now_ms: i64,
) -> QueryResult<Option<i64>> {
    one_time_secrets::table
        .filter(
            one_time_secrets::digest
                .eq(digest)
                .and(one_time_secrets::purpose.eq(purpose.as_str()))
                .and(one_time_secrets::expires_at_ms.gt(now_ms)),
        )
        .select(one_time_secrets::user_id)
        .first(connection)
        .optional()
}

/// Uses a live secret up. The one conditional statement that decides between simultaneous uses.
pub fn delete_live(
    connection: &mut DbConnection,
    digest: &str,
    purpose: Purpose,
    user_id: i64,
    now_ms: i64,
) -> QueryResult<bool> {
    let live = one_time_secrets::table.filter(
        one_time_secrets::digest
            .eq(digest)
            .and(one_time_secrets::purpose.eq(purpose.as_str()))
            .and(one_time_secrets::user_id.eq(user_id))
            .and(one_time_secrets::expires_at_ms.gt(now_ms)),
    );
    Ok(diesel::delete(live).execute(connection)? == 1)
}

pub fn delete_all_of(connection: &mut DbConnection, user_id: i64, purpose: Purpose) -> QueryResult<usize> {
    let of_user = one_time_secrets::table.filter(
        one_time_secrets::user_id
            .eq(user_id)
            .and(one_time_secrets::purpose.eq(purpose.as_str())),
    );
    diesel::delete(of_user).execute(connection)
}

/// Deletes at most `limit` secrets that expired before `before_ms`; returns how many.
pub fn delete_expired(connection: &mut DbConnection, before_ms: i64, limit: i64) -> QueryResult<usize> {
    let digests: Vec<String> = one_time_secrets::table
        .filter(one_time_secrets::expires_at_ms.lt(before_ms))
        .select(one_time_secrets::digest)
        .limit(limit)
        .load(connection)?;
    if digests.is_empty() {
        return Ok(0);
    }
    diesel::delete(one_time_secrets::table.filter(one_time_secrets::digest.eq_any(digests)))
        .execute(connection)
}
