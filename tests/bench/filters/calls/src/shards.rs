//! Shards of shared data like keygate's for the benchmark's 100,000 keys and their applications: the same number, the
//! same size, the same cost of a look-up. All records have the same content as a record of the benchmark. Calls no
//! host.

use std::{cell::Cell, hint::black_box};

use keygate::{
    digest::Digest,
    fingerprint::TagKey,
    policy::{ApplicationState, KeyState, KeyType, SubscriptionState, Text, rows},
    shared::key::shard_of,
    store::{
        record::{self, ApplicationRecord, SubscriptionPart},
        shard::{RecordKey, Shard, ShardWriter},
    },
    subject::Application,
};

/// All shards of one kind.
#[derive(Clone, Copy)]
pub struct Shards {
    /// Distinguishes the keys of the kinds.
    kind: u8,
    /// Number of shards.
    count: u32,
    /// Length of the rest of a record's key.
    rest: usize,
    /// The value of a record.
    value: fn() -> Vec<u8>,
    /// Reads a value like keygate, for the record with this number.
    read: fn(&[u8], u8),
}

/// Shards of keys. With 12 bytes per record in the table: 3,140 bytes.
pub const KEYS: Shards = Shards { kind: b'k', count: 2084, rest: 28, value: key, read: read_key };
/// Shards of applications with two subscriptions each: 3,716 bytes.
pub const APPLICATIONS: Shards =
    Shards { kind: b'a', count: 1042, rest: 11, value: application, read: read_application };
/// The APIs that each application subscribes to.
const APIS: [&str; 2] = ["api-000", "api-001"];
/// Records of each shard.
const RECORDS: u8 = 48;
/// Length of the longest rest.
const LONGEST_REST: usize = 28;
/// The step between two numbers. Shards and records are computed from these numbers as keygate computes them from tags.
/// The step is the golden ratio, so every shard gets its turn, and none is near the one before.
const STRIDE: u32 = 0x9e37_79b9;

/// As long as keygate's, and also with its number at the end.
type ShardKey = [u8; 22];

thread_local! {
    static NEXT: Cell<u32> = const { Cell::new(0) };
}

/// The next number below `count`.
fn next_of(count: u32) -> u32 {
    shard_of(NEXT.replace(NEXT.get().wrapping_add(STRIDE)), count)
}

impl Shards {
    /// The key of a shard, a different one each time.
    pub fn next(self) -> ShardKey {
        self.key(next_of(self.count))
    }

    /// Verifies a shard like keygate, looks for one of its records, and reads the record.
    pub fn look(self, key: &[u8], value: &[u8]) {
        let shard = Shard::open(key, value).ok().flatten();
        let record = next_of(RECORDS.into()) as u8;
        let wanted = [record; LONGEST_REST];
        let found = shard.and_then(|shard| shard.find(self.record_key(&wanted)).ok().flatten());
        if let Some(value) = found {
            (self.read)(value, record);
        }
    }

    /// Key and value of each shard.
    pub fn all(self) -> impl Iterator<Item = (ShardKey, Vec<u8>)> {
        let value = (self.value)();
        (0..self.count).map(move |number| {
            let key = self.key(number);
            let mut shard = ShardWriter::new(1);
            (0..RECORDS).for_each(|record| shard.push((self.record_key(&[record; LONGEST_REST]), &value)));
            (key, shard.finish(&key))
        })
    }

    fn key(self, number: u32) -> ShardKey {
        let mut key = *b"bench/.123456789ab0000";
        let [_, _, _, _, _, _, kind, .., a, b, c, d] = &mut key;
        (*kind, [*a, *b, *c, *d]) = (self.kind, number.to_be_bytes());
        key
    }

    /// The key of the record with this number in all its bytes. Tags are spread evenly, like those of digests.
    fn record_key(self, number: &[u8; LONGEST_REST]) -> RecordKey<'_> {
        let [first, ..] = *number;
        RecordKey { tag: u32::from(first) << 24, rest: number.get(..self.rest).unwrap_or_default() }
    }
}

fn key() -> Vec<u8> {
    let mut value = Vec::new();
    // Both texts are valid: they are short and have no control characters.
    if let (Ok(id), Ok(application)) = (Text::new("k-00000000"), Text::new("app-0000000")) {
        let row = rows::Key {
            digest: Digest([0; 32]),
            id,
            application,
            key_type: KeyType::Production,
            state: KeyState::Active,
            not_before: None,
            expires_at: None,
            apis: None,
            permitted_ips: None,
            permitted_referers: None,
        };
        record::put_key(&mut value, &row);
    }
    value
}

/// The next look-up needs the application's id, so finding that id is part of reading a key's record.
fn read_key(value: &[u8], _: u8) {
    if let Ok(key) = black_box(record::read_key(value)) {
        black_box(record::key_of_application(TagKey::default(), key.application));
    }
}

fn application() -> Vec<u8> {
    let application = Application {
        name: Some(&b"Application 12345"[..]),
        owner: Some(b"owner-123"),
        state: ApplicationState::Active,
        plan: None,
        used_up_until: None,
    };
    let subscription = |api: &'static str| SubscriptionPart {
        api: api.as_bytes(),
        state: SubscriptionState::Unblocked,
        plan: None,
        used_up_until: None,
        block: None,
    };
    let mut value = Vec::new();
    ApplicationRecord { application: Some(application), subscriptions: APIS.map(subscription).into() }.put(&mut value);
    value
}

/// Half of the keys ask for the second API of their application.
fn read_application(value: &[u8], record: u8) {
    let [first, second] = APIS;
    let api = if record.is_multiple_of(2) { first } else { second };
    let _ = black_box(record::find_subscription(value, api.as_bytes()));
}
