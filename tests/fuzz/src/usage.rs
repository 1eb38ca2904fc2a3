//! Usage: slots and the ledger in shared data, to which any plugin can write, and the report that a gateway sends.
//!
//! The first byte of an input is its kind: a slot or the ledger after a valid checksum, or a report.

use std::collections::BTreeMap;

use keygate::{
    digest::Digest,
    shared::{
        Corrupt, Shared as _, bytes,
        key::{SharedEntry, SourceId},
        memory::Memory,
    },
    usage::{
        ledger::{self, Ledger, LedgerRead},
        report::{HOUR, MAX_COUNTS, MAX_KEYS, MAX_REQUESTS, UsageReport},
        row::{self, Combination},
        slot::{self, Changed},
    },
};

use crate::{cases::core::NOW, check_line};

/// See the head of this file.
pub fn check(input: &[u8]) {
    match input.split_first() {
        Some((kind, rest)) if kind % 3 == 0 => check_slot(rest),
        Some((kind, rest)) if kind % 3 == 1 => check_ledger(rest),
        Some((_, rest)) => check_report(rest),
        None => {}
    }
}

fn source() -> SourceId {
    SourceId::new(Digest::of(b"usage"))
}

fn with_entry(entry: SharedEntry, body: &[u8]) -> (Memory, Vec<u8>) {
    let (memory, key) = (Memory::default(), source().key(entry));
    let mut value = bytes::unsealed();
    value.extend_from_slice(body);
    bytes::seal(&key, &mut value);
    memory.overwrite(&key, &value);
    (memory, key.to_vec())
}

/// All rows, open and frozen, with their values.
fn rows(memory: &Memory) -> Option<BTreeMap<Vec<u8>, u64>> {
    let mut rows = BTreeMap::new();
    let mut take = |(row, value): &(&[u8], u64)| {
        let sum = rows.entry(row.to_vec()).or_default();
        *sum = row::combine(row, *sum, *value);
    };
    slot::with(memory, &source(), 0, |slot| slot.frozen_in(slot_batch(memory)).iter().for_each(&mut take)).ok()?;
    // The rows of a copy are frozen in a higher batch, which makes the open rows visible.
    let copy = Memory::default();
    let key = source().key(SharedEntry::UsageSlot(0));
    copy.overwrite(&key, &memory.get(&key).unwrap()?.value);
    slot::change(&copy, &source(), 0, &[], |slot, _| slot.freeze(u64::MAX));
    let is_last = slot_batch(memory) == u64::MAX;
    slot::with(&copy, &source(), 0, |slot| {
        slot.frozen_in(u64::MAX).iter().filter(|_| !is_last).for_each(&mut take);
    })
    .ok()?;
    Some(rows)
}

fn slot_batch(memory: &Memory) -> u64 {
    let key = source().key(SharedEntry::UsageSlot(0));
    let value = memory.get(&key).unwrap().unwrap().value;
    bytes::open(&key, &value).and_then(|mut reader| reader.varint()).unwrap_or_default()
}

/// A slot is read or is damaged. Written again, it has the same content. An added row is in it. Each row can be
/// reported or is damaged.
fn check_slot(body: &[u8]) {
    let (memory, _) = with_entry(SharedEntry::UsageSlot(0), body);
    let Some(before) = rows(&memory) else {
        // The slot starts empty, and the result says so.
        let changed = slot::change(&memory, &source(), 0, &[], |_, _| ());
        assert_eq!(changed, Changed::Anew(()));
        return;
    };
    let mut report = UsageReport::default();
    for (row, value) in &before {
        let told = row::tell(&mut report, row, *value);
        assert_eq!(told, row::unattributed(row).map(drop), "told or damaged");
        let _ = (row::spread(row), row::adds(row), row::split_hour(row));
        if let Ok(Some(unattributed)) = row::unattributed(row) {
            assert_eq!(row::unattributed(&unattributed), Ok(Some(unattributed.clone())));
        }
    }
    assert_eq!(slot::change(&memory, &source(), 0, &[], |_, _| ()), Changed::Done(()));
    assert_eq!(rows(&memory).as_ref(), Some(&before), "written again it holds the same");

    let combination = Combination { pair: Some(("app", "api")), plan: None, outcome: "allowed" };
    let hour = u32::try_from(NOW / HOUR).unwrap();
    let new = row::requests(&combination, hour);
    let added = slot::change(&memory, &source(), 0, &[(&new, 3)], |slot, rows| slot.add(rows[0].0, rows[0].1, hour));
    // No batch is higher than the last one, so its open rows cannot be made visible.
    if added == Changed::Done(true) && slot_batch(&memory) < u64::MAX {
        let known = before.get(&new).copied().unwrap_or_default();
        let after = rows(&memory).unwrap();
        assert!(after.get(&new).is_some_and(|value| *value >= 3.max(known)), "what is added is there");
    }
}

