//! Sessions that have ended while access tokens of theirs may still be alive, for gateways.

use diesel::QueryResult;

use crate::db::connection::DbConnection;
use crate::db::queries::sessions;
use crate::db::{DbMessage, Mode};

/// Reads ended sessions in the order of their ends, at most `limit` of them.
#[derive(Clone, Debug)]
pub struct FindRevoked {
    /// The end, and among equals the session, after which the page begins.
    pub after: (i64, String),
    pub limit: i64,
}

/// A session and when it ended (Unix milliseconds).
pub type Revoked = (String, i64);

impl DbMessage for FindRevoked {
    type Output = Vec<Revoked>;
    const MODE: Mode = Mode::Read;

    fn run(&self, connection: &mut DbConnection) -> QueryResult<Vec<Revoked>> {
        let (after_ms, after_sid) = &self.after;
        sessions::find_revoked_after(connection, *after_ms, after_sid, self.limit)
    }
}
