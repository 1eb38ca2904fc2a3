//! Changes of records, collected by shard.
//!
//! [`Batch::merge_next`] rewrites one shard with all its changes, in their original order. Each rewrite is a
//! compare-and-swap, so a writer that another VM has overtaken notices it and stops. `merge.rs` defines the effect of a
//! change on a record.

use super::{
    FULL_BYTES,
    change::{self, Operation, RecordChange},
    error::MergeError,
    manifest::{Manifest, Totals},
    merge::{self, Precondition},
};
use crate::{
    fingerprint::TagKey,
    policy::{
        differing::Differing,
        error::RejectedRow,
        page::{Page, Removed, Row},
        unknown::UnknownFields,
    },
    shared::{
        Corrupt, Expected, Shared, as_u64,
        bytes::Reader,
        key::{Bank, ShardAddress, ShardKind, SharedEntry, SourceId, shard_of},
    },
};

/// If a policy exceeds its shards' capacity by this factor, it should be built anew.
const CROWDED: u64 = 8;

/// The shards that a batch is merged into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target {
    pub bank: Bank,
    /// Generation of the shards.
    pub generation: u64,
    pub key_shards: u32,
    pub application_shards: u32,
    /// Computes the tags of applications in these shards.
    pub tags: TagKey,
}

impl From<&Manifest> for Target {
    fn from(manifest: &Manifest) -> Self {
        Self {
            bank: manifest.bank,
            generation: manifest.generation,
            key_shards: manifest.key_shards,
            application_shards: manifest.application_shards,
            tags: manifest.tags,
        }
    }
}

impl Target {
    pub fn shards(&self, kind: ShardKind) -> u32 {
        match kind {
            ShardKind::Keys => self.key_shards,
            ShardKind::Applications => self.application_shards,
        }
    }
}

/// Whether a policy has outgrown its shards so far that it should be built anew.
pub fn is_crowded(manifest: &Manifest) -> bool {
    let room = |shards: u32| u64::from(shards).saturating_mul(super::SHARD_RECORDS).saturating_mul(CROWDED);
    let can_grow = |shards: u32| shards < super::MAX_SHARDS;
    (manifest.totals.keys > room(manifest.key_shards) && can_grow(manifest.key_shards))
        || (manifest.totals.applications > room(manifest.application_shards) && can_grow(manifest.application_shards))
}

/// A packed change: the record, and the position of its bytes.
#[derive(Clone, Copy, Debug)]
struct Packed {
    operation: Operation,
    /// Tag of the record.
    tag: u32,
    start: u32,
}

/// Changes that wait to be merged.
#[derive(Debug)]
pub struct Batch {
    target: Target,
    /// Size of the packed policy from which no new record is made, in bytes.
    max_bytes: u64,
    packed: Vec<u8>,
    /// After merging has begun: sorted by record in descending order, so that the changes of the next shard are at the
    /// end.
    changes: Vec<Packed>,
    sorted: bool,
    /// Rows that differ from an earlier row for the same record.
    differing: Differing,
}

impl Batch {
    /// A batch for these shards.
    pub fn new(target: Target) -> Self {
        Self::bounded(target, u64::MAX)
    }

    /// A batch that makes no new record once the packed policy has this size in bytes. Changes of existing records are
    /// still merged, because they may be blocks.
    pub fn bounded(target: Target, max_bytes: u64) -> Self {
        let differing = Differing::default();
        Self { target, max_bytes, packed: Vec::new(), changes: Vec::new(), sorted: false, differing }
    }

    pub fn target(&self) -> Target {
        self.target
    }

    /// Rows found since the last call that differ from an earlier row for the same key, application or subscription.
    pub fn take_differing(&mut self) -> Differing {
        std::mem::take(&mut self.differing)
    }

    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// Whether the batch should be merged before more changes are added.
    pub fn is_full(&self) -> bool {
        self.packed.len() >= FULL_BYTES
    }

