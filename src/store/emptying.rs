//! Emptying what a policy that was replaced has left in shared data, an entry at a time, so that its memory can be used
//! again: the bank that is not in use any more, and runs of a full policy that was never finished.
//!
//! Only what is as old as the policy in use, or older, is emptied: a newer build may be under way in the same places.

use super::{
    Bank, Entry, Expected, Kind, Place, Shared, SharedError, Source,
    manifest::Manifest,
    shard::Shard,
    spool::{self, MAX_RUNS, PARTITIONS},
};

/// What is still to be emptied.
#[derive(Debug)]
pub struct Emptying {
    /// The generation of the policy in use.
    generation: u64,
    bank: Bank,
    /// How many shards of each kind are left, of the bank.
    shards: Vec<(Kind, u32)>,
    /// The run that is looked at next.
    run: (u16, u16),
}

impl Emptying {
    /// Of the policy before this one, unless it was the first.
    pub fn new(old: Option<&Manifest>, generation: u64) -> Self {
        let shards = old.map(|old| vec![(Kind::Keys, old.key_shards), (Kind::Applications, old.application_shards)]);
        let bank = old.map_or(Bank::A, |old| old.bank);
        Self { generation, bank, shards: shards.unwrap_or_default(), run: (0, 0) }
    }

    /// Empties one entry; `false`: all are empty.
    pub fn empty_next(&mut self, shared: &impl Shared, source: &Source) -> Result<bool, SharedError> {
        match self.shards.last_mut() {
            Some((kind, left)) => match left.checked_sub(1) {
                Some(number) => {
                    *left = number;
                    let place = Place { bank: self.bank, kind: *kind, number };
                    self.empty(shared, &source.key(Entry::Shard(place)), |key, value| {
                        Shard::open(key, value).ok().flatten().map(|shard| shard.generation)
                    })?;
                }
                None => _ = self.shards.pop(),
            },
            None => self.empty_run(shared, source)?,
        }
        Ok(!self.shards.is_empty() || self.run.0 < PARTITIONS)
    }

    /// Runs of a partition were written one after the other, so behind the first that never was there are none.
    fn empty_run(&mut self, shared: &impl Shared, source: &Source) -> Result<(), SharedError> {
        let (partition, run) = self.run;
        let key = source.key(Entry::Run { partition, run });
        let was_there = self.empty(shared, &key, |key, value| spool::open(key, value).ok().map(|(known, _)| known))?;
        let next = run.saturating_add(1);
        self.run = if was_there && next < MAX_RUNS { (partition, next) } else { (partition.saturating_add(1), 0) };
        Ok(())
    }

    /// Empties an entry that is old enough; whether it was ever set.
    fn empty(
        &self,
        shared: &impl Shared,
        key: &[u8],
        generation: impl Fn(&[u8], &[u8]) -> Option<u64>,
    ) -> Result<bool, SharedError> {
        let Some(read) = shared.get(key)? else { return Ok(false) };
        if generation(key, &read.value).is_some_and(|known| known <= self.generation) {
            match shared.set(key, &[], Expected::Version(read.cas)) {
                Ok(()) | Err(SharedError::Raced) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }
}
