//! All of shared data, damaged in any way. No VM dies, nothing is allowed that the policy refuses, and the next policy
//! repairs the damage. If a checksum is forged, the content after it may mean anything, and only the first property
//! holds.
//!
//! An input is a list of edits: the entry, the kind of edit, a length, and that many bytes.

use std::cell::OnceCell;

use keygate::{
    callout::{answer::Answer, lines::Lines},
    config::{self, Config},
    decision::{self, Denial, Facts, Permit},
    digest::Digest,
    fingerprint::FingerprintKey,
    held::PolicyView,
    refresh::{Refresh, RefreshContext},
    request::head::Head,
    shared::{
        Shared, bytes,
        key::{SharedEntry, SourceId},
        lease,
        memory::Memory,
    },
    store::{lists, manifest::Manifest},
};
use serde_json::{Value, json};

use crate::{cases::core::NOW, check_line};

const ALLOWED: [(&str, &str); 2] = [("/a", "good"), ("/b", "good")];
const REFUSED: [(&str, &str); 5] =
    [("/a", "blocked"), ("/b", "nobody's"), ("/b", "revoked"), ("/closed", "good"), ("/b", "orphan")];

fn source() -> SourceId {
    SourceId::new(Digest::of(b"stored"))
}

fn page(revision: u64) -> Value {
    let key = |name: &str, application: &str, state: &str| json!({"sha256": Digest::of(name.as_bytes()).to_hex(), "id": name, "application": application, "state": state});
    json!({
        "format": 1, "revision": revision,
        "apis": [{"id": "a", "match": [{"path": "/a"}]},
                 {"id": "b", "match": [{"path": "/b"}], "subscription_required": false},
                 {"id": "closed", "match": [{"path": "/closed"}], "state": "BLOCKED"}],
        "applications": [{"id": "app"}, {"id": "shut"}],
        "keys": [key("good", "app", "ACTIVE"), key("blocked", "shut", "ACTIVE"), key("revoked", "app", "REVOKED"),
                 key("orphan", "gone", "ACTIVE")],
        "plans": [{"id": "plan", "limits": [{"requests": 1_000_000, "per": "day"}]}],
        "subscriptions": [{"application": "app", "api": "a", "plan": "plan"}, {"application": "app", "api": "closed"},
                          {"application": "shut", "api": "a", "state": "BLOCKED"}],
    })
}

struct Vm {
    config: Config,
    held: PolicyView,
    refresh: Refresh,
}

impl Vm {
    fn new() -> Self {
        let json = json!({"policy": {"cluster": "c"}, "on_policy_unavailable": "deny"}).to_string();
        let config = config::parse(json.as_bytes(), &|_| None).unwrap();
        let refresh = Refresh::new(config.policy.clone());
        Self { config, held: PolicyView::new(source(), Some(FingerprintKey::new([7; 16]))), refresh }
    }

    /// One tick. Every request to the feed is answered with this page.
    fn tick(&mut self, memory: &Memory, now_ms: u64, page: &Value) {
        let mut report = Lines::default();
        self.held.look(memory);
        let mut context = RefreshContext { now_ms, held: &mut self.held, shared: memory, report: &mut report };
        let mut fetch = self.refresh.tick(0, &mut context);
        while fetch.is_some() {
            self.refresh.sent(1);
            let answer = Answer {
                status: Some(200),
                content_type: b"application/json".to_vec(),
                body: page.to_string().into_bytes(),
                ..Answer::default()
            };
            fetch = self.refresh.answered(1, answer, &mut context);
        }
        report.lines.iter().for_each(|(_, line)| check_line(line));
    }

    fn allows(&mut self, memory: &Memory, (path, key): (&str, &str)) -> bool {
        let head = Head::new(vec![(b":authority", b"h"), (b":path", path.as_bytes()), (b"x-api-key", key.as_bytes())]);
        // Like the shell: try again after a miss, because the data may have arrived.
        for again in [false, true] {
            let view = self.held.lookup(memory);
            let decision = decision::decide(&head, &self.config, view.as_ref(), &Now);
            let (verdict, is_miss) = (decision.verdict, decision.is_miss());
            drop(decision);
            if !again && is_miss && !self.held.is_current(memory) {
                self.held.look(memory);
                continue;
            }
            if verdict == Err(Denial::Unreadable) {
                self.held.report_damage(memory);
            }
            return matches!(verdict, Ok(Permit::Key));
        }
        false
    }
}

struct Now;

impl Facts for Now {
    fn now(&self) -> u64 {
        NOW
    }

    fn address(&self) -> Option<std::net::IpAddr> {
        None
    }

    fn route_metadata(&self, _: &str, _: &str) -> Option<Vec<u8>> {
        None
    }
}

thread_local! {
    static GOOD: OnceCell<Vec<(Vec<u8>, Vec<u8>)>> = const { OnceCell::new() };
}

/// The entries of shared data in normal operation.
fn good() -> Vec<(Vec<u8>, Vec<u8>)> {
    let make = || {
        let (memory, mut vm) = (Memory::default(), Vm::new());
        (0..20).for_each(|tick| vm.tick(&memory, NOW * 1000 + tick * 100, &page(1)));
        for _ in 0..1_000 {
            assert!(ALLOWED.into_iter().all(|request| vm.allows(&memory, request)), "the policy is loaded");
        }
        assert!(memory.keys().iter().any(|key| String::from_utf8_lossy(key).contains("/count/")), "limits are counted");
        memory.keys().into_iter().map(|key| (key.clone(), memory.get(&key).unwrap().unwrap().value)).collect()
    };
    GOOD.with(|good| good.get_or_init(make).clone())
}

