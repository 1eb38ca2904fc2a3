//! Clearing a store that no configuration names any more, an entry at a time, so that its memory can be used again. The
//! host keeps the keys themselves for ever.
//!
//! What was counted of usage stays, since it is not reported yet. That nobody names the store is for the caller to know.

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
        key::{Bank, Entry, Kind, Place, Source, StoreId},
        lease::{Applicant, Lease},
    },
};

/// A store that is being cleared.
#[derive(Debug)]
pub struct Clearing {
    source: Source,
    /// Whatever is as old belongs to nobody.
    generation: u64,
    next: Next,
}

/// What is cleared next.
#[derive(Debug)]
enum Next {
    /// So many before it were never set.
    Shard(Place, u32),
    Catalogue(Bank),
    Runs(Runs),
    Count(u32),
}

/// Shards that were never set, one behind the other, behind which there are no more. A shard is only not set where it has
/// no records: in a policy of fewer shards, or by e^-48 in one of more, since a shard has 48 records on average.
const MAX_GAP: u32 = 4 * MIN_SHARDS;

/// The order in which shards are cleared.
const SHARDS: [(Bank, Kind); 4] =
    [(Bank::A, Kind::Keys), (Bank::A, Kind::Applications), (Bank::B, Kind::Keys), (Bank::B, Kind::Applications)];

impl Clearing {
    /// Takes the policy out of a store; `None` where somebody refreshes it, so that it is named after all.
    ///
    /// The lease keeps everybody else from the store for as long as that takes. What is left then is older than all that
    /// the next holder of the lease will make, so clearing it can go on beside that.
    pub fn begin(shared: &impl Shared, id: StoreId, now_ms: u64) -> Result<Option<Self>, SharedError> {
        let source = Source::of(id);
        let key = source.key(Entry::Manifest);
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
        let next = Next::Shard(Place { bank: Bank::A, kind: Kind::Keys, number: 0 }, 0);
        Ok(Some(Self { source, generation, next }))
    }

    /// Clears one entry; `false`: there are no more.
    pub fn clear_next(&mut self, shared: &impl Shared) -> Result<bool, SharedError> {
        let next = match &self.next {
            Next::Shard(place, gap) => self.clear_shard(shared, *place, *gap)?,
            Next::Catalogue(slot) => {
                let key = self.source.key(Entry::Catalogue(*slot));
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

    /// Counts have no generation. A slot without counts is not an empty value, which would be taken for damage.
    fn clear_counts(&self, shared: &impl Shared, slot: u32) -> Result<(), SharedError> {
        let key = self.source.key(Entry::Count(slot));
        let Some(read) = shared.get(&key)? else { return Ok(()) };
        match shared.set(&key, &Slot::default().finish(&key), Expected::Version(read.cas)) {
            Ok(()) | Err(SharedError::Raced) => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn clear_shard(&self, shared: &impl Shared, place: Place, gap: u32) -> Result<Next, SharedError> {
        let key = self.source.key(Entry::Shard(place));
        let was_there = emptying::empty(shared, &key, self.generation, |value| {
            Shard::open(&key, value).ok().flatten().map(|shard| shard.generation)
        })?;
        let gap = if was_there { 0 } else { gap.saturating_add(1) };
        let number = place.number.saturating_add(1);
        if gap < MAX_GAP && number < MAX_SHARDS {
            return Ok(Next::Shard(Place { number, ..place }, gap));
        }
        let done = SHARDS.iter().position(|known| *known == (place.bank, place.kind));
        let next = done.and_then(|done| SHARDS.get(done.saturating_add(1)));
        Ok(next.map_or(Next::Catalogue(Bank::A), |&(bank, kind)| Next::Shard(Place { bank, kind, number: 0 }, 0)))
    }
}
