//! Whether a service can do its work now, part by part. State state: to ask costs a lock and no message.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Serialize;
use tokio::sync::Notify;

/// What a service is made of, and which of it cannot be used now. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Readiness(Arc<State>);

#[derive(Debug, Default)]
struct State {
    inner: Mutex<Inner>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct Inner {
    is_draining: bool,
    /// In the order of registration; no reason means ready.
    parts: Vec<(String, Option<String>)>,
}

/// The body of `/health/ready`: `{"ready": false, "reasons": ["database: cannot connect"]}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    pub ready: bool,
    pub reasons: Vec<String>,
}

impl Readiness {
    /// Registers a part. It is not ready ("starting") until it says so.
    pub fn part(&self, name: &str) -> Part {
        let mut inner = lock(&self.0);
        inner.parts.push((name.to_owned(), Some("starting".to_owned())));
        Part {
            state: self.0.clone(),
            index: inner.parts.len() - 1,
        }
    }

    /// From now on not ready, whatever the parts say: the service finishes what it has and takes nothing new.
    pub fn drain(&self) {
        lock(&self.0).is_draining = true;
    }

    /// Resolves when all parts are ready.
    pub async fn until_ready(&self) {
        loop {
            let changed = self.0.changed.notified();
            if self.report().ready {
                return;
            }
            changed.await;
        }
    }

    pub fn report(&self) -> Report {
        let inner = lock(&self.0);
        let draining = inner
            .is_draining
            .then(|| "draining: the service is being stopped".to_owned());
        let of_part =
            |(name, reason): &(String, Option<String>)| Some(format!("{name}: {}", reason.as_ref()?));
        let reasons: Vec<String> = draining
            .into_iter()
            .chain(inner.parts.iter().filter_map(of_part))
            .collect();
        Report {
            ready: reasons.is_empty(),
            reasons,
        }
    }
}

/// One part's half: it says how it is. Cheap enough to say it again and again.
#[derive(Clone, Debug)]
pub struct Part {
    state: Arc<State>,
    index: usize,
}

impl Part {
    pub fn set_ready(&self) {
        self.set(None);
    }

    /// `reason` completes "database: ...". It is shown to whoever reaches the admin port, so it holds no secret.
    pub fn set_unready(&self, reason: impl Into<String>) {
        self.set(Some(reason.into()));
    }

    fn set(&self, reason: Option<String>) {
        if let Some(part) = lock(&self.state).parts.get_mut(self.index) {
            part.1 = reason;
        }
        self.state.changed.notify_waiters();
    }
}

fn lock(state: &State) -> MutexGuard<'_, Inner> {
    state.inner.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_is_ready_when_all_its_parts_are_and_nobody_stops_it() {
        let readiness = Readiness::default();
        assert!(readiness.report().ready);
        let (database, queue) = (readiness.part("database"), readiness.part("queue"));
        database.set_ready();
        assert_eq!(readiness.report().reasons, ["queue: starting"]);
        queue.set_ready();
        assert!(readiness.report().ready);
        database.set_unready("cannot connect");
        readiness.drain();
        assert_eq!(
            readiness.report().reasons,
            [
                "draining: the service is being stopped",
                "database: cannot connect"
            ]
        );
    }
}
