//! The wait that polls ask the policy service for, if something in between ends held answers early.
//!
//! A held poll that fails says nothing about the feed. The next poll follows with the next tick and asks for no wait.
//! If that one is answered, the feed works, and later polls ask for half the wait, down to one second and then for
//! none. After ten minutes they ask for twice the wait again. Nothing here sends a poll.

use std::{fmt, time::Duration};

/// How long polls ask for a shorter wait before they try a longer one, in milliseconds.
const LONGER_AFTER_MS: u64 = 600_000;
/// The shortest wait. `prefer: wait` has whole seconds.
pub(super) const SHORTEST: Duration = Duration::from_secs(1);

/// A held poll that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Cut {
    /// The wait that it asked for.
    pub asked: Duration,
    pub held: Duration,
    /// What ended it, in words.
    pub by: String,
}

/// The wait of polls.
#[derive(Debug)]
pub(super) struct Waits {
    /// `policy.long_poll_ms`.
    longest: Option<Duration>,
    current: Option<Duration>,
    /// When the current wait was chosen. `None` if it is the longest.
    chosen_ms: Option<u64>,
    cut: Option<Cut>,
    is_said: bool,
}

impl Waits {
    pub fn new(longest: Option<Duration>) -> Self {
        Self { longest, current: longest, chosen_ms: None, cut: None, is_said: false }
    }

    /// The wait of the next poll. If the clock was set back, a longer wait is tried.
    pub fn next(&mut self, now_ms: u64) -> Option<Duration> {
        if let (Some(longest), Some(chosen_ms)) = (self.longest, self.chosen_ms)
            && now_ms.checked_sub(chosen_ms).is_none_or(|since| since >= LONGER_AFTER_MS)
        {
            let longer = self.current.map_or(SHORTEST, |wait| wait.saturating_mul(2)).min(longest);
            self.current = Some(longer);
            self.chosen_ms = Some(now_ms).filter(|_| longer < longest);
        }
        self.current
    }

    /// Records that a held poll has failed.
    pub fn cut(&mut self, cut: Cut) {
        self.cut = Some(cut);
    }

    /// Whether the last poll was held and has failed, so that the next one asks for no wait.
    pub fn is_cut(&self) -> bool {
        self.cut.is_some()
    }

    /// The poll without a wait has failed too, so the wait was not the reason.
    pub fn forget_cut(&mut self) {
        self.cut = None;
    }

    /// The poll without a wait was answered, so later polls ask for half the wait. `None` if no poll was cut. This is
    /// logged once, until a poll with the longest wait is held again.
    pub fn shorten(&mut self, now_ms: u64) -> Option<Shortened> {
        let cut = self.cut.take()?;
        // A poll may ask for less than the current wait, because VMs are still to come.
        let half = Duration::from_secs(cut.asked.max(self.current.unwrap_or_default()).as_secs() / 2);
        self.current = Some(half).filter(|half| *half >= SHORTEST);
        self.chosen_ms = Some(now_ms);
        let say = !std::mem::replace(&mut self.is_said, true);
        Some(Shortened { cut, next: self.current, say })
    }

    /// Records that a poll with this wait was held. The longest wait, held to its end, re-enables the log line.
    pub fn held(&mut self, wait: Duration, took: Duration) {
        if Some(wait) == self.longest && took.saturating_add(SHORTEST) >= wait {
            self.is_said = false;
        }
    }
}

/// The consequences of a held poll that failed although the feed works.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Shortened {
    pub cut: Cut,
    /// The wait of later polls.
    pub next: Option<Duration>,
    /// Whether to log it.
    pub say: bool,
}

impl fmt::Display for Shortened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "something between Envoy and the policy service ends held answers, here after {}.{} s of {} s: {}; the policy \
             is fresh, and ",
            // In tenths of a second, as integers: the module needs no formatting of floats elsewhere.
            self.cut.held.as_secs(),
            self.cut.held.subsec_millis() / 100,
            self.cut.asked.as_secs(),
            self.cut.by,
        )?;
        match self.next {
            Some(wait) => write!(f, "polls ask for {} s from now on", wait.as_secs())?,
            None => f.write_str("polls ask for no wait from now on")?,
        }
        f.write_str(
            "; raise its time limit to `policy.long_poll_ms` and `policy.timeout_ms` together, or lower \
             `policy.long_poll_ms`",
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(asked: u64) -> Cut {
        Cut { asked: Duration::from_secs(asked), held: Duration::from_secs(1), by: "status 504".to_owned() }
    }

    #[test]
    fn a_wait_is_halved_down_to_a_second_and_then_to_none_and_doubled_every_ten_minutes() {
        let mut waits = Waits::new(Some(Duration::from_secs(25)));
        let mut asked = Vec::new();
        while let Some(wait) = waits.next(1_000) {
            asked.push(wait.as_secs());
            waits.cut(cut(wait.as_secs()));
            assert_eq!(waits.shorten(1_000).unwrap().say, asked.len() == 1, "said once");
        }
        assert_eq!(asked, [25, 12, 6, 3, 1]);
        let minutes = |minutes: u64| 1_000 + minutes * 60_000;
        let later: Vec<_> = (9..=70).step_by(10).map(|m| waits.next(minutes(m + 1) - 1)).collect();
        let seconds: Vec<_> = later.iter().map(|wait| wait.map(|wait| wait.as_secs())).collect();
        assert_eq!(seconds[0], None, "not before ten minutes are over");
        assert_eq!(seconds[1..], [1, 2, 4, 8, 16, 25].map(Some));
    }

    #[test]
    fn a_cut_of_a_poll_that_asked_for_less_does_not_end_waiting() {
        let mut waits = Waits::new(Some(Duration::from_secs(25)));
        waits.cut(cut(1));
        assert_eq!(waits.shorten(1_000).unwrap().next, Some(Duration::from_secs(12)));
        assert_eq!(waits.next(1_000), Some(Duration::from_secs(12)));
    }

    #[test]
    fn a_poll_without_a_wait_that_fails_shortens_nothing() {
        let mut waits = Waits::new(Some(Duration::from_secs(25)));
        waits.cut(cut(25));
        waits.forget_cut();
        assert_eq!(waits.shorten(1_000), None);
        assert_eq!(waits.next(1_000), Some(Duration::from_secs(25)));
    }

    #[test]
    fn a_clock_that_is_set_back_keeps_no_wait_short() {
        let mut waits = Waits::new(Some(Duration::from_secs(4)));
        waits.cut(cut(4));
        waits.shorten(10_000_000);
        assert_eq!(waits.next(5), Some(Duration::from_secs(4)));
    }
}
