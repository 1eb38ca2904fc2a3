//! Decides what a cursor reveals about the database's history, and how soon a loss renews the epoch.

use std::time::Duration;

use management::port::State;

/// Pause between two renewals because of lost revisions.
const LOST_PAUSE: Duration = Duration::from_secs(60);
/// Pause between two renewals because of unknown epochs. It can be long, because gateways with another epoch start over
/// without a renewal. Without it, two copies of a database that a gateway asks in turns would show each other unknown
/// epochs for ever.
const FOREIGN_PAUSE: Duration = Duration::from_secs(3_600);
/// Maximum number of remembered epochs: 16 hours of one renewal a minute, in 50 KB.
pub const MAX_EARLIER_EPOCHS: i64 = 1_000;
/// The log line for a renewal because a revision that this process had read is gone.
pub const GONE_BACK: &str =
    "another database was put in the place of this one while the service ran; gateways fetch the policy anew";
/// The log line for a noted loss when its pause is over.
pub const LOSS_DUE: &str =
    "a gateway held a revision that this database has lost, soon after another loss; gateways fetch the policy anew";

/// The log line for an epoch that another program made.
pub const RENEWED_ELSEWHERE: &str = "another program gave the policy a new epoch (restore, renew-epoch, or another service on this database); \
     gateways fetch the policy anew";

/// The relation of a mark to the database's history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finding {
    /// The database has this revision, or it is older than the kept past.
    Had,
    /// The mark belongs to an earlier epoch.
    Earlier,
    /// The mark belongs to this epoch, but the database never had this revision or has another one with this number.
    Lost,
    /// The database's secret signed the mark, but the database does not know its epoch.
    Foreign,
}

impl Finding {
    fn pause(self) -> Option<Duration> {
        match self {
            Self::Had | Self::Earlier => None,
            Self::Lost => Some(LOST_PAUSE),
            Self::Foreign => Some(FOREIGN_PAUSE),
        }
    }

    /// Whether to renew the epoch now. A clock that was set back ends the pause.
    pub fn is_due(self, state: &State, now: i64) -> bool {
        let Some(pause) = self.pause() else { return false };
        let since = now.saturating_sub(state.renewed_at);
        u64::try_from(since).map_or(true, |since| since >= pause.as_secs())
    }
}
