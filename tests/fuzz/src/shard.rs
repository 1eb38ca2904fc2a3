//! Shards, records of keys and applications, and runs of changes. Any plugin can write to shared data.
//!
//! The first byte of an input is its kind. 2: changes of a full policy that is being loaded, after a valid checksum.
//! Any other even byte: the content of a shard after a valid checksum. Odd: damage of a good shard.

use keygate::shared::{key::Bank, memory::Memory};
use keygate::{
    digest::Digest,
    policy::{Text, page::Page, rows},
    request::referer::RefererPattern,
    shared::{
        Corrupt, Shared, bytes,
        key::{ShardAddress, ShardKind, SharedEntry, SourceId},
    },
    store::{
        batch::{Batch, Target},
        build::{Build, Step},
        error::{BuildError, MergeError},
        manifest::Totals,
        merge::Precondition,
        record::{self, ApplicationRecord},
        shard::{Shard, ShardWriter},
    },
};

use crate::cases::{self, core::NOW};

/// See the head of this file.
pub fn check(bytes: &[u8]) {
    match bytes.split_first() {
        Some((2, rest)) => check_run(rest),
        Some((kind, rest)) if kind % 2 == 0 => check_forged(rest),
        Some((_, rest)) => check_damaged(rest),
        None => {}
    }
}

const KEY: &[u8] = b"the key of a shard";
/// Size of the head, and of a record in the table, in bytes.
const HEAD_AND_ENTRY: (usize, usize) = (20, 12);

/// Content with valid checksums may be anything. It is either read to its end or corrupt. Content that was read can be
/// written and read again unchanged.
fn check_forged(body: &[u8]) {
    let value = forge(body);
    let Ok(Some(mut shard)) = Shard::open(KEY, &value) else { return };
    let mut writer = ShardWriter::new(shard.generation);
    let whole = shard;
    let mut records = Vec::new();
    loop {
        match shard.next_record() {
            Err(Corrupt) => return assert_eq!(whole.check(), Err(Corrupt)),
            Ok(None) => break,
            Ok(Some(record)) => {
                check_record(record.1);
                writer.push(record);
                records.push(record);
            }
        }
    }
    assert_eq!(whole.check(), Ok(()));
    for &(key, _) in &records {
        let found = whole.find(key).expect("all are whole");
        let is_one = |value| records.contains(&(key, value));
        // If the records are not sorted, a record may not be found. A record that is found exists.
        assert!(found.is_none_or(is_one), "a record that is not there");
        assert!(found.is_some() || !records.is_sorted(), "a record that is not found");
    }
    let written = writer.finish(KEY);
    let mut again = Shard::open(KEY, &written).unwrap().unwrap();
    assert!(records.iter().all(|&record| again.next_record() == Ok(Some(record))));
    assert_eq!(again.next_record(), Ok(None));
}

/// The value of a shard with any content after its checksums.
fn forge(body: &[u8]) -> Vec<u8> {
    let mut value = bytes::unsealed();
    value.extend_from_slice(body);
    let (head, entry) = HEAD_AND_ENTRY;
    let Some(count) = value.get(head - 4..head) else { return value };
    let count = usize::try_from(u32::from_le_bytes(count.try_into().unwrap())).unwrap();
    let table = head..head.saturating_add(count.saturating_mul(entry)).min(value.len());
    let (sealed, bodies) = value.split_at_mut(table.end);
    let mut start = 0;
    for entry in sealed[table.start..].chunks_exact_mut(entry) {
        let word = |at: usize| u32::from_le_bytes(entry[at..at + 4].try_into().unwrap());
        let (tag, end) = (word(0), usize::try_from(word(8)).unwrap());
        if let Some(body) = bodies.get(start..end) {
            let sum = bytes::hash(tag.into(), body).to_le_bytes();
            entry[4..8].copy_from_slice(&sum[..4]);
        }
        start = end;
    }
    bytes::seal(KEY, sealed);
    value
}

fn check_record(record: &[u8]) {
    if let Ok(key) = record::read_key(record) {
        let text = |text: &[u8]| Text::new(String::from_utf8(text.to_vec()).ok()?).ok();
        let restrictions = key.restrictions.as_deref().cloned().unwrap_or_default();
        let apis = restrictions.apis.as_ref().map(|apis| apis.iter().map(text).collect::<Option<Vec<_>>>());
        let referers = restrictions
            .permitted_referers
            .as_ref()
            .map(|patterns| patterns.iter().map(RefererPattern::unpack).collect::<Option<Vec<_>>>());
        // Texts that are longer than in a page, or otherwise not allowed there, can be read but not written again.
        if let (Some(id), Some(application), None | Some(Some(_)), None | Some(Some(_))) =
            (text(key.id), text(key.application), &apis, &referers)
        {
            let row = rows::Key {
                digest: Digest([0; 32]),
                id,
                application,
                key_type: key.key_type,
                state: key.state,
                not_before: key.not_before,
                expires_at: key.expires_at,
                apis: apis.flatten(),
                permitted_ips: restrictions.permitted_ips,
                permitted_referers: referers.flatten(),
            };
            let mut written = Vec::new();
            record::put_key(&mut written, &row);
            assert_eq!(record::read_key(&written), Ok(key));
        }
    }
    if let Ok(application) = ApplicationRecord::read(record) {
        let mut written = Vec::new();
        application.put(&mut written);
        assert_eq!(ApplicationRecord::read(&written), Ok(ApplicationRecord::read(record).unwrap()));
        for subscription in &application.subscriptions {
            let (_, found) = record::find_subscription(record, subscription.api).expect("a whole record");
            // If several subscriptions have the same API, the first one counts.
            let first = application.subscriptions.iter().find(|other| other.api == subscription.api).unwrap();
            assert_eq!(found.map(|found| found.state), Some(first.state));
        }
        assert!(record::find_subscription(record, b"an API that no seed has").is_ok());
    }
}

