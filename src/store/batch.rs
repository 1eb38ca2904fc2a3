//! Changes of records, gathered for the shards that they are in.
//!
//! Rows are packed as they come, so that a page can be let go at once; [`Batch::merge_next`] then rewrites one shard with
//! all that concerns it, in the order in which it came. Each rewrite is a compare-and-swap: a writer that has been
//! overtaken notices and stops. What a change does to a record is not said here (`merge.rs`).

use super::{
    Bank, Corrupt, Entry, Expected, Kind, Place, Shared, Source, as_u64,
    bytes::{Reader, Write},
    manifest::{Manifest, Totals},
    merge::{self, Change, MergeError, Operation, Standing},
    record::{self, MAX_KEY_BYTES, SubscriptionPart},
    shard::RecordKey,
    shard_of,
};
use crate::{
    decision,
    policy::{
        SubscriptionState,
        left_out::Concerns,
        page::{Page, RejectedRow, Removed, Row},
        rows::{Application, InvalidRow, Key, Problem, Subscription},
    },
};

/// Bytes of packed changes from which they should be merged before more are added. A page of 5,000 rows packs into some
/// 350 KB, so a batch holds a dozen of them, and the memory of the VM that loads stays below 10 MiB.
pub const FULL_BYTES: usize = 4 << 20;

/// A policy that has outgrown its shards this many times should be built anew.
const CROWDED: u64 = 8;

/// Where a batch is merged into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target {
    /// The bank.
    pub bank: Bank,
    /// The generation that its shards carry.
    pub generation: u64,
    /// Number of key shards.
    pub key_shards: u32,
    /// Number of application shards.
    pub application_shards: u32,
}

impl From<&Manifest> for Target {
    fn from(manifest: &Manifest) -> Self {
        Self {
            bank: manifest.bank,
            generation: manifest.generation,
            key_shards: manifest.key_shards,
            application_shards: manifest.application_shards,
        }
    }
}

/// Whether a policy has so outgrown its shards that it should be built anew.
pub fn is_crowded(manifest: &Manifest) -> bool {
    let room = |shards: u32| u64::from(shards).saturating_mul(super::SHARD_RECORDS).saturating_mul(CROWDED);
    let can_grow = |shards: u32| shards < super::MAX_SHARDS;
    (manifest.totals.keys > room(manifest.key_shards) && can_grow(manifest.key_shards))
        || (manifest.totals.applications > room(manifest.application_shards) && can_grow(manifest.application_shards))
}

/// One change: what it concerns, and where its bytes stand.
#[derive(Clone, Copy, Debug)]
struct Packed {
    operation: Operation,
    /// Of the record.
    tag: u32,
    start: u32,
}

/// Changes that wait to be merged.
#[derive(Debug)]
pub struct Batch {
    target: Target,
    packed: Vec<u8>,
    /// Sorted descending by record once merging has begun, so that the next shard's changes are at the end.
    changes: Vec<Packed>,
    sorted: bool,
}

impl Batch {
    /// A batch for these shards.
    pub fn new(target: Target) -> Self {
        Self { target, packed: Vec::new(), changes: Vec::new(), sorted: false }
    }

    /// Whether a key is small enough for its record: by the very code that takes it, for whoever writes policies.
    pub fn takes(key: &Key<'_>) -> bool {
        // Nothing is merged, so it does not matter into what.
        let target = Target { bank: Bank::A, generation: 0, key_shards: 1, application_shards: 1 };
        Self::new(target).put_key(key).is_ok()
    }

