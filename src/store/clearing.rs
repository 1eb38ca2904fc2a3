//! Clears a store that no configuration uses any more, one entry at a time, so that its memory can be used again. The
//! host keeps the keys themselves for ever.
//!
//! Counted usage stays, because it has not been reported yet. The caller must know that no configuration uses the
//! store.

use super::{
    MAX_SHARDS, MIN_SHARDS,
    emptying::{self, Runs},
    lists,
    manifest::Manifest,
    shard::Shard,
};
use crate::{
    limit::slot::{SLOTS, Slot},
    shared::{
        Expected, Shared, SharedError,
        key::{Bank, ShardAddress, ShardKind, SharedEntry, SourceId, StoreId},
        lease::{Applicant, Lease},
    },
};

/// A store that is being cleared.
#[derive(Debug)]
pub struct Clearing {
    source: SourceId,
    /// Entries of this generation or an older one have no owner.
    generation: u64,
    next: Next,
}

/// The entry that is cleared next.
#[derive(Debug)]
enum Next {
    /// The shard, and the number of shards directly before it that were never set.
    Shard(ShardAddress, u32),
    Catalogue(Bank),
    Runs(Runs),
    Count(u32),
}

/// After this many shards in a row that were never set, there are no more. A shard is unset only if it has no records:
/// in a policy with fewer shards, or otherwise with probability e^-48, because a shard has 48 records on average.
const MAX_GAP: u32 = 4 * MIN_SHARDS;

/// The order in which shards are cleared.
const SHARDS: [(Bank, ShardKind); 4] = [
    (Bank::A, ShardKind::Keys),
    (Bank::A, ShardKind::Applications),
    (Bank::B, ShardKind::Keys),
    (Bank::B, ShardKind::Applications),
];

impl Clearing {
    /// Removes the policy from a store. `None` if a VM refreshes it, because then a configuration still uses it.
    ///
    /// The lease keeps all other VMs away meanwhile. All remaining entries are older than those of the next holder of
    /// the lease, so they can be cleared while that holder works.
    pub fn begin(shared: &impl Shared, id: StoreId, now_ms: u64) -> Result<Option<Self>, SharedError> {
        let source = SourceId::of(id);
        let key = source.key(SharedEntry::Manifest);
        let read = shared.get(&key)?;
        let manifest = read.as_ref().and_then(|read| Manifest::read(&key, &read.value).ok());
        let generation = manifest.map_or(0, |manifest| manifest.generation);
        let applicant = Applicant { generation, ..Applicant::default() };
        let Some(lease) = Lease::acquire(shared, &source, now_ms, applicant)? else { return Ok(None) };
        let generation = lease.last_generation();
        let taken_out = match &read {
            Some(read) if !read.value.is_empty() => shared.set(&key, &[], Expected::Version(read.cas)),
            _ => Ok(()),
        };
        lease.release(shared, &source, now_ms);
        taken_out?;
        let next = Next::Shard(ShardAddress { bank: Bank::A, kind: ShardKind::Keys, number: 0 }, 0);
        Ok(Some(Self { source, generation, next }))
    }

    /// Clears one entry. `false`: there are no more.
    pub fn clear_next(&mut self, shared: &impl Shared) -> Result<bool, SharedError> {
        let next = match &self.next {
            Next::Shard(place, gap) => self.clear_shard(shared, *place, *gap)?,
            Next::Catalogue(slot) => {
                let key = self.source.key(SharedEntry::Catalogue(*slot));
                emptying::empty(shared, &key, self.generation, |value| lists::generation(&key, value).ok())?;
                match slot {
                    Bank::A => Next::Catalogue(Bank::B),
                    Bank::B => Next::Runs(Runs::of(self.generation)),
                }
            }
            Next::Runs(runs) => runs.empty_next(shared, &self.source)?.map_or(Next::Count(0), Next::Runs),
            Next::Count(slot) if *slot < SLOTS => {
                self.clear_counts(shared, *slot)?;
                Next::Count(slot.saturating_add(1))
            }
            Next::Count(_) => return Ok(false),
        };
        self.next = next;
        Ok(true)
    }

    /// Counts have no generation. A slot without counts is not an empty value, because that would count as damage.
    fn clear_counts(&self, shared: &impl Shared, slot: u32) -> Result<(), SharedError> {
        let key = self.source.key(SharedEntry::Count(slot));
        let Some(read) = shared.get(&key)? else { return Ok(()) };
        match shared.set(&key, &Slot::default().finish(&key), Expected::Version(read.cas)) {
            Ok(()) | Err(SharedError::Raced) => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn clear_shard(&self, shared: &impl Shared, place: ShardAddress, gap: u32) -> Result<Next, SharedError> {
        let key = self.source.key(SharedEntry::Shard(place));
        let was_there = emptying::empty(shared, &key, self.generation, |value| {
            Shard::open(&key, value).ok().flatten().map(|shard| shard.generation)
        })?;
        let gap = if was_there { 0 } else { gap.saturating_add(1) };
        let number = place.number.saturating_add(1);
        if gap < MAX_GAP && number < MAX_SHARDS {
            return Ok(Next::Shard(ShardAddress { number, ..place }, gap));
        }
        let done = SHARDS.iter().position(|known| *known == (place.bank, place.kind));
        let next = done.and_then(|done| SHARDS.get(done.saturating_add(1)));
        Ok(next
            .map_or(Next::Catalogue(Bank::A), |&(bank, kind)| Next::Shard(ShardAddress { bank, kind, number: 0 }, 0)))
    }
}
