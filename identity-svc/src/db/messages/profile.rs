//! An account as its owner sees it.

use diesel::QueryResult;

use crate::db::connection::DbConnection;
use crate::db::queries::users::{self, Profile, User};
use crate::db::{DbMessage, Mode};
use crate::domain::username;

/// Finds an account by its number.
#[derive(Clone, Debug)]
pub struct FindUser {
    pub id: i64,
}

impl DbMessage for FindUser {
    type Output = Option<User>;
    const MODE: Mode = Mode::Read;

    fn run(&self, connection: &mut DbConnection) -> QueryResult<Option<User>> {
        users::find_by_id(connection, self.id)
    }
}

/// Changes what its owner may change; `None` leaves a part as it is.
#[derive(Clone, Debug)]
pub struct UpdateProfile {
    pub user_id: i64,
    /// The name as written, and the form that is compared.
    pub username: Option<(String, String)>,
    pub first_name: Option<String>,
    pub last_name: Option<String>,
}

pub enum UpdatedProfile {
    Updated(Box<User>),
    UsernameTaken,
    UserGone,
}

impl DbMessage for UpdateProfile {
    type Output = UpdatedProfile;
    const MODE: Mode = Mode::Write;

    fn run(&self, connection: &mut DbConnection) -> QueryResult<UpdatedProfile> {
        let Some(user) = users::find_and_lock(connection, self.user_id)? else {
            return Ok(UpdatedProfile::UserGone);
        };
        let (name, username_key) = match &self.username {
            Some((name, key)) => (name, key),
            None => (&user.username, &user.username_key),
        };
        if users::find_by_username(connection, username_key)?.is_some_and(|other| other.id != user.id) {
            return Ok(UpdatedProfile::UsernameTaken);
        }
        let is_new = *username_key != user.username_key;
        let own_email_key = user.email_key.as_deref().unwrap_or_default();
        if is_new && username::is_another_address(name, own_email_key) {
            return Ok(UpdatedProfile::UsernameTaken);
        }
        let profile = Profile {
            username: name,
            username_key,
            first_name: self.first_name.as_ref().unwrap_or(&user.first_name),
            last_name: self.last_name.as_ref().unwrap_or(&user.last_name),
        };
        users::update_profile(connection, user.id, &profile)?;
        let updated = users::find_by_id(connection, user.id)?.ok_or(diesel::result::Error::NotFound)?;
        Ok(UpdatedProfile::Updated(Box::new(updated)))
    }
}
