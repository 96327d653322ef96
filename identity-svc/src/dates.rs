//! Dates and times as text, UTC. Days to dates by the proleptic Gregorian calendar.
//!
//! Source: Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms" (`civil_from_days`, `days_from_civil`).

const DAY_MS: i64 = 86_400_000;

/// Unix seconds as `2026-01-01T00:05:00.000000Z`, the form of the contract's `*_expiration`.
pub fn iso_8601(unix_seconds: i64) -> String {
    let (days, second_of_day) = (unix_seconds.div_euclid(86_400), unix_seconds.rem_euclid(86_400));
    let (year, month, day) = civil_from_days(days);
    let (hour, minute, second) = (second_of_day / 3600, second_of_day / 60 % 60, second_of_day % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.000000Z")
}

/// Unix milliseconds for people of any language: `2026-01-01 00:05 UTC`.
pub fn date_and_time(unix_ms: i64) -> String {
    let text = iso_8601(unix_ms.div_euclid(1000));
    let (date, time) = text.split_once('T').unwrap_or((&text, ""));
    let minutes = time.rsplit_once(':').map_or(time, |(minutes, _)| minutes);
    format!("{date} {minutes} UTC")
}

/// The end of a day `YYYY-MM-DD` in Unix milliseconds.
pub fn end_of_day_ms(date: &str) -> Option<i64> {
    let mut parts = date.split('-');
    let (year, month, day) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() || (year.len(), month.len(), day.len()) != (4, 2, 2) {
        return None;
    }
    let (year, month, day): (i64, i64, i64) = (year.parse().ok()?, month.parse().ok()?, day.parse().ok()?);
    let days = days_from_civil(year, month, day);
    // A day that does not exist would come back as another one.
    (civil_from_days(days) == (year, month, day)).then(|| (days + 1) * DAY_MS)
}

fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 {
        month_from_march + 3
    } else {
        month_from_march - 9
    };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = year - i64::from(month <= 2);
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let month_from_march = if month > 2 { month - 3 } else { month + 9 };
    let day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
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
        assert_eq!(end_of_day_ms("1970-01-01"), Some(DAY_MS));
        assert_eq!(end_of_day_ms("2000-02-29"), Some(951_868_800_000));
        for bad in [
            "2001-02-29",
            "2027-13-01",
            "2027-1-1",
            "tomorrow",
            "2027-01-01-01",
            "",
        ] {
            assert_eq!(end_of_day_ms(bad), None, "{bad}");
        }
    }
}
