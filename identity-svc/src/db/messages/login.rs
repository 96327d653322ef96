//! Login: who is meant, whether they have to wait, and the session that a right password opens.

use diesel::QueryResult;
use shared::secret::Secret;

use super::registration::NewSession;
use crate::db::connection::DbConnection;
use crate::db::queries::login_failures::{self, Failures};
use crate::db::queries::sessions;
use crate::db::queries::users::{self, User};
use crate::db::{DbMessage, Mode};

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
    /// Names the account in `login_failures` when nobody has it, so that unknown names are slowed down alike.
    fn unknown_account(&self) -> String {
        match self {
            Self::Email(key) => format!("name:{key}"),
            Self::Username { username_key, .. } => format!("name:{username_key}"),
        }
    }
}

/// Failures of one account from one address, before a growing delay.
#[derive(Clone, Copy, Debug)]
pub struct LoginLimit {
    /// 0: no limit.
    pub free_failures: u32,
}

/// After this long without a failure, all are forgotten.
pub(super) const FORGET_AFTER_MS: i64 = 3_600_000;
const FIRST_DELAY_MS: i64 = 30_000;
const LONGEST_DELAY_MS: i64 = 900_000;

impl LoginLimit {
    /// Milliseconds until the next try: none for the first `free_failures`, then 30 s, 1 min, 2 min, ... 15 min.
    fn wait_ms(self, failures: Failures, now_ms: i64) -> Option<i64> {
        let counted = u32::try_from(failures.failure_count).unwrap_or(0);
        if self.free_failures == 0 || counted < self.free_failures {
            return None;
        }
        let doublings = counted.saturating_sub(self.free_failures).min(5);
        let delay_ms = (FIRST_DELAY_MS << doublings).min(LONGEST_DELAY_MS);
        let wait_ms = failures
            .last_failed_at_ms
            .saturating_add(delay_ms)
            .saturating_sub(now_ms);
        (wait_ms > 0).then_some(wait_ms)
    }
}

/// Finds whom a login means, and how long they must wait because of earlier failures from this address.
#[derive(Clone, Debug)]
pub struct FindLogin {
    pub login: Login,
    pub address: String,
    pub limit: LoginLimit,
    pub now_ms: i64,
}

pub struct FoundLogin {
    /// Usually one or none; two when one account's username is another's address. The password decides then.
    pub candidates: Vec<User>,
    /// Names the account in `login_failures`.
    pub account: String,
    pub wait_ms: Option<i64>,
}

impl DbMessage for FindLogin {
    type Output = FoundLogin;
    const MODE: Mode = Mode::Read;

    fn run(&self, connection: &mut DbConnection) -> QueryResult<FoundLogin> {
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
        let account = match candidates.first() {
            Some(user) => account_name(user.id),
            None => self.login.unknown_account(),
        };
        let failures =
            login_failures::find_failures(connection, &account, &self.address)?.unwrap_or_default();
        Ok(FoundLogin {
            candidates,
            account,
            wait_ms: self.limit.wait_ms(failures, self.now_ms),
        })
    }
}

/// How long an account has to wait from this address, by its number.
#[derive(Clone, Debug)]
pub struct FindLoginWait {
    pub user_id: i64,
    pub address: String,
    pub limit: LoginLimit,
    pub now_ms: i64,
}

impl DbMessage for FindLoginWait {
    /// The account's name in `login_failures`, and milliseconds to wait.
    type Output = (String, Option<i64>);
    const MODE: Mode = Mode::Read;

    fn run(&self, connection: &mut DbConnection) -> QueryResult<(String, Option<i64>)> {
        let account = account_name(self.user_id);
        let failures =
            login_failures::find_failures(connection, &account, &self.address)?.unwrap_or_default();
        let wait_ms = self.limit.wait_ms(failures, self.now_ms);
        Ok((account, wait_ms))
    }
}

/// The name of an account in `login_failures`.
pub(super) fn account_name(user_id: i64) -> String {
    format!("user:{user_id}")
}

/// Counts a failed login.
#[derive(Clone, Debug)]
pub struct RecordLoginFailure {
    pub account: String,
    pub address: String,
    pub now_ms: i64,
}

impl DbMessage for RecordLoginFailure {
    type Output = ();
    const MODE: Mode = Mode::Write;

    fn run(&self, connection: &mut DbConnection) -> QueryResult<()> {
        let forget_before_ms = self.now_ms.saturating_sub(FORGET_AFTER_MS);
        login_failures::upsert_failure(
            connection,
            &self.account,
            &self.address,
            self.now_ms,
            forget_before_ms,
        )
    }
}

/// Forgets the failures of an account from an address.
#[derive(Clone, Debug)]
pub struct ClearLoginFailures {
    pub account: String,
    pub address: String,
}

impl DbMessage for ClearLoginFailures {
    type Output = ();
    const MODE: Mode = Mode::Write;

    fn run(&self, connection: &mut DbConnection) -> QueryResult<()> {
        login_failures::delete_failures(connection, &self.account, &self.address)
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
        let is_unchanged =
            user.is_some_and(|user| user.is_active && user.password == *self.checked_password.expose());
        if !is_unchanged {
            return Ok(OpenedSession::Refused);
        }
        if let Some(rehashed) = &self.rehashed_password {
            users::update_encoding(
                connection,
                self.user_id,
                self.checked_password.expose(),
                rehashed.expose(),
            )?;
        }
        login_failures::delete_failures(connection, &account_name(self.user_id), &self.session.address)?;
        sessions::insert_session(connection, &self.session.of(self.user_id, self.now_ms))?;
        Ok(OpenedSession::Open)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_delay_after_failed_logins_grows_up_to_a_quarter_of_an_hour() {
        let limit = LoginLimit { free_failures: 10 };
        let wait = |failure_count, since_ms| {
            limit.wait_ms(
                Failures {
                    failure_count,
                    last_failed_at_ms: 0,
                },
                since_ms,
            )
        };
        assert_eq!(wait(9, 0), None);
        assert_eq!(wait(10, 0), Some(30_000));
        assert_eq!(wait(10, 29_000), Some(1_000));
        assert_eq!(wait(10, 30_000), None);
        assert_eq!(wait(11, 0), Some(60_000));
        assert_eq!(wait(99, 0), Some(900_000));
        assert_eq!(
            LoginLimit { free_failures: 0 }.wait_ms(
                Failures {
                    failure_count: 99,
                    last_failed_at_ms: 0
                },
                0
            ),
            None
        );
    }
}
