//! Tests of the runs that a full policy stores in shared data while it arrives: they are freed when it decides and when
//! it is given up.

use super::*;

/// A page that is too large for memory: twelve keys of 400 KiB each.
fn large_page(next: &str) -> Answer {
    let referers = vec![format!(r#""example.com/{}""#, "x".repeat(400)); 1_000].join(",");
    let keys: Vec<_> = (0..12)
        .map(|number| {
            let sha256 = Digest::of(&[number]).to_hex();
            format!(r#"{{"sha256": "{sha256}", "id": "k", "application": "app", "permitted_referers": [{referers}]}}"#)
        })
        .collect();
    json(format!(r#"{{"format": 1, "revision": 6, {API}, {next} "keys": [{}]}}"#, keys.join(",")))
}

/// The bytes of all runs in shared data.
fn laid_down(memory: &Memory) -> usize {
    let runs = memory.keys().into_iter().filter(|key| key.windows(5).any(|part| part == b"/run/"));
    runs.map(|key| memory.get(&key).unwrap().unwrap().value.len()).sum()
}

/// A VM that has stored the first page and waits for the second.
fn half_way(memory: &Memory) -> Vm {
    let mut vm = Vm::new("");
    vm.tick(memory, 1_000);
    vm.answer(memory, 1_000, large_page(r#""next": "/2","#));
    while vm.refresh.is_busy() {
        vm.tick(memory, 1_000);
    }
    assert!(laid_down(memory) > 4 << 20);
    vm
}

#[test]
fn runs_are_freed_when_the_policy_decides_or_fails() {
    for (second, decides) in [
        (json(format!(r#"{{"format": 1, "revision": 6, "keys": [{}]}}"#, key("good"))), true),
        (status(500), false),
        (status(410), false),
        (json(r#"{"format": 1, "revision": 7}"#), false),
        (json("{"), false),
        (json(r#"{"format": 1, "revision": 6, "plans": [{}]}"#), false),
    ] {
        let memory = Memory::default();
        let mut vm = half_way(&memory);
        let case = format!("{second:?}");
        vm.answer(&memory, 1_000, second);
        vm.sent = None;
        while vm.refresh.is_busy() {
            vm.tick(&memory, 1_000);
        }
        assert_eq!(laid_down(&memory), 0, "{case}");
        assert_eq!(vm.held.manifest().is_some(), decides, "{case}");
    }
}

#[test]
fn the_runs_of_a_dead_vm_are_freed_by_the_next_leader() {
    let memory = Memory::default();
    drop(half_way(&memory));
    let mut next = Vm::new("");
    for now_ms in (1_000..8_000).step_by(100) {
        next.tick(&memory, now_ms);
    }
    assert!(next.refresh.is_leader());
    assert_eq!(laid_down(&memory), 0);
}
