//! Changes of records, gathered and merged into shards, one shard at a time.
//!
//! Rows are packed as they come, so that a page can be let go at once; [`Batch::merge_next`] then rewrites one shard with
//! all that concerns it. What belongs to one shard is applied in the order in which it came. Each rewrite is a
//! compare-and-swap: a writer that has been overtaken notices and stops.

use super::{
    Bank, Corrupt, Entry, Expected, Kind, Place, Shared, SharedError, Source,
    bytes::{Reader, Write},
    manifest::{Manifest, Totals},
    record::{self, ApplicationRecord, MAX_APPLICATION_BYTES, MAX_KEY_BYTES, NO_ROOM, SubscriptionPart},
    shard::{Record, RecordKey, Shard, ShardWriter},
    shard_of,
};
use crate::{
    decision,
    policy::{
        SubscriptionState, Text,
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

/// Why merging stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MergeError {
    /// Another VM writes the same bank.
    Overtaken,
    /// A shard that was written before is damaged or gone.
    Damaged,
    /// The host failed.
    Host,
}

impl From<SharedError> for MergeError {
    fn from(error: SharedError) -> Self {
        match error {
            SharedError::Raced => Self::Overtaken,
            SharedError::Host => Self::Host,
        }
    }
}

impl From<Corrupt> for MergeError {
    fn from(_: Corrupt) -> Self {
        Self::Damaged
    }
}

/// What has to stand in a shard before it is rewritten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Whatever there is; what this generation did not write is nothing.
    Anything,
    /// Nothing, or what can be read: the bank is in use.
    Readable,
    /// What this generation wrote before.
    Written,
}

/// What is to be done to a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operation {
    PutKey,
    RemoveKey,
    PutApplication,
    RemoveApplication,
    PutSubscription,
    RemoveSubscription,
}

/// One change: what it concerns, and where its bytes stand.
#[derive(Clone, Copy, Debug)]
struct Change {
    kind: Kind,
    /// Of the record.
    tag: u32,
    start: u32,
    operation: Operation,
}

/// Changes that wait to be merged.
#[derive(Debug)]
pub struct Batch {
    target: Target,
    packed: Vec<u8>,
    /// Sorted descending by record once merging has begun, so that the next shard's changes are at the end.
    changes: Vec<Change>,
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
        let kind = match operation {
            Operation::PutKey | Operation::RemoveKey => Kind::Keys,
            _ => Kind::Applications,
        };
        // A batch is merged long before its bytes outgrow 32 bits: one page has 32 MiB at most.
        let start = u32::try_from(self.packed.len()).unwrap_or(u32::MAX);
        self.changes.push(Change { kind, tag: key.tag, start, operation });
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
        let rest = |change: &Change| unpack(&self.packed, *change).map(|change| change.key.rest).unwrap_or_default();
        self.changes.sort_unstable_by(|a, b| {
            let order = (b.kind, b.tag).cmp(&(a.kind, a.tag));
            order.then_with(|| rest(b).cmp(rest(a))).then(b.start.cmp(&a.start))
        });
        self.sorted = true;
    }

    fn place(&self, change: &Change) -> Place {
        let shards = match change.kind {
            Kind::Keys => self.target.key_shards,
            Kind::Applications => self.target.application_shards,
        };
        Place { bank: self.target.bank, kind: change.kind, number: shard_of(change.tag, shards) }
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
        let old = old_shard(&key, read.as_ref().map(|read| &*read.value), self.target.generation, standing(place))?;
        let old_bytes = if old.is_some() { read.as_ref().map_or(0, |read| read.value.len()) } else { 0 };
        let writer = merge(old, &changes, self.target.generation, totals, rejected)?;
        let value = writer.finish(&key);
        shared.set(&key, &value, Expected::of(read.as_ref()))?;
        totals.bytes = totals.bytes.saturating_sub(as_u64(old_bytes)).saturating_add(as_u64(value.len()));
        if self.changes.is_empty() {
            self.packed.clear();
        }
        Ok(true)
    }
}

pub(super) fn as_u64(size: usize) -> u64 {
    u64::try_from(size).unwrap_or(u64::MAX)
}

/// A change with its bytes.
#[derive(Clone, Copy, Debug)]
struct Unpacked<'a> {
    operation: Operation,
    key: RecordKey<'a>,
    payload: &'a [u8],
}

fn unpack(packed: &[u8], change: Change) -> Result<Unpacked<'_>, Corrupt> {
    let start = usize::try_from(change.start).map_err(|_| Corrupt)?;
    let mut reader = Reader::new(packed.get(start..).ok_or(Corrupt)?);
    Ok(Unpacked {
        operation: change.operation,
        key: RecordKey { tag: change.tag, rest: reader.sized()? },
        payload: reader.sized()?,
    })
}

/// The shard as this generation left it. What an older one left, or what cannot be read and was not ours, is nothing.
fn old_shard<'a>(
    key: &[u8],
    value: Option<&'a [u8]>,
    generation: u64,
    standing: Standing,
) -> Result<Option<Shard<'a>>, MergeError> {
    let whole = |value| {
        let shard = Shard::open(key, value)?;
        shard.map_or(Ok(()), Shard::check)?;
        Ok(shard)
    };
    let shard = match value.map(whole) {
        Some(Ok(shard)) => shard,
        Some(Err(Corrupt)) if standing != Standing::Anything => return Err(MergeError::Damaged),
        Some(Err(Corrupt)) | None => None,
    };
    if shard.is_some_and(|shard| shard.generation > generation) {
        return Err(MergeError::Overtaken);
    }
    let shard = shard.filter(|shard| shard.generation == generation);
    if shard.is_none() && standing == Standing::Written {
        return Err(MergeError::Damaged);
    }
    Ok(shard)
}

