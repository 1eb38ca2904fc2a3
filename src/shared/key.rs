//! The keys of shared data: which entries there are, of which policy, and how their keys are spelled. What an entry holds is
//! for those who write it.

use std::{fmt, ops::Deref};

use crate::digest::Digest;

/// Version of everything that is written; part of every key, so that two versions of the module never read each other's
/// values.
pub const FORMAT: u8 = 5;
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
pub(crate) fn process_key(name: &[u8]) -> EntryKey {
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
        /// Of a [`spool`](crate::store::spool).
        partition: u16,
        /// Below [`MAX_RUNS`](crate::store::spool::MAX_RUNS).
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

/// The shard of a record: its tag, scaled to the number of shards, so that shards follow the order of tags.
pub fn shard_of(tag: u32, shards: u32) -> u32 {
    let scaled = u64::from(tag).saturating_mul(u64::from(shards)) >> 32;
    u32::try_from(scaled).unwrap_or(0)
}
