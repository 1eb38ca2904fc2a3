//! Why writing a policy stops: data only. What follows from it is for the refresh to say.

use crate::shared::{Corrupt, SharedError};

/// Why merging stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MergeError {
    /// Another VM writes the same bank.
    Overtaken,
    /// A shard that was written before is damaged or gone.
    Damaged,
    /// The host failed.
    Host,
}

impl From<SharedError> for MergeError {
    fn from(error: SharedError) -> Self {
        match error {
            SharedError::Raced => Self::Overtaken,
            SharedError::Host => Self::Host,
        }
    }
}

impl From<Corrupt> for MergeError {
    fn from(_: Corrupt) -> Self {
        Self::Damaged
    }
}

/// The lists are longer than they may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLong {
    /// Which one.
    pub list: &'static str,
    /// How many rows, or in all bytes, it may have.
    pub limit: usize,
}

/// Why a build stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BuildError {
    /// Merging stopped.
    Merge(MergeError),
    /// The small lists are too long.
    TooLong(TooLong),
    /// The policy takes more than `policy.max_bytes`.
    TooLarge,
}

impl From<MergeError> for BuildError {
    fn from(error: MergeError) -> Self {
        Self::Merge(error)
    }
}

impl From<TooLong> for BuildError {
    fn from(error: TooLong) -> Self {
        Self::TooLong(error)
    }
}

impl From<Corrupt> for BuildError {
    fn from(error: Corrupt) -> Self {
        Self::Merge(error.into())
    }
}

impl From<SharedError> for BuildError {
    fn from(error: SharedError) -> Self {
        Self::Merge(error.into())
    }
}
