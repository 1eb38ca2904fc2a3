//! The state of the policy: its epoch, its latest revision and the number of its rows.

use super::{Kind, Mark};

/// The state of the policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// The epoch, which identifies the policy.
    pub epoch: String,
    /// The latest revision.
    pub revision: i64,
    /// The oldest revision that can still be read.
    pub horizon: i64,
    /// Number of versions that are no longer current.
    pub past: i64,
    /// The random word of the latest revision.
    pub word: i64,
    /// How many times the epoch was renewed.
    pub renewals: i64,
    /// When the service last renewed it by itself, or another database was put in the place of this one, Unix time; 0 if
    /// never.
    pub renewed_at: i64,
    /// A revision is lost. The epoch is to be renewed when the pause is over.
    pub is_lost: bool,
    /// Number of rows of each kind, in the order of [`Kind::ALL`].
    pub counts: [i64; 6],
}

impl State {
    /// How many rows of `kind` there are.
    pub fn count(&self, kind: Kind) -> i64 {
        Kind::ALL.iter().zip(self.counts).find(|(other, _)| **other == kind).map_or(0, |(_, count)| count)
    }
}

/// The latest revision and its epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Latest {
    /// The epoch, which identifies the policy.
    pub epoch: String,
    /// The revision.
    pub revision: i64,
    /// Its random word.
    pub word: i64,
    /// How many times the epoch was renewed. The epoch with the higher number is the later one.
    pub renewals: i64,
}

impl Latest {
    /// The latest revision of `state`.
    pub fn of(state: &State) -> Self {
        let State { epoch, revision, word, renewals, .. } = state.clone();
        Self { epoch, revision, word, renewals }
    }

    /// Whether `mark` belongs to exactly this revision.
    pub fn has(&self, mark: &Mark) -> bool {
        (&self.epoch, self.revision, self.word) == (&mark.epoch, mark.revision, mark.word)
    }
}

/// A renewal of the epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Renewal {
    /// The previous epoch.
    pub before: String,
    /// The new epoch.
    pub now: String,
}
