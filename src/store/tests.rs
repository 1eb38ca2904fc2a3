//! Tests of the packed format: reading returns what was written, and damaged bytes are never taken for another policy.

#![allow(clippy::arithmetic_side_effects, reason = "a test that overflows has failed")]

use super::{
    MAX_SHARDS, MIN_SHARDS,
    batch::{Batch, Target},
    error::MergeError,
    manifest::{Manifest, Totals},
    merge::Precondition,
    record::{self, ApplicationRecord, SubscriptionPart},
    shard::{RecordKey, Shard, ShardWriter},
    shards_for,
};
use crate::{
    digest::Digest,
    fingerprint::{FingerprintKey, TagKey},
    policy::{SubscriptionState, page::Page},
    shared::{
        Corrupt, Expected, Shared, bytes,
        key::{Bank, FORMAT, SHARD_KEY_BYTES, ShardAddress, ShardKind, SharedEntry, SourceId, shard_of},
        memory::Memory,
    },
};

fn manifest() -> Manifest {
    Manifest {
        sequence: 300,
        bank: Bank::B,
        generation: 1 << 51,
        key_shards: 41_667,
        application_shards: MIN_SHARDS,
        tags: TagKey::new(Some(FingerprintKey::new([9; 16])), 5),
        catalogue_slot: Bank::B,
        catalogue_generation: 7,
        epoch: "é".to_owned(),
        revision: Some(0),
        poll: Some("/poll".to_owned()),
        etag: None,
        page: Some(Digest::of(b"page")),
        changed_at_ms: 1,
        confirmed_at_ms: u64::MAX,
        totals: Totals { keys: 1, applications: 2, subscriptions: 3, apis: 4, bytes: 5 },
    }
}

#[test]
fn a_manifest_is_read_back_and_no_damage_of_it_is_taken_for_one() {
    let value = manifest().write(b"key");
    assert_eq!(Manifest::read(b"key", &value), Ok(manifest()));
    assert_eq!(Manifest::read(b"other", &value), Err(Corrupt));
    for end in 0..value.len() {
        assert_eq!(Manifest::read(b"key", &value[..end]), Err(Corrupt), "cut at {end}");
    }
    // The checksum is right, as if another program had written the bytes. They are refused or read, and nothing panics.
    for index in 8..value.len() {
        for byte in 0..=255 {
            let mut value = value.clone();
            value[index] = byte;
            bytes::seal(b"key", &mut value);
            let _ = Manifest::read(b"key", &value);
        }
    }
    for (bad, why) in [
        (Manifest { key_shards: 0, ..manifest() }, "no shards"),
        (Manifest { application_shards: MAX_SHARDS + 1, ..manifest() }, "too many shards"),
    ] {
        assert_eq!(Manifest::read(b"key", &bad.write(b"key")), Err(Corrupt), "{why}");
    }
}

#[test]
fn any_records_with_a_right_checksum_do_not_panic_the_reader() {
    let page = r#"{"format": 1,
        "applications": [{"id": "app", "name": "n", "owner": "o", "state": "BLOCKED", "plan": "p", "used_up_until": 5}],
        "subscriptions": [{"application": "app", "api": "a", "state": "ON_HOLD", "plan": "p", "used_up_until": 253402300799}],
        "keys": [{"sha256": "0101010101010101010101010101010101010101010101010101010101010101", "id": "k",
                  "application": "app", "type": "SANDBOX", "not_before": 1, "expires_at": 253402300799,
                  "apis": ["a"], "permitted_ips": ["10.0.0.0/8", "::1"], "permitted_referers": ["*.example.com/*"]}]}"#;
    let memory = Memory::default();
    let source = SourceId::new(Digest::of(b"source"));
    fill(&memory, &source, page);
    let mut shard_keys = memory.keys();
    shard_keys.retain(|key| key.len() == SHARD_KEY_BYTES);
    assert_eq!(shard_keys.len(), 2);
    for key in shard_keys {
        let value = memory.get(&key).unwrap().unwrap().value;
        let mut good = Shard::open(&key, &value).unwrap().unwrap();
        let (wanted, record) = good.next_record().unwrap().unwrap();
        for index in 0..record.len() {
            for byte in [0, 1, 2, 0x7f, 0x80, 0xff, record[index] ^ 1, record[index].wrapping_add(1)] {
                let mut forged = record.to_vec();
                forged[index] = byte;
                let mut writer = ShardWriter::new(good.generation);
                writer.push((wanted, &forged));
                let value = writer.finish(&key);
                let (_, record) = Shard::open(&key, &value).unwrap().unwrap().next_record().unwrap().unwrap();
                let _ = record::read_key(record);
                let _ = (ApplicationRecord::read(record), record::find_subscription(record, b"a"));
            }
        }
        for index in 8..value.len() {
            for byte in [0, 1, 2, 0x7f, 0x80, 0xff, value[index] ^ 1, value[index].wrapping_add(1)] {
                let mut value = value.clone();
                value[index] = byte;
                let sealed = value.len().min(8 + 8 + 4 + 12);
                bytes::seal(&key, &mut value[..sealed]);
                let Ok(Some(shard)) = Shard::open(&key, &value) else { continue };
                let _ = (shard.check(), shard.find(wanted));
            }
        }
    }
}

