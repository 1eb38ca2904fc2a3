//! Rewrites a shard: merges its old records with its changes, record by record.
//!
//! Pure: values in, values out. `batch.rs` selects the changes of a shard, reads the shard and sets it.

use super::{
    change::{Operation, RecordChange},
    error::MergeError,
    manifest::Totals,
    record::{self, ApplicationRecord, MAX_APPLICATION_BYTES, NO_ROOM, SubscriptionPart},
    shard::{Record, RecordKey, Shard, ShardWriter},
};
use crate::{
    index::Index,
    policy::{
        SubscriptionState, Text,
        differing::Differing,
        error::RejectedRow,
        left_out::Concerns,
        rows::{InvalidRow, Problem},
    },
    shared::{Corrupt, as_u64, bytes::Reader, key::ShardKind},
    subject,
};

/// The required content of a shard before it is rewritten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precondition {
    /// Any content. Content of another generation, or unreadable content, counts as empty.
    Anything,
    /// Empty or readable, because the bank is in use.
    Readable,
    /// Content that this generation wrote before.
    Written,
}

/// The shard as this generation left it. `None` if an older generation left it, or if it cannot be read and need not be
/// readable.
pub(super) fn old_shard<'a>(
    key: &[u8],
    value: Option<&'a [u8]>,
    generation: u64,
    precondition: Precondition,
) -> Result<Option<Shard<'a>>, MergeError> {
    let whole = |value| {
        let shard = Shard::open(key, value)?;
        shard.map_or(Ok(()), Shard::check)?;
        Ok(shard)
    };
    let shard = match value.map(whole) {
        Some(Ok(shard)) => shard,
        Some(Err(Corrupt)) if precondition != Precondition::Anything => return Err(MergeError::Damaged),
        Some(Err(Corrupt)) | None => None,
    };
    if shard.is_some_and(|shard| shard.generation > generation) {
        return Err(MergeError::Overtaken);
    }
    let shard = shard.filter(|shard| shard.generation == generation);
    if shard.is_none() && precondition == Precondition::Written {
        return Err(MergeError::Damaged);
    }
    Ok(shard)
}

/// Receives the findings of a merge.
pub(super) struct Notes<'n> {
    pub totals: &'n mut Totals,
    /// Receives rows for which a record has no room.
    pub rejected: &'n mut dyn FnMut(RejectedRow),
    /// Rows that differ from an earlier row of the same policy or page.
    pub differing: &'n mut Differing,
    /// Whether the old records come from rows of the same policy, so that they are compared too.
    pub is_one_policy: bool,
    /// Whether new records may be made.
    pub has_room: bool,
}

