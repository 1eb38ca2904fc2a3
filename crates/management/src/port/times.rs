//! How long the database takes. An observer receives each duration, for metrics.

use std::{sync::Arc, time::Duration};

/// An operation of the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Reading: as long as the connection is held.
    Read,
    /// Waiting until a change may begin.
    Begin,
    /// A change, from its beginning until it is on the disk.
    Write,
}

impl Operation {
    /// All operations.
    pub const ALL: [Self; 3] = [Self::Read, Self::Begin, Self::Write];

    /// The operation's word in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Begin => "begin",
            Self::Write => "write",
        }
    }
}

/// Receives each completed operation.
pub type Observer = Arc<dyn Fn(Operation, Duration) + Send + Sync>;
