//! The context of a change: who makes it, when, and with which random numbers. Nothing below reads a clock.

use super::Error;

/// Who makes a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Actor {
    /// The holder of the administrator's token.
    Administrator,
    /// An import from a file, run by a person who may write the database.
    Import,
    /// The service itself, for what follows from usage or is due.
    Service,
}

impl Actor {
    /// The actor's name in the log.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Administrator => "administrator",
            Self::Import => "import",
            Self::Service => "service",
        }
    }
}

/// A source of random bytes, or the reason why there are none.
pub type Random = fn(&mut [u8]) -> Result<(), String>;

/// The context of a change. The transaction keeps it until it commits.
#[derive(Clone, Debug)]
pub struct Act {
    pub actor: Actor,
    /// The time, in Unix seconds.
    pub now: i64,
    /// The source of random bytes for ids and keys.
    pub random: Random,
}

impl Act {
    /// Random bytes.
    pub fn random<const N: usize>(&self) -> Result<[u8; N], Error> {
        let mut bytes = [0; N];
        (self.random)(&mut bytes).map_err(Error::Unavailable)?;
        Ok(bytes)
    }
}