/// Damage after the checksum is detected: no content is read that was not there before. An edit is a position and a
/// byte. A position beyond the end truncates the value.
fn check_damaged(edits: &[u8]) {
    let source = SourceId::new(Digest::of(b"shard"));
    let memory = good(&source);
    let keys = memory.keys();
    for key in &keys {
        let good = memory.get(key).unwrap().unwrap().value;
        let mut damaged = good.clone();
        for edit in edits.chunks_exact(3) {
            let at = usize::from(u16::from_le_bytes([edit[0], edit[1]]));
            match damaged.get_mut(8.max(at)) {
                Some(byte) => *byte = edit[2],
                None if edit[2] % 2 == 0 => damaged.truncate(at % (damaged.len() + 1)),
                None => damaged.push(edit[2]),
            }
        }
        let shard = Shard::open(key, &damaged);
        assert!(!matches!(shard, Ok(None)) || damaged.is_empty());
        let is_whole = matches!(shard, Ok(Some(shard)) if shard.check().is_ok());
        assert_eq!(is_whole, damaged == good, "damage that is not noticed");
        if let Ok(Some(shard)) = shard {
            let mut known = Shard::open(key, &good).unwrap().unwrap();
            while let Some((wanted, value)) = known.next_record().unwrap() {
                let found = shard.find(wanted);
                assert!(matches!(found, Err(Corrupt)) || found == Ok(Some(value)), "a miss, or another value");
            }
        }
        for other in keys.iter().filter(|other| *other != key) {
            assert!(matches!(Shard::open(other, &good), Err(Corrupt)), "a value in another's place");
        }
    }
}

/// A run may have any content. It is either read to its end or stops the load, and the resulting shards can be opened.
fn check_run(body: &[u8]) {
    const GENERATION: u64 = 1;
    let source = SourceId::new(Digest::of(b"shard"));
    let memory = Memory::default();
    let page = page();
    let mut build = Build::new(&page, None, None, GENERATION, u64::MAX, None);
    build.begin_page(&page).unwrap();
    build.add_rows(&page, 0..page.len(), &mut |_| {}, &mut Default::default());
    while build.spill_next(&memory, &source).unwrap() != Step::Done {}
    for key in memory.keys() {
        let mut value = bytes::unsealed();
        value.extend_from_slice(&GENERATION.to_le_bytes());
        value.extend_from_slice(body);
        bytes::seal(&key, &mut value);
        memory.overwrite(&key, &value);
    }
    loop {
        match build.merge_next(&memory, &source, &mut |_| {}) {
            Ok(Step::Done) => break,
            Ok(Step::Changes(_) | Step::Shard) => {}
            Err(error) => return assert_eq!(error, BuildError::Merge(MergeError::Damaged)),
        }
    }
    for key in memory.keys() {
        let value = memory.get(&key).unwrap().unwrap().value;
        assert!(value.is_empty() || Shard::open(&key, &value).unwrap().unwrap().check().is_ok(), "a run is left");
    }
}

fn good(source: &SourceId) -> Memory {
    let memory = Memory::default();
    fill(&memory, source, &page());
    memory
}

fn page() -> Page {
    let key = Digest::of(b"key").to_hex();
    let page = format!(
        r#"{{"format":1,"applications":[{{"id":"app","owner":"o"}}],"subscriptions":[{{"application":"app","api":"a"}}],
        "keys":[{{"sha256":"{key}","id":"k","application":"app","permitted_ips":["10.0.0.0/8"]}}]}}"#
    );
    Page::scan(page.into_bytes()).unwrap()
}

fn fill(memory: &Memory, source: &SourceId, page: &Page) {
    let target = Target {
        bank: Bank::A,
        generation: 1,
        key_shards: 1,
        application_shards: 1,
        tags: keygate::fingerprint::TagKey::default(),
    };
    let mut batch = Batch::new(target);
    batch.add_rows(page, 0..page.len(), |_| true, &mut |_| {}, &mut Default::default());
    while batch.merge_next(memory, source, &mut Totals::default(), |_| Precondition::Anything, &mut |_| {}).unwrap() {}
}

/// The shards of the table of cases, and some damage.
pub fn seeds() -> Vec<Vec<u8>> {
    let mut seeds = vec![b"\x01".to_vec(), b"\x01\x10\0\xff".to_vec(), b"\x01\x08\0\x02\xff\xff\x01".to_vec()];
    // Each operation on a record of one byte. Some of them end early.
    for operation in 0..=6 {
        for end in [7, 8, 10] {
            seeds.push([&[2][..], &[operation, 9, 0, 0, 0x80, 1, b'a', 1, 0, 0][..end]].concat());
        }
    }
    for page in cases::all_groups().into_iter().filter_map(|(_, group)| group.page(NOW)) {
        let source = SourceId::new(Digest::of(b"shard"));
        let memory = Memory::default();
        fill(&memory, &source, &Page::scan(page.to_string().into_bytes()).unwrap());
        for kind in [ShardKind::Keys, ShardKind::Applications] {
            let key = source.key(SharedEntry::Shard(ShardAddress { bank: Bank::A, kind, number: 0 }));
            let Some(read) = memory.get(&key).unwrap() else { continue };
            seeds.push([b"\0", &read.value[8..]].concat());
        }
    }
    seeds
}
