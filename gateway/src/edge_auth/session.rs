//! What outlives its request, a WebSocket, ends with the session that opened it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use shared::clock::Clock;

use super::revocations::Revocations;

/// Everybody who asks has looked within this time.
const REMEMBERED: Duration = Duration::from_secs(60);

/// The session of a checked caller, and how to see its end.
#[derive(Clone, Debug)]
pub struct Session {
    pub(super) id: Option<Bytes>,
    /// When its access token expires.
    pub(super) expires_at_seconds: i64,
    /// When it was asked for.
    pub(super) opened: Instant,
    pub(super) revocations: Revocations,
    pub(super) password_changes: PasswordChanges,
    pub(super) clock: Clock,
}

impl Session {
    /// Whether it was ended, its access token has expired, or its password was changed since.
    pub fn has_ended(&self) -> bool {
        let is_over = |id: &Bytes| {
            self.revocations.contains(id) || self.password_changes.was_changed_since(id, self.opened)
        };
        self.clock.now_seconds() >= self.expires_at_seconds || self.id.as_ref().is_some_and(is_over)
    }
}

/// Sessions that have just changed their account's password through this gateway. They go on, and their account's other
/// sessions are ended; but whoever changes a password wants nothing to go on that was open before. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct PasswordChanges(Arc<Mutex<HashMap<Bytes, Instant>>>);

impl PasswordChanges {
    /// Notes that `session` has changed the password.
    pub fn note(&self, session: Bytes) {
        let now = Instant::now();
        self.look(|changed| {
            changed.retain(|_, when| now.duration_since(*when) < REMEMBERED);
            changed.insert(session, now);
        });
    }

    fn was_changed_since(&self, session: &Bytes, opened: Instant) -> bool {
        self.look(|changed| changed.get(session).is_some_and(|when| *when >= opened))
    }

    fn look<T>(&self, look: impl FnOnce(&mut HashMap<Bytes, Instant>) -> T) -> T {
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
