//! Table `users`.

use diesel::prelude::*;

use crate::db::connection::DbConnection;
use crate::db::schema::users;

/// An account, whole.
#[derive(Clone, Queryable)]
pub struct User {
    pub id: i64,
    pub uid: String,
    pub username: String,
    pub username_key: String,
    pub email: String,
    pub email_key: Option<String>,
    pub is_email_verified: bool,
    /// In Django's encoding. Never printed: this type has no `Debug`.
    pub password: String,
    pub first_name: String,
    pub last_name: String,
    pub is_active: bool,
    pub created_at_ms: i64,
    pub password_set_at_ms: i64,
    /// See [`User::takes_token_issued_at`]. `None`: no change or reset of the password, no deactivation so far.
    pub tokens_valid_from_ms: Option<i64>,
}

impl User {
    /// Whether a token without a session, of a former Django site, may still speak for the account: it ends with a change or
    /// a reset of the password and with a deactivation, as sessions do. Tokens tell seconds; one of the same second as such
    /// an end ends with it.
    pub fn takes_token_issued_at(&self, issued_at_seconds: Option<i64>) -> bool {
        let valid_from_ms = self.tokens_valid_from_ms.unwrap_or(self.password_set_at_ms);
        issued_at_seconds.is_some_and(|issued_at| issued_at >= valid_from_ms.div_euclid(1000))
    }

    /// The last time at which the account's proofs of a password ended (Unix milliseconds).
    pub fn proofs_valid_from_ms(&self) -> i64 {
        let valid_from_ms = self.tokens_valid_from_ms.unwrap_or(self.password_set_at_ms);
        valid_from_ms.max(self.password_set_at_ms)
    }
}

/// The first second of which no token can be that was issued until `now_ms`.
fn next_second_ms(now_ms: i64) -> i64 {
    now_ms.div_euclid(1000).saturating_add(1).saturating_mul(1000)
}

#[derive(Insertable)]
#[diesel(table_name = users)]
pub struct InsertUser<'a> {
    pub uid: &'a str,
    pub username: &'a str,
    pub username_key: &'a str,
    pub email: &'a str,
    pub email_key: &'a str,
    pub is_email_verified: bool,
    pub password: &'a str,
    pub first_name: &'a str,
    pub last_name: &'a str,
    pub is_active: bool,
    pub created_at_ms: i64,
    pub password_set_at_ms: i64,
}

pub fn insert_user(connection: &mut DbConnection, user: &InsertUser<'_>) -> QueryResult<i64> {
    diesel::insert_into(users::table)
        .values(user)
        .returning(users::id)
        .get_result(connection)
}

pub fn find_by_id(connection: &mut DbConnection, id: i64) -> QueryResult<Option<User>> {
    users::table.find(id).first(connection).optional()
}

/// Finds an account and locks it until the end of the transaction: units that touch several rows of one account come
/// one after the other. SQLite's write lock has done that already.
pub fn find_and_lock(connection: &mut DbConnection, id: i64) -> QueryResult<Option<User>> {
    match connection {
        DbConnection::Sqlite(sqlite) => users::table.find(id).get_result(sqlite).optional(),
        #[cfg(feature = "postgres")]
        DbConnection::Postgres(postgres) => users::table
            .find(id)
            .for_no_key_update()
            .get_result(postgres)
            .optional(),
    }
}

pub fn find_by_uid(connection: &mut DbConnection, uid: &str) -> QueryResult<Option<User>> {
    users::table
        .filter(users::uid.eq(uid))
        .first(connection)
        .optional()
}

pub fn find_by_username(connection: &mut DbConnection, username_key: &str) -> QueryResult<Option<User>> {
    users::table
        .filter(users::username_key.eq(username_key))
        .first(connection)
        .optional()
}

pub fn find_by_email(connection: &mut DbConnection, email_key: &str) -> QueryResult<Option<User>> {
    users::table
        .filter(users::email_key.eq(email_key))
        .first(connection)
        .optional()
}

/// The names of accounts that have one of two usernames or an address, in one look.
pub fn find_taken(
    connection: &mut DbConnection,
    username_keys: [&str; 2],
    email_key: &str,
) -> QueryResult<Vec<(String, Option<String>)>> {
    users::table
        .filter(
            users::username_key
                .eq_any(username_keys)
                .or(users::email_key.eq(email_key)),
        )
        .select((users::username_key, users::email_key))
        .load(connection)
}

