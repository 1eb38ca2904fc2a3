//! Empties entries that a replaced policy has left in shared data, one at a time, so that their memory can be used
//! again. These are the shards of the bank that is no longer in use, and the shards and runs of a full policy that was
//! never finished.
//!
//! It empties only entries that are not newer than their policy, or than the builds that have ended, because a newer
//! build may be writing to the same places.

use super::{
    batch::Target,
    manifest::Manifest,
    shard::Shard,
    spool::{self, MAX_RUNS, PARTITIONS},
};
use crate::shared::{
    Expected, Shared, SharedError,
    key::{Bank, ShardAddress, ShardKind, SharedEntry, SourceId},
};

/// The entries that must still be emptied.
#[derive(Debug, Default)]
pub struct Emptying {
    bank: Bank,
    /// Generation of the policy in that bank.
    generation: u64,
    /// For each kind, the number of shards of the bank that are left.
    shards: Vec<(ShardKind, u32)>,
    runs: Option<Runs>,
}

/// Runs up to a generation, and the run that is checked next.
#[derive(Clone, Copy, Debug)]
pub(super) struct Runs {
    generation: u64,
    partition: u16,
    run: u16,
}

impl Emptying {
    /// For a policy that was replaced by one in the other bank.
    pub fn of(old: &Manifest) -> Self {
        Self {
            bank: old.bank,
            generation: old.generation,
            shards: vec![(ShardKind::Keys, old.key_shards), (ShardKind::Applications, old.application_shards)],
            runs: None,
        }
    }

    /// Adds a policy that was begun here and will not be finished.
    pub fn add_unfinished(&mut self, target: Target) {
        if self.bank != target.bank {
            self.shards.clear();
        }
        self.bank = target.bank;
        self.generation = self.generation.max(target.generation);
        let shards = [ShardKind::Keys, ShardKind::Applications].map(|kind| (kind, target.shards(kind)));
        self.shards.extend(shards);
    }

    /// Adds all runs up to this generation.
    pub fn add_runs(&mut self, generation: u64) {
        self.runs = Some(Runs::of(generation));
    }

    /// Empties one entry. `false`: all entries are empty.
    pub fn empty_next(&mut self, shared: &impl Shared, source: &SourceId) -> Result<bool, SharedError> {
        match (self.shards.last_mut(), self.runs) {
            (Some((kind, left)), _) => match left.checked_sub(1) {
                Some(number) => {
                    *left = number;
                    let key = source.key(SharedEntry::Shard(ShardAddress { bank: self.bank, kind: *kind, number }));
                    empty(shared, &key, self.generation, |value| {
                        Shard::open(&key, value).ok().flatten().map(|shard| shard.generation)
                    })?;
                }
                None => _ = self.shards.pop(),
            },
            (None, Some(runs)) => self.runs = runs.empty_next(shared, source)?,
            (None, None) => {}
        }
        Ok(!self.shards.is_empty() || self.runs.is_some())
    }
}

impl Runs {
    pub fn of(generation: u64) -> Self {
        Self { generation, partition: 0, run: 0 }
    }

    /// A partition's runs are written one after the other. So after the first run that was never set there are no more.
    pub fn empty_next(self, shared: &impl Shared, source: &SourceId) -> Result<Option<Self>, SharedError> {
        let Self { generation, partition, run } = self;
        let key = source.key(SharedEntry::Run { partition, run });
        let was_there = empty(shared, &key, generation, |value| spool::open(&key, value).ok().map(|(known, _)| known))?;
        let next = run.saturating_add(1);
        if was_there && next < MAX_RUNS {
            return Ok(Some(Self { run: next, ..self }));
        }
        let partition = partition.saturating_add(1);
        Ok((partition < PARTITIONS).then_some(Self { generation, partition, run: 0 }))
    }
}

/// Empties an entry of this generation or an older one. Returns whether it was ever set.
pub(super) fn empty(
    shared: &impl Shared,
    key: &[u8],
    generation: u64,
    generation_of: impl Fn(&[u8]) -> Option<u64>,
) -> Result<bool, SharedError> {
    let Some(read) = shared.get(key)? else { return Ok(false) };
    if generation_of(&read.value).is_some_and(|known| known <= generation) {
        match shared.set(key, &[], Expected::Version(read.cas)) {
            Ok(()) | Err(SharedError::Raced) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(true)
}
