//! When the next request follows: how long a pause is, what may happen at once and how often, how long an answer may be held.

use std::time::Duration;

use super::{event::RefreshEvent, waits::Waits};
use crate::{
    callout::{lines::Lines, schedule},
    config::PolicySource,
};

/// An answer that came sooner was not held back, whatever it says.
const AT_ONCE: Duration = Duration::from_millis(500);

/// Keeps something that may happen at once from happening all the time.
#[derive(Debug, Default)]
struct Pacer {
    last_ms: Option<u64>,
}

impl Pacer {
    /// Whether it may happen now: not if it did within the interval. A clock that was set back lets it.
    fn may(&mut self, interval: Duration, now_ms: u64) -> bool {
        let since = self.last_ms.and_then(|last| now_ms.checked_sub(last)).map(Duration::from_millis);
        let may = since.is_none_or(|since| since >= interval);
        if may {
            self.last_ms = Some(now_ms);
        }
        may
    }
}

/// The pace of one VM.
#[derive(Debug)]
pub(super) struct Pacing {
    interval: Duration,
    /// `policy.long_poll_ms` is set.
    holds: bool,
    /// How long polls ask for their answer to be held.
    pub waits: Waits,
    /// The service held the last answer back, so the next poll may follow at once.
    held_back: bool,
    /// Polls that followed a full policy at once, to find out whether the service holds answers back.
    probes: Pacer,
    /// Full policies that were fetched at once because something did not fit.
    restarts: Pacer,
    /// When the first request of this refresh was sent; the wait of a long poll is not counted.
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

    /// `random` may be any number; it spreads the pauses of a fleet.
    pub fn stir(&mut self, random: u64) {
        self.random = random;
    }

    /// A refresh begins.
    pub fn begin(&mut self, now_ms: u64) {
        self.began_ms = now_ms;
    }

    /// How long this refresh has taken.
    pub fn took(&self, now_ms: u64) -> Duration {
        Duration::from_millis(now_ms.saturating_sub(self.began_ms))
    }

    /// A request that asked for `wait` was answered after `took`; `waited`: the answer says that it was held back.
    pub fn answered(&mut self, wait: Option<Duration>, took: Duration, waited: bool, now_ms: u64) {
        // `preference-applied` is optional (RFC 7240), and a proxy may drop it: an answer that took half the wait was held.
        self.held_back = wait.is_some_and(|wait| waited || took.saturating_mul(2) >= wait);
        if let Some(wait) = wait {
            self.began_ms = now_ms;
            self.waits.held(wait, took);
        }
    }

    /// Whether the next poll may follow an answer that brought nothing new.
    pub fn polls_after(&self, took: Duration) -> bool {
        self.held_back && took >= AT_ONCE
    }

    /// Whether the service held the last answer back.
    pub fn is_held_back(&self) -> bool {
        self.held_back
    }

    /// The next poll is paced, whatever the service did with the last answer.
    pub fn forget_held_back(&mut self) {
        self.held_back = false;
    }

    /// Whether a poll may follow a full policy at once. Not more often than the interval, whatever the feed answers.
    pub fn may_probe(&mut self, now_ms: u64) -> bool {
        self.holds && self.probes.may(self.interval, now_ms)
    }

    /// Whether a full policy may be fetched at once because something did not fit.
    pub fn may_restart(&mut self, now_ms: u64) -> bool {
        self.restarts.may(self.interval, now_ms)
    }

    /// The pause before the next request.
    pub fn pause(&self, failures: u32, retry_after: Option<Duration>) -> Duration {
        schedule::pause(self.interval, failures, retry_after, self.random)
    }

    /// Asks for shorter waits where a held poll failed and the feed is well; whether the next poll may follow at once.
    pub fn shorten_waits(&mut self, now_ms: u64, report: &mut Lines<RefreshEvent>) -> bool {
        let Some(shortened) = self.waits.shorten(now_ms) else { return false };
        if shortened.say {
            report.warn(shortened.to_string());
        }
        shortened.next.is_some()
    }
}
