//! Shared data of the host's process: the port to it, its keys, the packing of its values, the lease, and the places of VMs.
//!
//! It does not know the meaning of a policy, a count or a row of usage.

pub mod bytes;
pub mod key;
pub mod lease;
pub mod memory;
pub mod place;
pub mod process;
pub mod slip;

/// The host's shared data.
pub trait Shared {
    /// The value of a key with its version. `None` if it was never set.
    fn get(&self, key: &[u8]) -> Result<Option<Versioned>, SharedError>;
    /// Sets a key if its version is still `expected`.
    fn set(&self, key: &[u8], value: &[u8], expected: Expected) -> Result<(), SharedError>;
}

/// A value and its version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Versioned {
    /// The bytes. An emptied entry has none.
    pub value: Vec<u8>,
    /// The host's compare-and-swap number.
    pub cas: u32,
}

/// The condition under which a key is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// The key was never set.
    Absent,
    /// The key has this version.
    Version(u32),
}

impl Expected {
    /// The condition that a key has not changed since this read.
    pub fn of(read: Option<&Versioned>) -> Self {
        read.map_or(Self::Absent, |read| Self::Version(read.cas))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SharedError {
    /// Another VM has set the key since it was read.
    Raced,
    /// The host failed.
    Host,
}

/// How far the clock may seem to go back between two VMs, in milliseconds. A VM may read the clock, be delayed by the
/// machine, and then find an entry that another VM has written since, with a later time. Without this tolerance it
/// would take over a lease or a claim that has just been renewed.
pub const SKEW_MS: u64 = 5_000;

/// The bytes are damaged or have another format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Corrupt;

pub(crate) fn as_u64(size: usize) -> u64 {
    u64::try_from(size).unwrap_or(u64::MAX)
}
