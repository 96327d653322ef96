//! What only the operator may do.

use std::fmt;

use diesel::QueryResult;
use shared::secret::Secret;

use crate::db::connection::DbConnection;
use crate::db::queries::sessions;
use crate::db::queries::users;
use crate::db::{DbMessage, Mode};

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
