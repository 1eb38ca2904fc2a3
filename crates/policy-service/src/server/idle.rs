//! When a connection has been idle for too long. This file decides only: it knows no socket and no clock.
//!
//! Only requests count. Half a preface, half a head and answered pings are not requests.

use std::time::Duration;

/// How long a client may take for the head of its first request, from the moment its connection was accepted.
pub const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a connection may be without a request, or without taking anything of an answer.
pub const IDLE_TIMEOUT: Duration = Duration::from_secs(60);

/// What happens on a connection. Times are counted from the moment it was opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activity {
    /// No request has arrived yet.
    Silent,
    /// A request has no answer yet. A held poll is such a request.
    Working,
    /// The last request began or ended at this time, or the last part of an answer was taken.
    IdleSince(Duration),
}

impl Activity {
    /// When the connection is to be closed if nothing else happens. `None`: not while this goes on.
    pub fn expiry(self) -> Option<Duration> {
        match self {
            Self::Silent => Some(HEAD_TIMEOUT),
            Self::Working => None,
            Self::IdleSince(since) => Some(since.saturating_add(IDLE_TIMEOUT)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_expires_by_its_requests_alone() {
        let seconds = Duration::from_secs;
        for (activity, expiry) in [
            (Activity::Silent, Some(seconds(30))),
            (Activity::Working, None),
            (Activity::IdleSince(seconds(0)), Some(seconds(60))),
            (Activity::IdleSince(seconds(29)), Some(seconds(89))),
            (Activity::IdleSince(Duration::MAX), Some(Duration::MAX)),
        ] {
            assert_eq!(activity.expiry(), expiry, "{activity:?}");
        }
    }
}
