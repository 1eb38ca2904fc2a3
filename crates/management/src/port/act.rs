//! What a change is begun with: who makes it, when, and where its random numbers come from. Nothing below reads a clock.

use super::{Actor, Error};

/// A source of random bytes. An error says why there are none.
pub type Random = fn(&mut [u8]) -> Result<(), String>;

/// Who makes a change, when, and with which random numbers. The transaction keeps it until it commits.
#[derive(Clone, Debug)]
pub struct Act {
    /// Who.
    pub actor: Actor,
    /// When, Unix time.
    pub now: i64,
    /// What ids and keys are made of.
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
