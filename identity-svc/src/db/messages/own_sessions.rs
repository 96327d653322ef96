//! An account's sessions as its owner sees and ends them, and the note of their last use.

use std::time::Duration;

use diesel::QueryResult;
use shared::clock::to_ms;

use crate::db::connection::DbConnection;
use crate::db::queries::sessions::{self, LiveTimes, OwnSession};
use crate::db::queries::users;
use crate::db::{DbMessage, Mode};

/// A use is noted once in so long, so that refreshes without rotation stay reads.
const NOTE_EVERY_MS: i64 = 600_000;

/// An account that logs in for every request has more sessions than anybody wants to read.
const MAX_LISTED: i64 = 200;

/// Finds the live sessions of an account: the asking one, then those used last.
#[derive(Clone, Debug)]
pub struct FindOwnSessions {
    pub user_id: i64,
    /// `None`: nobody's, as with a token of a former Django site.
    pub asking_sid: Option<String>,
    pub times: LiveTimes,
}

impl DbMessage for FindOwnSessions {
    type Output = Vec<OwnSession>;
    const MODE: Mode = Mode::Read;

    fn run(&self, connection: &mut DbConnection) -> QueryResult<Vec<OwnSession>> {
        let first = self.asking_sid.as_deref().unwrap_or_default();
        sessions::find_live_of(connection, self.user_id, first, self.times, MAX_LISTED)
    }
}

/// Notes that a session was used.
#[derive(Clone, Debug)]
pub struct NoteUse {
    pub sid: String,
    /// Not when one in so long before is noted.
    pub every_ms: i64,
    pub now_ms: i64,
}

impl NoteUse {
    /// Where sessions end when nobody uses them, it is noted often enough for that.
    pub fn new(sid: &str, idle_limit: Option<Duration>, now_ms: i64) -> Self {
        let every_ms = idle_limit.map_or(NOTE_EVERY_MS, |limit| NOTE_EVERY_MS.min(to_ms(limit) / 8));
        Self {
            sid: sid.to_owned(),
            every_ms,
            now_ms,
        }
    }

    /// Whether the use before is long enough ago.
    pub fn is_due(&self, last_used_at_ms: Option<i64>) -> bool {
        last_used_at_ms.is_none_or(|last| self.now_ms.saturating_sub(last) >= self.every_ms)
    }
}

impl DbMessage for NoteUse {
    /// Whether it was noted; of simultaneous uses, one is.
    type Output = bool;
    const MODE: Mode = Mode::Write;

    fn run(&self, connection: &mut DbConnection) -> QueryResult<bool> {
        let unless_after_ms = self.now_ms.saturating_sub(self.every_ms);
        sessions::update_last_used(connection, &self.sid, self.now_ms, unless_after_ms)
    }
}

/// What became of a wish to end sessions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndedOwn {
    Ended,
    /// The account has no live session of this name.
    NotFound,
    /// The session that asks ended meanwhile: its wish does not count any more.
    AskingEnded,
}

/// Ends one session of an account.
#[derive(Clone, Debug)]
pub struct EndOwnSession {
    pub user_id: i64,
    /// `None`: the owner asks without a session.
    pub asking_sid: Option<String>,
    pub sid: String,
    pub now_ms: i64,
}

impl DbMessage for EndOwnSession {
    type Output = EndedOwn;
    const MODE: Mode = Mode::Write;

    fn run(&self, connection: &mut DbConnection) -> QueryResult<EndedOwn> {
        if !may_ask(connection, self.user_id, self.asking_sid.as_deref())? {
            return Ok(EndedOwn::AskingEnded);
        }
        let (sid, reason) = (&self.sid, "ended by its owner");
        Ok(
            match sessions::update_own_revoked(connection, self.user_id, sid, reason, self.now_ms)? {
                true => EndedOwn::Ended,
                false => EndedOwn::NotFound,
            },
        )
    }
}

/// Ends all sessions of an account but the one that asks.
#[derive(Clone, Debug)]
pub struct EndOtherSessions {
    pub user_id: i64,
    /// `None`: the owner asks without a session, so none is kept.
    pub asking_sid: Option<String>,
    pub now_ms: i64,
}

impl DbMessage for EndOtherSessions {
    type Output = EndedOwn;
    const MODE: Mode = Mode::Write;

    fn run(&self, connection: &mut DbConnection) -> QueryResult<EndedOwn> {
        let keep = self.asking_sid.as_deref();
        if !may_ask(connection, self.user_id, keep)? {
            return Ok(EndedOwn::AskingEnded);
        }
        let reason = "ended by its owner";
        sessions::update_all_revoked(connection, self.user_id, keep, reason, self.now_ms)?;
        Ok(EndedOwn::Ended)
    }
}

/// Whether the session that asks is still live. The account is locked first: of two sessions that end each other, the
/// second sees here that it was ended.
fn may_ask(connection: &mut DbConnection, user_id: i64, asking_sid: Option<&str>) -> QueryResult<bool> {
    users::find_and_lock(connection, user_id)?;
    let Some(sid) = asking_sid else { return Ok(true) };
    let asking = sessions::find_session(connection, sid)?;
    Ok(asking.is_some_and(|session| session.user_id == user_id && session.revoked_at_ms.is_none()))
}
