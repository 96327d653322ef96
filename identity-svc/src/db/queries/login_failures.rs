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

/// Counts one failure; failures older than `forget_before_ms` no longer count.
pub fn upsert_failure(
    connection: &mut DbConnection,
    account: &str,
    address: &str,
    now_ms: i64,
    forget_before_ms: i64,
) -> QueryResult<()> {
    let known = find_failures(connection, account, address)?;
    let counted = match known {
        Some(failures) if failures.last_failed_at_ms >= forget_before_ms => failures.failure_count,
        _ => 0,
    };
    let row = (
        login_failures::failure_count.eq(counted.saturating_add(1)),
        login_failures::last_failed_at_ms.eq(now_ms),
    );
    if known.is_some() {
        diesel::update(login_failures::table.find((account, address)))
            .set(row)
            .execute(connection)?;
    } else {
        let keys = (
            login_failures::account.eq(account),
            login_failures::address.eq(address),
        );
        diesel::insert_into(login_failures::table)
            .values((keys.0, keys.1, row.0, row.1))
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
