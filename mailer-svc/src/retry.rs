//! When to try a mail again, and when to give up. Pure: time and chance are passed in.

use std::time::Duration;

/// The waits after the first, second, third and every later failure. The broker has one delay queue for each.
const WAITS: [Duration; 4] = [
    Duration::from_secs(10),
    Duration::from_secs(60),
    Duration::from_secs(600),
    Duration::from_secs(3600),
];

/// How old a job may become.
const PATIENCE: Duration = Duration::from_secs(24 * 3600);

/// Jitter is at most this share of a wait, up or down: a server that comes back is not met by everybody at once.
const JITTER_PERCENT: u32 = 20;

/// What to do after a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    Again { after: Duration },
    GiveUp { because: &'static str },
}

/// `failed_attempts` counts those before this one, `age` is the job's, `link_life` what is left of its link's, and
/// `chance` any random number.
///
/// A link that would be dead after the usual wait is tried sooner: nobody wants a mail with a dead link.
pub fn after_failure(failed_attempts: u32, age: Duration, link_life: Duration, chance: u64) -> Next {
    if age >= PATIENCE {
        return Next::GiveUp {
            because: "gave up after a day",
        };
    }
    let usual = usize::try_from(failed_attempts).unwrap_or(usize::MAX);
    let mut waits = WAITS
        .into_iter()
        .take(usual.saturating_add(1))
        .map(|wait| with_jitter(wait, chance));
    match waits.rfind(|wait| *wait < link_life) {
        Some(after) => Next::Again { after },
        None => Next::GiveUp {
            because: "gave up, its link is about to expire",
        },
    }
}

fn with_jitter(wait: Duration, chance: u64) -> Duration {
    let percent = u32::try_from(chance % u64::from(2 * JITTER_PERCENT + 1)).unwrap_or(JITTER_PERCENT);
    wait * (100 - JITTER_PERCENT + percent) / 100
}

#[cfg(test)]
mod tests {
    use super::*;

    const NO_JITTER: u64 = 20;
    const LONG: Duration = Duration::from_secs(3 * 24 * 3600);

    fn wait_seconds(failed_attempts: u32, link_life: Duration, chance: u64) -> u64 {
        match after_failure(failed_attempts, Duration::from_secs(60), link_life, chance) {
            Next::Again { after } => after.as_secs(),
            Next::GiveUp { because } => panic!("{because}"),
        }
    }

    #[test]
    fn waits_grow_to_an_hour_and_stay_there() {
        let waits: Vec<u64> = (0..6)
            .map(|failed| wait_seconds(failed, LONG, NO_JITTER))
            .collect();
        assert_eq!(waits, [10, 60, 600, 3600, 3600, 3600]);
        assert_eq!(wait_seconds(u32::MAX, LONG, NO_JITTER), 3600);
    }

    #[test]
    fn jitter_is_a_fifth_up_or_down() {
        let waits: Vec<u64> = (0..1000).map(|chance| wait_seconds(1, LONG, chance)).collect();
        assert_eq!((waits.iter().min(), waits.iter().max()), (Some(&48), Some(&72)));
        wait_seconds(1, LONG, u64::MAX);
    }

    #[test]
    fn a_day_is_enough() {
        let next = |hours: u64| after_failure(9, Duration::from_secs(hours * 3600), LONG, NO_JITTER);
        assert!(matches!(next(23), Next::Again { .. }));
        assert_eq!(
            next(24),
            Next::GiveUp {
                because: "gave up after a day"
            }
        );
    }

    #[test]
    fn a_link_that_expires_sooner_is_tried_sooner_and_then_given_up() {
        assert_eq!(wait_seconds(3, Duration::from_secs(2940), NO_JITTER), 600);
        assert_eq!(wait_seconds(3, Duration::from_secs(300), NO_JITTER), 60);
        assert_eq!(wait_seconds(3, Duration::from_secs(30), NO_JITTER), 10);
        let next = after_failure(3, Duration::from_secs(3595), Duration::from_secs(5), NO_JITTER);
        assert_eq!(
            next,
            Next::GiveUp {
                because: "gave up, its link is about to expire"
            }
        );
    }
}
