//! What only the operator may do.

use diesel::QueryResult;
use shared::secret::Secret;

use crate::db::connection::DbConnection;
use crate::db::queries::sessions;
use crate::db::queries::users::{self, User};
use crate::db::{DbMessage, Mode};

/// Finds an account by username or, when nobody has that name, by address.
#[derive(Clone, Debug)]
pub struct FindUserByName {
    pub username_key: String,
    pub email_key: String,
}

impl DbMessage for FindUserByName {
    type Output = Option<User>;
    const MODE: Mode = Mode::Read;

    fn run(&self, connection: &mut DbConnection) -> QueryResult<Option<User>> {
        match users::find_by_username(connection, &self.username_key)? {
            Some(user) => Ok(Some(user)),
            None => users::find_by_email(connection, &self.email_key),
        }
    }
}

/// Switches an account on or off. Its sessions stay: they are refused while it is off.
#[derive(Clone, Debug)]
pub struct SetActive {
    pub user_id: i64,
    pub is_active: bool,
}

impl DbMessage for SetActive {
    type Output = ();
    const MODE: Mode = Mode::Write;

    fn run(&self, connection: &mut DbConnection) -> QueryResult<()> {
        users::update_active(connection, self.user_id, self.is_active)
    }
}

/// Deletes an account. Its sessions stay as revoked ones until their tokens have expired.
#[derive(Clone, Debug)]
pub struct DeleteUser {
    pub user_id: i64,
    pub now_ms: i64,
}

impl DbMessage for DeleteUser {
    type Output = ();
    const MODE: Mode = Mode::Write;

    fn run(&self, connection: &mut DbConnection) -> QueryResult<()> {
        users::find_and_lock(connection, self.user_id)?;
        sessions::update_all_revoked(connection, self.user_id, None, "account deleted", self.now_ms)?;
        users::delete_user(connection, self.user_id)
    }
}

/// Sets an imported encoding. Sessions go on: an import is no change by the owner.
#[derive(Clone, Debug)]
pub struct ImportPassword {
    pub user_id: i64,
    pub encoded: Secret<String>,
    pub now_ms: i64,
}

impl DbMessage for ImportPassword {
    type Output = ();
    const MODE: Mode = Mode::Write;

    fn run(&self, connection: &mut DbConnection) -> QueryResult<()> {
        users::update_password(connection, self.user_id, self.encoded.expose(), self.now_ms).map(drop)
    }
}