    /// Where it is merged into.
    pub fn target(&self) -> Target {
        self.target
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// Whether it should be merged before more is added.
    pub fn is_full(&self) -> bool {
        self.packed.len() >= FULL_BYTES
    }

    /// Adds the wanted ones of a range of a page's rows; those that are left out go to `rejected`.
    pub fn add_rows(
        &mut self,
        page: &Page,
        range: std::ops::Range<usize>,
        wanted: impl Fn(&Row<'_>) -> bool,
        rejected: &mut dyn FnMut(RejectedRow),
    ) {
        for (number, row) in (range.start..).zip(page.rows(range)) {
            match row {
                Ok(row) if !wanted(&row) => {}
                Ok(Row::Key(key)) => {
                    if let Err(why) = self.put_key(&key) {
                        let concerns = Concerns::Key(key.digest);
                        self.leave_out(&concerns);
                        rejected(RejectedRow { list: "keys", offset: page.offset(number), why, concerns });
                    }
                }
                Ok(Row::Application(application)) => self.put_application(&application),
                Ok(Row::Subscription(subscription)) => self.put_subscription(&subscription),
                Err(row) => {
                    self.leave_out(&row.concerns);
                    rejected(row);
                }
            }
        }
    }

    /// Adds what a delta removes.
    pub fn add_removed(&mut self, removed: &Removed) {
        for digest in &removed.keys {
            self.push(Operation::RemoveKey, record::key_of_key(digest), |_| {});
        }
        for (application, api) in &removed.subscriptions {
            let key = record::key_of_application(application.as_bytes());
            self.push(Operation::RemoveSubscription, key, |out| out.extend_from_slice(api.as_bytes()));
        }
        for application in &removed.applications {
            self.push(Operation::RemoveApplication, record::key_of_application(application.as_bytes()), |_| {});
        }
    }

    /// What a bad row speaks of is not allowed, whatever an older row says of it.
    fn leave_out(&mut self, concerns: &Concerns) {
        match concerns {
            Concerns::Nothing => {}
            Concerns::Key(digest) => self.push(Operation::RemoveKey, record::key_of_key(digest), |_| {}),
            Concerns::Application(id) => {
                self.push(Operation::RemoveApplication, record::key_of_application(id.as_bytes()), |_| {});
            }
            // Not removed: without a subscription an API may still open.
            Concerns::Subscription { application, api } => {
                let (api, state) = (api.as_bytes(), SubscriptionState::LeftOut);
                let part = SubscriptionPart { api, state, plan: None, used_up_until: None };
                let key = record::key_of_application(application.as_bytes());
                self.push(Operation::PutSubscription, key, |out| part.put(out));
            }
        }
    }

    fn put_key(&mut self, key: &Key<'_>) -> Result<(), InvalidRow> {
        let start = self.packed.len();
        self.push(Operation::PutKey, record::key_of_key(&key.digest), |out| record::put_key(out, key));
        if self.packed.len().saturating_sub(start) > MAX_KEY_BYTES {
            self.packed.truncate(start);
            self.changes.pop();
            return Err(InvalidRow { field: "keys", problem: Problem::TooLarge });
        }
        Ok(())
    }

    fn put_application(&mut self, application: &Application<'_>) {
        let key = record::key_of_application(application.id.as_bytes());
        self.push(Operation::PutApplication, key, |out| decision::Application::from(application).put(out));
    }

    fn put_subscription(&mut self, subscription: &Subscription<'_>) {
        let key = record::key_of_application(subscription.application.as_bytes());
        self.push(Operation::PutSubscription, key, |out| SubscriptionPart::from(subscription).put(out));
    }

    /// Packs one change: the rest of the record's key behind its length, then the payload behind its length.
    fn push(&mut self, operation: Operation, key: RecordKey<'_>, payload: impl FnOnce(&mut Vec<u8>)) {
        // A batch is merged long before its bytes outgrow 32 bits: one page has 32 MiB at most.
        let start = u32::try_from(self.packed.len()).unwrap_or(u32::MAX);
        self.changes.push(Packed { operation, tag: key.tag, start });
        self.packed.put_sized(key.rest);
        let mut packed = Vec::new();
        payload(&mut packed);
        self.packed.put_sized(&packed);
        self.sorted = false;
    }

    /// The shard that is merged next.
    pub fn next_place(&mut self) -> Option<Place> {
        if !self.sorted {
            self.sort();
        }
        self.changes.last().map(|change| self.place(change))
    }

    /// Shards follow the order of keys, so changes in the order of keys are in that of shards; what concerns one record
    /// stays in the order in which it came.
    fn sort(&mut self) {
        let rest = |change: &Packed| unpack(&self.packed, *change).map(|change| change.key.rest).unwrap_or_default();
        self.changes.sort_unstable_by(|a, b| {
            let order = (b.operation.kind(), b.tag).cmp(&(a.operation.kind(), a.tag));
            order.then_with(|| rest(b).cmp(rest(a))).then(b.start.cmp(&a.start))
        });
        self.sorted = true;
    }

    fn place(&self, change: &Packed) -> Place {
        let kind = change.operation.kind();
        let shards = match kind {
            Kind::Keys => self.target.key_shards,
            Kind::Applications => self.target.application_shards,
        };
        Place { bank: self.target.bank, kind, number: shard_of(change.tag, shards) }
    }

    /// Rewrites one shard with all that concerns it; `false`: nothing was left to do. What a record has no room for goes to
    /// `rejected`.
    pub fn merge_next(
        &mut self,
        shared: &impl Shared,
        source: &Source,
        totals: &mut Totals,
        standing: impl FnOnce(Place) -> Standing,
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

        let key = source.key(Entry::Shard(place));
        let read = shared.get(&key)?;
        let old =
            merge::old_shard(&key, read.as_ref().map(|read| &*read.value), self.target.generation, standing(place))?;
        let old_bytes = if old.is_some() { read.as_ref().map_or(0, |read| read.value.len()) } else { 0 };
        let writer = merge::merge(old, &changes, self.target.generation, totals, rejected)?;
        let value = writer.finish(&key);
        shared.set(&key, &value, Expected::of(read.as_ref()))?;
        totals.bytes = totals.bytes.saturating_sub(as_u64(old_bytes)).saturating_add(as_u64(value.len()));
        if self.changes.is_empty() {
            self.packed.clear();
        }
        Ok(true)
    }
}

fn unpack(packed: &[u8], change: Packed) -> Result<Change<'_>, Corrupt> {
    let start = usize::try_from(change.start).map_err(|_| Corrupt)?;
    let mut reader = Reader::new(packed.get(start..).ok_or(Corrupt)?);
    Ok(Change {
        operation: change.operation,
        key: RecordKey { tag: change.tag, rest: reader.sized()? },
        payload: reader.sized()?,
    })
}
