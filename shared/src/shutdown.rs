//! One signal that tells every part to end.

use tokio::sync::watch;

/// The half that says "end now". Dropping it says the same.
#[derive(Debug)]
pub struct ShutdownTrigger(watch::Sender<bool>);

/// The half that waits for it; clone one for every part.
#[derive(Clone, Debug)]
pub struct Shutdown(watch::Receiver<bool>);

pub fn channel() -> (ShutdownTrigger, Shutdown) {
    let (sender, receiver) = watch::channel(false);
    (ShutdownTrigger(sender), Shutdown(receiver))
}

impl ShutdownTrigger {
    pub fn trigger(&self) {
        self.0.send_replace(true);
    }
}

impl Shutdown {
    pub fn is_requested(&self) -> bool {
        *self.0.borrow() || self.0.has_changed().is_err()
    }

    /// Resolves when the end was asked for; at once when that has happened already.
    pub async fn requested(&mut self) {
        // An error means that the trigger is gone, which asks for the end too.
        let _ = self.0.wait_for(|is_requested| *is_requested).await;
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
