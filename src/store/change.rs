//! Changes of records: the effect of a page's rows and of a delta's removals on the store, and their packed form.
//!
//! A change is packed as soon as its row has been read, so that the page can be freed. Other files define where changes
//! wait and when they are merged into shards (`batch.rs`, `spool.rs`), and how they change a record (`merge.rs`).

use std::ops::Range;

use super::{
    record::{self, MAX_KEY_BYTES, SubscriptionPart},
    shard::RecordKey,
};
use crate::{
    fingerprint::TagKey,
    policy::{
        SubscriptionState,
        error::RejectedRow,
        left_out::Concerns,
        page::{Page, Removed, Row},
        rows::{InvalidRow, Key, Problem},
        unknown::UnknownFields,
    },
    shared::{
        Corrupt,
        bytes::{Reader, Write},
        key::ShardKind,
    },
    subject,
};

/// The kind of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operation {
    PutKey,
    RemoveKey,
    PutApplication,
    RemoveApplication,
    PutSubscription,
    RemoveSubscription,
}

impl Operation {
    /// By number, as packed.
    const ALL: [Self; 6] = [
        Self::PutKey,
        Self::RemoveKey,
        Self::PutApplication,
        Self::RemoveApplication,
        Self::PutSubscription,
        Self::RemoveSubscription,
    ];

    /// The kind of record that the operation changes.
    pub fn kind(self) -> ShardKind {
        match self {
            Self::PutKey | Self::RemoveKey => ShardKind::Keys,
            Self::PutApplication | Self::RemoveApplication | Self::PutSubscription | Self::RemoveSubscription => {
                ShardKind::Applications
            }
        }
    }
}

/// A change and its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RecordChange<'a> {
    pub operation: Operation,
    pub key: RecordKey<'a>,
    pub payload: &'a [u8],
}

impl<'a> RecordChange<'a> {
    /// Appends the change to packed changes.
    pub fn put(&self, out: &mut Vec<u8>) {
        out.push(self.operation as u8);
        out.extend_from_slice(&self.key.tag.to_le_bytes());
        out.put_sized(self.key.rest);
        out.put_sized(self.payload);
    }

    /// Reads the next packed change.
    pub fn read(reader: &mut Reader<'a>) -> Result<Self, Corrupt> {
        let operation = *Operation::ALL.get(usize::from(reader.u8()?)).ok_or(Corrupt)?;
        let tag = reader.u32()?;
        Ok(Self { operation, key: RecordKey { tag, rest: reader.sized()? }, payload: reader.sized()? })
    }
}

