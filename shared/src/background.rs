//! The background tasks of a service: one way to start, name, watch and stop them.
//!
//! | rule | a task that ends or panics although nobody stopped the service | for |
//! |---|---|---|
//! | [`Background::restart`] | is logged and started again, with growing waits | looking at something every few seconds |
//! | [`Background::require`] | is reported by [`Background::failed`]: the process ends, and is started by whoever runs it | what owns something that cannot be made anew |

use std::any::Any;
use std::fmt;
use std::panic::AssertUnwindSafe;
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::backoff::Backoff;
use crate::shutdown::{self, Shutdown, ShutdownTrigger};

const FIRST_WAIT: Duration = Duration::from_millis(500);
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// A task that ran this long was a good one: the waits begin anew.
const GOOD_AGE: Duration = Duration::from_secs(60);

/// The tasks of one service, on the arbiter that started them. Dropping it asks them to end, without waiting.
pub struct Background {
    trigger: ShutdownTrigger,
    shutdown: Shutdown,
    tasks: Vec<(&'static str, JoinHandle<()>)>,
    failures: mpsc::UnboundedSender<Failure>,
    failed: mpsc::UnboundedReceiver<Failure>,
}

/// A required task has ended by itself.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{task} has ended: {reason}")]
pub struct Failure {
    pub task: &'static str,
    pub reason: String,
}

impl Default for Background {
    fn default() -> Self {
        let (trigger, shutdown) = shutdown::channel();
        let (failures, failed) = mpsc::unbounded_channel();
        Self {
            trigger,
            shutdown,
            tasks: Vec::new(),
            failures,
            failed,
        }
    }
}

impl fmt::Debug for Background {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.tasks.iter().map(|(name, _)| name);
        f.debug_list().entries(names).finish()
    }
}

impl Background {
    /// For tasks that finish something at a stop; the others are dropped where they wait.
    pub fn shutdown(&self) -> Shutdown {
        self.shutdown.clone()
    }

    /// Runs what `make` makes, and again whenever it ends or panics. At a stop it is dropped where it waits.
    pub fn restart<F: Future<Output = ()> + 'static>(
        &mut self,
        name: &'static str,
        make: impl FnMut() -> F + 'static,
    ) {
        self.start(name, keep_running(name, make, self.shutdown.clone()));
    }

    /// Runs `task`, without which the service is of no use. It ends by itself at a stop ([`Background::shutdown`]).
    pub fn require(&mut self, name: &'static str, task: impl Future<Output = ()> + 'static) {
        let (shutdown, failures) = (self.shutdown.clone(), self.failures.clone());
        self.start(name, async move {
            let reason = end_of(task).await;
            if !shutdown.is_requested() {
                log::error!(task = name, reason; "a task that the service needs has ended");
                // An error means that nobody asks any more.
                let _ = failures.send(Failure { task: name, reason });
            }
        });
    }

    fn start(&mut self, name: &'static str, task: impl Future<Output = ()> + 'static) {
        self.tasks.push((name, actix::spawn(task)));
    }

    /// Resolves when a required task has ended by itself; the service cannot go on. Safe to cancel.
    pub async fn failed(&mut self) -> Failure {
        match self.failed.recv().await {
            Some(failure) => failure,
            // Not reached: the sending half is in `self`.
            None => std::future::pending().await,
        }
    }

    /// Asks all tasks to end and waits for them, at most `limit` in all. Returns the names of those that were cut off.
    pub async fn stop(self, limit: Duration) -> Vec<&'static str> {
        self.trigger.trigger();
        let deadline = tokio::time::Instant::now() + limit;
        let mut cut_off = Vec::new();
        for (name, mut task) in self.tasks {
            if tokio::time::timeout_at(deadline, &mut task).await.is_err() {
                task.abort();
                cut_off.push(name);
            }
        }
        cut_off
    }
}

async fn keep_running<F: Future<Output = ()>>(
    name: &'static str,
    mut make: impl FnMut() -> F,
    mut shutdown: Shutdown,
) {
    let mut backoff = Backoff::new(FIRST_WAIT, LONGEST_WAIT);
    loop {
        let begun = Instant::now();
        let reason = tokio::select! {
            biased;
            () = shutdown.requested() => return,
            reason = end_of(async { make().await }) => reason,
        };
        if begun.elapsed() >= GOOD_AGE {
            backoff.reset();
        }
        let wait = backoff.wait();
        let wait_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
        log::error!(task = name, reason, wait_ms; "a background task has ended and will be started again");
        tokio::select! {
            () = shutdown.requested() => return,
            () = tokio::time::sleep(wait) => {}
        }
    }
}

/// Runs `task` to its end, and says how that was. A panic does not leave the task.
pub(crate) async fn end_of(task: impl Future<Output = ()>) -> String {
    match AssertUnwindSafe(task).catch_unwind().await {
        Ok(()) => "it returned".to_owned(),
        Err(panic) => format!("it panicked: {}", panic_message(panic.as_ref())),
    }
}

fn panic_message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("no message")
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::rc::Rc;

    use super::*;

    #[actix::test]
    async fn a_task_that_panics_is_started_again_and_dropped_at_a_stop() {
        tokio::time::pause();
        let mut background = Background::default();
        let (starts, mut started) = mpsc::unbounded_channel();
        let count = Rc::new(Cell::new(0));
        background.restart("looker", move || {
            let (starts, count) = (starts.clone(), count.clone());
            async move {
                count.set(count.get() + 1);
                starts.send(count.get()).unwrap();
                assert!(count.get() > 2, "not yet");
                std::future::pending::<()>().await;
            }
        });
        for expected in 1..=3 {
            assert_eq!(started.recv().await, Some(expected));
        }
        assert!(background.stop(Duration::from_secs(1)).await.is_empty());
        assert_eq!(started.recv().await, None);
    }

    #[actix::test]
    async fn the_end_of_a_required_task_is_reported_with_its_reason() {
        let mut background = Background::default();
        background.require("waiter", std::future::pending());
        background.require("reader", async { panic!("no {}", "queue") });
        let failure = background.failed().await;
        assert_eq!(failure.to_string(), "reader has ended: it panicked: no queue");
    }

    #[actix::test]
    async fn a_stop_waits_for_what_finishes_and_names_what_does_not() {
        tokio::time::pause();
        let mut background = Background::default();
        let (finished, has_finished) = tokio::sync::oneshot::channel();
        let mut shutdown = background.shutdown();
        background.require("finisher", async move {
            shutdown.requested().await;
            finished.send(()).unwrap();
        });
        background.require("sleeper", std::future::pending());
        assert_eq!(background.stop(Duration::from_secs(1)).await, ["sleeper"]);
        has_finished.await.unwrap();
    }
}
