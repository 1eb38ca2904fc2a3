//! The policy in Envoy's shared data: once per process, packed, replaced in one step.
//!
//! Keys lie in shards by their digest, applications with their subscriptions in shards by the digest of the application's
//! id, so a key that was never seen costs two reads. A full policy is built in the idle one of two banks, and a manifest,
//! written last, says which bank counts. A delta rewrites single shards of the bank in use. Every value carries a
//! checksum over its place and its bytes, and what does not fit is `Corrupt`, never an empty policy and never an allowance.
//!
//! The store decides nothing about requests and nothing about when to fetch. Shared data is reached through [`Shared`].

pub mod batch;
pub mod build;
pub mod bytes;
mod cache;
pub mod change;
pub mod clearing;
pub mod delta;
pub mod emptying;
pub mod error;
pub mod fingerprint;
pub mod held;
pub mod lease;
pub mod lists;
pub mod manifest;
pub mod memory;
pub mod merge;
pub mod record;
pub mod shard;
pub mod slip;
pub mod spool;
pub mod stores;
pub mod unnamed;

#[cfg(test)]
mod tests;

use std::{fmt, ops::Deref};

use crate::digest::Digest;

/// Version of everything that is written; part of every key, so that two versions of the module never read each other's
/// values.
pub const FORMAT: u8 = 5;
/// Records that a shard is meant to hold: at 65 to 85 bytes each it has 3.1 to 4 KiB. Fewer would make the host's map, of
/// which each entry takes some 200 bytes besides, larger; more would make rewriting one for each change dearer.
pub const SHARD_RECORDS: u64 = 48;
/// Fewest shards of one kind, so that a policy that grows by deltas starts with room: 16 × 48 × 8 = 6,144 keys before
/// [`batch::is_crowded`] asks for a rebuild.
pub const MIN_SHARDS: u32 = 16;
/// Most shards of one kind. Two kinds in two banks make 2^18 entries, which the host's map rehashes in some 30 ms, once; the
/// runs of a [`spool`] that was laid down for a million keys are 10,000 more.
/// Beyond 3.1 million keys shards grow instead.
pub const MAX_SHARDS: u32 = 1 << 16;

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

/// Bytes that are not what should stand there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Corrupt;

/// Which policy the entries of shared data belong to: a digest of all that decides what the feed answers. Plugins share
/// a policy when it is the same, and never otherwise.
#[derive(Clone, PartialEq, Eq)]
pub struct Source {
    id: StoreId,
    prefix: EntryKey,
}

/// What tells the store of one policy from that of another: the begin of the digest.
pub type StoreId = [u8; STORE_ID_BYTES];

impl Source {
    /// The source of a digest over cluster, authority, path, headers and credentials.
    pub fn new(digest: Digest) -> Self {
        Self::of(digest.0.first_chunk().copied().unwrap_or_default())
    }

    /// The source of a store that is known by its id alone.
    pub fn of(id: StoreId) -> Self {
        let mut prefix = process_key(b"");
        id.iter().for_each(|byte| prefix.push(format!("{byte:02x}").as_bytes()));
        prefix.push(b"/");
        Self { id, prefix }
    }

    /// The id of its store.
    pub fn id(&self) -> StoreId {
        self.id
    }

    /// The key of an entry.
    pub fn key(&self, entry: Entry) -> EntryKey {
        let mut key = self.prefix;
        match entry {
            Entry::Manifest => key.push(b"manifest"),
            Entry::Lease => key.push(b"lease"),
            Entry::Damage => key.push(b"damage"),
            Entry::Usage => key.push(b"usage"),
            Entry::UsageSlot(number) => key.push_number(b"usage/", number.into()),
            Entry::Count(slot) => key.push_number(b"count/", slot),
            Entry::Run { partition, run } => {
                key.push_number(b"run/", u32::from(partition) << 16 | u32::from(run));
            }
            Entry::Catalogue(slot) => key.push_number(b"catalogue/", slot.index().into()),
            Entry::Shard(place) => return EntryKey::of(&self.shard(place)),
        }
        key
    }

    /// The key of a shard. Shards are most of shared data, and what requests read of it, so their keys are short: as many
    /// bytes stand in the node of the host's map, more would stand elsewhere, and be another look at memory.
    pub fn shard(&self, Place { bank, kind, number }: Place) -> [u8; SHARD_KEY_BYTES] {
        let mut key = *b"keygate/..............";
        let [_, _, _, _, _, _, _, _, format, source @ .., a, b, c] = &mut key;
        *format = FORMAT << 2 | kind.number() | bank.index();
        *source = self.id.first_chunk().copied().unwrap_or_default();
        [_, *a, *b, *c] = number.to_be_bytes();
        key
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.prefix))
    }
}