/// Walks old records and changes side by side, both sorted by key.
fn merge(
    mut old: Option<Shard<'_>>,
    changes: &[Unpacked<'_>],
    generation: u64,
    totals: &mut Totals,
    rejected: &mut dyn FnMut(RejectedRow),
) -> Result<ShardWriter, MergeError> {
    let mut writer = ShardWriter::new(generation);
    let mut next_old = next(&mut old)?;
    for same_key in changes.chunk_by(|a, b| a.key == b.key) {
        let Some(change) = same_key.first() else { continue };
        while let Some(record) = next_old.filter(|(key, _)| *key < change.key) {
            writer.push(record);
            next_old = next(&mut old)?;
        }
        let known = next_old.filter(|(key, _)| *key == change.key);
        if known.is_some() {
            next_old = next(&mut old)?;
        }
        if let Some(value) = change_record(known.map(|(_, value)| value), same_key, totals, rejected)? {
            writer.push((change.key, &value));
        }
    }
    while let Some(record) = next_old {
        writer.push(record);
        next_old = next(&mut old)?;
    }
    Ok(writer)
}

fn next<'a>(shard: &mut Option<Shard<'a>>) -> Result<Option<Record<'a>>, Corrupt> {
    shard.as_mut().map_or(Ok(None), Shard::next_record)
}

/// The record after all changes of it; `None` if it is gone.
fn change_record(
    known: Option<&[u8]>,
    changes: &[Unpacked<'_>],
    totals: &mut Totals,
    rejected: &mut dyn FnMut(RejectedRow),
) -> Result<Option<Vec<u8>>, Corrupt> {
    let is_key =
        changes.first().is_some_and(|change| matches!(change.operation, Operation::PutKey | Operation::RemoveKey));
    if is_key {
        let last = changes.last().filter(|change| change.operation == Operation::PutKey);
        count(&mut totals.keys, u64::from(known.is_some()), u64::from(last.is_some()));
        return Ok(last.map(|change| change.payload.to_vec()));
    }
    let mut record = known.map_or(Ok(ApplicationRecord::default()), ApplicationRecord::read)?;
    let before = (u64::from(record.application.is_some()), subscriptions(&record));
    let mut size = known.map_or(0, <[u8]>::len);
    for change in changes {
        size = size.saturating_add(change.payload.len());
        let room = if size <= MAX_APPLICATION_BYTES { Room::Enough } else { Room::None };
        if let Some(api) = change_application(&mut record, change, room)? {
            rejected(no_room(change.key, api));
        }
    }
    count(&mut totals.applications, before.0, u64::from(record.application.is_some()));
    count(&mut totals.subscriptions, before.1, subscriptions(&record));
    if record.is_empty() {
        return Ok(None);
    }
    let mut out = Vec::new();
    record.put(&mut out);
    Ok(Some(out))
}

/// How many the policy holds; what was left out is none.
fn subscriptions(record: &ApplicationRecord<'_>) -> u64 {
    as_u64(record.subscriptions.iter().filter(|known| known.state != SubscriptionState::LeftOut).count())
}

fn count(total: &mut u64, before: u64, after: u64) {
    *total = total.saturating_sub(before).saturating_add(after);
}

/// Whether a record may grow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Room {
    Enough,
    None,
}

/// Changes an application's record; the API of a subscription that it has no room for.
fn change_application<'a>(
    record: &mut ApplicationRecord<'a>,
    change: &Unpacked<'a>,
    room: Room,
) -> Result<Option<&'a [u8]>, Corrupt> {
    let mut reader = Reader::new(change.payload);
    match change.operation {
        Operation::PutApplication => record.application = Some(decision::Application::read(&mut reader)?),
        Operation::RemoveApplication => record.application = None,
        Operation::PutSubscription => {
            let subscription = SubscriptionPart::read(&mut reader)?;
            if !put_subscription(&mut record.subscriptions, subscription, room) {
                put_subscription(&mut record.subscriptions, NO_ROOM, Room::Enough);
                return Ok(Some(subscription.api));
            }
        }
        Operation::RemoveSubscription => {
            record.subscriptions.retain(|known| known.api != change.payload);
        }
        Operation::PutKey | Operation::RemoveKey => return Err(Corrupt),
    }
    Ok(None)
}

/// Replaces the subscription to the same API, or adds it where there is room; whether it is there now.
fn put_subscription<'a>(known: &mut Vec<SubscriptionPart<'a>>, new: SubscriptionPart<'a>, room: Room) -> bool {
    match known.binary_search_by(|known| known.api.cmp(new.api)) {
        Ok(index) => known.get_mut(index).map(|place| *place = new).is_some(),
        Err(index) if room == Room::Enough => {
            known.insert(index, new);
            true
        }
        Err(_) => false,
    }
}

fn no_room(application: RecordKey<'_>, api: &[u8]) -> RejectedRow {
    let text = |bytes: &[u8]| Text::new(String::from_utf8(bytes.to_vec()).ok()?).ok();
    let concerns =
        text(application.rest).zip(text(api)).map(|(application, api)| Concerns::Subscription { application, api });
    let why = InvalidRow { field: "application", problem: Problem::NoRoom };
    RejectedRow { list: "subscriptions", offset: None, why, concerns: concerns.unwrap_or_default() }
}
