//! Calendar dates for messages about certificates: UTC, no time of day. No IO.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Seconds since 1970-01-01T00:00:00Z, shown as a date: `2026-11-25`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Date(i64);

const SECONDS_A_DAY: i64 = 24 * 60 * 60;
/// The days of 400 years, after which the Gregorian calendar repeats.
const DAYS_AN_ERA: i64 = 146_097;
/// Days from 0000-03-01 to 1970-01-01.
const DAYS_TO_1970: i64 = 719_468;
/// No certificate ends later (RFC 5280 section 4.1.2.5).
const LAST_YEAR: i64 = 9999;

impl Date {
    pub(super) fn from_seconds(seconds: u64) -> Self {
        Self(i64::try_from(seconds).unwrap_or(i64::MAX))
    }

    /// Returns `None` for an invalid date or time of day.
    pub(super) fn new(
        (year, month, day): (i64, i64, i64),
        (hour, minute, second): (i64, i64, i64),
    ) -> Option<Self> {
        let is_date = (0..=LAST_YEAR).contains(&year) && (1..=12).contains(&month) && (1..=31).contains(&day);
        let is_time = (0..24).contains(&hour) && (0..60).contains(&minute) && (0..=60).contains(&second);
        if !is_date || !is_time {
            return None;
        }
        // The year begins in March, so that a leap day is its last day.
        let year = if month <= 2 { year - 1 } else { year };
        let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
        let year_of_era = year.rem_euclid(400);
        let days = year.div_euclid(400) * DAYS_AN_ERA + year_of_era * 365 + year_of_era / 4
            - year_of_era / 100
            + day_of_year
            - DAYS_TO_1970;
        Some(Self(days * SECONDS_A_DAY + hour * 60 * 60 + minute * 60 + second))
    }

    /// The same time for programs; 1970 if this system cannot express it.
    pub(super) fn as_system_time(self) -> SystemTime {
        let distance = Duration::from_secs(self.0.unsigned_abs());
        let time =
            if self.0 < 0 { UNIX_EPOCH.checked_sub(distance) } else { UNIX_EPOCH.checked_add(distance) };
        time.unwrap_or(UNIX_EPOCH)
    }

    /// Whole days from an earlier date to this one; 0 if it is not earlier.
    pub(super) fn days_since(self, earlier: Self) -> i64 {
        (self.0.saturating_sub(earlier.0) / SECONDS_A_DAY).max(0)
    }
}

impl fmt::Display for Date {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let days = self.0.div_euclid(SECONDS_A_DAY).saturating_add(DAYS_TO_1970);
        let (era, day_of_era) = (days.div_euclid(DAYS_AN_ERA), days.rem_euclid(DAYS_AN_ERA));
        let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * month + 2) / 5 + 1;
        let month = if month < 10 { month + 3 } else { month - 9 };
        let year = year_of_era + era * 400 + i64::from(month <= 2);
        write!(formatter, "{year:04}-{month:02}-{day:02}")
    }
}

/// `less than a day`, `3 days`.
pub(super) fn days(count: i64) -> String {
    match count {
        0 => "less than a day".to_owned(),
        1 => "1 day".to_owned(),
        count => format!("{count} days"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // rule E8b
    #[test]
    fn dates_are_those_of_the_calendar() {
        // By `date -u -d @…`.
        for (seconds, text) in [
            (0, "1970-01-01"),
            (86_399, "1970-01-01"),
            (86_400, "1970-01-02"),
            (951_782_399, "2000-02-28"),
            (951_782_400, "2000-02-29"),
            (951_868_800, "2000-03-01"),
            (1_609_459_199, "2020-12-31"),
            (1_795_564_800, "2026-11-25"),
            (4_107_542_399, "2100-02-28"),
            (4_107_542_400, "2100-03-01"),
            (253_402_300_799, "9999-12-31"),
        ] {
            assert_eq!(Date::from_seconds(seconds).to_string(), text);
        }
        // Anything a made-up error can hold.
        assert!(!Date::from_seconds(u64::MAX).to_string().is_empty());
    }

    // rule E8b
    #[test]
    fn every_day_of_an_era_goes_there_and_back() {
        let mut days = 0;
        for year in 1970..2370 {
            for month in 1..=12 {
                for day in 1..=31 {
                    let date = Date::new((year, month, day), (23, 59, 59)).unwrap();
                    if date.to_string() == format!("{year:04}-{month:02}-{day:02}") {
                        assert_eq!(date.0 / SECONDS_A_DAY, days);
                        days += 1;
                    }
                }
            }
        }
        assert_eq!(days, DAYS_AN_ERA);
        assert_eq!(Date::new((1950, 1, 1), (0, 0, 0)).unwrap().to_string(), "1950-01-01");
        for wrong in [(2020, 0, 1), (2020, 13, 1), (2020, 1, 0), (2020, 1, 32), (10_000, 1, 1), (-1, 1, 1)] {
            assert_eq!(Date::new(wrong, (0, 0, 0)), None);
        }
        assert_eq!(Date::new((2020, 1, 1), (24, 0, 0)), None);
    }

    // rule E8b
    #[test]
    fn a_date_is_also_a_time_of_the_system() {
        let day = Duration::from_secs(86_400);
        assert_eq!(Date::from_seconds(86_400).as_system_time(), UNIX_EPOCH + day);
        assert_eq!(Date::new((1969, 12, 31), (0, 0, 0)).unwrap().as_system_time(), UNIX_EPOCH - day);
        let _ = Date::from_seconds(u64::MAX).as_system_time();
    }

    // rule E8b
    #[test]
    fn days_are_counted_whole_and_never_below_zero() {
        let day = |seconds| Date::from_seconds(seconds);
        assert_eq!(day(3 * 86_400).days_since(day(0)), 3);
        assert_eq!(day(3 * 86_400 - 1).days_since(day(0)), 2);
        assert_eq!(day(0).days_since(day(86_400)), 0);
    }
}
