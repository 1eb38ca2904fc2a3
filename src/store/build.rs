//! Builds a full policy in the idle bank, page by page, and publishes it in one step. Rows wait in a spool until the
//! last page, so that each shard is written once.
//!
//! The work is cut into slices; the caller chooses the number of rows and shards per call. Until [`Build::publish`],
//! nothing changes that a request reads. If a build is dropped half-way, the next build overwrites it.

use super::{
    MAX_SHARDS,
    batch::{Batch, Target},
    change,
    error::{BuildError, MergeError},
    lists::CatalogueJson,
    manifest::{Manifest, Totals},
    merge::Precondition,
    record,
    shard::Shard,
    shards_for,
    spool::{ReadBack, Spool},
};
use crate::{
    digest::Digest,
    fingerprint::{FingerprintKey, TagKey},
    policy::{
        differing::Differing,
        error::RejectedRow,
        page::{Header, Page},
        unknown::UnknownFields,
    },
    shared::{
        Expected, Shared, as_u64,
        key::{Bank, ShardAddress, ShardKind, SharedEntry, SourceId, shard_of},
    },
};

/// The largest announced number of keys that is believed. `counts` is only a hint, but the number of shards depends on
/// it.
const MAX_ANNOUNCED: u64 = 1 << 26;
/// The shrink guard is active if more keys than this are known.
const GUARDED_KEYS: u64 = 100;

/// A full policy that is being built in the idle bank.
#[derive(Debug)]
pub struct Build {
    spool: Spool,
    /// Changes that were read back from the spool.
    batch: Batch,
    phase: Phase,
    lists: CatalogueJson,
    totals: Totals,
    header: Header,
    etag: Option<String>,
    pages: u32,
    digest: Option<Digest>,
    written: Bitmap,
    confirm_removal: bool,
    max_bytes: u64,
    /// Number of keys of the current policy that the new one also has, of the shards checked so far.
    kept: u64,
    checked_shards: u32,
}

/// What [`Build::merge_next`] does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Reads spilled changes back into the batch.
    Reading,
    /// Writes the shards of the batch.
    Writing,
}

/// The work done in one step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing was left to do.
    Done,
    /// This many bytes of changes were spilled or read back.
    Changes(usize),
    /// One shard was written.
    Shard,
}

impl Build {
    /// Begins a build with the header of the first page. `held` is the current manifest, if there is one. `max_bytes`
    /// limits the packed policy. `secret` is this VM's, for a store that has no policy yet.
    pub fn new(
        first: &Page,
        etag: Option<String>,
        held: Option<&Manifest>,
        generation: u64,
        max_bytes: u64,
        secret: Option<FingerprintKey>,
    ) -> Self {
        let counts = first.header.counts.unwrap_or_default();
        let known = held.map(|held| held.totals).unwrap_or_default();
        let arrived = as_u64(first.len());
        // If the size is not announced, the current policy and the first page give an estimate.
        let expected = |announced: u64, held: u64| announced.min(MAX_ANNOUNCED).max(held).max(arrived);
        let target = Target {
            bank: held.map_or(Bank::A, |held| held.bank.other()),
            generation,
            key_shards: shards_for(expected(counts.keys, known.keys)),
            application_shards: shards_for(expected(counts.applications, known.applications)),
            tags: held.map_or_else(|| TagKey::new(secret, generation), |held| held.tags),
        };
        Self {
            spool: Spool::new(target),
            batch: Batch::new(target),
            phase: Phase::Reading,
            lists: CatalogueJson::default(),
            totals: Totals::default(),
            header: first.header.clone(),
            etag,
            pages: 0,
            digest: None,
            written: Bitmap::default(),
            confirm_removal: false,
            max_bytes,
            kept: 0,
            checked_shards: 0,
        }
    }

    pub fn target(&self) -> Target {
        self.batch.target()
    }

    /// Checks the size of the changes received so far, and of the shards written from them. Rows that replace each
    /// other all count when they arrive.
    fn check_size(&self) -> Result<(), BuildError> {
        if self.spool.taken().max(self.totals.bytes) > self.max_bytes { Err(BuildError::TooLarge) } else { Ok(()) }
    }

    /// Rows of the policy that differ from an earlier row for the same thing, of the rows merged so far.
    pub fn take_differing(&mut self) -> Differing {
        self.batch.take_differing()
    }

    /// The revision that is built, if it has a number.
    pub fn revision(&self) -> Option<u64> {
        self.header.revision
    }

    /// Whether a page continues the revision of this build.
    pub fn goes_on(&self, header: &Header) -> bool {
        header.epoch == self.header.epoch && header.revision == self.header.revision && header.base.is_none()
    }