/// At most `limit` usernames that are another account's address: the name, whose username it is, and whose address.
pub fn find_ambiguous_names(
    connection: &mut DbConnection,
    limit: i64,
) -> QueryResult<Vec<(String, i64, i64)>> {
    let other = diesel::alias!(users as other);
    users::table
        .inner_join(other.on(other.field(users::email_key).eq(users::username_key.nullable())))
        .filter(other.field(users::id).ne(users::id))
        .order(users::id)
        .limit(limit)
        .select((users::username_key, users::id, other.field(users::id)))
        .load(connection)
}

/// Sets the password of an account whose password still is `old`. The one conditional update that decides between
/// simultaneous changes.
pub fn update_password_from(
    connection: &mut DbConnection,
    id: i64,
    old: &str,
    new: &str,
    now_ms: i64,
) -> QueryResult<bool> {
    let updated = diesel::update(users::table.filter(users::id.eq(id).and(users::password.eq(old))))
        .set((
            users::password.eq(new),
            users::password_set_at_ms.eq(now_ms),
            users::tokens_valid_from_ms.eq(Some(next_second_ms(now_ms))),
        ))
        .execute(connection)?;
    Ok(updated == 1)
}

/// Replaces an encoding by another of the same password: no change of the password.
pub fn update_encoding(connection: &mut DbConnection, id: i64, old: &str, new: &str) -> QueryResult<bool> {
    let updated = diesel::update(users::table.filter(users::id.eq(id).and(users::password.eq(old))))
        .set(users::password.eq(new))
        .execute(connection)?;
    Ok(updated == 1)
}

pub fn update_password(connection: &mut DbConnection, id: i64, new: &str, now_ms: i64) -> QueryResult<()> {
    diesel::update(users::table.find(id))
        .set((
            users::password.eq(new),
            users::password_set_at_ms.eq(now_ms),
            users::tokens_valid_from_ms.eq(Some(next_second_ms(now_ms))),
        ))
        .execute(connection)
        .map(drop)
}

/// Sets a password without ending anything: tokens stay as good as they were.
pub fn update_imported_password(
    connection: &mut DbConnection,
    user: &User,
    new: &str,
    now_ms: i64,
) -> QueryResult<()> {
    let valid_from_ms = user.tokens_valid_from_ms.unwrap_or(user.password_set_at_ms);
    diesel::update(users::table.find(user.id))
        .set((
            users::password.eq(new),
            users::password_set_at_ms.eq(now_ms),
            users::tokens_valid_from_ms.eq(Some(valid_from_ms)),
        ))
        .execute(connection)
        .map(drop)
}

pub fn update_email_verified(connection: &mut DbConnection, id: i64) -> QueryResult<()> {
    diesel::update(users::table.find(id))
        .set(users::is_email_verified.eq(true))
        .execute(connection)
        .map(drop)
}

pub fn update_active(connection: &mut DbConnection, id: i64) -> QueryResult<()> {
    diesel::update(users::table.find(id))
        .set(users::is_active.eq(true))
        .execute(connection)
        .map(drop)
}

/// Switches an account off; tokens without a session that it has are dead from then on.
pub fn update_inactive(connection: &mut DbConnection, id: i64, now_ms: i64) -> QueryResult<()> {
    diesel::update(users::table.find(id))
        .set((
            users::is_active.eq(false),
            users::tokens_valid_from_ms.eq(Some(next_second_ms(now_ms))),
        ))
        .execute(connection)
        .map(drop)
}

/// The parts of a profile that its owner may change.
pub struct Profile<'a> {
    pub username: &'a str,
    pub username_key: &'a str,
    pub first_name: &'a str,
    pub last_name: &'a str,
}

pub fn update_profile(connection: &mut DbConnection, id: i64, profile: &Profile<'_>) -> QueryResult<()> {
    diesel::update(users::table.find(id))
        .set((
            users::username.eq(profile.username),
            users::username_key.eq(profile.username_key),
            users::first_name.eq(profile.first_name),
            users::last_name.eq(profile.last_name),
        ))
        .execute(connection)
        .map(drop)
}

pub fn delete_user(connection: &mut DbConnection, id: i64) -> QueryResult<()> {
    diesel::delete(users::table.find(id))
        .execute(connection)
        .map(drop)
}
