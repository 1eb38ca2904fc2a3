//! The keys of shared data: the kinds of entries, the policy of an entry, and the spelling of its key. The modules that
//! write an entry define its value.

use std::{fmt, ops::Deref};

use crate::digest::Digest;

/// Version of all values. It is part of every key, so that two versions of the module never read each other's values.
pub const FORMAT: u8 = 7;
/// Identifies the policy of entries in shared data: a digest of all settings that decide what the feed answers. Plugins
/// share a policy if and only if their sources are equal.
#[derive(Clone, PartialEq, Eq)]
pub struct SourceId {
    id: StoreId,
    prefix: EntryKey,
}

/// Distinguishes the stores of different policies: the first bytes of the digest.
pub type StoreId = [u8; STORE_ID_BYTES];

impl SourceId {
    /// The source for a digest over cluster, authority, path, headers and credentials.
    pub fn new(digest: Digest) -> Self {
        Self::of(digest.0.first_chunk().copied().unwrap_or_default())
    }

    /// The source for a store of which only the id is known.
    pub fn of(id: StoreId) -> Self {
        let mut prefix = process_key(b"");
        id.iter().for_each(|byte| prefix.push(format!("{byte:02x}").as_bytes()));
        prefix.push(b"/");
        Self { id, prefix }
    }

    pub fn id(&self) -> StoreId {
        self.id
    }

    pub fn key(&self, entry: SharedEntry) -> EntryKey {
        let mut key = self.prefix;
        match entry {
            SharedEntry::Manifest => key.push(b"manifest"),
            SharedEntry::Lease => key.push(b"lease"),
            SharedEntry::Damage => key.push(b"damage"),
            SharedEntry::Usage => key.push(b"usage"),
            SharedEntry::Process => key.push(b"process"),
            SharedEntry::Place(number) => key.push_number(b"place/", number.into()),
            SharedEntry::UsageSlot(number) => key.push_number(b"usage/", number.into()),
            SharedEntry::Count(slot) => key.push_number(b"count/", slot),
            SharedEntry::Run { partition, run } => {
                key.push_number(b"run/", u32::from(partition) << 16 | u32::from(run));
            }
            SharedEntry::Catalogue(slot) => key.push_number(b"catalogue/", slot.index().into()),
            SharedEntry::Shard(place) => return EntryKey::of(&self.shard(place)),
        }
        key
    }

    /// The key of a shard. Shards are most of shared data, and they are what requests read. So their keys are short: a
    /// key of this length is stored inside the node of the host's map. A longer key would be stored elsewhere and cost
    /// another memory access.
    pub fn shard(&self, ShardAddress { bank, kind, number }: ShardAddress) -> [u8; SHARD_KEY_BYTES] {
        let mut key = *b"keygate/..............";
        let [_, _, _, _, _, _, _, _, format, source @ .., a, b, c] = &mut key;
        *format = FORMAT << 2 | kind.number() | bank.index();
        *source = self.id.first_chunk().copied().unwrap_or_default();
        [_, *a, *b, *c] = number.to_be_bytes();
        key
    }
}

impl fmt::Debug for SourceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.prefix))
    }
}

/// The key of an entry that does not belong to a single store.
pub(crate) fn process_key(name: &[u8]) -> EntryKey {
    let mut key = EntryKey::of(format!("keygate/{FORMAT}/").as_bytes());
    key.push(name);
    key
}

/// Size of a store's id: 128 bits. Text keys contain it as 32 digits.
const STORE_ID_BYTES: usize = 16;
/// Bytes of the source in keys of shards: 80 bits. The few sources of one process do not collide in these by chance.
const SHORT_SOURCE_BYTES: usize = 10;
/// Size of a shard's key: `keygate/`, one byte for format, kind and bank, the source, and the shard's number.
pub const SHARD_KEY_BYTES: usize = 8 + 1 + SHORT_SOURCE_BYTES + 3;
/// Size of the longest key: `keygate/`, a format of up to three digits, a slash, 32 digits of the source, a slash, and
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

/// The entries of one policy in shared data. The set is finite.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SharedEntry {
    /// The current bank, and all facts about the policy as a whole.
    Manifest,
    /// The VM that refreshes the policy.
    Lease,
    /// The sequence of a policy in which a VM found unreadable data.
    Damage,
    /// The small lists. There are two slots, so that the one in use is never overwritten.
    Catalogue(Bank),
    /// The ledger of usage batches.
    Usage,
    /// Counted usage.
    UsageSlot(u16),
    /// What tells this store from those of other processes.
    Process,
    /// A VM that decides by the policy.
    Place(u16),
    Shard(ShardAddress),
    /// Part of the changes of a full policy that is being loaded. There are 256 partitions with several runs each.
    Run {
        /// A partition of a [`spool`](crate::store::spool).
        partition: u16,
        /// Below [`MAX_RUNS`](crate::store::spool::MAX_RUNS).
        run: u16,
    },
    /// Counts of limits. The number is that of the slot.
    Count(u32),
}

/// The address of a shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShardAddress {
    pub bank: Bank,
    pub kind: ShardKind,
    /// Number of the shard within its bank.
    pub number: u32,
}

/// One of two places for a whole policy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Bank {
    #[default]
    A,
    B,
}

impl Bank {
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

/// The content of a shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ShardKind {
    /// Keys by digest.
    Keys,
    /// Applications with their subscriptions.
    Applications,
}

impl ShardKind {
    /// An even number, so that the bank can be added.
    fn number(self) -> u8 {
        match self {
            Self::Keys => 0,
            Self::Applications => 2,
        }
    }
}

/// The shard of a record: its tag, scaled to the number of shards. So shards have the order of tags.
pub fn shard_of(tag: u32, shards: u32) -> u32 {
    let scaled = u64::from(tag).saturating_mul(u64::from(shards)) >> 32;
    u32::try_from(scaled).unwrap_or(0)
}
