//! Keeps the changes of a full policy until its last row has arrived, so that each shard is written once.
//!
//! Rows arrive in feed order, not in shard order. In a large policy, every dozen pages concern nearly all shards, so
//! merging each page at once would rewrite each shard as often. So changes wait in partitions, each for a range of
//! shards. If memory is full, the changes are spilled to shared data, one run for each partition. At the end the
//! partitions are read back one after the other, run by run. A run that has been read is emptied, so that its memory
//! serves the shards that follow.
//!
//! Requests ignore runs, and so do builds of other generations. `batch.rs` defines what happens to a shard.

use std::{cmp::Ordering, mem};

use super::{
    FULL_BYTES,
    batch::{Batch, Target},
    change::RecordChange,
    error::{BuildError, MergeError},
};
use crate::shared::{
    Corrupt, Expected, Shared, as_u64, bytes,
    key::{ShardKind, SharedEntry, SourceId, shard_of},
};

/// Partitions of each kind. A run then has some 16 KiB, or 32 KiB if one kind comes after the other. With a million
/// keys a partition has 8,000 changes, which are sorted at once in 2 ms.
const PARTITIONS_OF_A_KIND: u16 = 128;
pub const PARTITIONS: u16 = PARTITIONS_OF_A_KIND << 1;
/// Runs of one partition. Each spill writes [`FULL_BYTES`] in all. So no policy of at most
/// [`MAX_POLICY_BYTES`](crate::config::MAX_POLICY_BYTES) has more runs: 4,096 runs of 4 MiB, for some 100 million keys.
pub const MAX_RUNS: u16 = 1 << 12;

/// Changes that wait for the last row.
#[derive(Debug)]
pub struct Spool {
    target: Target,
    partitions: Vec<Partition>,
    /// Size of the packed changes in memory.
    bytes: usize,
    /// Size of all packed changes that were added.
    taken: u64,
    /// The partition that is spilled or read back next.
    next: usize,
}

#[derive(Clone, Debug, Default)]
struct Partition {
    /// Packed changes that arrived after those of all runs.
    memory: Vec<u8>,
    /// Number of spilled runs.
    runs: u16,
    /// Number of runs that were read back.
    read: u16,
}

/// The result of reading back into a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadBack {
    /// A run of this many bytes. More of its partition follows.
    Run(usize),
    /// The rest of a partition, of this many bytes.
    Partition(usize),
    /// Nothing was left.
    Nothing,
}

impl Spool {
    /// An empty spool for these shards.
    pub fn new(target: Target) -> Self {
        let partitions = vec![Partition::default(); usize::from(PARTITIONS)];
        Self { target, partitions, bytes: 0, taken: 0, next: 0 }
    }

    pub(super) fn add(&mut self, change: RecordChange<'_>) {
        let index = partition(self.target, change);
        // `partition` returns only numbers that exist.
        let Some(Partition { memory, .. }) = self.partitions.get_mut(index) else { return };
        let before = memory.len();
        change.put(memory);
        let packed = memory.len().saturating_sub(before);
        self.bytes = self.bytes.saturating_add(packed);
        self.taken = self.taken.saturating_add(as_u64(packed));
    }

    /// Size of all packed changes that were added.
    pub fn taken(&self) -> u64 {
        self.taken
    }

    /// Whether changes should be spilled before more are added.
    pub fn is_full(&self) -> bool {
        self.bytes >= FULL_BYTES
    }

