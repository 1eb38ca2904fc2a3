//! Reasons why writing a policy stops. Data only; the refresh decides what follows.

use crate::shared::{Corrupt, SharedError};

/// Why a merge stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MergeError {
    /// Another VM writes to the same bank.
    Overtaken,
    /// A shard that was written before is damaged or missing.
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

/// A small list is longer than allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLong {
    /// Name of the list.
    pub list: &'static str,
    /// Maximum number of rows. For all lists together: maximum size in bytes.
    pub limit: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BuildError {
    Merge(MergeError),
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