/// Two records have the same tag. The rest of their keys tells them apart.
#[test]
fn a_lookup_finds_its_record_and_no_other() {
    let key = b"shard";
    let records: [(u32, &[u8], &[u8]); 5] =
        [(1, b"a", b"one"), (7, b"a", b"two"), (7, b"b", b"three"), (7, b"bb", b""), (u32::MAX, b"", b"last")];
    let mut writer = ShardWriter::new(3);
    records.iter().for_each(|&(tag, rest, value)| writer.push((RecordKey { tag, rest }, value)));
    let value = writer.finish(key);
    let shard = Shard::open(key, &value).unwrap().unwrap();
    let find = |tag: u32, rest: &'static [u8]| shard.find(RecordKey { tag, rest }).unwrap();
    for (tag, rest, value) in records {
        assert_eq!(find(tag, rest), Some(value), "{tag} {rest:?}");
        assert_eq!(find(tag, b"c"), None, "{tag}");
        assert_eq!(find(tag.wrapping_add(1), rest), None, "{tag} + 1");
    }
    for (tag, rest) in [(0, &b"a"[..]), (1, b""), (1, b"b"), (2, b"a"), (7, b""), (7, b"bbb"), (u32::MAX, b"a")] {
        assert_eq!(find(tag, rest), None, "{tag} {rest:?}");
    }
    let empty = ShardWriter::new(3).finish(key);
    let empty = Shard::open(key, &empty).unwrap().unwrap();
    assert_eq!(empty.find(RecordKey { tag: 0, rest: b"" }), Ok(None));
}

/// A damaged record is not found, and no record that is found is damaged. A whole record is found as long as the damage
/// does not hide it.
#[test]
fn every_damage_of_a_shard_is_noticed_by_the_lookups_that_it_concerns() {
    let key = b"shard";
    let records = [(1, &b"rest of one"[..], &b"the first value"[..]), (7, b"of two", b"the second, a longer value")];
    let mut writer = ShardWriter::new(3);
    records.iter().for_each(|&(tag, rest, value)| writer.push((RecordKey { tag, rest }, value)));
    let good = writer.finish(key);
    let first_body = 8 + 8 + 4 + 2 * 12;
    let find = |value: &[u8], (tag, rest, expected): (u32, &[u8], &[u8])| {
        let shard = Shard::open(key, value)?.ok_or(Corrupt)?;
        let found = shard.find(RecordKey { tag, rest })?;
        assert_eq!(found, Some(expected), "a miss, or another value, because of damage");
        Ok::<_, Corrupt>(())
    };
    assert!(records.iter().all(|&record| find(&good, record).is_ok()));
    for index in 0..good.len() {
        for bit in 0..8 {
            let mut damaged = good.clone();
            damaged[index] ^= 1 << bit;
            let found = records.map(|record| find(&damaged, record).is_ok());
            let in_first = (first_body..first_body + 1 + 11 + 15).contains(&index);
            let expected = if index < first_body { [false, false] } else { [!in_first, in_first] };
            assert_eq!(found, expected, "byte {index} bit {bit}");
            assert!(
                Shard::open(key, &damaged).is_err() || Shard::open(key, &damaged).unwrap().unwrap().check().is_err()
            );
        }
        assert!(matches!(Shard::open(key, &good[..index]), Err(Corrupt) | Ok(None)), "cut at {index}");
    }
    assert!(Shard::open(b"other", &good).is_err(), "in another's place");
    assert!(Shard::open(key, &[&good[..], b"x"].concat()).is_err(), "more bytes");
}

