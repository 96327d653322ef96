//! The present time as the `Date` header says it, written once a second.

use std::cell::RefCell;
use std::time::{Duration, UNIX_EPOCH};

use bytes::Bytes;
use shared::clock::Clock;

#[derive(Debug)]
pub struct DateLine {
    clock: Clock,
    now: RefCell<(i64, Bytes)>,
}

impl DateLine {
    pub fn new(clock: Clock) -> Self {
        Self {
            clock,
            now: RefCell::new((i64::MIN, Bytes::new())),
        }
    }

    /// `Sun, 06 Nov 1994 08:49:37 GMT`.
    pub fn get(&self) -> Bytes {
        let seconds = self.clock.now_seconds();
        let mut now = self.now.borrow_mut();
        if now.0 != seconds {
            let time = UNIX_EPOCH + Duration::from_secs(seconds.unsigned_abs());
            *now = (seconds, Bytes::from(httpdate::fmt_http_date(time)));
        }
        now.1.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_has_one_text() {
        let clock = Clock::fixed(784_111_777_000);
        let date = DateLine::new(clock.clone());
        let first = date.get();
        assert_eq!(first, "Sun, 06 Nov 1994 08:49:37 GMT");
        clock.advance(Duration::from_millis(999));
        assert_eq!(first.as_ptr(), date.get().as_ptr());
        clock.advance(Duration::from_millis(1));
        assert_eq!(date.get(), "Sun, 06 Nov 1994 08:49:38 GMT");
    }
}