/// Walks through old records and changes side by side. Both are sorted by key.
pub(super) fn merge(
    mut old: Option<Shard<'_>>,
    changes: &[RecordChange<'_>],
    generation: u64,
    notes: &mut Notes<'_>,
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
        if known.is_none() && !notes.has_room {
            let rows = same_key.iter().filter_map(|change| full(change.operation));
            rows.for_each(|row| (notes.rejected)(row));
            continue;
        }
        if let Some(value) = change_record(known.map(|(_, value)| value), same_key, notes)? {
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

/// The record after all its changes. `None` if it is removed.
fn change_record(
    known: Option<&[u8]>,
    changes: &[RecordChange<'_>],
    notes: &mut Notes<'_>,
) -> Result<Option<Vec<u8>>, Corrupt> {
    let Notes { totals, rejected, differing, is_one_policy, .. } = notes;
    if changes.first().is_some_and(|change| change.operation.kind() == ShardKind::Keys) {
        compare_keys(known.filter(|_| *is_one_policy), changes, differing);
        let last = changes.last().filter(|change| change.operation == Operation::PutKey);
        count(&mut totals.keys, u64::from(known.is_some()), u64::from(last.is_some()));
        return Ok(last.map(|change| change.payload.to_vec()));
    }
    let mut record = known.map_or(Ok(ApplicationRecord::default()), ApplicationRecord::read)?;
    let before = (u64::from(record.application.is_some()), subscriptions(&record));
    let mut size = known.map_or(0, <[u8]>::len);
    let mut brought =
        if *is_one_policy { Brought::All } else { Brought::Some { application: false, apis: Index::default() } };
    for change in changes {
        size = size.saturating_add(change.payload.len());
        let room = if size <= MAX_APPLICATION_BYTES { Room::Enough } else { Room::None };
        if let Some(api) = change_application(&mut record, change, room, &mut brought, differing)? {
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

/// Notes keys that differ from the row before them.
fn compare_keys(known: Option<&[u8]>, changes: &[RecordChange<'_>], differing: &mut Differing) {
    let mut before = known;
    for change in changes.iter().filter(|change| change.operation == Operation::PutKey) {
        if before.is_some_and(|before| before != change.payload) {
            differing.note(|| match record::read_key(change.payload) {
                Ok(key) => format!("key `{}` of application `{}`", shown(key.id), shown(key.application)),
                Err(Corrupt) => "a key".to_owned(),
            });
        }
        before = Some(change.payload);
    }
}

/// The parts of an application's record that come from the rows being compared.
enum Brought {
    All,
    /// The application if the flag is set, and subscriptions to these APIs.
    Some {
        application: bool,
        apis: Index,
    },
}

impl Brought {
    /// Whether the application came before. Notes that it has come now.
    fn application(&mut self) -> bool {
        match self {
            Self::All => true,
            Self::Some { application, .. } => std::mem::replace(application, true),
        }
    }

    /// Whether the subscription to this API came before. Notes that it has come now.
    fn subscription(&mut self, api: &[u8]) -> bool {
        match self {
            Self::All => true,
            Self::Some { apis, .. } => apis.insert(api, 0).is_some(),
        }
    }
}

/// An id of a row, for the log.
fn shown(id: &[u8]) -> String {
    String::from_utf8_lossy(id).into_owned()
}

/// Number of subscriptions in the policy. Rejected rows do not count.
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

/// Changes an application's record. Returns the API of a subscription for which there is no room.
fn change_application<'a>(
    record: &mut ApplicationRecord<'a>,
    change: &RecordChange<'a>,
    room: Room,
    brought: &mut Brought,
    differing: &mut Differing,
) -> Result<Option<&'a [u8]>, Corrupt> {
    let mut reader = Reader::new(change.payload);
    match change.operation {
        Operation::PutApplication => {
            let new = subject::Application::read(&mut reader)?;
            let old = record.application.replace(new);
            if brought.application() && old.is_some_and(|old| old != new) {
                differing.note(|| format!("application `{}`", shown(change.key.rest)));
            }
        }
        Operation::RemoveApplication => record.application = None,
        Operation::PutSubscription => {
            let new = SubscriptionPart::read(&mut reader)?;
            let came = brought.subscription(new.api);
            match put_subscription(&mut record.subscriptions, new, room) {
                Put::Added => {}
                // Rejected rows are reported elsewhere.
                Put::Replaced(old) => {
                    let are_rows = [old, new].iter().all(|part| part.state != SubscriptionState::LeftOut);
                    if came && are_rows && old != new {
                        differing.note(|| {
                            let (application, api) = (shown(change.key.rest), shown(new.api));
                            format!("the subscription of application `{application}` to API `{api}`")
                        });
                    }
                }
                Put::NoRoom => {
                    put_subscription(&mut record.subscriptions, NO_ROOM, Room::Enough);
                    return Ok(Some(new.api));
                }
            }
        }
        Operation::RemoveSubscription => {
            record.subscriptions.retain(|known| known.api != change.payload);
        }
        Operation::PutKey | Operation::RemoveKey => return Err(Corrupt),
    }
    Ok(None)
}

/// The result of putting a subscription.
enum Put<'a> {
    Added,
    Replaced(SubscriptionPart<'a>),
    NoRoom,
}

/// Replaces the subscription to the same API, or adds it if there is room.
fn put_subscription<'a>(known: &mut Vec<SubscriptionPart<'a>>, new: SubscriptionPart<'a>, room: Room) -> Put<'a> {
    match known.binary_search_by(|known| known.api.cmp(new.api)) {
        Ok(index) => match known.get_mut(index) {
            Some(place) => Put::Replaced(std::mem::replace(place, new)),
            None => Put::NoRoom,
        },
        Err(index) if room == Room::Enough => {
            known.insert(index, new);
            Put::Added
        }
        Err(_) => Put::NoRoom,
    }
}

/// The rejected row for a change that finds no room in the policy. `None` for a removal. Its `concerns` is empty,
/// because the policy does not have its subject.
fn full(operation: Operation) -> Option<RejectedRow> {
    let (list, field) = match operation {
        Operation::PutKey => ("keys", "sha256"),
        Operation::PutApplication => ("applications", "id"),
        Operation::PutSubscription => ("subscriptions", "application"),
        Operation::RemoveKey | Operation::RemoveApplication | Operation::RemoveSubscription => return None,
    };
    let why = InvalidRow { field, problem: Problem::PolicyFull };
    Some(RejectedRow { list, offset: None, why, concerns: Concerns::default() })
}

fn no_room(application: RecordKey<'_>, api: &[u8]) -> RejectedRow {
    let text = |bytes: &[u8]| Text::new(String::from_utf8(bytes.to_vec()).ok()?).ok();
    let concerns =
        text(application.rest).zip(text(api)).map(|(application, api)| Concerns::Subscription { application, api });
    let why = InvalidRow { field: "application", problem: Problem::NoRoom };
    RejectedRow { list: "subscriptions", offset: None, why, concerns: concerns.unwrap_or_default() }
}
