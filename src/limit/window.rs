//! Windows of UTC: the second, minute, hour, day or calendar month that contains a time.

use crate::policy::{MAX_UNIX_SECONDS, rows::Unit};

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;
pub const LONGEST: u64 = 31 * DAY;

/// A half-open range of Unix seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Window {
    /// The first second.
    pub begin: u64,
    /// The first second of the next window.
    pub end: u64,
}

impl Window {
    /// The window that contains `now`. A time beyond the year 9999 counts as the last second of that year.
    pub fn of(unit: Unit, now: u64) -> Self {
        let now = now.min(MAX_UNIX_SECONDS.unsigned_abs());
        let seconds = match unit {
            Unit::Second => 1,
            Unit::Minute => MINUTE,
            Unit::Hour => HOUR,
            Unit::Day => DAY,
            Unit::Month => return month(now / DAY),
        };
        let begin = now.saturating_sub(now.checked_rem(seconds).unwrap_or(0));
        Self { begin, end: begin.saturating_add(seconds) }
    }

    pub fn contains(self, now: u64) -> bool {
        (self.begin..self.end).contains(&now)
    }

    /// Seconds from `now` to the end. At least one.
    pub fn left(self, now: u64) -> u64 {
        self.end.saturating_sub(now).max(1)
    }
}

fn month(day: u64) -> Window {
    let begin = first_of_month(day);
    // 31 days after the first of a month is one of the first four days of the next month.
    let end = first_of_month(begin.saturating_add(31));
    Window { begin: begin.saturating_mul(DAY), end: end.saturating_mul(DAY) }
}

/// The first day of a day's month, both in days since 1970-01-01. A year here begins in March, so that a leap day is
/// its last day. The rest is the arithmetic of the proleptic Gregorian calendar, in which 400 years have 146,097 days.
#[expect(clippy::arithmetic_side_effects, reason = "days up to the year 10000 are below 2^22")]
fn first_of_month(day: u64) -> u64 {
    const FROM_MARCH_OF_YEAR_0: u64 = 719_468;
    let of_era = (day + FROM_MARCH_OF_YEAR_0) % 146_097;
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    // Five months from March on have 153 days, and so do the next five.
    let month = (5 * of_year + 2) / 153;
    let of_month = of_year - (153 * month + 2) / 5;
    day - of_month
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "a test that overflows has failed")]
mod tests {
    use super::*;

    /// First days of all months in days since 1970-01-01, counted one by one, to check the arithmetic above against a
    /// calendar.
    fn first_days_of_months() -> Vec<u64> {
        let mut firsts = vec![0];
        for year in 1970..=9999u64 {
            let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
            for days in [31, if leap { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
                firsts.push(firsts.last().unwrap() + days);
            }
        }
        firsts
    }

    #[test]
    fn every_month_begins_on_its_first_and_ends_where_the_next_begins() {
        for pair in first_days_of_months().windows(2) {
            let window = Window { begin: pair[0] * DAY, end: pair[1] * DAY };
            for day in pair[0]..pair[1] {
                for second in [0, DAY - 1] {
                    assert_eq!(Window::of(Unit::Month, day * DAY + second), window, "day {day}");
                }
            }
        }
    }

    #[test]
    fn windows_are_those_of_utc() {
        // 2024-02-29T23:59:59Z, the last second of a leap day.
        let now = 1_709_251_199;
        let midnight = now + 1;
        for (unit, begin) in [
            (Unit::Second, now),
            (Unit::Minute, midnight - MINUTE),
            (Unit::Hour, midnight - HOUR),
            (Unit::Day, midnight - DAY),
            (Unit::Month, midnight - 29 * DAY),
        ] {
            let window = Window::of(unit, now);
            assert_eq!(window, Window { begin, end: midnight }, "{unit:?}");
            assert_eq!(Window::of(unit, midnight).begin, midnight, "{unit:?}: the next begins");
            assert!(window.contains(begin) && window.contains(now), "{unit:?}");
            assert!(!window.contains(midnight) && !window.contains(begin - 1), "{unit:?}");
            assert_eq!(window.left(now), 1, "{unit:?}");
        }
    }

    #[test]
    fn every_time_is_before_the_end_of_its_window() {
        for now in [0, 1, DAY - 1, MAX_UNIX_SECONDS.unsigned_abs(), u64::MAX] {
            for unit in [Unit::Second, Unit::Minute, Unit::Hour, Unit::Day, Unit::Month] {
                let window = Window::of(unit, now);
                assert!(window.contains(now.min(MAX_UNIX_SECONDS.unsigned_abs())), "{unit:?} of {now}");
                assert!(window.end - window.begin <= LONGEST, "{unit:?} of {now}");
                assert!(window.left(now) >= 1, "{unit:?} of {now}");
            }
        }
    }
}
