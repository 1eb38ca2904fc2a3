//! Tests of the spool: a policy is the same however its rows were spilled, and only runs that this build wrote are read
//! back.

#![allow(clippy::arithmetic_side_effects, reason = "a test that overflows has failed")]

use super::*;
use crate::{
    digest::Digest,
    fingerprint::TagKey,
    policy::page::Page,
    shared::{key::Bank, memory::Memory},
    store::{MAX_SHARDS, MIN_SHARDS, change, emptying::Emptying, manifest::Totals, merge::Precondition, record},
};

fn target(generation: u64) -> Target {
    Target { bank: Bank::A, generation, key_shards: 500, application_shards: MIN_SHARDS, tags: TagKey::default() }
}

fn source() -> SourceId {
    SourceId::new(Digest::of(b"source"))
}

/// A page in which many rows concern one record, so that their order counts.
fn page() -> Page {
    let keys = (0..900u32).map(|number| {
        let sha256 = Digest::of(&(number % 600).to_le_bytes()).to_hex();
        format!(r#"{{"sha256": "{sha256}", "id": "k-{number}", "application": "app"}}"#)
    });
    let subscriptions = (0..900u32).map(|number| {
        let (application, api) = (number % 70, number % 60);
        let state = if number % 2 == 0 { "BLOCKED" } else { "UNBLOCKED" };
        format!(r#"{{"application": "{application}", "api": "{api}", "state": "{state}", "plan": "p-{number}"}}"#)
    });
    let (keys, subscriptions): (Vec<_>, Vec<_>) = (keys.collect(), subscriptions.collect());
    let json =
        format!(r#"{{"format": 1, "keys": [{}], "subscriptions": [{}]}}"#, keys.join(","), subscriptions.join(","));
    Page::scan(json.into_bytes()).unwrap()
}

/// Adds all rows and spills whenever `every` further rows have arrived.
fn spooled(memory: &Memory, generation: u64, every: usize) -> Spool {
    let page = page();
    let mut spool = Spool::new(target(generation));
    for begin in (0..page.len()).step_by(every) {
        let rows = begin..begin + every;
        change::of_rows(
            TagKey::default(),
            &page,
            rows,
            &|_| true,
            &mut |row| panic!("{row}"),
            &mut Default::default(),
            &mut |change| spool.add(change),
        );
        // The last rows stay in memory.
        while begin + every < page.len() && spool.spill_next(memory, &source()).unwrap().is_some() {}
    }
    spool
}

/// Reads back all runs and merges each partition when it is complete.
fn merged(memory: &Memory, mut spool: Spool) -> Result<Totals, BuildError> {
    let mut batch = Batch::new(spool.target);
    let mut totals = Totals::default();
    loop {
        match spool.read_next(memory, &source(), &mut batch)? {
            ReadBack::Run(_) => {}
            ReadBack::Partition(_) => merge(memory, &mut batch, &mut totals),
            ReadBack::Nothing => return Ok(totals),
        }
    }
}

fn merge(memory: &Memory, batch: &mut Batch, totals: &mut Totals) {
    while batch.merge_next(memory, &source(), totals, |_| Precondition::Anything, &mut |row| panic!("{row}")).unwrap() {
    }
}

/// The shards in shared data, and how often each was written.
fn shards(memory: &Memory) -> Vec<(Vec<u8>, Vec<u8>, u32)> {
    let keys = memory.keys().into_iter().filter(|key| !is_run(key));
    keys.map(|key| (key.clone(), memory.get(&key).unwrap().unwrap()))
        .map(|(key, held)| (key, held.value, held.cas))
        .collect()
}

fn is_run(key: &[u8]) -> bool {
    key.windows(5).any(|part| part == b"/run/")
}

fn runs(memory: &Memory) -> Vec<(Vec<u8>, Vec<u8>)> {
    let keys = memory.keys().into_iter().filter(|key| is_run(key));
    keys.map(|key| (key.clone(), memory.get(&key).unwrap().unwrap().value)).collect()
}

#[test]
fn a_policy_is_the_same_however_often_it_is_spilled_and_each_shard_is_written_once() {
    let page = page();
    let direct = Memory::default();
    let mut batch = Batch::new(target(3));
    batch.add_rows(&page, 0..page.len(), |_| true, &mut |row| panic!("{row}"), &mut Default::default());
    let mut totals = Totals::default();
    merge(&direct, &mut batch, &mut totals);
    assert_eq!((totals.keys, totals.subscriptions), (600, 420), "the last row for each");
    for every in [1, 7, 500, 5_000] {
        let memory = Memory::default();
        let spool = spooled(&memory, 3, every);
        assert_eq!(runs(&memory).is_empty(), every >= page.len(), "{every}");
        assert_eq!(merged(&memory, spool), Ok(totals), "{every}");
        assert_eq!(shards(&memory), shards(&direct), "{every}");
        assert!(shards(&memory).iter().all(|(_, _, times)| *times == 1), "{every}");
        assert!(runs(&memory).iter().all(|(_, value)| value.is_empty()), "{every}: they are emptied");
    }
}

#[test]
fn no_damaged_missing_or_foreign_run_is_read_back() {
    let newer = spooled_runs(4);
    let older = spooled_runs(2);
    let good = spooled_runs(3);
    let (key, value) = good.first().unwrap();
    let forged = |packed: &[u8]| seal(key, 3, packed);
    let mut flipped = value.clone();
    flipped[20] ^= 1;
    let (damaged, overtaken) = (BuildError::from(MergeError::Damaged), BuildError::from(MergeError::Overtaken));
    for (bad, expected, what) in [
        (flipped, damaged, "a bit"),
        (value[..value.len() - 1].to_vec(), damaged, "cut"),
        (Vec::new(), damaged, "emptied"),
        (good[1].1.clone(), damaged, "another's"),
        (find(&older, key), damaged, "an older build's"),
        (find(&newer, key), overtaken, "a newer build's"),
        (forged(b"\x06"), damaged, "no operation"),
        (forged(b"\0\0\0"), damaged, "half a change"),
        (b"x".to_vec(), damaged, "no run"),
    ] {
        let memory = Memory::default();
        let spool = spooled(&memory, 3, 200);
        memory.overwrite(key, &bad);
        assert_eq!(merged(&memory, spool), Err(expected), "{what}");
    }
}

fn spooled_runs(generation: u64) -> Vec<(Vec<u8>, Vec<u8>)> {
    let memory = Memory::default();
    spooled(&memory, generation, 200);
    runs(&memory)
}

fn find(runs: &[(Vec<u8>, Vec<u8>)], wanted: &[u8]) -> Vec<u8> {
    runs.iter().find(|(key, _)| key == wanted).map(|(_, value)| value.clone()).unwrap()
}

#[test]
fn a_build_replaces_older_runs_and_stops_at_newer_ones() {
    for (left, is_newer) in [(2, false), (4, true)] {
        let memory = Memory::default();
        spooled(&memory, left, 100);
        let before = runs(&memory);
        let mut spool = Spool::new(target(3));
        let page = page();
        change::of_rows(
            TagKey::default(),
            &page,
            0..9,
            &|_| true,
            &mut |row| panic!("{row}"),
            &mut Default::default(),
            &mut |change| spool.add(change),
        );
        let spilled = spool.spill_next(&memory, &source());
        let expected = if is_newer { Err(BuildError::from(MergeError::Overtaken)) } else { Ok(true) };
        assert_eq!(spilled.map(|bytes| bytes.is_some()), expected);
        assert_eq!(runs(&memory) == before, is_newer);
    }
}

#[test]
fn the_runs_of_an_unfinished_build_are_freed_but_no_newer_ones() {
    for (left, empty) in [(2, true), (3, true), (4, false)] {
        let memory = Memory::default();
        spooled(&memory, left, 50);
        let before = runs(&memory);
        assert!(before.len() > 500, "{}", before.len());
        let mut emptying = Emptying::default();
        emptying.add_runs(3);
        while emptying.empty_next(&memory, &source()).unwrap() {}
        let after = runs(&memory);
        assert_eq!(after.iter().all(|(_, value)| value.is_empty()), empty, "generation {left}");
        assert_eq!(after == before, !empty, "generation {left}");
    }
}

#[test]
fn a_shard_lies_in_one_partition_and_partitions_are_of_one_kind() {
    for shards in [1, MIN_SHARDS, 127, 128, 129, 20_834, MAX_SHARDS] {
        let target = Target { key_shards: shards, application_shards: shards, ..target(1) };
        for (operation, first) in [(change::Operation::PutKey, 0), (change::Operation::PutApplication, 128)] {
            let mut of_shard = std::collections::BTreeMap::new();
            for tag in (0..=u32::MAX).step_by(99_991) {
                let key = record::key_of_application(TagKey::default(), b"");
                let key = crate::store::shard::RecordKey { tag, ..key };
                let number = partition(target, RecordChange { operation, key, payload: b"" });
                assert!((first..first + 128).contains(&number), "{shards}: {tag} in {number}");
                assert_eq!(*of_shard.entry(shard_of(tag, shards)).or_insert(number), number, "{shards}: {tag}");
            }
        }
    }
}

#[test]
fn spilled_partitions_keep_no_memory() {
    let memory = Memory::default();
    let mut spool = spooled(&memory, 3, 10);
    while spool.spill_next(&memory, &source()).unwrap().is_some() {}
    assert!(spool.partitions.iter().all(|partition| partition.memory.capacity() == 0));
    assert!(spool.partitions.iter().any(|partition| partition.runs > 3));
}

#[test]
fn changes_beyond_the_last_run_are_refused() {
    let memory = Memory::default();
    let mut spool = Spool::new(target(3));
    let key = record::key_of_application(TagKey::default(), b"a");
    let change = RecordChange { operation: change::Operation::RemoveApplication, key, payload: b"" };
    for _ in 0..MAX_RUNS {
        spool.add(change);
        assert!(spool.spill_next(&memory, &source()).unwrap().is_some());
        assert_eq!(spool.spill_next(&memory, &source()), Ok(None));
    }
    spool.add(change);
    assert_eq!(spool.spill_next(&memory, &source()), Err(BuildError::TooLarge));
    assert_eq!(crate::config::MAX_POLICY_BYTES, u64::from(MAX_RUNS) * u64::try_from(FULL_BYTES).unwrap());
}