    /// Takes the header and the small lists of a page. Call it once for each page.
    pub fn begin_page(&mut self, page: &Page) -> Result<(), BuildError> {
        self.check_size()?;
        self.pages = self.pages.saturating_add(1);
        self.digest = (self.pages == 1 && page.header.next.is_none()).then(|| page.digest());
        self.confirm_removal |= page.header.confirm_removal;
        if page.header.poll.is_some() {
            self.header.poll.clone_from(&page.header.poll);
        }
        Ok(self.lists.apply(page)?)
    }

    /// Takes a range of a page's rows.
    pub fn add_rows(
        &mut self,
        page: &Page,
        range: std::ops::Range<usize>,
        rejected: &mut dyn FnMut(RejectedRow),
        unknown: &mut UnknownFields,
    ) {
        change::of_rows(self.target().tags, page, range, &|_| true, rejected, unknown, &mut |change| {
            self.spool.add(change)
        });
    }

    /// Whether changes should be spilled before more rows are taken.
    pub fn is_full(&self) -> bool {
        self.spool.is_full()
    }

    /// Spills a part of the changes in memory, until there is room for more.
    pub fn spill_next(&mut self, shared: &impl Shared, source: &SourceId) -> Result<Step, BuildError> {
        self.check_size()?;
        Ok(self.spool.spill_next(shared, source)?.map_or(Step::Done, Step::Changes))
    }

    /// Reads back some spilled changes, or writes one shard, until all are written. Call it after the last row has
    /// arrived.
    pub fn merge_next(
        &mut self,
        shared: &impl Shared,
        source: &SourceId,
        rejected: &mut dyn FnMut(RejectedRow),
    ) -> Result<Step, BuildError> {
        self.check_size()?;
        match (self.phase, self.batch.next_place()) {
            (Phase::Writing, Some(place)) => {
                let written = &self.written;
                let precondition =
                    |place| if written.has(place) { Precondition::Written } else { Precondition::Anything };
                self.batch.merge_next(shared, source, &mut self.totals, precondition, rejected)?;
                self.written.add(place);
                Ok(Step::Shard)
            }
            (Phase::Reading, _) | (Phase::Writing, None) => self.read_next(shared, source),
        }
    }

    /// Reads some spilled changes back into the batch, which is written when it is full or has a whole partition.
    fn read_next(&mut self, shared: &impl Shared, source: &SourceId) -> Result<Step, BuildError> {
        let (is_complete, bytes) = match self.spool.read_next(shared, source, &mut self.batch)? {
            ReadBack::Run(bytes) => (self.batch.is_full(), bytes),
            ReadBack::Partition(bytes) => (true, bytes),
            ReadBack::Nothing => return Ok(Step::Done),
        };
        self.phase = if is_complete { Phase::Writing } else { Phase::Reading };
        Ok(Step::Changes(bytes))
    }

    /// Looks up the keys of one shard of the current policy in the new policy. `false`: all keys were looked up, or the
    /// guard is not active.
    pub fn check_next(
        &mut self,
        shared: &impl Shared,
        source: &SourceId,
        held: Option<&Manifest>,
    ) -> Result<bool, BuildError> {
        let next = |held: &&Manifest| self.checked_shards < held.key_shards;
        let Some(held) = self.guarded(held).filter(next) else { return Ok(false) };
        let place = ShardAddress { bank: held.bank, kind: ShardKind::Keys, number: self.checked_shards };
        self.checked_shards = self.checked_shards.saturating_add(1);
        let keys = keys_of(shared, source, place, held.generation)?;
        let target = self.batch.target();
        let number_of = |key: &Digest| shard_of(record::key_of_key(key).tag, target.key_shards);
        // Both policies are in the order of digests, so the keys of one shard of the new policy follow each other.
        for keys in keys.chunk_by(|key, next| number_of(key) == number_of(next)) {
            let Some(number) = keys.first().map(number_of) else { continue };
            let place = ShardAddress { bank: target.bank, kind: ShardKind::Keys, number };
            let new = keys_of(shared, source, place, target.generation)?;
            let kept = keys.iter().filter(|key| new.binary_search(key).is_ok()).count();
            self.kept = self.kept.saturating_add(as_u64(kept));
        }
        Ok(true)
    }

