//! Registration: which names are taken, and the transaction that creates an account with all that belongs to it.

use diesel::QueryResult;
use shared::secret::Secret;

use super::mails::insert_mail;
use crate::db::connection::DbConnection;
use crate::db::queries::sessions::{self, InsertSession};
use crate::db::queries::users::{self, InsertUser, User};
use crate::db::{DbMessage, Mode};
use crate::domain::{email_address, username};
use crate::mail_draft::MailDraft;

/// Which unique values of a registration belong to somebody else.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Taken {
    pub username: bool,
    pub email: bool,
}

impl Taken {
    pub fn any(self) -> bool {
        self.username || self.email
    }
}

/// Looks whether a username and an address are taken. So is a username that is an address, unless it is this one.
#[derive(Clone, Debug)]
pub struct FindTaken {
    pub username: String,
    pub username_key: String,
    pub email_key: String,
}

impl DbMessage for FindTaken {
    type Output = Taken;
    const MODE: Mode = Mode::Read;

    fn run(&self, connection: &mut DbConnection) -> QueryResult<Taken> {
        find_taken(connection, &self.username, &self.username_key, &self.email_key)
    }
}

/// No account's username is another's address. For new names that needs no lock: a username has the form of an address
/// only if it is the account's own, and addresses are unique. An address that was somebody's username before that was the
/// rule stays theirs.
fn find_taken(
    connection: &mut DbConnection,
    username: &str,
    username_key: &str,
    email_key: &str,
) -> QueryResult<Taken> {
    let email_as_username = username::key(email_key);
    let rows = users::find_taken(connection, [username_key, &email_as_username], email_key)?;
    let is_username = |key: &str| rows.iter().any(|(username, _)| username == key);
    let is_email = rows.iter().any(|(_, email)| email.as_deref() == Some(email_key));
    let has_email = email_address::is_valid(email_key);
    Ok(Taken {
        username: is_username(username_key) || has_email && username::is_another_address(username, email_key),
        email: is_email || has_email && is_username(&email_as_username),
    })
}

#[derive(Clone, Debug)]
pub struct NewUser {
    pub uid: String,
    pub username: String,
    pub username_key: String,
    /// As written, in lower case.
    pub email: String,
    /// In Django's encoding.
    pub password: Secret<String>,
}

/// A session to be opened for an account.
#[derive(Clone, Debug)]
pub struct NewSession {
    pub sid: String,
    pub expires_at_ms: i64,
    pub user_agent: String,
    pub address: String,
}

impl NewSession {
    pub(super) fn of(&self, user_id: i64, now_ms: i64) -> InsertSession {
        InsertSession {
            sid: self.sid.clone(),
            user_id,
            created_at_ms: now_ms,
            expires_at_ms: self.expires_at_ms,
            generation: 0,
            user_agent: self.user_agent.clone(),
            address: self.address.clone(),
            last_used_at_ms: now_ms,
        }
    }
}

/// Creates account, verification key, mail job and, unless the address has to be verified first, a session.
#[derive(Clone, Debug)]
pub struct RegisterUser {
    pub user: NewUser,
    pub session: Option<NewSession>,
    pub mail: MailDraft,
    pub now_ms: i64,
}

/// What became of a registration. A refused one has changed nothing.
pub enum Registered {
    Created(Box<User>),
    Taken(Taken),
}

impl DbMessage for RegisterUser {
    type Output = Registered;
    const MODE: Mode = Mode::Write;

    fn run(&self, connection: &mut DbConnection) -> QueryResult<Registered> {
        let user = &self.user;
        let email_key = email_address::key(&user.email);
        let taken = find_taken(connection, &user.username, &user.username_key, &email_key)?;
        if taken.any() {
            return Ok(Registered::Taken(taken));
        }
        let row = InsertUser {
            uid: &user.uid,
            username: &user.username,
            username_key: &user.username_key,
            email: &user.email,
            email_key: &email_key,
            is_email_verified: false,
            password: user.password.expose(),
            first_name: "",
            last_name: "",
            is_active: true,
            created_at_ms: self.now_ms,
            password_set_at_ms: self.now_ms,
        };
        let id = users::insert_user(connection, &row)?;
        let created = users::find_by_id(connection, id)?.ok_or(diesel::result::Error::NotFound)?;
        if let Some(session) = &self.session {
            sessions::insert_session(connection, &session.of(id, self.now_ms))?;
        }
        insert_mail(connection, &self.mail, &created)?;
        Ok(Registered::Created(Box::new(created)))
    }
}
