//! Table `sessions`.

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable};

use crate::db::connection::DbConnection;
#[cfg(feature = "postgres")]
use crate::db::queries::statement::{Statement, Value};
use crate::db::queries::users::User;
use crate::db::schema::{sessions, users};

/// What decides about a session.
#[derive(Clone, Debug, Queryable)]
pub struct Session {
    pub user_id: i64,
    pub generation: i64,
    pub rotated_at_ms: Option<i64>,
    pub revoked_at_ms: Option<i64>,
    pub last_used_at_ms: Option<i64>,
    pub created_at_ms: i64,
}

#[derive(Clone, Debug, Insertable)]
#[diesel(table_name = sessions)]
pub struct InsertSession {
    pub sid: String,
    pub user_id: i64,
    pub created_at_ms: i64,
    pub expires_at_ms: i64,
    pub generation: i64,
    pub user_agent: String,
    pub address: String,
    pub last_used_at_ms: i64,
}

/// The end of a session.
#[derive(AsChangeset)]
#[diesel(table_name = sessions)]
struct Revocation<'a> {
    revoked_at_ms: Option<i64>,
    revoked_reason: Option<&'a str>,
}

impl<'a> Revocation<'a> {
    fn new(reason: &'a str, now_ms: i64) -> Self {
        Self {
            revoked_at_ms: Some(now_ms),
            revoked_reason: Some(reason),
        }
    }
}

/// A live session as its owner sees it.
#[derive(Clone, Debug, PartialEq, Eq, Queryable)]
pub struct OwnSession {
    pub sid: String,
    pub user_agent: String,
    pub address: String,
    pub created_at_ms: i64,
    pub last_used_at_ms: i64,
    pub expires_at_ms: i64,
}

diesel::define_sql_function! {
    fn coalesce(value: Nullable<BigInt>, otherwise: BigInt) -> BigInt;
}

/// A session and, unless it is gone, its account.
pub type SessionAndAccount = (Session, Option<User>);

type SessionColumns = (
    sessions::user_id,
    sessions::generation,
    sessions::rotated_at_ms,
    sessions::revoked_at_ms,
    sessions::last_used_at_ms,
    sessions::created_at_ms,
);

fn session_columns() -> SessionColumns {
    (
        sessions::user_id,
        sessions::generation,
        sessions::rotated_at_ms,
        sessions::revoked_at_ms,
        sessions::last_used_at_ms,
        sessions::created_at_ms,
    )
}

pub fn insert_session(connection: &mut DbConnection, session: &InsertSession) -> QueryResult<()> {
    diesel::insert_into(sessions::table)
        .values(session)
        .execute(connection)
        .map(drop)
}

pub fn find_session(connection: &mut DbConnection, sid: &str) -> QueryResult<Option<Session>> {
    sessions::table
        .find(sid)
        .select(session_columns())
        .first(connection)
        .optional()
}

pub fn find_with_account(connection: &mut DbConnection, sid: &str) -> QueryResult<Option<SessionAndAccount>> {
    sessions::table
        .left_join(users::table.on(users::id.eq(sessions::user_id)))
        .filter(sessions::sid.eq(sid))
        .select((session_columns(), users::all_columns.nullable()))
        .first(connection)
        .optional()
}

/// What a session must not have reached.
#[derive(Clone, Copy, Debug)]
pub struct LiveTimes {
    pub now_ms: i64,
    pub opened_after_ms: i64,
    pub used_after_ms: i64,
}

/// The live sessions of an account: `first`, then those used last. At most `limit`.
pub fn find_live_of(
    connection: &mut DbConnection,
    user_id: i64,
    first: &str,
    times: LiveTimes,
    limit: i64,
) -> QueryResult<Vec<OwnSession>> {
    let last_used_at_ms = || coalesce(sessions::last_used_at_ms, sessions::created_at_ms);
    sessions::table
        .filter(
            sessions::user_id
                .eq(user_id)
                .and(sessions::revoked_at_ms.is_null())
                .and(sessions::expires_at_ms.gt(times.now_ms))
                .and(sessions::created_at_ms.gt(times.opened_after_ms))
                .and(last_used_at_ms().gt(times.used_after_ms)),
        )
        .order((
            sessions::sid.eq(first).desc(),
            last_used_at_ms().desc(),
            sessions::sid,
        ))
        .limit(limit)
        .select((
            sessions::sid,
            sessions::user_agent,
            sessions::address,
            sessions::created_at_ms,
            last_used_at_ms(),
            sessions::expires_at_ms,
        ))
        .load(connection)
}

/// Notes a use of a live session, unless one after `unless_after_ms` is noted already.
pub fn update_last_used(
    connection: &mut DbConnection,
    sid: &str,
    now_ms: i64,
    unless_after_ms: i64,
) -> QueryResult<bool> {
    let is_stale = sessions::last_used_at_ms
        .is_null()
        .or(sessions::last_used_at_ms.le(unless_after_ms));
    let live = sessions::table.filter(sessions::sid.eq(sid).and(sessions::revoked_at_ms.is_null()));
    let updated = diesel::update(live.filter(is_stale.assume_not_null()))
        .set(sessions::last_used_at_ms.eq(Some(now_ms)))
        .execute(connection)?;
    Ok(updated == 1)
}

