//! The changes of a full policy, kept until its last row has come, so that each shard is written once.
//!
//! Rows come in the order of the feed, which is none that shards know: every dozen pages concern nearly all shards of a
//! large policy, and merged at once each shard would be rewritten as often. So changes wait by partition, a range of
//! shards. What memory has no room for is laid down in shared data, a run for each partition; in the end one partition
//! after the other is read back, run by run. A run that was read is emptied, so its memory serves the shards that follow.
//!
//! Runs are nothing to a request, and nothing to a build of another generation. What happens to a shard is said elsewhere
//! (`batch.rs`).

use std::{cmp::Ordering, mem};

use super::{
    FULL_BYTES,
    batch::{Batch, Target},
    change::Change,
    error::{BuildError, MergeError},
};
use crate::shared::{
    Corrupt, Expected, Shared, as_u64, bytes,
    key::{Entry, Kind, Source, shard_of},
};

/// Partitions of each kind. A run has some 16 KiB then, or 32 where one kind comes after the other, and a partition of a
/// million keys 8,000 changes, which are sorted in one go in 2 ms.
const PARTITIONS_OF_A_KIND: u16 = 128;
/// Partitions of both kinds.
pub const PARTITIONS: u16 = PARTITIONS_OF_A_KIND << 1;
/// Runs of one partition. Each time something is laid down it is [`FULL_BYTES`] in all, so no policy of at most
/// [`MAX_POLICY_BYTES`](crate::config::MAX_POLICY_BYTES) has more: 4,096 runs of 4 MiB, for some 100 million keys.
pub const MAX_RUNS: u16 = 1 << 12;

/// Changes that wait for the last row.
#[derive(Debug)]
pub struct Spool {
    target: Target,
    partitions: Vec<Partition>,
    /// In memory, packed.
    bytes: usize,
    /// Packed bytes of all changes that were taken.
    taken: u64,
    /// The partition that is laid down, or read back, next.
    next: usize,
}

#[derive(Clone, Debug, Default)]
struct Partition {
    /// Packed changes that came after those of all runs.
    memory: Vec<u8>,
    /// Runs laid down.
    runs: u16,
    /// How many of them were read back.
    read: u16,
}

/// What was read back into a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadBack {
    /// A run of so many bytes; more of its partition is to come.
    Run(usize),
    /// The rest of a partition, so many bytes.
    Partition(usize),
    /// Nothing: that was all.
    Nothing,
}

impl Spool {
    /// An empty one for these shards.
    pub fn new(target: Target) -> Self {
        let partitions = vec![Partition::default(); usize::from(PARTITIONS)];
        Self { target, partitions, bytes: 0, taken: 0, next: 0 }
    }

    /// Takes a change.
    pub(super) fn add(&mut self, change: Change<'_>) {
        let index = partition(self.target, change);
        // There is one for each number that `partition` makes.
        let Some(Partition { memory, .. }) = self.partitions.get_mut(index) else { return };
        let before = memory.len();
        change.put(memory);
        let packed = memory.len().saturating_sub(before);
        self.bytes = self.bytes.saturating_add(packed);
        self.taken = self.taken.saturating_add(as_u64(packed));
    }

    /// Packed bytes of all changes that were taken.
    pub fn taken(&self) -> u64 {
        self.taken
    }

    /// Whether changes should be laid down before more are taken.
    pub fn is_full(&self) -> bool {
        self.bytes >= FULL_BYTES
    }

    /// Lays down a run of one partition, of so many bytes; `None`: nothing is in memory any more.
    pub fn spill_next(&mut self, shared: &impl Shared, source: &Source) -> Result<Option<usize>, BuildError> {
        let generation = self.target.generation;
        let Some((number, partition)) = self.seek(|partition| !partition.memory.is_empty()) else {
            self.bytes = 0;
            return Ok(None);
        };
        if partition.runs >= MAX_RUNS {
            return Err(BuildError::TooLarge);
        }
        let key = source.key(Entry::Run { partition: number, run: partition.runs });
        let read = shared.get(&key)?;
        // What an older build left, or what cannot be read, is nothing.
        let known = read.as_ref().and_then(|read| open(&key, &read.value).ok());
        if known.is_some_and(|(known, _)| known > generation) {
            return Err(MergeError::Overtaken.into());
        }
        shared.set(&key, &seal(&key, generation, &partition.memory), Expected::of(read.as_ref()))?;
        partition.runs = partition.runs.saturating_add(1);
        // Its memory goes, too: where rows come in the order of shards, one partition after the other takes all of it.
        Ok(Some(mem::take(&mut partition.memory).len()))
    }

    /// Adds to `batch` what was taken first and was not read back yet. Nothing more may be taken.
    pub fn read_next(
        &mut self,
        shared: &impl Shared,
        source: &Source,
        batch: &mut Batch,
    ) -> Result<ReadBack, BuildError> {
        let generation = self.target.generation;
        let waits = |partition: &Partition| partition.read < partition.runs || !partition.memory.is_empty();
        let Some((number, partition)) = self.seek(waits) else { return Ok(ReadBack::Nothing) };
        let mut bytes = 0;
        if partition.read < partition.runs {
            let key = source.key(Entry::Run { partition: number, run: partition.read });
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

    /// The next partition of which this is so, with its number; after the last one it begins with the first again.
    fn seek(&mut self, wanted: impl Fn(&Partition) -> bool) -> Option<(u16, &mut Partition)> {
        let found = (0..).zip(&mut self.partitions).skip(self.next).find(|(_, partition)| wanted(partition));
        self.next = found.as_ref().map_or(0, |(number, _)| usize::from(*number));
        found
    }
}

/// The partition that a change waits in: those of keys come first. A shard lies in one partition as a whole.
fn partition(target: Target, change: Change<'_>) -> usize {
    let kind = change.operation.kind();
    let shards = target.shards(kind);
    let shard = shard_of(change.key.tag, shards);
    let scaled = shard.saturating_mul(PARTITIONS_OF_A_KIND.into()).checked_div(shards).unwrap_or(0);
    let first = match kind {
        Kind::Keys => 0,
        Kind::Applications => PARTITIONS_OF_A_KIND,
    };
    usize::try_from(scaled).unwrap_or(usize::MAX).saturating_add(first.into())
}

/// A run: the generation, and packed changes.
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