fn target() -> Target {
    Target {
        bank: Bank::A,
        generation: 9,
        key_shards: MIN_SHARDS,
        application_shards: MIN_SHARDS,
        tags: TagKey::default(),
    }
}

fn fill(memory: &Memory, source: &SourceId, page: &str) -> Totals {
    let page = Page::scan(page.as_bytes().to_vec()).unwrap();
    let mut batch = Batch::new(target());
    batch.add_rows(&page, 0..page.len(), |_| true, &mut |row| panic!("{row}"), &mut Default::default());
    let mut totals = Totals::default();
    while batch.merge_next(memory, source, &mut totals, |_| Precondition::Anything, &mut |row| panic!("{row}")).unwrap()
    {
    }
    totals
}

#[test]
fn totals_count_each_row_once_however_often_it_is_written() {
    let memory = Memory::default();
    let source = SourceId::new(Digest::of(b"source"));
    let page = r#"{"format": 1, "applications": [{"id": "a"}, {"id": "b"}, {"id": "a", "name": "again"}],
        "subscriptions": [{"application": "a", "api": "x"}, {"application": "a", "api": "x", "state": "BLOCKED"},
                          {"application": "c", "api": "x"}]}"#;
    let totals = fill(&memory, &source, page);
    assert_eq!((totals.applications, totals.subscriptions, totals.keys), (2, 2, 0));
    let held: usize = memory.keys().iter().map(|key| memory.get(key).unwrap().unwrap().value.len()).sum();
    assert_eq!(totals.bytes, u64::try_from(held).unwrap());
}

/// The longest id that begins with `begin`.
fn long(begin: &str) -> String {
    format!("{begin:x<256}")
}

