//! How long a database takes: what is told to an observer as it happens, for metrics.

use std::{sync::Arc, time::Duration};

/// What takes time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Reading: from the moment a connection is held until it is given back.
    Read,
    /// Waiting until a change may begin.
    Begin,
    /// A change, from its beginning until it is on the disk.
    Write,
}

impl Operation {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Read, Self::Begin, Self::Write];

    /// Its word in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Begin => "begin",
            Self::Write => "write",
        }
    }
}

/// Hears of each operation that has ended.
pub type Observer = Arc<dyn Fn(Operation, Duration) + Send + Sync>;
