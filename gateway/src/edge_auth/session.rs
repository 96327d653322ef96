//! What outlives its request, a WebSocket, ends with the session that opened it.

use bytes::Bytes;
use shared::clock::Clock;

use super::revocations::Revocations;

/// The session of a checked caller, and how to see its end.
#[derive(Clone, Debug)]
pub struct Session {
    pub(super) id: Option<Bytes>,
    /// When its access token expires.
    pub(super) expires_at_seconds: i64,
    pub(super) revocations: Revocations,
    pub(super) clock: Clock,
}

impl Session {
    /// Whether it was ended, or its access token has expired.
    pub fn has_ended(&self) -> bool {
        self.clock.now_seconds() >= self.expires_at_seconds
            || self.id.as_ref().is_some_and(|id| self.revocations.contains(id))
    }
}
