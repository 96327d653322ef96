//! Table `used_legacy_tokens`: refresh tokens of a former Django site that were used up.

use diesel::prelude::*;

use crate::db::connection::DbConnection;
use crate::db::schema::used_legacy_tokens;

pub fn is_used(connection: &mut DbConnection, jti: &str) -> QueryResult<bool> {
    diesel::select(diesel::dsl::exists(used_legacy_tokens::table.find(jti))).get_result(connection)
}

/// Marks a token as used; a unique violation when it was used before.
pub fn insert_used(connection: &mut DbConnection, jti: &str, expires_at_ms: i64) -> QueryResult<()> {
    diesel::insert_into(used_legacy_tokens::table)
        .values((
            used_legacy_tokens::jti.eq(jti),
            used_legacy_tokens::expires_at_ms.eq(expires_at_ms),
        ))
        .execute(connection)
        .map(drop)
}

pub fn delete_expired(connection: &mut DbConnection, before_ms: i64) -> QueryResult<usize> {
    diesel::delete(used_legacy_tokens::table.filter(used_legacy_tokens::expires_at_ms.lt(before_ms)))
        .execute(connection)
}
