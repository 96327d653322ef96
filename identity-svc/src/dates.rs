//! Dates and times as text, UTC.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

/// Unix seconds as `2026-01-01T00:05:00.000000Z`, the form of the contract's `*_expiration`.
pub fn iso_8601(unix_seconds: i64) -> String {
    let time = Timestamp::from_second(unix_seconds).unwrap_or(Timestamp::MAX);
    time.strftime("%Y-%m-%dT%H:%M:%S.000000Z").to_string()
}

/// Unix milliseconds for people of any language: `2026-01-01 00:05 UTC`.
pub fn date_and_time(unix_ms: i64) -> String {
    let time = Timestamp::from_millisecond(unix_ms).unwrap_or(Timestamp::MAX);
    time.strftime("%Y-%m-%d %H:%M UTC").to_string()
}

/// The end of a day `YYYY-MM-DD` in Unix milliseconds.
pub fn end_of_day_ms(date: &str) -> Option<i64> {
    // The parser would take more forms than this one.
    if date.len() != "YYYY-MM-DD".len() {
        return None;
    }
    let day: Date = date.parse().ok()?;
    let next = day.tomorrow().ok()?.to_zoned(TimeZone::UTC).ok()?;
    Some(next.timestamp().as_millisecond())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_iso_8601() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00.000000Z"),
            (951_782_400, "2000-02-29T00:00:00.000000Z"),
            (1_767_225_900, "2026-01-01T00:05:00.000000Z"),
            (4_107_542_399, "2100-02-28T23:59:59.000000Z"),
            (4_107_542_400, "2100-03-01T00:00:00.000000Z"),
        ] {
            assert_eq!(iso_8601(seconds), text);
        }
        assert_eq!(date_and_time(1_767_225_959_999), "2026-01-01 00:05 UTC");
    }

    #[test]
    fn a_day_that_does_not_exist_is_no_date() {
        assert_eq!(end_of_day_ms("1970-01-01"), Some(86_400_000));
        assert_eq!(end_of_day_ms("2000-02-29"), Some(951_868_800_000));
        for bad in [
            "2001-02-29",
            "2027-13-01",
            "2027-1-1",
            "2027-W01-1",
            "+2027-01-0",
            "tomorrow",
            "2027-01-01-01",
            "",
        ] {
            assert_eq!(end_of_day_ms(bad), None, "{bad}");
        }
    }
}