    /// Adds those rows of a range of a page that `wanted` selects. Rows that are left out go to `rejected`.
    pub fn add_rows(
        &mut self,
        page: &Page,
        range: std::ops::Range<usize>,
        wanted: impl Fn(&Row<'_>) -> bool,
        rejected: &mut dyn FnMut(RejectedRow),
        unknown: &mut UnknownFields,
    ) {
        change::of_rows(self.target.tags, page, range, &wanted, rejected, unknown, &mut |change| self.add(change));
    }

    /// Adds the removals of a delta.
    pub fn add_removed(&mut self, removed: &Removed) {
        change::of_removed(self.target.tags, removed, &mut |change| self.add(change));
    }

    fn add(&mut self, change: RecordChange<'_>) {
        self.note(change, self.packed.len());
        change.put(&mut self.packed);
    }

    /// Adds packed changes.
    pub(super) fn add_packed(&mut self, packed: &[u8]) -> Result<(), Corrupt> {
        let mut reader = Reader::new(packed);
        while !reader.is_empty() {
            let before = packed.len().saturating_sub(reader.rest().len());
            self.note(RecordChange::read(&mut reader)?, self.packed.len().saturating_add(before));
        }
        self.packed.extend_from_slice(packed);
        Ok(())
    }

    fn note(&mut self, change: RecordChange<'_>, start: usize) {
        // A batch is merged long before its bytes exceed 32 bits: one page has at most 32 MiB.
        let start = u32::try_from(start).unwrap_or(u32::MAX);
        self.changes.push(Packed { operation: change.operation, tag: change.key.tag, start });
        self.sorted = false;
    }

    /// The shard that is merged next.
    pub fn next_place(&mut self) -> Option<ShardAddress> {
        if !self.sorted {
            self.sort();
        }
        self.changes.last().map(|change| self.place(change))
    }

    /// Shards have the order of keys, so sorting by key also sorts by shard. Changes of one record keep their original
    /// order.
    fn sort(&mut self) {
        let rest = |change: &Packed| unpack(&self.packed, *change).map(|change| change.key.rest).unwrap_or_default();
        self.changes.sort_unstable_by(|a, b| {
            let order = (b.operation.kind(), b.tag).cmp(&(a.operation.kind(), a.tag));
            order.then_with(|| rest(b).cmp(rest(a))).then(b.start.cmp(&a.start))
        });
        self.sorted = true;
    }

    fn place(&self, change: &Packed) -> ShardAddress {
        let kind = change.operation.kind();
        ShardAddress { bank: self.target.bank, kind, number: shard_of(change.tag, self.target.shards(kind)) }
    }

    /// Rewrites one shard with all its changes. `false`: nothing was left to do. Rows for which a record has no room go
    /// to `rejected`.
    pub fn merge_next(
        &mut self,
        shared: &impl Shared,
        source: &SourceId,
        totals: &mut Totals,
        precondition: impl FnOnce(ShardAddress) -> Precondition,
        rejected: &mut dyn FnMut(RejectedRow),
    ) -> Result<bool, MergeError> {
        let Some(place) = self.next_place() else { return Ok(false) };
        let first = self.changes.partition_point(|change| {
            let other = self.place(change);
            (other.kind, other.number) > (place.kind, place.number)
        });
        let mut changes = Vec::new();
        for change in self.changes.drain(first..).rev() {
            changes.push(unpack(&self.packed, change)?);
        }

        let key = source.key(SharedEntry::Shard(place));
        let read = shared.get(&key)?;
        let precondition = precondition(place);
        let old = merge::old_shard(&key, read.as_ref().map(|read| &*read.value), self.target.generation, precondition)?;
        let old_bytes = if old.is_some() { read.as_ref().map_or(0, |read| read.value.len()) } else { 0 };
        // In an idle bank, records of this generation can only come from rows of the same policy.
        let is_one_policy = precondition != Precondition::Readable;
        let differing = &mut self.differing;
        let has_room = totals.bytes < self.max_bytes;
        let mut notes = merge::Notes { totals, rejected, differing, is_one_policy, has_room };
        let writer = merge::merge(old, &changes, self.target.generation, &mut notes)?;
        let value = writer.finish(&key);
        shared.set(&key, &value, Expected::of(read.as_ref()))?;
        totals.bytes = totals.bytes.saturating_sub(as_u64(old_bytes)).saturating_add(as_u64(value.len()));
        if self.changes.is_empty() {
            self.packed.clear();
        }
        Ok(true)
    }
}

fn unpack(packed: &[u8], change: Packed) -> Result<RecordChange<'_>, Corrupt> {
    let start = usize::try_from(change.start).map_err(|_| Corrupt)?;
    RecordChange::read(&mut Reader::new(packed.get(start..).ok_or(Corrupt)?))
}
