//! Decides which held polls take several changes with one answer.
//!
//! While changes follow each other quickly, each one would wake every gateway, and the answers and their pages would
//! fill the processor and the database. Then polls wait until the next of the common points in time, and one answer has
//! all changes of that time. The points are the same for all polls, so gateways hold the same revision and share a page.
//! An ordinary change is answered at once, because few polls then have something new.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// How long polls with something new are counted.
const PERIOD: Duration = Duration::from_millis(100);
/// Number of polls that are answered at once in a period. One answer takes some 0.1 ms of processor time, and a page that
/// is not shared 1 ms of the database, so these take a tenth of a core.
const AT_ONCE: u32 = 128;
/// The distance of two common points in time. A gateway then takes at most 50 answers a second, and a change is late by a
/// tenth of the 200 ms that it may take to another replica.
const DISTANCE: Duration = Duration::from_millis(20);

/// Counts polls with something new.
#[derive(Debug)]
pub struct Coalescing {
    start: Instant,
    polls: Mutex<Polls>,
}

/// The numbers of polls in a period and in the one before.
#[derive(Debug, Default)]
struct Polls {
    period: u128,
    count: u32,
    before: u32,
}

impl Coalescing {
    /// Periods and points are counted from `start`.
    pub fn new(start: Instant) -> Self {
        Self { start, polls: Mutex::default() }
    }

    /// When a poll for which something new is there at `now` is to be answered. `None` means at once.
    pub fn due(&self, now: Instant) -> Option<Instant> {
        let passed = now.saturating_duration_since(self.start);
        let into = |step: Duration| passed.as_nanos().checked_rem(step.as_nanos()).unwrap_or_default();
        let polls = self.count(passed);
        if polls <= AT_ONCE {
            return None;
        }
        let since = Duration::from_nanos(u64::try_from(into(DISTANCE)).unwrap_or_default());
        now.checked_add(DISTANCE.saturating_sub(since))
    }

    /// Counts a poll. Returns the number of polls in this period, or in the one before if that is higher.
    fn count(&self, passed: Duration) -> u32 {
        let period = passed.as_nanos().checked_div(PERIOD.as_nanos()).unwrap_or_default();
        let mut polls = self.polls.lock().unwrap_or_else(PoisonError::into_inner);
        // Another core may have read the clock a little earlier, before the period ended.
        if period > polls.period {
            let is_next = polls.period.checked_add(1) == Some(period);
            *polls = Polls { period, count: 0, before: if is_next { polls.count } else { 0 } };
        }
        polls.count = polls.count.saturating_add(1);
        polls.count.max(polls.before)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::arithmetic_side_effects, reason = "a panic here is a failed test")]

    use super::*;

    /// How many of `polls` at `now` are answered at once.
    fn at_once(coalescing: &Coalescing, polls: u32, now: Instant) -> u32 {
        (0..polls).map(|_| u32::from(coalescing.due(now).is_none())).sum()
    }

    #[test]
    fn a_change_is_answered_at_once() {
        let start = Instant::now();
        let coalescing = Coalescing::new(start);
        for second in 1..100 {
            assert_eq!(at_once(&coalescing, AT_ONCE, start + Duration::from_secs(second)), AT_ONCE);
        }
    }

    #[test]
    fn further_polls_wait_for_the_same_point() {
        let start = Instant::now();
        let coalescing = Coalescing::new(start);
        assert_eq!(at_once(&coalescing, 2 * AT_ONCE, start), AT_ONCE);
        let moment = Duration::from_micros(1);
        for now in [start, start + moment, start + DISTANCE - moment] {
            assert_eq!(coalescing.due(now), Some(start + DISTANCE));
        }
        assert_eq!(coalescing.due(start + DISTANCE), Some(start + 2 * DISTANCE));
    }

    #[test]
    fn they_wait_as_long_as_there_are_many() {
        let start = Instant::now();
        let coalescing = Coalescing::new(start);
        at_once(&coalescing, 2 * AT_ONCE, start);
        // The period before had too many.
        assert_eq!(at_once(&coalescing, AT_ONCE, start + PERIOD), 0);
        // The period before had not.
        assert_eq!(at_once(&coalescing, AT_ONCE, start + 2 * PERIOD), AT_ONCE);
        // A clock that another core read earlier begins no period.
        assert_eq!(at_once(&coalescing, 1, start), 0);
        // After a pause nothing of before counts.
        at_once(&coalescing, 10 * AT_ONCE, start + 3 * PERIOD);
        assert_eq!(at_once(&coalescing, AT_ONCE, start + 5 * PERIOD), AT_ONCE);
    }
}
