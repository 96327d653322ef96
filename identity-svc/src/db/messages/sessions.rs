//! The life of a session: looked at, rotated, revoked; and tokens of a former Django site, which have none.

use diesel::QueryResult;
use shared::clock::to_ms;
use std::time::Duration;

use super::registration::NewSession;
use crate::db::connection::DbConnection;
use crate::db::queries::users::User;
use crate::db::queries::{legacy_tokens, sessions, users};
use crate::db::{DbMessage, Mode};

/// What can be said of the session behind a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionState {
    Live {
        generation: i64,
        rotated_at_ms: Option<i64>,
    },
    Revoked,
}

/// Looks at a session and its account.
#[derive(Clone, Debug)]
pub struct FindSession {
    pub sid: String,
}

pub struct FoundSession {
    pub user_id: i64,
    /// `None`: the account is gone.
    pub user: Option<User>,
    pub state: SessionState,
    pub created_at_ms: i64,
    /// `None`: not since the column exists.
    pub last_used_at_ms: Option<i64>,
}

impl DbMessage for FindSession {
    type Output = Option<FoundSession>;
    const MODE: Mode = Mode::Read;

    fn run(&self, connection: &mut DbConnection) -> QueryResult<Option<FoundSession>> {
        let found = sessions::find_with_account(connection, &self.sid)?;
        Ok(found.map(|(session, user)| FoundSession {
            user_id: session.user_id,
            user,
            state: match session.revoked_at_ms {
                Some(_) => SessionState::Revoked,
                None => SessionState::Live {
                    generation: session.generation,
                    rotated_at_ms: session.rotated_at_ms,
                },
            },
            created_at_ms: session.created_at_ms,
            last_used_at_ms: session.last_used_at_ms,
        }))
    }
}

/// Whether the generation just rotated out still leads to its successor. A request may have read its clock before the
/// rotation was written, or the clock of another replica: that is no time at all since then, and never less.
pub fn is_in_grace(rotated_at_ms: Option<i64>, grace: Duration, now_ms: i64) -> bool {
    rotated_at_ms.is_some_and(|rotated_at_ms| now_ms.saturating_sub(rotated_at_ms).max(0) < to_ms(grace))
}

/// Uses a refresh token of `generation` up and moves its session on.
#[derive(Clone, Debug)]
pub struct RotateSession {
    pub sid: String,
    pub generation: i64,
    pub expires_at_ms: i64,
    /// For how long the generation just rotated out still leads to its successor.
    pub grace: Duration,
    pub now_ms: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RotatedSession {
    /// The session is at this generation now.
    To { generation: i64 },
    /// It was revoked before.
    Revoked,
    /// An old generation came back: somebody has a copy. The session has been revoked (RFC 9700 section 4.14.2).
    Reused,
}

impl DbMessage for RotateSession {
    type Output = RotatedSession;
    const MODE: Mode = Mode::Write;

    fn run(&self, connection: &mut DbConnection) -> QueryResult<RotatedSession> {
        let next = self.generation.saturating_add(1);
        let has_moved = sessions::update_generation(
            connection,
            &self.sid,
            self.generation,
            self.now_ms,
            self.expires_at_ms,
        )?;
        if has_moved {
            return Ok(RotatedSession::To { generation: next });
        }
        let Some(session) =
            sessions::find_session(connection, &self.sid)?.filter(|it| it.revoked_at_ms.is_none())
        else {
            return Ok(RotatedSession::Revoked);
        };
        if session.generation == next && is_in_grace(session.rotated_at_ms, self.grace, self.now_ms) {
            return Ok(RotatedSession::To { generation: next });
        }
        sessions::update_revoked(connection, &self.sid, "refresh token reused", self.now_ms)?;
        Ok(RotatedSession::Reused)
    }
}

/// Ends a session.
#[derive(Clone, Debug)]
pub struct RevokeSession {
    pub sid: String,
    pub reason: &'static str,
    pub now_ms: i64,
}

impl DbMessage for RevokeSession {
    /// Whether it was live.
    type Output = bool;
    const MODE: Mode = Mode::Write;

    fn run(&self, connection: &mut DbConnection) -> QueryResult<bool> {
        sessions::update_revoked(connection, &self.sid, self.reason, self.now_ms)
    }
}

/// Whether a refresh token of a former Django site was used up.
#[derive(Clone, Debug)]
pub struct IsLegacyTokenUsed {
    pub jti: String,
}

impl DbMessage for IsLegacyTokenUsed {
    type Output = bool;
    const MODE: Mode = Mode::Read;

    fn run(&self, connection: &mut DbConnection) -> QueryResult<bool> {
        legacy_tokens::is_used(connection, &self.jti)
    }
}

/// Uses a refresh token of a former Django site up, and opens a session in its place unless it is a logout.
#[derive(Clone, Debug)]
pub struct UseLegacyToken {
    pub jti: String,
    pub expires_at_ms: i64,
    /// The session to open.
    pub successor: Option<Successor>,
    pub now_ms: i64,
}

/// A session in place of a token without one.
#[derive(Clone, Debug)]
pub struct Successor {
    pub user_id: i64,
    /// When the token was issued (Unix seconds), if it says so.
    pub issued_at: Option<i64>,
    pub session: NewSession,
}

/// What became of the token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UsedLegacyToken {
    Used,
    UsedBefore,
    /// The account is gone or switched off; the token stays.
    NoAccount,
    /// It is older than the account's last change or reset of the password, or its deactivation.
    Ended,
}

impl DbMessage for UseLegacyToken {
    type Output = UsedLegacyToken;
    const MODE: Mode = Mode::Write;

    fn run(&self, connection: &mut DbConnection) -> QueryResult<UsedLegacyToken> {
        if legacy_tokens::is_used(connection, &self.jti)? {
            return Ok(UsedLegacyToken::UsedBefore);
        }
        if let Some(successor) = &self.successor {
            let user = users::find_and_lock(connection, successor.user_id)?;
            let Some(user) = user.filter(|user| user.is_active) else {
                return Ok(UsedLegacyToken::NoAccount);
            };
            if !user.takes_token_issued_at(successor.issued_at) {
                return Ok(UsedLegacyToken::Ended);
            }
            sessions::insert_session(connection, &successor.session.of(user.id, self.now_ms))?;
        }
        legacy_tokens::insert_used(connection, &self.jti, self.expires_at_ms)?;
        Ok(UsedLegacyToken::Used)
    }
}
