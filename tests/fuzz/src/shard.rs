//! Shards, key and application records: shared data is anyone's to write.
//!
//! The first byte of an input says how the rest is taken: even, as what stands behind a right checksum; odd, as damage to a
//! good shard.

use keygate::store::{Bank, memory::Memory};
use keygate::{
    policy::{Digest, Text, page::Page, rows},
    store::{
        Corrupt, Entry, Kind, Place, Shared, Source,
        batch::{Batch, Standing, Target},
        bytes,
        manifest::Totals,
        record::{self, ApplicationRecord},
        shard::{RecordKey, Shard, ShardWriter},
    },
};

use crate::cases::{self, core::NOW};

/// See the head of this file.
pub fn check(bytes: &[u8]) {
    match bytes.split_first() {
        Some((kind, rest)) if kind % 2 == 0 => check_forged(rest),
        Some((_, rest)) => check_damaged(rest),
        None => {}
    }
}

const KEY: &[u8] = b"keygate/2/source/0/k/0";

/// Behind a right checksum anything may stand. It is read to its end or is corrupt; what is read is written and read
/// again as the same.
fn check_forged(body: &[u8]) {
    let mut value = bytes::unsealed();
    value.extend_from_slice(body);
    bytes::seal(KEY, &mut value);
    let Ok(Some(mut shard)) = Shard::open(KEY, &value) else { return };
    let mut writer = ShardWriter::new(shard.generation);
    let whole = shard;
    loop {
        match shard.next_record() {
            Err(Corrupt) => return,
            Ok(None) => break,
            Ok(Some((key, record))) => {
                check_record(record);
                writer.push((key, record));
                if let Some(wanted) = RecordKey::read(key)
                    && let Ok(Some(found)) = whole.find(wanted)
                {
                    let mut others = whole;
                    let mut is_one = false;
                    while let Ok(Some(other)) = others.next_record() {
                        is_one |= other == (key, found);
                    }
                    assert!(is_one, "a record that is not there");
                }
            }
        }
    }
    let written = writer.finish(KEY);
    let mut again = Shard::open(KEY, &written).unwrap().unwrap();
    let mut before = whole;
    loop {
        let (before, again) = (before.next_record().unwrap(), again.next_record().unwrap());
        assert_eq!(before, again);
        if before.is_none() {
            break;
        }
    }
}

fn check_record(record: &[u8]) {
    if let Ok(key) = record::read_key(record) {
        let text = |text: &str| Text::new(text.to_owned()).ok();
        let restrictions = key.restrictions.as_deref().cloned().unwrap_or_default();
        let apis = restrictions.apis.as_ref().map(|apis| apis.iter().map(|id| text(id)).collect::<Option<Vec<_>>>());
        // Longer and other texts than a page has can be read, but not be written again.
        if let (Some(id), Some(application), None | Some(Some(_))) = (text(&key.id), text(&key.application), &apis) {
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
                permitted_referers: restrictions.permitted_referers,
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
            // Of several with one API the first one counts.
            let first = application.subscriptions.iter().find(|other| other.api == subscription.api).unwrap();
            assert_eq!(found.map(|found| found.state), Some(first.state));
        }
        assert!(record::find_subscription(record, "an API that no seed has").is_ok());
    }
}

/// Damage behind the checksum is noticed: nothing is read from it that was not there. Edits are a place and a byte, or, at
/// a place beyond the end, an end.
fn check_damaged(edits: &[u8]) {
    let source = Source::new(Digest::of(b"shard"));
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
        let read = Shard::open(key, &damaged);
        match read {
            Err(Corrupt) => assert_ne!(damaged, good),
            Ok(None) => assert!(damaged.is_empty()),
            Ok(Some(_)) => assert_eq!(damaged, good, "damage that is not noticed"),
        }
        for other in keys.iter().filter(|other| *other != key) {
            assert!(matches!(Shard::open(other, &good), Err(Corrupt)), "a value in another's place");
        }
    }
}

/// Some good shards.
fn good(source: &Source) -> Memory {
    let memory = Memory::default();
    let key = Digest::of(b"key").to_hex();
    let page = format!(
        r#"{{"format":1,"applications":[{{"id":"app","owner":"o"}}],"subscriptions":[{{"application":"app","api":"a"}}],
        "keys":[{{"sha256":"{key}","id":"k","application":"app","permitted_ips":["10.0.0.0/8"]}}]}}"#
    );
    fill(&memory, source, &Page::scan(page.into_bytes()).unwrap());
    memory
}

fn fill(memory: &Memory, source: &Source, page: &Page) {
    let target = Target { bank: Bank::A, generation: 1, key_shards: 1, application_shards: 1 };
    let mut batch = Batch::new(target);
    batch.add_rows(page, 0..page.len(), |_| true, &mut |_| {});
    while batch.merge_next(memory, source, &mut Totals::default(), |_| Standing::Anything, &mut |_| {}).unwrap() {}
}

/// The shards of the table of cases, and some damage.
pub fn seeds() -> Vec<Vec<u8>> {
    let mut seeds = vec![b"\x01".to_vec(), b"\x01\x10\0\xff".to_vec(), b"\x01\x08\0\x02\xff\xff\x01".to_vec()];
    for page in cases::all_groups().into_iter().filter_map(|(_, group)| group.page(NOW)) {
        let source = Source::new(Digest::of(b"shard"));
        let memory = Memory::default();
        fill(&memory, &source, &Page::scan(page.to_string().into_bytes()).unwrap());
        for kind in [Kind::Keys, Kind::Applications] {
            let key = source.key(Entry::Shard(Place { bank: Bank::A, kind, number: 0 }));
            let Some(read) = memory.get(&key).unwrap() else { continue };
            seeds.push([b"\0", &read.value[8..]].concat());
        }
    }
    seeds
}
