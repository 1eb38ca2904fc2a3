//! Decides when a connection has been idle for too long. Knows no socket and no clock.
//!
//! Only requests count as activity. Part of a preface, part of a head, and answered pings do not.

use std::time::Duration;

/// How long a client may take to send the head of its first request after its connection was accepted.
pub const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a connection may stay open without a request, or without reading an answer.
pub const IDLE_TIMEOUT: Duration = Duration::from_secs(60);

/// The activity of a connection. Times count from the moment it was opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activity {
    /// No request has arrived yet.
    Silent,
    /// A request is not answered yet. A held poll is such a request.
    Working,
    /// The time at which the last request began or ended, or the client took the last part of an answer.
    IdleSince(Duration),
}

impl Activity {
    /// When to close the connection if nothing else happens; `None` while a request is in progress.
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
