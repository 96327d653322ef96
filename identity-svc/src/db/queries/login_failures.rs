//! Table `login_failures`: tries at a password that failed, or whose end is not known yet. The column `account` names a
//! counter, `address` the client's network.

use diesel::prelude::*;

use crate::db::connection::DbConnection;
use crate::db::schema::login_failures;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Queryable)]
pub struct Failures {
    pub failure_count: i32,
    pub last_failed_at_ms: i64,
}

/// From `failures` on, so long after the last one until the next try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delay {
    pub failures: i32,
    pub delay_ms: i64,
}

pub fn find_failures(
    connection: &mut DbConnection,
    counter: &str,
    address: &str,
) -> QueryResult<Option<Failures>> {
    login_failures::table
        .find((counter, address))
        .select((login_failures::failure_count, login_failures::last_failed_at_ms))
        .first(connection)
        .optional()
}

/// Counts a try as failed before it is known how it ends, unless earlier ones demand waiting: `false`, and nothing has
/// changed. One conditional statement, so of simultaneous tries no more pass than the delays (the shortest first) let
/// through. Failures older than `forget_before_ms` no longer count.
pub fn upsert_unless_waiting(
    connection: &mut DbConnection,
    counter: &str,
    address: &str,
    now_ms: i64,
    forget_before_ms: i64,
    delays: &[Delay; 6],
) -> QueryResult<bool> {
    use diesel::dsl::case_when;
    use diesel::query_dsl::methods::FilterDsl;
    let [first, second, third, fourth, fifth, sixth] = delays.map(|delay| {
        let waited_since_ms = now_ms.saturating_sub(delay.delay_ms);
        login_failures::failure_count
            .lt(delay.failures)
            .or(login_failures::last_failed_at_ms.le(waited_since_ms))
    });
    let may_try = first.and(second).and(third).and(fourth).and(fifth).and(sixth);
    let new_count = case_when(
        login_failures::last_failed_at_ms.ge(forget_before_ms),
        login_failures::failure_count + 1,
    )
    .otherwise(1);
    // diesel has `ON CONFLICT` for each database, but not for the connection that stands for both.
    macro_rules! upsert {
        ($connection:expr) => {{
            let upsert = diesel::insert_into(login_failures::table)
                .values((
                    login_failures::account.eq(counter),
                    login_failures::address.eq(address),
                    login_failures::failure_count.eq(1),
                    login_failures::last_failed_at_ms.eq(now_ms),
                ))
                .on_conflict((login_failures::account, login_failures::address))
                .do_update()
                .set((
                    login_failures::failure_count.eq(new_count),
                    login_failures::last_failed_at_ms.eq(now_ms),
                ));
            FilterDsl::filter(upsert, may_try).execute($connection)?
        }};
    }
    let changed = match connection {
        DbConnection::Sqlite(sqlite) => upsert!(sqlite),
        #[cfg(feature = "postgres")]
        DbConnection::Postgres(postgres) => upsert!(postgres),
    };
    Ok(changed == 1)
}

/// Takes one counted try back.
pub fn decrement_failures(connection: &mut DbConnection, counter: &str, address: &str) -> QueryResult<()> {
    let row = login_failures::table
        .find((counter, address))
        .filter(login_failures::failure_count.gt(0));
    diesel::update(row)
        .set(login_failures::failure_count.eq(login_failures::failure_count - 1))
        .execute(connection)
        .map(drop)
}

pub fn delete_failures(connection: &mut DbConnection, counter: &str, address: &str) -> QueryResult<()> {
    diesel::delete(login_failures::table.find((counter, address)))
        .execute(connection)
        .map(drop)
}

/// Deletes the rows whose last failure was before `before_ms`; returns how many.
pub fn delete_old(connection: &mut DbConnection, before_ms: i64) -> QueryResult<usize> {
    diesel::delete(login_failures::table.filter(login_failures::last_failed_at_ms.lt(before_ms)))
        .execute(connection)
}
