//! Login: who is meant, and the session that a right password opens.

use diesel::QueryResult;
use shared::secret::Secret;

use super::login_attempts::Attempt;
use super::registration::NewSession;
use crate::db::connection::DbConnection;
use crate::db::queries::sessions;
use crate::db::queries::users::{self, User};
use crate::db::{DbMessage, Mode};
use crate::domain::{email_address, username};

/// Who wants to log in, in the form that is compared.
#[derive(Clone, Debug)]
pub enum Login {
    Email(String),
    /// An address works as a username too.
    Username {
        username_key: String,
        email_key: String,
    },
}

impl Login {
    /// A username, or an address.
    pub fn by_name(name: &str) -> Self {
        Self::Username {
            username_key: username::key(name),
            email_key: email_address::key(name),
        }
    }
}

/// Finds whom a login means.
#[derive(Clone, Debug)]
pub struct FindLogin {
    pub login: Login,
}

impl DbMessage for FindLogin {
    /// Usually one or none; two when one account's username is another's address, as in accounts from before that was
    /// refused: first whose username it is. The password decides then.
    type Output = Vec<User>;
    const MODE: Mode = Mode::Read;

    fn run(&self, connection: &mut DbConnection) -> QueryResult<Vec<User>> {
        let mut candidates = Vec::new();
        match &self.login {
            Login::Email(key) => candidates.extend(users::find_by_email(connection, key)?),
            Login::Username {
                username_key,
                email_key,
            } => {
                candidates.extend(users::find_by_username(connection, username_key)?);
                let by_email = users::find_by_email(connection, email_key)?;
                candidates.extend(by_email.filter(|user| candidates.iter().all(|known| known.id != user.id)));
            }
        }
        Ok(candidates)
    }
}

/// Opens a session after a right password.
#[derive(Clone, Debug)]
pub struct OpenSession {
    pub user_id: i64,
    /// The encoding that the password was checked against: if it has changed meanwhile, no session is opened.
    pub checked_password: Secret<String>,
    /// The same password in the encoding that we write now.
    pub rehashed_password: Option<Secret<String>>,
    pub session: NewSession,
    /// What the login was charged to. `None`: no limit.
    pub attempt: Option<Attempt>,
    pub now_ms: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenedSession {
    Open,
    /// The account was deleted or switched off, or got another password, while the hash was computed.
    Refused,
}

impl DbMessage for OpenSession {
    type Output = OpenedSession;
    const MODE: Mode = Mode::Write;

    fn run(&self, connection: &mut DbConnection) -> QueryResult<OpenedSession> {
        // Locked, so that a change of the password that comes now ends this session too.
        let user = users::find_and_lock(connection, self.user_id)?;
        let is_unchanged = |user: &User| user.is_active && user.password == *self.checked_password.expose();
        let Some(user) = user.filter(is_unchanged) else {
            return Ok(OpenedSession::Refused);
        };
        if let Some(rehashed) = &self.rehashed_password {
            users::update_encoding(
                connection,
                self.user_id,
                self.checked_password.expose(),
                rehashed.expose(),
            )?;
        }
        if let Some(attempt) = &self.attempt {
            attempt.settle(connection, &user)?;
        }
        sessions::insert_session(connection, &self.session.of(self.user_id, self.now_ms))?;
        Ok(OpenedSession::Open)
    }
}
