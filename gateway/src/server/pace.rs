//! How slowly a client may take what it asked for: whoever takes nothing, or next to nothing, gives up its place.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

/// The slowest that a client may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// Without a byte taken.
    pub stall: Duration,
    /// On average over each `window` of waiting for the client; time in which nothing waits for it does not count.
    pub bytes_per_second: u64,
    pub window: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            stall: Duration::from_secs(20),
            bytes_per_second: 4096,
            window: Duration::from_secs(60),
        }
    }
}

/// Watches one client.
#[derive(Debug)]
pub struct Meter {
    pace: Pace,
    /// Only while something waits for the client.
    blocked: Option<Blocked>,
    window: Window,
}

#[derive(Debug)]
struct Blocked {
    since: Instant,
    timer: Pin<Box<Sleep>>,
}

/// What a client took since the window began, and for how long it was waited for.
#[derive(Debug, Default)]
struct Window {
    waited: Duration,
    bytes: u64,
}

impl Meter {
    pub fn new(pace: Pace) -> Self {
        Self {
            pace,
            blocked: None,
            window: Window::default(),
        }
    }

    /// The client took so much.
    pub fn advanced(&mut self, bytes: usize) {
        self.window.bytes += u64::try_from(bytes).unwrap_or(u64::MAX);
        if let Some(blocked) = self.blocked.take() {
            self.window.waited += blocked.since.elapsed();
        }
    }

    /// To be polled whenever the client takes nothing at present; ready when that has lasted too long.
    pub fn poll_too_slow(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.window.is_too_slow(&self.pace) {
            return Poll::Ready(());
        }
        let stall = self.pace.stall;
        let blocked = self.blocked.get_or_insert_with(|| {
            let since = Instant::now();
            Blocked {
                since,
                timer: Box::pin(sleep_until(since + stall)),
            }
        });
        blocked.timer.as_mut().poll(cx)
    }
}

impl Window {
    /// Whether the window is over and too little was taken; begins the next one when it is over.
    fn is_too_slow(&mut self, pace: &Pace) -> bool {
        if self.waited < pace.window {
            return false;
        }
        let Self { waited, bytes } = std::mem::take(self);
        u128::from(bytes) * 1000 < u128::from(pace.bytes_per_second).saturating_mul(waited.as_millis())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// After how many seconds a client that takes so much in each of them is too slow.
    fn seconds_until_too_slow(bytes_per_second: u64) -> Option<u32> {
        let (pace, mut window) = (Pace::default(), Window::default());
        (1..=1000).find(|_| {
            window.waited += Duration::from_secs(1);
            window.bytes += bytes_per_second;
            window.is_too_slow(&pace)
        })
    }

    #[test]
    fn who_drips_is_too_slow_after_the_window() {
        assert_eq!(seconds_until_too_slow(0), Some(60));
        assert_eq!(seconds_until_too_slow(4095), Some(60));
        assert_eq!(seconds_until_too_slow(4096), None);
    }

    #[test]
    fn time_in_which_nothing_waits_for_the_client_does_not_count() {
        let mut meter = Meter::new(Pace::default());
        meter.advanced(1);
        assert_eq!(meter.window.waited, Duration::ZERO);
        meter.window.waited = Duration::from_secs(61);
        assert!(meter.window.is_too_slow(&meter.pace));
        assert_eq!(meter.window.waited, Duration::ZERO);
    }
}