#[test]
fn subscriptions_that_do_not_fit_into_a_record_are_not_allowed_and_are_reported() {
    const APIS: u32 = 5_000;
    let api = |number: u32| long(&format!("api-{number}-"));
    let rows: Vec<_> = (0..APIS)
        .map(|number| format!(r#"{{"application": "a", "api": "{}", "state": "BLOCKED"}}"#, api(number)))
        .collect();
    let page = format!(r#"{{"format": 1, "applications": [{{"id": "a"}}], "subscriptions": [{}]}}"#, rows.join(","));
    let page = Page::scan(page.into_bytes()).unwrap();
    let memory = Memory::default();
    let source = SourceId::new(Digest::of(b"source"));
    let mut totals = Totals::default();
    let mut rejected = Vec::new();
    // The batch is applied twice, as after a delta that was cut.
    for _ in 0..2 {
        let mut batch = Batch::new(target());
        batch.add_rows(&page, 0..page.len(), |_| true, &mut |row| panic!("{row}"), &mut Default::default());
        rejected.clear();
        let mut reject = |row| rejected.push(row);
        while batch.merge_next(&memory, &source, &mut totals, |_| Precondition::Anything, &mut reject).unwrap() {}
    }
    let [entry] = memory.keys().try_into().unwrap();
    let value = memory.get(&entry).unwrap().unwrap().value;
    let record = Shard::open(&entry, &value)
        .unwrap()
        .unwrap()
        .find(record::key_of_application(TagKey::default(), b"a"))
        .unwrap()
        .unwrap();
    assert!(record.len() <= record::MAX_APPLICATION_BYTES + 1_000, "{}", record.len());
    assert_eq!(totals.subscriptions + u64::try_from(rejected.len()).unwrap(), u64::from(APIS));
    assert!(!rejected.is_empty());
    for number in 0..APIS {
        let (_, subscription) = record::find_subscription(record, api(number).as_bytes()).unwrap();
        let state = subscription.unwrap().state;
        assert!(matches!(state, SubscriptionState::Blocked | SubscriptionState::LeftOut), "{number}: {state:?}");
    }
    let line = rejected.last().unwrap().to_string();
    assert!(line.contains("application \"a\" and API \"api-4999-"), "{line}");

    // Rows of this record were left out, so an API that was never in the policy looks like one of them. In a record
    // that is whole it has no subscription.
    let (_, subscription) = record::find_subscription(record, b"never").unwrap();
    assert_eq!(subscription.unwrap().state, SubscriptionState::LeftOut);
    let part = |api| SubscriptionPart {
        api,
        state: SubscriptionState::Unblocked,
        plan: None,
        used_up_until: None,
        block: None,
    };
    let mut whole = Vec::new();
    ApplicationRecord { application: None, subscriptions: vec![part(b"x")] }.put(&mut whole);
    assert_eq!(record::find_subscription(&whole, b"never"), Ok((None, None)));
}

#[test]
fn a_subscription_is_found_in_a_record_of_any_length() {
    let state = SubscriptionState::Blocked;
    for count in [0, 1, 2, 63, 64, 65, 127, 128, 129, 200, 1_000] {
        for has_room in [true, false] {
            // The application is subscribed to the odd numbers. The ids differ in length.
            let ids: Vec<String> =
                (0..count * 2 + 1).map(|number| format!("{number:05}{}", "x".repeat(number % 7))).collect();
            let odd = ids.iter().skip(1).step_by(2);
            let mut subscriptions: Vec<_> = odd
                .map(|id| SubscriptionPart { api: id.as_bytes(), state, plan: None, used_up_until: None, block: None })
                .collect();
            if !has_room {
                subscriptions.insert(0, record::NO_ROOM);
            }
            let written = ApplicationRecord { application: None, subscriptions };
            let mut packed = Vec::new();
            written.put(&mut packed);
            assert_eq!(ApplicationRecord::read(&packed), Ok(written));
            for (number, id) in ids.iter().enumerate() {
                let (_, found) = record::find_subscription(&packed, id.as_bytes()).unwrap();
                let elsewhere = (!has_room).then_some(SubscriptionState::LeftOut);
                let expected = if number % 2 == 1 { Some(state) } else { elsewhere };
                assert_eq!(found.map(|found| found.state), expected, "{id} of {count}");
            }
        }
    }
}

#[test]
fn a_writer_that_was_overtaken_stops_and_changes_nothing() {
    let memory = Memory::default();
    let source = SourceId::new(Digest::of(b"source"));
    let page = Page::scan(br#"{"format": 1, "applications": [{"id": "a"}]}"#.to_vec()).unwrap();
    let mut batch = Batch::new(target());
    batch.add_rows(&page, 0..1, |_| true, &mut |row| panic!("{row}"), &mut Default::default());
    let place = batch.next_place().unwrap();
    let key = source.key(SharedEntry::Shard(place));
    for (generation, precondition, expected) in [
        (10, Precondition::Anything, Err(MergeError::Overtaken)),
        (8, Precondition::Written, Err(MergeError::Damaged)),
        (8, Precondition::Anything, Ok(true)),
    ] {
        let newer = ShardWriter::new(generation).finish(&key);
        memory.overwrite(&key, &newer);
        let mut batch = Batch::new(target());
        batch.add_rows(&page, 0..1, |_| true, &mut |row| panic!("{row}"), &mut Default::default());
        let merged = batch.merge_next(&memory, &source, &mut Totals::default(), |_| precondition, &mut |_| {});
        assert_eq!(merged, expected, "generation {generation}");
        assert_eq!(memory.get(&key).unwrap().unwrap().value == newer, expected.is_err());
    }
    for (damage, precondition) in
        [(&b"garbage"[..], Precondition::Readable), (b"garbage", Precondition::Written), (b"", Precondition::Written)]
    {
        memory.overwrite(&key, damage);
        let mut batch = Batch::new(target());
        batch.add_rows(&page, 0..1, |_| true, &mut |row| panic!("{row}"), &mut Default::default());
        let merged = batch.merge_next(&memory, &source, &mut Totals::default(), |_| precondition, &mut |_| {});
        assert_eq!(merged, Err(MergeError::Damaged));
    }
}

#[test]
fn shards_follow_the_order_of_digests_and_cover_their_range() {
    for shards in [1, MIN_SHARDS, 41_667, MAX_SHARDS] {
        assert_eq!(shard_of(0, shards), 0);
        assert_eq!(shard_of(u32::MAX, shards), shards - 1);
        let numbers: Vec<_> = (0..1_000).map(|step| shard_of(u32::MAX / 1_000 * step, shards)).collect();
        assert!(numbers.is_sorted(), "{shards}");
    }
    for (records, expected) in [(0, MIN_SHARDS), (768, 16), (769, 17), (1_000_000, 20_834), (u64::MAX, MAX_SHARDS)] {
        assert_eq!(shards_for(records), expected, "{records}");
    }
}

#[test]
fn keys_of_shared_data_come_from_a_finite_set_and_no_two_entries_share_one() {
    let source = SourceId::new(Digest::of(b"source"));
    let mut entries = vec![SharedEntry::Manifest, SharedEntry::Lease, SharedEntry::Damage, SharedEntry::Usage];
    entries.extend([Bank::A, Bank::B].map(SharedEntry::Catalogue));
    entries.extend([(0, 0), (0, 1), (1, 0), (255, 4_095)].map(|(partition, run)| SharedEntry::Run { partition, run }));
    entries.extend([0, 1, u16::MAX].map(SharedEntry::UsageSlot));
    entries.extend([0, 1, u32::MAX, u32::MAX - 1].map(SharedEntry::Count));
    for bank in [Bank::A, Bank::B] {
        for kind in [ShardKind::Keys, ShardKind::Applications] {
            entries.extend(
                [0, 1, 10, 255, 256, 65_535, MAX_SHARDS]
                    .map(|number| SharedEntry::Shard(ShardAddress { bank, kind, number })),
            );
        }
    }
    let mut keys: Vec<_> = entries.iter().map(|entry| source.key(*entry).to_vec()).collect();
    let (shards, others): (Vec<_>, Vec<_>) = keys.iter().partition(|key| key.len() == SHARD_KEY_BYTES);
    assert!(shards.iter().all(|key| key.starts_with(b"keygate/")) && shards.len() == 28);
    assert_eq!(SHARD_KEY_BYTES, 22, "as many stand in a node of the host's map");
    assert!(others.iter().all(|key| key.starts_with(format!("keygate/{}/", FORMAT).as_bytes()) && key.len() < 80));
    assert!(keys.iter().any(|key| key.ends_with(b"/count/4294967295")), "the longest has room");
    keys.sort();
    keys.dedup();
    assert_eq!(keys.len(), entries.len());
    let other = SourceId::new(Digest::of(b"other"));
    assert!(entries.iter().all(|entry| !keys.contains(&other.key(*entry).to_vec())), "another source's");
}

#[test]
fn the_map_in_memory_keeps_the_hosts_rules() {
    let memory = Memory::default();
    assert_eq!(memory.get(b"k"), Ok(None));
    assert!(memory.set(b"k", b"1", Expected::Version(77)).is_ok(), "any version inserts");
    assert!(memory.set(b"k", b"2", Expected::Absent).is_err());
    let read = memory.get(b"k").unwrap().unwrap();
    assert!(memory.set(b"k", b"3", Expected::Version(read.cas)).is_ok());
    assert!(memory.set(b"k", b"4", Expected::Version(read.cas)).is_err());
    assert_eq!(memory.get(b"k").unwrap().unwrap().value, b"3");
}

#[test]
fn chosen_ids_of_applications_do_not_share_one_shard() {
    let secret = |byte| Some(FingerprintKey::new([byte; 16]));
    let keys = [TagKey::new(secret(1), 1), TagKey::new(secret(1), 2), TagKey::new(secret(2), 1), TagKey::new(None, 1)];
    let ids: Vec<_> = (0..10_000u32).map(|number| format!("app-{number}")).collect();
    // The ids that fall into one of 16 shards under the first key. An attacker who knew the key would choose them.
    let shard = |tags: TagKey, id: &str| shard_of(record::key_of_application(tags, id.as_bytes()).tag, MIN_SHARDS);
    let chosen: Vec<_> = ids.iter().filter(|id| shard(keys[0], id) == 3).collect();
    assert!((400..900).contains(&chosen.len()), "{}", chosen.len());
    for tags in &keys[1..] {
        let together = chosen.iter().filter(|id| shard(*tags, id) == 3).count();
        assert!(together < chosen.len() / 8, "{together} of {} lie in one shard all the same", chosen.len());
    }
    assert_eq!(format!("{:?}", keys[0]), "TagKey(hidden)");
}
