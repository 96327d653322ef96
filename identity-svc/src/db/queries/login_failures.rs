//! Table `login_failures`: failed logins of one account from one address.

use diesel::prelude::*;

use crate::db::connection::DbConnection;
use crate::db::schema::login_failures;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Queryable)]
pub struct Failures {
    pub failure_count: i32,
    pub last_failed_at_ms: i64,
}

pub fn find_failures(
    connection: &mut DbConnection,
    account: &str,
    address: &str,
) -> QueryResult<Option<Failures>> {
    login_failures::table
        .find((account, address))
        .select((login_failures::failure_count, login_failures::last_failed_at_ms))
        .first(connection)
        .optional()
}

/// Counts one failure; failures older than `forget_before_ms` no longer count. Of simultaneous first ones all but one
/// meet a unique violation, and count when they run again.
pub fn upsert_failure(
    connection: &mut DbConnection,
    account: &str,
    address: &str,
    now_ms: i64,
    forget_before_ms: i64,
) -> QueryResult<()> {
    use diesel::dsl::case_when;
    let counted = case_when(
        login_failures::last_failed_at_ms.ge(forget_before_ms),
        login_failures::failure_count + 1,
    )
    .otherwise(1);
    let updated = diesel::update(login_failures::table.find((account, address)))
        .set((
            login_failures::failure_count.eq(counted),
            login_failures::last_failed_at_ms.eq(now_ms),
        ))
        .execute(connection)?;
    if updated == 0 {
        diesel::insert_into(login_failures::table)
            .values((
                login_failures::account.eq(account),
                login_failures::address.eq(address),
                login_failures::failure_count.eq(1),
                login_failures::last_failed_at_ms.eq(now_ms),
            ))
            .execute(connection)?;
    }
    Ok(())
}

pub fn delete_failures(connection: &mut DbConnection, account: &str, address: &str) -> QueryResult<()> {
    diesel::delete(login_failures::table.find((account, address)))
        .execute(connection)
        .map(drop)
}

/// Deletes the rows whose last failure was before `before_ms`; returns how many.
pub fn delete_old(connection: &mut DbConnection, before_ms: i64) -> QueryResult<usize> {
    diesel::delete(login_failures::table.filter(login_failures::last_failed_at_ms.lt(before_ms)))
        .execute(connection)
}
