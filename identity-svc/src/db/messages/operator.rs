//! What only the operator may do.

use std::fmt;

use diesel::QueryResult;
use shared::secret::Secret;

use crate::db::connection::DbConnection;
use crate::db::queries::{one_time_secrets, sessions, users};
use crate::db::{DbMessage, Mode};
use crate::tokens::one_time::Purpose;

/// Finds usernames that are another account's address, from before that was refused.
#[derive(Clone, Debug)]
pub struct FindAmbiguousNames {
    pub limit: i64,
}

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AmbiguousName {
    pub name: String,
    /// Whose username it is.
    pub username_of: i64,
    /// Whose address it is.
    pub email_of: i64,
}

impl fmt::Display for AmbiguousName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            name,
            username_of,
            email_of,
        } = self;
        write!(
            f,
            "{name} is the username of account {username_of} and the address of account {email_of}"
        )
    }
}

impl DbMessage for FindAmbiguousNames {
    type Output = Vec<AmbiguousName>;
    const MODE: Mode = Mode::Read;

    fn run(&self, connection: &mut DbConnection) -> QueryResult<Vec<AmbiguousName>> {
        let found = users::find_ambiguous_names(connection, self.limit)?;
        let names = found
            .into_iter()
            .map(|(name, username_of, email_of)| AmbiguousName {
                name,
                username_of,
                email_of,
            });
        Ok(names.collect())
    }
}

/// Switches an account on or off. Off ends its sessions, reset links and tokens of a former Django site for good: on brings
/// none of them back.
#[derive(Clone, Debug)]
pub struct SetActive {
    pub user_id: i64,
    pub is_active: bool,
    pub now_ms: i64,
}

impl DbMessage for SetActive {
    type Output = ();
    const MODE: Mode = Mode::Write;

    fn run(&self, connection: &mut DbConnection) -> QueryResult<()> {
        // Locked, so that no login opens a session in the middle of it.
        users::find_and_lock(connection, self.user_id)?;
        if self.is_active {
            return users::update_active(connection, self.user_id);
        }
        users::update_inactive(connection, self.user_id, self.now_ms)?;
        one_time_secrets::delete_all_of(connection, self.user_id, Purpose::ResetPassword)?;
        sessions::update_all_revoked(connection, self.user_id, None, "account deactivated", self.now_ms)
            .map(drop)
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
        let Some(user) = users::find_and_lock(connection, self.user_id)? else {
            return Ok(());
        };
        users::update_imported_password(connection, &user, self.encoded.expose(), self.now_ms)
    }
}
