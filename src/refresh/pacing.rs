//! Decides when the next request follows, how often an action may happen at once, and how long an answer may be held.

use std::time::Duration;

use super::{event::RefreshEvent, waits::Waits};
use crate::{
    callout::{lines::Lines, schedule},
    config::PolicySource,
};

/// An answer that came sooner was not held, even if it says so.
const AT_ONCE: Duration = Duration::from_millis(500);

/// Limits how often an action may happen at once.
#[derive(Debug, Default)]
struct Pacer {
    last_ms: Option<u64>,
}

impl Pacer {
    /// Whether the action may happen now: not if it happened within the interval. If the clock was set back, it may.
    fn may(&mut self, interval: Duration, now_ms: u64) -> bool {
        let since = self.last_ms.and_then(|last| now_ms.checked_sub(last)).map(Duration::from_millis);
        let may = since.is_none_or(|since| since >= interval);
        if may {
            self.last_ms = Some(now_ms);
        }
        may
    }
}

/// The pauses and waits of one VM.
#[derive(Debug)]
pub(super) struct Pacing {
    interval: Duration,
    /// Whether `policy.long_poll_ms` is set.
    holds: bool,
    /// How long polls ask for their answer to be held.
    pub waits: Waits,
    /// Whether the service held the last answer, so that the next poll may follow at once.
    held_back: bool,
    /// The polls that followed a full policy at once, to find out whether the service holds answers.
    probes: Pacer,
    /// The full policies that were fetched at once because a cursor, a delta or the stored policy could not be used.
    restarts: Pacer,
    /// When the first request of this refresh was sent. After a long poll, when it was answered.
    began_ms: u64,
    random: u64,
}

impl Pacing {
    pub fn new(settings: &PolicySource) -> Self {
        Self {
            interval: settings.refresh_interval,
            holds: settings.long_poll.is_some(),
            waits: Waits::new(settings.long_poll),
            held_back: false,
            probes: Pacer::default(),
            restarts: Pacer::default(),
            began_ms: 0,
            random: 0,
        }
    }

    /// `random` may be any number. It spreads the pauses of a fleet.
    pub fn stir(&mut self, random: u64) {
        self.random = random;
    }

    pub fn begin(&mut self, now_ms: u64) {
        self.began_ms = now_ms;
    }

    pub fn took(&self, now_ms: u64) -> Duration {
        Duration::from_millis(now_ms.saturating_sub(self.began_ms))
    }

    /// A request that asked for `wait` was answered after `took`. `waited` means that the answer says it was held.
    pub fn answered(&mut self, wait: Option<Duration>, took: Duration, waited: bool, now_ms: u64) {
        // `preference-applied` is optional (RFC 7240), and a proxy may drop it. So an answer that took half the wait
        // counts as held.
        self.held_back = wait.is_some_and(|wait| waited || took.saturating_mul(2) >= wait);
        if let Some(wait) = wait {
            self.began_ms = now_ms;
            self.waits.held(wait, took);
        }
    }

    /// Whether the next poll may follow at once after an answer without changes.
    pub fn polls_after(&self, took: Duration) -> bool {
        self.held_back && took >= AT_ONCE
    }

    /// Whether the service held the last answer.
    pub fn is_held_back(&self) -> bool {
        self.held_back
    }

    /// The next poll follows after a pause, even if the service held the last answer.
    pub fn forget_held_back(&mut self) {
        self.held_back = false;
    }

    /// Whether a poll may follow a full policy at once. It may at most once in an interval, whatever the feed answers.
    pub fn may_probe(&mut self, now_ms: u64) -> bool {
        self.holds && self.probes.may(self.interval, now_ms)
    }

    /// Whether a full policy may be fetched at once because an answer did not fit the current policy.
    pub fn may_restart(&mut self, now_ms: u64) -> bool {
        self.restarts.may(self.interval, now_ms)
    }

    /// The pause before the next request.
    pub fn pause(&self, failures: u32, retry_after: Option<Duration>) -> Duration {
        schedule::pause(self.interval, failures, retry_after, self.random)
    }

    /// Shortens the wait if a held poll failed although the feed works. Returns whether the next poll may follow at
    /// once.
    pub fn shorten_waits(&mut self, now_ms: u64, report: &mut Lines<RefreshEvent>) -> bool {
        let Some(shortened) = self.waits.shorten(now_ms) else { return false };
        if shortened.say {
            report.warn(shortened.to_string());
        }
        shortened.next.is_some()
    }
}