    /// The current policy, if the new one may not drop too many of its keys.
    fn guarded<'m>(&self, held: Option<&'m Manifest>) -> Option<&'m Manifest> {
        held.filter(|held| held.totals.keys > GUARDED_KEYS && !self.confirm_removal)
    }

    /// Whether the new policy drops more than `max_removed_percent` of the known keys.
    pub fn drops_too_many(&self, held: Option<&Manifest>, max_removed_percent: u8) -> Option<Shrunk> {
        let held = self.guarded(held)?;
        let dropped = held.totals.keys.saturating_sub(self.kept);
        let too_many = dropped.saturating_mul(100) > held.totals.keys.saturating_mul(u64::from(max_removed_percent));
        (too_many && max_removed_percent < 100).then_some(Shrunk { known: held.totals.keys, dropped })
    }

    /// Writes the catalogue and then the manifest. From then on the new policy decides.
    pub fn publish(
        &mut self,
        shared: &impl Shared,
        source: &SourceId,
        held: Option<&Manifest>,
        now_ms: u64,
    ) -> Result<Manifest, BuildError> {
        let target = self.batch.target();
        let catalogue_slot = held.map_or(Bank::A, |held| held.catalogue_slot.other());
        self.check_size()?;
        let room = self.max_bytes.saturating_sub(self.totals.bytes);
        let bytes = write_lists(shared, source, &self.lists, catalogue_slot, target.generation, room)?;
        let manifest = Manifest {
            sequence: held.map_or(1, |held| held.sequence.saturating_add(1)),
            bank: target.bank,
            generation: target.generation,
            tags: target.tags,
            key_shards: target.key_shards,
            application_shards: target.application_shards,
            catalogue_slot,
            catalogue_generation: target.generation,
            epoch: self.header.epoch.clone(),
            revision: self.header.revision,
            poll: self.header.poll.clone(),
            etag: self.etag.clone(),
            page: self.digest,
            changed_at_ms: now_ms,
            confirmed_at_ms: now_ms,
            totals: Totals {
                apis: as_u64(self.lists.apis()),
                bytes: self.totals.bytes.saturating_add(bytes),
                ..self.totals
            },
        };
        write_manifest(shared, source, &manifest, held)?;
        Ok(manifest)
    }
}

/// A full policy drops too many keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shrunk {
    /// Number of keys of the current policy.
    pub known: u64,
    /// Number of those keys that the new policy does not have.
    pub dropped: u64,
}

/// Writes the small lists into an idle slot if they take at most `room` bytes. Returns their size.
pub(super) fn write_lists(
    shared: &impl Shared,
    source: &SourceId,
    lists: &CatalogueJson,
    slot: Bank,
    generation: u64,
    room: u64,
) -> Result<u64, BuildError> {
    let key = source.key(SharedEntry::Catalogue(slot));
    let value = lists.write(&key, generation)?;
    if as_u64(value.len()) > room {
        return Err(BuildError::TooLarge);
    }
    let read = shared.get(&key)?;
    shared.set(&key, &value, Expected::of(read.as_ref()))?;
    Ok(as_u64(value.len()))
}

/// Replaces the manifest `held`. If another VM has replaced it meanwhile, its manifest stays.
pub fn write_manifest(
    shared: &impl Shared,
    source: &SourceId,
    manifest: &Manifest,
    held: Option<&Manifest>,
) -> Result<(), MergeError> {
    let key = source.key(SharedEntry::Manifest);
    let read = shared.get(&key)?;
    let known = read.as_ref().and_then(|read| Manifest::read(&key, &read.value).ok());
    // A manifest that cannot be read has no owner, so it is replaced.
    if let Some(known) = known
        && held.is_none_or(|held| !held.is_same_policy(&known))
    {
        return Err(MergeError::Overtaken);
    }
    shared.set(&key, &manifest.write(&key), Expected::of(read.as_ref()))?;
    Ok(())
}

fn keys_of(
    shared: &impl Shared,
    source: &SourceId,
    place: ShardAddress,
    generation: u64,
) -> Result<Vec<Digest>, BuildError> {
    let key = source.key(SharedEntry::Shard(place));
    let Some(read) = shared.get(&key)? else { return Ok(Vec::new()) };
    // A shard that cannot be read has no keys to keep.
    let Ok(Some(mut shard)) = Shard::open(&key, &read.value) else { return Ok(Vec::new()) };
    let mut keys = Vec::new();
    while shard.generation == generation
        && let Ok(Some((key, _))) = shard.next_record()
    {
        keys.extend(record::digest(key));
    }
    Ok(keys)
}

/// The shards that this build has written.
#[derive(Debug, Default)]
struct Bitmap {
    words: Vec<u64>,
}

impl Bitmap {
    fn position(place: ShardAddress) -> (usize, u64) {
        let kind = match place.kind {
            ShardKind::Keys => 0,
            ShardKind::Applications => MAX_SHARDS,
        };
        let bit = place.number.saturating_add(kind);
        (usize::try_from(bit / 64).unwrap_or(usize::MAX), 1 << (bit % 64))
    }

    fn has(&self, place: ShardAddress) -> bool {
        let (word, mask) = Self::position(place);
        self.words.get(word).is_some_and(|word| word & mask != 0)
    }

    fn add(&mut self, place: ShardAddress) {
        let (word, mask) = Self::position(place);
        if self.words.len() <= word {
            self.words.resize(word.saturating_add(1), 0);
        }
        if let Some(word) = self.words.get_mut(word) {
            *word |= mask;
        }
    }
}
