//! Where the policy stands: its epoch, its latest revision, how much there is.

use super::{Kind, Mark};

/// Where the policy stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// Which policy this is.
    pub epoch: String,
    /// The latest revision.
    pub revision: i64,
    /// The oldest revision that can still be read.
    pub horizon: i64,
    /// How many versions hold no more.
    pub past: i64,
    /// The random word of the latest revision.
    pub word: i64,
    /// How often the epoch was renewed.
    pub renewals: i64,
    /// When the service last renewed it by itself, Unix time.
    pub renewed_at: i64,
    /// A revision is lost, and the epoch is to be renewed when the pause is over.
    pub is_lost: bool,
    /// How many rows there are, in the order of [`Kind::ALL`].
    pub counts: [i64; 6],
}

impl State {
    /// How many rows of `kind` there are.
    pub fn count(&self, kind: Kind) -> i64 {
        Kind::ALL.iter().zip(self.counts).find(|(other, _)| **other == kind).map_or(0, |(_, count)| count)
    }
}

/// The latest revision and the epoch that it belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Latest {
    /// Which policy this is.
    pub epoch: String,
    /// The revision.
    pub revision: i64,
    /// Its random word.
    pub word: i64,
    /// How often the epoch was renewed: of two epochs the one with more is the later.
    pub renewals: i64,
}

impl Latest {
    /// The latest of `state`.
    pub fn of(state: &State) -> Self {
        let State { epoch, revision, word, renewals, .. } = state.clone();
        Self { epoch, revision, word, renewals }
    }

    /// Whether `mark` is of just this.
    pub fn has(&self, mark: &Mark) -> bool {
        (&self.epoch, self.revision, self.word) == (&mark.epoch, mark.revision, mark.word)
    }
}

/// An epoch that was renewed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Renewal {
    /// The epoch before.
    pub before: String,
    /// The epoch now.
    pub now: String,
}
