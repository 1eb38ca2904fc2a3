//! Emptying what a policy that was replaced has left in shared data, an entry at a time, so that its memory can be used
//! again: the bank that is not in use any more, and what a full policy that was never finished has written: shards in that
//! bank, and runs.
//!
//! Only what is as old as its policy, or as the builds that have ended, is emptied: a newer build may be under way in the
//! same places.

use super::{
    batch::Target,
    manifest::Manifest,
    shard::Shard,
    spool::{self, MAX_RUNS, PARTITIONS},
};
use crate::shared::{
    Expected, Shared, SharedError,
    key::{Bank, Entry, Kind, Place, Source},
};

/// What is still to be emptied.
#[derive(Debug, Default)]
pub struct Emptying {
    bank: Bank,
    /// Of the policy that was in that bank.
    generation: u64,
    /// How many shards of each kind are left, of the bank.
    shards: Vec<(Kind, u32)>,
    runs: Option<Runs>,
}

/// Runs up to a generation, and the one that is looked at next.
#[derive(Clone, Copy, Debug)]
pub(super) struct Runs {
    generation: u64,
    partition: u16,
    run: u16,
}

impl Emptying {
    /// Of the policy that another one in the other bank has replaced.
    pub fn of(old: &Manifest) -> Self {
        Self {
            bank: old.bank,
            generation: old.generation,
            shards: vec![(Kind::Keys, old.key_shards), (Kind::Applications, old.application_shards)],
            runs: None,
        }
    }

    /// Also of a policy that was begun here and will not be finished.
    pub fn add_unfinished(&mut self, target: Target) {
        if self.bank != target.bank {
            self.shards.clear();
        }
        self.bank = target.bank;
        self.generation = self.generation.max(target.generation);
        let shards = [Kind::Keys, Kind::Applications].map(|kind| (kind, target.shards(kind)));
        self.shards.extend(shards);
    }

    /// Also of all runs up to this generation.
    pub fn add_runs(&mut self, generation: u64) {
        self.runs = Some(Runs::of(generation));
    }

    /// Empties one entry; `false`: all are empty.
    pub fn empty_next(&mut self, shared: &impl Shared, source: &Source) -> Result<bool, SharedError> {
        match (self.shards.last_mut(), self.runs) {
            (Some((kind, left)), _) => match left.checked_sub(1) {
                Some(number) => {
                    *left = number;
                    let key = source.key(Entry::Shard(Place { bank: self.bank, kind: *kind, number }));
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

    /// Runs of a partition were written one after the other, so behind the first that never was there are none.
    pub fn empty_next(self, shared: &impl Shared, source: &Source) -> Result<Option<Self>, SharedError> {
        let Self { generation, partition, run } = self;
        let key = source.key(Entry::Run { partition, run });
        let was_there = empty(shared, &key, generation, |value| spool::open(&key, value).ok().map(|(known, _)| known))?;
        let next = run.saturating_add(1);
        if was_there && next < MAX_RUNS {
            return Ok(Some(Self { run: next, ..self }));
        }
        let partition = partition.saturating_add(1);
        Ok((partition < PARTITIONS).then_some(Self { generation, partition, run: 0 }))
    }
}

/// Empties an entry of this generation or an older one; whether it was ever set.
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
