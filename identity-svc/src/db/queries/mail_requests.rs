//! Table `mail_requests`: how many mails each client has asked for in its hour.

use diesel::prelude::*;

use crate::db::connection::DbConnection;
use crate::db::schema::mail_requests;

/// Counts a request unless the client has had its `limit` since `since_ms`: `false`, and nothing has changed. One
/// conditional statement, so requests that come at once are no way around it.
pub fn upsert_unless_used_up(
    connection: &mut DbConnection,
    client: &str,
    limit: i32,
    now_ms: i64,
    since_ms: i64,
) -> QueryResult<bool> {
    use diesel::dsl::case_when;
    use diesel::query_dsl::methods::FilterDsl;
    let is_open = mail_requests::began_at_ms.gt(since_ms);
    let counted = case_when(is_open, mail_requests::request_count + 1).otherwise(1);
    let began_at_ms = case_when(is_open, mail_requests::began_at_ms).otherwise(now_ms);
    let is_over = mail_requests::began_at_ms.le(since_ms);
    let may_ask = is_over.or(mail_requests::request_count.lt(limit));
    // diesel has `ON CONFLICT` for each database, but not for the connection that stands for both.
    macro_rules! upsert {
        ($connection:expr) => {{
            let upsert = diesel::insert_into(mail_requests::table)
                .values((
                    mail_requests::client.eq(client),
                    mail_requests::request_count.eq(1),
                    mail_requests::began_at_ms.eq(now_ms),
                ))
                .on_conflict(mail_requests::client)
                .do_update()
                .set((
                    mail_requests::request_count.eq(counted),
                    mail_requests::began_at_ms.eq(began_at_ms),
                ));
            FilterDsl::filter(upsert, may_ask).execute($connection)?
        }};
    }
    let changed = match connection {
        DbConnection::Sqlite(sqlite) => upsert!(sqlite),
        #[cfg(feature = "postgres")]
        DbConnection::Postgres(postgres) => upsert!(postgres),
    };
    Ok(changed == 1)
}

/// Deletes the counts of hours that began before `before_ms`; returns how many.
pub fn delete_old(connection: &mut DbConnection, before_ms: i64) -> QueryResult<usize> {
    diesel::delete(mail_requests::table.filter(mail_requests::began_at_ms.lt(before_ms))).execute(connection)
}