    /// Spills one run of one partition. Returns its size, or `None` if nothing is left in memory.
    pub fn spill_next(&mut self, shared: &impl Shared, source: &SourceId) -> Result<Option<usize>, BuildError> {
        let generation = self.target.generation;
        let Some((number, partition)) = self.seek(|partition| !partition.memory.is_empty()) else {
            self.bytes = 0;
            return Ok(None);
        };
        if partition.runs >= MAX_RUNS {
            return Err(BuildError::TooLarge);
        }
        let key = source.key(SharedEntry::Run { partition: number, run: partition.runs });
        let read = shared.get(&key)?;
        // A run that an older build left, or that cannot be read, counts as empty.
        let known = read.as_ref().and_then(|read| open(&key, &read.value).ok());
        if known.is_some_and(|(known, _)| known > generation) {
            return Err(MergeError::Overtaken.into());
        }
        shared.set(&key, &seal(&key, generation, &partition.memory), Expected::of(read.as_ref()))?;
        partition.runs = partition.runs.saturating_add(1);
        // The partition's memory is freed too. If rows arrive in shard order, one partition after the other needs all
        // of it.
        Ok(Some(mem::take(&mut partition.memory).len()))
    }

    /// Reads the oldest changes that were not read back yet into `batch`. No more changes may be added after this.
    pub fn read_next(
        &mut self,
        shared: &impl Shared,
        source: &SourceId,
        batch: &mut Batch,
    ) -> Result<ReadBack, BuildError> {
        let generation = self.target.generation;
        let waits = |partition: &Partition| partition.read < partition.runs || !partition.memory.is_empty();
        let Some((number, partition)) = self.seek(waits) else { return Ok(ReadBack::Nothing) };
        let mut bytes = 0;
        if partition.read < partition.runs {
            let key = source.key(SharedEntry::Run { partition: number, run: partition.read });
            partition.read = partition.read.saturating_add(1);
            let read = shared.get(&key)?.ok_or(MergeError::Damaged)?;
            let (known, packed) = open(&key, &read.value)?;
            match known.cmp(&generation) {
                Ordering::Equal => batch.add_packed(packed)?,
                Ordering::Greater => return Err(MergeError::Overtaken.into()),
                Ordering::Less => return Err(MergeError::Damaged.into()),
            }
            shared.set(&key, &[], Expected::Version(read.cas))?;
            bytes = packed.len();
        }
        if partition.read < partition.runs {
            return Ok(ReadBack::Run(bytes));
        }
        let memory = mem::take(&mut partition.memory);
        batch.add_packed(&memory)?;
        Ok(ReadBack::Partition(memory.len().saturating_add(bytes)))
    }

    /// The next partition that `wanted` selects, with its number. After the last partition the search begins again with
    /// the first.
    fn seek(&mut self, wanted: impl Fn(&Partition) -> bool) -> Option<(u16, &mut Partition)> {
        let found = (0..).zip(&mut self.partitions).skip(self.next).find(|(_, partition)| wanted(partition));
        self.next = found.as_ref().map_or(0, |(number, _)| usize::from(*number));
        found
    }
}

/// The partition of a change. Partitions of keys come first. All changes of a shard are in one partition.
fn partition(target: Target, change: RecordChange<'_>) -> usize {
    let kind = change.operation.kind();
    let shards = target.shards(kind);
    let shard = shard_of(change.key.tag, shards);
    let scaled = shard.saturating_mul(PARTITIONS_OF_A_KIND.into()).checked_div(shards).unwrap_or(0);
    let first = match kind {
        ShardKind::Keys => 0,
        ShardKind::Applications => PARTITIONS_OF_A_KIND,
    };
    usize::try_from(scaled).unwrap_or(usize::MAX).saturating_add(first.into())
}

/// The value of a run: the generation, and packed changes.
fn seal(key: &[u8], generation: u64, packed: &[u8]) -> Vec<u8> {
    let mut value = bytes::unsealed();
    value.extend_from_slice(&generation.to_le_bytes());
    value.extend_from_slice(packed);
    bytes::seal(key, &mut value);
    value
}

/// The generation of a run, and its packed changes.
pub(super) fn open<'a>(key: &[u8], value: &'a [u8]) -> Result<(u64, &'a [u8]), Corrupt> {
    let mut reader = bytes::open(key, value)?;
    Ok((reader.u64()?, reader.rest()))
}

#[cfg(test)]
mod tests;