/// Receives changes, in their original order.
pub(super) type Take<'t> = &'t mut dyn FnMut(RecordChange<'_>);

/// The changes for those rows of a range of a page that `wanted` selects. Rows that are left out go to `rejected`, and
/// the names of unknown fields to `unknown`.
pub(super) fn of_rows(
    tags: TagKey,
    page: &Page,
    range: Range<usize>,
    wanted: &dyn Fn(&Row<'_>) -> bool,
    rejected: &mut dyn FnMut(RejectedRow),
    unknown: &mut UnknownFields,
    take: Take<'_>,
) {
    let mut payload = Vec::new();
    for (number, row) in (range.start..).zip(page.rows(range, unknown)) {
        payload.clear();
        match row {
            Ok(row) if !wanted(&row) => {}
            Ok(Row::Key(key)) => match put_key(&mut payload, &key) {
                Ok(change) => take(change),
                Err(why) => {
                    let concerns = Concerns::Key(key.digest);
                    leave_out(tags, &concerns, take);
                    rejected(RejectedRow { list: "keys", offset: page.offset(number), why, concerns });
                }
            },
            Ok(Row::Application(row)) => {
                subject::Application::from(&row).put(&mut payload);
                let key = record::key_of_application(tags, row.id.as_bytes());
                take(RecordChange { operation: Operation::PutApplication, key, payload: &payload });
            }
            Ok(Row::Subscription(row)) => {
                SubscriptionPart::from(&row).put(&mut payload);
                let key = record::key_of_application(tags, row.application.as_bytes());
                take(RecordChange { operation: Operation::PutSubscription, key, payload: &payload });
            }
            Err(row) => {
                leave_out(tags, &row.concerns, take);
                rejected(row);
            }
        }
    }
}

/// The changes for the removals of a delta.
pub(super) fn of_removed(tags: TagKey, removed: &Removed, take: Take<'_>) {
    for digest in &removed.keys {
        take(RecordChange { operation: Operation::RemoveKey, key: record::key_of_key(digest), payload: &[] });
    }
    for (application, api) in &removed.subscriptions {
        let key = record::key_of_application(tags, application.as_bytes());
        take(RecordChange { operation: Operation::RemoveSubscription, key, payload: api.as_bytes() });
    }
    for application in &removed.applications {
        let key = record::key_of_application(tags, application.as_bytes());
        take(RecordChange { operation: Operation::RemoveApplication, key, payload: &[] });
    }
}

/// Whether a key fits into its record. Uses the same code as the store, for programs that write policies.
pub fn takes(key: &Key<'_>) -> bool {
    put_key(&mut Vec::new(), key).is_ok()
}

fn put_key<'a>(payload: &'a mut Vec<u8>, key: &'a Key<'_>) -> Result<RecordChange<'a>, InvalidRow> {
    record::put_key(payload, key);
    if payload.len() > MAX_KEY_BYTES {
        return Err(InvalidRow { field: "keys", problem: Problem::TooLarge });
    }
    Ok(RecordChange { operation: Operation::PutKey, key: record::key_of_key(&key.digest), payload })
}

/// The subject of a bad row must not be allowed, whatever an older row says.
fn leave_out(tags: TagKey, concerns: &Concerns, take: Take<'_>) {
    match concerns {
        Concerns::Nothing => {}
        Concerns::Key(digest) => {
            take(RecordChange { operation: Operation::RemoveKey, key: record::key_of_key(digest), payload: &[] });
        }
        Concerns::Application(id) => {
            let key = record::key_of_application(tags, id.as_bytes());
            take(RecordChange { operation: Operation::RemoveApplication, key, payload: &[] });
        }
        // The subscription is not removed, because an API may be open without a subscription.
        Concerns::Subscription { application, api } => {
            let (api, state) = (api.as_bytes(), SubscriptionState::LeftOut);
            let mut payload = Vec::new();
            SubscriptionPart { api, state, plan: None, used_up_until: None, block: None }.put(&mut payload);
            let key = record::key_of_application(tags, application.as_bytes());
            take(RecordChange { operation: Operation::PutSubscription, key, payload: &payload });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packed_changes_are_read_back_and_other_bytes_are_corrupt() {
        let long = [7; 300];
        let mut packed = Vec::new();
        let mut changes = Vec::new();
        for (tag, operation) in (0..).zip(Operation::ALL) {
            for (rest, payload) in [(&b""[..], &b""[..]), (b"rest", b"payload"), (&long, &long)] {
                changes.push(RecordChange { operation, key: RecordKey { tag: tag << 30 | tag, rest }, payload });
            }
        }
        changes.iter().for_each(|change| change.put(&mut packed));
        let mut reader = Reader::new(&packed);
        for change in changes {
            assert_eq!(RecordChange::read(&mut reader), Ok(change));
        }
        assert_eq!(reader.finish(), Ok(()));

        let mut one = Vec::new();
        RecordChange { operation: Operation::PutKey, key: RecordKey { tag: 1, rest: b"r" }, payload: b"p" }
            .put(&mut one);
        for end in 0..one.len() {
            assert_eq!(RecordChange::read(&mut Reader::new(&one[..end])), Err(Corrupt), "cut at {end}");
        }
        for number in 6..=u8::MAX {
            one[0] = number;
            assert_eq!(RecordChange::read(&mut Reader::new(&one)), Err(Corrupt), "operation {number}");
        }
    }
}
