//! One signal that tells every part to end.

use tokio_util::sync::{CancellationToken, DropGuard};

/// The half that says "end now". Dropping it says the same.
#[derive(Debug)]
pub struct ShutdownTrigger(DropGuard);

/// The half that waits for it; clone one for every part.
#[derive(Clone, Debug)]
pub struct Shutdown(CancellationToken);

pub fn channel() -> (ShutdownTrigger, Shutdown) {
    let token = CancellationToken::new();
    (ShutdownTrigger(token.clone().drop_guard()), Shutdown(token))
}

impl ShutdownTrigger {
    pub fn trigger(&self) {
        self.0.token().cancel();
    }
}

impl Shutdown {
    pub fn is_requested(&self) -> bool {
        self.0.is_cancelled()
    }

    /// Resolves when the end was asked for; at once when that has happened already.
    pub async fn requested(&mut self) {
        self.0.cancelled().await;
    }
}

/// Resolves at SIGINT (Ctrl-C) or SIGTERM, with the signal's name.
pub async fn signal() -> &'static str {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut interrupt), Ok(mut terminate)) =
        (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        log::error!("cannot listen for signals; only SIGKILL will end this process");
        return std::future::pending().await;
    };
    tokio::select! {
        _ = interrupt.recv() => "SIGINT",
        _ = terminate.recv() => "SIGTERM",
    }
}