/// The key of what belongs to no single store.
fn process_key(name: &[u8]) -> EntryKey {
    let mut key = EntryKey::of(format!("keygate/{FORMAT}/").as_bytes());
    key.push(name);
    key
}

/// Bytes of a store's id: 128 bits. Keys that are text have it in 32 digits.
const STORE_ID_BYTES: usize = 16;
/// Bytes of a source in keys of shards: 80 bits, which two of the few sources of one process do not happen to share.
const SHORT_SOURCE_BYTES: usize = 10;
/// Bytes of a shard's key: `keygate/`, then format, kind and bank in one, the source, and the shard's number.
pub const SHARD_KEY_BYTES: usize = 8 + 1 + SHORT_SOURCE_BYTES + 3;
/// Bytes of the longest key: `keygate/`, a format of up to three digits, a slash, 32 digits of the source, a slash, and
/// `count/` with a number of ten digits: 8 + 3 + 1 + 32 + 1 + 6 + 10 = 61.
const LONGEST_KEY: usize = 61;

/// The key of an entry in shared data, on the stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EntryKey {
    bytes: [u8; LONGEST_KEY],
    length: usize,
}

impl EntryKey {
    fn of(bytes: &[u8]) -> Self {
        let mut key = Self { bytes: [0; LONGEST_KEY], length: 0 };
        key.push(bytes);
        key
    }

    fn push(&mut self, bytes: &[u8]) {
        let end = self.length.saturating_add(bytes.len());
        if let Some(room) = self.bytes.get_mut(self.length..end) {
            room.copy_from_slice(bytes);
            self.length = end;
        }
    }

    fn push_number(&mut self, kind: &[u8], number: u32) {
        self.push(kind);
        self.push(number.to_string().as_bytes());
    }
}

impl Deref for EntryKey {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }
}

/// What shared data holds for one policy. The set is finite.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry {
    /// Which bank counts, and all that is known of the policy as a whole.
    Manifest,
    /// Who refreshes.
    Lease,
    /// The sequence of a policy in which a VM met something that it could not read.
    Damage,
    /// The small lists. Two slots, so that the one in use is never overwritten.
    Catalogue(Bank),
    /// Which batch of usage is on its way.
    Usage,
    /// What was counted of usage.
    UsageSlot(u16),
    /// Records.
    Shard(Place),
    /// Changes of a full policy on its way: so many a partition, of which there are 256.
    Run {
        /// Of a [`spool`].
        partition: u16,
        /// Below [`spool::MAX_RUNS`].
        run: u16,
    },
    /// Counts of limits, by the number of their slot.
    Count(u32),
}

/// Where a shard stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Its bank.
    pub bank: Bank,
    /// What it holds.
    pub kind: Kind,
    /// Its number in that bank.
    pub number: u32,
}

/// One of two places for a whole policy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Bank {
    /// The first.
    #[default]
    A,
    /// The second.
    B,
}

impl Bank {
    /// The other one.
    pub fn other(self) -> Self {
        match self {
            Self::A => Self::B,
            Self::B => Self::A,
        }
    }

    /// 0 or 1.
    pub fn index(self) -> u8 {
        match self {
            Self::A => 0,
            Self::B => 1,
        }
    }
}

/// What a shard holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Keys by digest.
    Keys,
    /// Applications with their subscriptions.
    Applications,
}

impl Kind {
    /// An even number, so that the bank can be added.
    fn number(self) -> u8 {
        match self {
            Self::Keys => 0,
            Self::Applications => 2,
        }
    }
}

/// How many shards so many records are spread over.
pub fn shards_for(records: u64) -> u32 {
    let wanted = records.div_ceil(SHARD_RECORDS).clamp(MIN_SHARDS.into(), MAX_SHARDS.into());
    u32::try_from(wanted).unwrap_or(MAX_SHARDS)
}

/// The shard of a record: its tag, scaled to the number of shards, so that shards follow the order of tags.
pub fn shard_of(tag: u32, shards: u32) -> u32 {
    let scaled = u64::from(tag).saturating_mul(u64::from(shards)) >> 32;
    u32::try_from(scaled).unwrap_or(0)
}

pub(crate) fn as_u64(size: usize) -> u64 {
    u64::try_from(size).unwrap_or(u64::MAX)
}
