//! How long to wait before the next try: the one place for waits that double.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};

/// Waits that double from the first to the longest, each up to as much again by chance, so that many who lost the same
/// thing do not come back at the same moment.
#[derive(Debug)]
pub struct Backoff {
    builder: ExponentialBuilder,
    waits: ExponentialBackoff,
    longest: Duration,
}

impl Backoff {
    /// The waits lie between `first` and twice `longest`.
    pub fn new(first: Duration, longest: Duration) -> Self {
        let builder = ExponentialBuilder::new()
            .with_min_delay(first)
            .with_max_delay(longest)
            .with_jitter()
            .without_max_times();
        Self {
            builder,
            waits: builder.build(),
            longest,
        }
    }

    /// The wait after one more failure.
    pub fn wait(&mut self) -> Duration {
        self.waits.next().unwrap_or(self.longest)
    }

    /// It went well: the next failure is a first one.
    pub fn reset(&mut self) {
        self.waits = self.builder.build();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest_with_jitter_and_begin_anew_after_success() {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_millis(2500));
        let is_in = |wait: Duration, least: u128| (least..=2 * least).contains(&wait.as_millis());
        for least in [100, 200, 400, 800, 1600, 2500, 2500] {
            let wait = backoff.wait();
            assert!(is_in(wait, least), "{least}: {wait:?}");
        }
        backoff.reset();
        assert!(is_in(backoff.wait(), 100));
    }
}