/// See the head of this file.
pub fn check(edits: &[u8]) {
    let good = good();
    let memory = Memory::default();
    good.iter().for_each(|(key, value)| memory.overwrite(key, value));
    let mut warm = Vm::new();
    let mut now_ms = NOW * 1000 + 3_000;
    warm.tick(&memory, now_ms, &page(1));
    ALLOWED.into_iter().for_each(|request| assert!(warm.allows(&memory, request)));

    let is_forged = spoil(&memory, &good, edits);
    let mut fresh = Vm::new();
    let mut check_refusals = |now_ms| {
        for vm in [&mut warm, &mut fresh] {
            for request in REFUSED {
                assert!(!vm.allows(&memory, request) || is_forged, "{request:?} is allowed");
            }
            vm.tick(&memory, now_ms, &page(2));
        }
    };
    // Twice the longest pause, by the interval and by what a sequence of ticks can do.
    for pause_ms in [100, 100, 100, 6_000, 100, 100, 100, 31_000, 100, 100, 100, 31_000, 100, 100, 100] {
        now_ms += pause_ms;
        check_refusals(now_ms);
    }
    if !is_forged {
        for vm in [&mut warm, &mut fresh] {
            for request in ALLOWED {
                assert!(vm.allows(&memory, request), "{request:?} is refused for ever");
            }
        }
    }
}

/// Carries out the edits. Returns whether one of them has a valid checksum over other bytes.
fn spoil(memory: &Memory, good: &[(Vec<u8>, Vec<u8>)], mut edits: &[u8]) -> bool {
    let mut is_forged = false;
    while let [entry, what, size, rest @ ..] = edits {
        let (bytes, rest) = rest.split_at(usize::from(*size).min(rest.len()));
        edits = rest;
        let (key, original) = &good[usize::from(*entry) % good.len()];
        let mut value = memory.get(key).unwrap().unwrap().value;
        match what % 6 {
            0 => value = bytes.to_vec(),
            1 => {
                value = bytes::unsealed();
                value.extend_from_slice(bytes);
                bytes::seal(key, &mut value);
            }
            2 => bytes.chunks_exact(2).for_each(|edit| {
                if let Some(byte) = value.get_mut(usize::from(edit[0])) {
                    *byte = edit[1];
                }
            }),
            3 => value.truncate(bytes.first().map_or(0, |&size| size.into())),
            4 => value.clone_from(&good[usize::from(*size) % good.len()].1),
            _ => {
                bytes.chunks_exact(2).for_each(|edit| {
                    if let Some(byte) = value.get_mut(8 + usize::from(edit[0])) {
                        *byte = edit[1];
                    }
                });
                bytes::seal(key, &mut value);
            }
        }
        is_forged |= value != *original && bytes::open(key, &value).is_ok();
        check_alone(key, &value);
        memory.overwrite(key, &value);
    }
    is_forged
}

/// Single values: a value that can be read can be written and read again unchanged.
fn check_alone(key: &[u8], value: &[u8]) {
    if let Ok(manifest) = Manifest::read(key, value) {
        assert_eq!(Manifest::read(key, &manifest.write(key)), Ok(manifest));
    }
    if let Ok(mut reader) = bytes::open(key, value)
        && let Ok(generation) = reader.u64()
        && let Ok(read) = lists::CatalogueJson::read(key, value, generation)
    {
        let rows = lists::read_rows(key, value, generation).expect("the same bytes");
        // Of two rows with the same id the last one counts, and the lists are written in order.
        let again = read.write(key, generation).expect("no longer than it was");
        let again = lists::read_rows(key, &again, generation).expect("what was written is read");
        assert!(again.apis.len() <= rows.apis.len() && again.apis.iter().all(|api| rows.apis.contains(api)));
        assert!(again.plans.iter().all(|plan| rows.plans.contains(plan)));
    }
    let memory = Memory::default();
    let entry = source().key(SharedEntry::Lease);
    memory.overwrite(&entry, value);
    for now_ms in [0, NOW * 1000, u64::MAX] {
        let is_held = lease::is_held(&memory, &source(), now_ms).unwrap();
        let taken = lease::Lease::acquire(&memory, &source(), now_ms, lease::Applicant::default()).unwrap();
        assert_eq!(taken.is_none(), is_held, "nobody takes a lease that is held");
        memory.overwrite(&entry, value);
    }
}

/// Every kind of edit of every entry.
pub fn seeds() -> Vec<Vec<u8>> {
    let mut seeds = vec![Vec::new()];
    for (entry, (_, value)) in (0u8..).zip(good()) {
        let body = &value[8.min(value.len())..];
        let size = u8::try_from(body.len().min(255)).unwrap();
        let sealed = [&[entry, 1, size], &body[..usize::from(size)]].concat();
        seeds.extend([sealed, vec![entry, 0, 0], vec![entry, 2, 2, 20, 1], vec![entry, 3, 1, 12]]);
        seeds.extend([vec![entry, 4, 0], vec![entry, 5, 4, 0, 1, 9, 0xff]]);
    }
    seeds
}