/// A ledger that can be read can be written and read again unchanged. A ledger that cannot be read is reported.
fn check_ledger(body: &[u8]) {
    let (memory, _) = with_entry(SharedEntry::Usage, body);
    let page = ledger::look(&memory, &source()).unwrap();
    match &page.found {
        LedgerRead::Ledger(found) => {
            assert!(page.replace(&memory, &source(), found));
            assert_eq!(ledger::look(&memory, &source()).unwrap().found, LedgerRead::Ledger(found.clone()));
            assert!(ledger::advance(&memory, &source(), found, &Ledger::new(1, 2)));
            assert!(!ledger::advance(&memory, &source(), found, found) || *found == Ledger::new(1, 2));
        }
        LedgerRead::Damaged => assert!(page.replace(&memory, &source(), &Ledger::new(1, 2)), "it can be begun anew"),
        LedgerRead::Nothing => panic!("something stands there"),
    }
}

/// A report is either refused in one short line, or is within its limits and can be written and read again unchanged.
fn check_report(json: &[u8]) {
    let Ok(report) = serde_json::from_slice::<UsageReport<'_>>(json) else { return };
    match report.check(NOW) {
        Err(error) => check_line(&error.to_string()),
        Ok(()) => {
            assert!(report.counts.len() <= MAX_COUNTS && report.keys.len() <= MAX_KEYS);
            assert!(report.counts.iter().all(|count| count.requests <= MAX_REQUESTS && count.hour % HOUR == 0));
            assert!(report.counts.iter().all(|count| !count.outcome.contains(char::is_control)));
        }
    }
    let written = serde_json::to_vec(&report).unwrap();
    assert_eq!(serde_json::from_slice::<UsageReport<'_>>(&written).unwrap(), report);
}

/// Slots and ledgers as the filter writes them, and reports.
pub fn seeds() -> Vec<Vec<u8>> {
    let (memory, source) = (Memory::default(), source());
    let hour = u32::try_from(NOW / HOUR).unwrap();
    let mut rows: Vec<(Vec<u8>, u64)> = vec![(row::key("k-1"), NOW)];
    for (number, pair) in [Some(("app", "a")), Some(("app", "b")), None].into_iter().enumerate() {
        for (outcome, plan) in [("allowed", Some("gold")), ("quota_exceeded", None)] {
            for back in 0..4 {
                let row = row::requests(&Combination { pair, plan, outcome }, hour - back);
                rows.push((row, 1 + u64::try_from(number).unwrap()));
            }
        }
    }
    let mut seeds = vec![b"\0".to_vec(), b"\x01".to_vec()];
    let body = |entry: SharedEntry| memory.get(&source.key(entry)).unwrap().unwrap().value[8..].to_vec();
    let rows: Vec<(&[u8], u64)> = rows.iter().map(|(row, value)| (&**row, *value)).collect();
    for count in [1, 4, rows.len()] {
        let add = slot::change(&memory, &source, 0, &rows[..count], |slot, rows| {
            rows.iter().for_each(|(row, value)| assert!(slot.add(row, *value, hour)));
        });
        assert_eq!(add, Changed::Done(()));
        seeds.push([&b"\0"[..], &body(SharedEntry::UsageSlot(0))].concat());
        slot::change(&memory, &source, 0, &[], |slot, _| slot.freeze(count as u64));
        seeds.push([&b"\0"[..], &body(SharedEntry::UsageSlot(0))].concat());
    }
    ledger::look(&memory, &source).unwrap().replace(&memory, &source, &Ledger::new(NOW * 1000, NOW * 1000 + 5));
    seeds.push([&b"\x01"[..], &body(SharedEntry::Usage)].concat());
    seeds.push(b"\x01\x07\x02\x05\x06\x01x\x02\x01\x02".to_vec());
    let count = format!(
        r#"{{"hour":{},"application":"app","api":"a","plan":null,"outcome":"allowed","requests":5}}"#,
        NOW - NOW % HOUR
    );
    for report in [
        r#"{"format":1,"batch":"b"}"#.to_owned(),
        format!(r#"{{"format":1,"batch":"b-1","counts":[{count},{count}],"keys":[{{"id":"k","last_used":{NOW}}}]}}"#),
        r#"{"format":1,"batch":"","counts":[{}],"keys":[]}"#.to_owned(),
    ] {
        seeds.push([b"\x02", report.as_bytes()].concat());
    }
    assert!(matches!(slot::with(&memory, &source, 0, |_| ()), Ok(()) | Err(Corrupt)));
    seeds
}