/// Moves a session from `generation` to the next. The one conditional update that decides between simultaneous
/// refreshes.
pub fn update_generation(
    connection: &mut DbConnection,
    sid: &str,
    generation: i64,
    now_ms: i64,
    expires_at_ms: i64,
) -> QueryResult<bool> {
    let updated = match connection {
        DbConnection::Sqlite(sqlite) => {
            let at_generation = sessions::table.filter(
                sessions::sid
                    .eq(sid)
                    .and(sessions::generation.eq(generation))
                    .and(sessions::revoked_at_ms.is_null()),
            );
            diesel::update(at_generation)
                .set((
                    sessions::generation.eq(generation.saturating_add(1)),
                    sessions::rotated_at_ms.eq(Some(now_ms)),
                    sessions::expires_at_ms.eq(expires_at_ms),
                    sessions::last_used_at_ms.eq(Some(now_ms)),
                ))
                .execute(sqlite)?
        }
        #[cfg(feature = "postgres")]
        DbConnection::Postgres(postgres) => Statement::<()>::new(
            &[
                "UPDATE sessions SET generation = generation + 1, rotated_at_ms = ",
                ", expires_at_ms = ",
                ", last_used_at_ms = ",
                " WHERE sid = ",
                " AND generation = ",
                " AND revoked_at_ms IS NULL",
            ],
            vec![
                Value::BigInt(now_ms),
                Value::BigInt(expires_at_ms),
                Value::BigInt(now_ms),
                Value::Text(sid),
                Value::BigInt(generation),
            ],
        )
        .execute(postgres)?,
    };
    Ok(updated == 1)
}

/// Revokes one session; `false` when it is unknown or was revoked before.
pub fn update_revoked(
    connection: &mut DbConnection,
    sid: &str,
    reason: &str,
    now_ms: i64,
) -> QueryResult<bool> {
    let live = sessions::table.filter(sessions::sid.eq(sid).and(sessions::revoked_at_ms.is_null()));
    let updated = diesel::update(live)
        .set(Revocation::new(reason, now_ms))
        .execute(connection)?;
    Ok(updated == 1)
}

/// Revokes one live session of an account; `false` when it has none of this name.
pub fn update_own_revoked(
    connection: &mut DbConnection,
    user_id: i64,
    sid: &str,
    reason: &str,
    now_ms: i64,
) -> QueryResult<bool> {
    let live = sessions::table.filter(
        sessions::sid
            .eq(sid)
            .and(sessions::user_id.eq(user_id))
            .and(sessions::revoked_at_ms.is_null())
            .and(sessions::expires_at_ms.gt(now_ms)),
    );
    let updated = diesel::update(live)
        .set(Revocation::new(reason, now_ms))
        .execute(connection)?;
    Ok(updated == 1)
}

/// Revokes all sessions of an account but `keep`; returns how many.
pub fn update_all_revoked(
    connection: &mut DbConnection,
    user_id: i64,
    keep: Option<&str>,
    reason: &str,
    now_ms: i64,
) -> QueryResult<usize> {
    let live = sessions::table.filter(
        sessions::user_id
            .eq(user_id)
            .and(sessions::revoked_at_ms.is_null())
            .and(sessions::sid.ne(keep.unwrap_or_default())),
    );
    diesel::update(live)
        .set(Revocation::new(reason, now_ms))
        .execute(connection)
}

/// Sessions that ended after `after_ms`, or then and behind `after_sid`, in this order; and when each did.
pub fn find_revoked_after(
    connection: &mut DbConnection,
    after_ms: i64,
    after_sid: &str,
    limit: i64,
) -> QueryResult<Vec<(String, i64)>> {
    let is_behind = sessions::revoked_at_ms
        .eq(after_ms)
        .and(sessions::sid.gt(after_sid));
    sessions::table
        .filter(sessions::revoked_at_ms.gt(after_ms).or(is_behind))
        .order((sessions::revoked_at_ms, sessions::sid))
        .limit(limit)
        .select((sessions::sid, sessions::revoked_at_ms.assume_not_null()))
        .load(connection)
}

/// Deletes at most `limit` sessions that ended before `before_ms`; returns how many.
pub fn delete_expired(connection: &mut DbConnection, before_ms: i64, limit: i64) -> QueryResult<usize> {
    let sids: Vec<String> = sessions::table
        .filter(sessions::expires_at_ms.lt(before_ms))
        .select(sessions::sid)
        .limit(limit)
        .load(connection)?;
    if sids.is_empty() {
        return Ok(0);
    }
    diesel::delete(sessions::table.filter(sessions::sid.eq_any(sids))).execute(connection)
}
