//! Shared data of the host's process: the port through which it is reached, its keys, how its values are packed, and the lease.
//!
//! It knows nothing of what a policy, a count or a row of usage means.

pub mod bytes;
pub mod key;
pub mod lease;
pub mod memory;
pub mod slip;

/// The host's shared data, as the store uses it.
pub trait Shared {
    /// The value of a key with its version; `None` if it was never set.
    fn get(&self, key: &[u8]) -> Result<Option<Versioned>, SharedError>;
    /// Sets a key if its version is still that of `expected`.
    fn set(&self, key: &[u8], value: &[u8], expected: Expected) -> Result<(), SharedError>;
}

/// A value and the version to replace it by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Versioned {
    /// The bytes; empty if they were emptied.
    pub value: Vec<u8>,
    /// The host's compare-and-swap number.
    pub cas: u32,
}

/// What must be true of a key for it to be set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// It was never set.
    Absent,
    /// It has this version.
    Version(u32),
}

impl Expected {
    /// What is expected of a key that was just read.
    pub fn of(read: Option<&Versioned>) -> Self {
        read.map_or(Self::Absent, |read| Self::Version(read.cas))
    }
}

/// Why shared data did not do what was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SharedError {
    /// Somebody else set the key since it was read.
    Raced,
    /// The host failed.
    Host,
}

/// How far the clock may seem to be set back between two VMs, in milliseconds. A VM reads the clock, is held up by whatever the
/// machine does, and then finds what another VM has written in the meantime, with a later time than its own. Without this it
/// would take over a lease or a claim that was just renewed.
pub const SKEW_MS: u64 = 5_000;

/// Bytes that are not what should stand there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Corrupt;

pub(crate) fn as_u64(size: usize) -> u64 {
    u64::try_from(size).unwrap_or(u64::MAX)
}
