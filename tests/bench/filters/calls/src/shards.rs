//! Shards of shared data as keygate has them for the benchmark's 100,000 keys and their applications: as many, as large, and
//! as good to look into. What their records say is nothing. It calls no host.

use std::{cell::Cell, hint::black_box};

use keygate::store::{
    self,
    shard::{RecordKey, Shard, ShardWriter},
};

/// All shards of one kind.
#[derive(Clone, Copy)]
pub struct Shards {
    /// Tells their keys from the others'.
    kind: u8,
    /// How many there are.
    count: u32,
    /// Bytes of the rest of a record's key, and of what stands behind it.
    record: (usize, usize),
}

/// Those of keys, with 12 bytes for each record in the table: 3,140 bytes.
pub const KEYS: Shards = Shards { kind: b'k', count: 2084, record: (28, 24) };
/// Those of applications with two subscriptions each: 3,716 bytes.
pub const APPLICATIONS: Shards = Shards { kind: b'a', count: 1042, record: (11, 53) };
/// Records of each shard.
const RECORDS: u8 = 48;
/// Bytes of the longest rest.
const LONGEST_REST: usize = 28;
/// From one number to the next, of which shards and records are taken as keygate takes them of tags: the golden ratio, so
/// that all have their turn and none is near the one before.
const STRIDE: u32 = 0x9e37_79b9;

/// As long as keygate's, and with its number at the end, too.
type ShardKey = [u8; 22];

thread_local! {
    static NEXT: Cell<u32> = const { Cell::new(0) };
}

/// The next of so many.
fn next_of(count: u32) -> u32 {
    store::shard_of(NEXT.replace(NEXT.get().wrapping_add(STRIDE)), count)
}

impl Shards {
    /// The key of a shard, each time another one.
    pub fn next(self) -> ShardKey {
        self.key(next_of(self.count))
    }

    /// Checks a shard as keygate does, and looks for one of its records.
    pub fn look(self, key: &[u8], value: &[u8]) {
        let shard = Shard::open(key, value).ok().flatten();
        let record = next_of(RECORDS.into()) as u8;
        let rest = [record; LONGEST_REST];
        let rest = rest.get(..self.record.0).unwrap_or_default();
        black_box(shard.and_then(|shard| shard.find(RecordKey { tag: tag_of(record), rest }).ok()));
    }

    /// The key and the value of each.
    pub fn all(self) -> impl Iterator<Item = (ShardKey, Vec<u8>)> {
        (0..self.count).map(move |number| {
            let key = self.key(number);
            let mut shard = ShardWriter::new(1);
            let (rest, value) = self.record;
            (0..RECORDS).for_each(|record| {
                let (rest, value) = (vec![record; rest], vec![record; value]);
                shard.push((RecordKey { tag: tag_of(record), rest: &rest }, &value));
            });
            (key, shard.finish(&key))
        })
    }

    fn key(self, number: u32) -> ShardKey {
        let mut key = *b"bench/.123456789ab0000";
        let [_, _, _, _, _, _, kind, .., a, b, c, d] = &mut key;
        (*kind, [*a, *b, *c, *d]) = (self.kind, number.to_be_bytes());
        key
    }
}

/// Tags are spread evenly, as those of digests.
fn tag_of(record: u8) -> u32 {
    u32::from(record) << 24
}
