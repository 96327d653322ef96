//! The two ways to a new password: with the old one, or with a reset token.

use diesel::QueryResult;
use shared::secret::Secret;

use super::mails::insert_notice;
use crate::db::connection::DbConnection;
use crate::db::queries::users::{self, User};
use crate::db::queries::{one_time_secrets, sessions};
use crate::db::{DbMessage, Mode};
use crate::mail_draft::NoticeDraft;
use crate::tokens::one_time::Purpose;

/// Sets a new password in place of the one that was checked; ends the account's other sessions and its reset tokens.
#[derive(Clone, Debug)]
pub struct ChangePassword {
    pub user_id: i64,
    /// The encoding that the old password was checked against.
    pub checked_password: Secret<String>,
    pub new_password: Secret<String>,
    /// The session that goes on. `None`: a token of a former Django site, which has none.
    pub keep_sid: Option<String>,
    /// What to tell the owner. `None`: nothing.
    pub notice: Option<NoticeDraft>,
    pub now_ms: i64,
}

impl DbMessage for ChangePassword {
    /// `false`: another change was faster, so the old password is no longer right.
    type Output = bool;
    const MODE: Mode = Mode::Write;

    fn run(&self, connection: &mut DbConnection) -> QueryResult<bool> {
        let (old, new) = (self.checked_password.expose(), self.new_password.expose());
        if !users::update_password_from(connection, self.user_id, old, new, self.now_ms)? {
            return Ok(false);
        }
        one_time_secrets::delete_all_of(connection, self.user_id, Purpose::ResetPassword)?;
        let keep = self.keep_sid.as_deref();
        sessions::update_all_revoked(connection, self.user_id, keep, "password changed", self.now_ms)?;
        if let Some(notice) = &self.notice
            && let Some(user) = users::find_and_lock(connection, self.user_id)?
        {
            insert_notice(connection, notice, &user)?;
        }
        Ok(true)
    }
}

/// The right to set one account's password once. Made by [`FindReset`] alone, used up by [`ResetPassword`] by value.
#[derive(Debug)]
pub struct ResetToken {
    user_id: i64,
    digest: String,
}

/// Looks a reset link's `uid` and token up, and uses nothing up.
#[derive(Clone, Debug)]
pub struct FindReset {
    pub uid: String,
    pub digest: String,
    pub now_ms: i64,
}

pub enum FoundReset {
    UnknownUid,
    BadToken,
    Good { user: Box<User>, token: ResetToken },
}

impl DbMessage for FindReset {
    type Output = FoundReset;
    const MODE: Mode = Mode::Read;

    fn run(&self, connection: &mut DbConnection) -> QueryResult<FoundReset> {
        let Some(user) = users::find_by_uid(connection, &self.uid)? else {
            return Ok(FoundReset::UnknownUid);
        };
        let owner =
            one_time_secrets::find_owner(connection, &self.digest, Purpose::ResetPassword, self.now_ms)?;
        if owner != Some(user.id) {
            return Ok(FoundReset::BadToken);
        }
        let token = ResetToken {
            user_id: user.id,
            digest: self.digest.clone(),
        };
        Ok(FoundReset::Good {
            user: Box::new(user),
            token,
        })
    }
}

/// Uses a reset token up and sets the password without the old one. The only message that does. Ends all sessions.
#[derive(Debug)]
pub struct ResetPassword {
    pub token: ResetToken,
    pub new_password: Secret<String>,
    /// What to tell the owner. `None`: nothing.
    pub notice: Option<NoticeDraft>,
    pub now_ms: i64,
}

impl DbMessage for ResetPassword {
    /// `false`: the token was used or voided meanwhile.
    type Output = bool;
    const MODE: Mode = Mode::Write;

    fn run(&self, connection: &mut DbConnection) -> QueryResult<bool> {
        let (user_id, purpose) = (self.token.user_id, Purpose::ResetPassword);
        let user = users::find_and_lock(connection, user_id)?;
        if !one_time_secrets::delete_live(connection, &self.token.digest, purpose, user_id, self.now_ms)? {
            return Ok(false);
        }
        users::update_password(connection, user_id, self.new_password.expose(), self.now_ms)?;
        one_time_secrets::delete_all_of(connection, user_id, purpose)?;
        sessions::update_all_revoked(connection, user_id, None, "password reset", self.now_ms)?;
        if let (Some(notice), Some(user)) = (&self.notice, &user) {
            insert_notice(connection, notice, user)?;
        }
        Ok(true)
    }
}
