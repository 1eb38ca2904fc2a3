//! Tests of a policy that several configurations share and of one that no configuration has named for long: which VM
//! may refresh it, and when it may decide.

use super::*;

const NAMED: &str = r#", "name": "edge", "long_poll_ms": 0"#;

/// A VM that authenticates with this secret.
fn with_secret(secret: &str) -> Vm {
    Vm::new(&format!(r#"{NAMED}, "credentials": {{"client_id": "g", "client_secret": "{secret}"}}"#))
}

/// Lets the VMs tick for some seconds, each with a feed of its own. Returns which VM was answered in which second.
fn run(memory: &Memory, vms: &mut [(&mut Vm, u16)], seconds: std::ops::Range<u64>) -> Vec<(u64, usize)> {
    let mut answered = Vec::new();
    for now_ms in (seconds.start * 1_000..seconds.end * 1_000).step_by(100) {
        for (number, (vm, code)) in vms.iter_mut().enumerate() {
            vm.tick(memory, now_ms);
            let page = full(5, r#", "poll": "/poll""#, &["good"]);
            let answer = |fetch: &Fetch| match (*code, fetch.path.as_str()) {
                (304, "/v1/policy") => json(page.clone()),
                (code, _) => status(code),
            };
            for _ in vm.settle(memory, now_ms, &mut { answer }) {
                answered.push((now_ms / 1_000, number));
            }
        }
    }
    answered
}

#[test]
fn a_vm_whose_secret_is_refused_gives_the_lease_to_one_with_another_and_does_not_take_it_back() {
    let memory = Memory::default();
    let (mut old, mut new) = (with_secret("old"), with_secret("new"));
    old.tick(&memory, 1_000);
    old.settle(&memory, 1_000, &mut |_| json(full(5, r#", "poll": "/poll""#, &["good"])));
    assert_eq!(
        run(&memory, &mut [(&mut old, 304), (&mut new, 304)], 2..20).iter().filter(|(_, vm)| *vm == 1).count(),
        0
    );
    let asked = run(&memory, &mut [(&mut old, 401), (&mut new, 304)], 20..140);
    let of_old: Vec<_> = asked.iter().filter(|(_, vm)| *vm == 0).collect();
    assert_eq!(of_old.len(), 1, "it is refused once: {asked:?}");
    assert!(new.refresh.is_leader() && !old.refresh.is_leader());
    assert!(asked.len() > 20, "the other one goes on: {asked:?}");
    assert_eq!(old.decide(&memory, "good"), "allowed");
    // The VM with the good secret ends without releasing the lease. The other VM tries again, although it was refused
    // long ago.
    let asked = run(&memory, &mut [(&mut old, 304)], 140..160);
    assert!(asked.len() > 1, "{asked:?}");
}

#[test]
fn a_vm_whose_secret_is_refused_tries_again_where_nobody_has_another() {
    let memory = Memory::default();
    let (mut one, mut other) = (with_secret("old"), with_secret("old"));
    one.tick(&memory, 1_000);
    one.settle(&memory, 1_000, &mut |_| json(full(5, r#", "poll": "/poll""#, &["good"])));
    let asked = run(&memory, &mut [(&mut one, 403), (&mut other, 403)], 2..60);
    // The pauses are 5, 10, 20 and 30 s. A VM that has waited in vain for the other one may ask in between.
    assert!((3..=9).contains(&asked.len()), "{asked:?}");
    let asked = run(&memory, &mut [(&mut one, 304), (&mut other, 304)], 60..100);
    assert!(asked.len() > 1, "it is well again: {asked:?}");
    assert_eq!(one.decide(&memory, "good"), "allowed");
}

/// Every VM of the process has ended. A new one begins with the same configuration.
fn begun(memory: &Memory, now_ms: u64) -> Vm {
    let mut vm = Vm::new("");
    vm.held.distrust_unnamed(memory, now_ms, Duration::from_secs(60));
    vm
}

#[test]
fn a_copy_that_nobody_has_named_for_long_decides_when_it_is_confirmed() {
    let delta = r#"{"format": 1, "revision": 6, "base": 5, "poll": "/poll", "removed": {"keys": ["KEY"]}}"#;
    let delta = delta.replace("KEY", &Digest::of(b"good").to_hex());
    type Case = (&'static str, u64, fn(&str) -> Answer, &'static [&'static str], [&'static str; 2]);
    let cases: [Case; 6] = [
        ("a restart", 60, |_| status(503), &["/poll"], ["allowed", "allowed"]),
        ("confirmed", 70, |_| status(304), &["/poll"], ["policy_unavailable", "allowed"]),
        ("changed", 70, |delta| json(delta), &["/poll"], ["policy_unavailable", "key_unknown"]),
        (
            "another history",
            70,
            |_| json(full(3, r#", "epoch": "new""#, &["good"])),
            &["/poll"],
            ["policy_unavailable", "allowed"],
        ),
        ("a lower revision", 70, |_| json(full(3, "", &["good"])), &["/poll"], ["policy_unavailable", "allowed"]),
        ("the service is away", 70, |_| status(503), &["/poll"], ["policy_unavailable", "policy_unavailable"]),
    ];
    for (name, seconds, answer, expected, [before, after]) in cases {
        let memory = Memory::default();
        let mut first = holding(&memory, "");
        first.refresh.resign(&memory, first.held.source(), 1_000);
        drop(first);
        let now_ms = 1_000 + seconds * 1_000;
        let (mut vm, mut other) = (begun(&memory, now_ms), begun(&memory, now_ms));
        assert_eq!(vm.decide(&memory, "good"), before, "{name}");
        vm.tick(&memory, now_ms);
        // A VM that begins while the first one holds the lease.
        let mut third = begun(&memory, now_ms);
        assert_eq!(third.decide(&memory, "good"), before, "{name}");
        let sent = vm.sent.as_ref().map(|(_, fetch)| fetch.wait);
        assert!(
            sent.is_none_or(|wait| wait.is_none()) || before == "allowed",
            "{name}: an answer at once is asked for"
        );
        let mut asked = vm.settle(&memory, now_ms, &mut |_| answer(&delta));
        // A leader that has a policy waits until the other VMs have their places.
        if asked.is_empty() {
            vm.tick(&memory, now_ms + 200);
            asked = vm.settle(&memory, now_ms + 200, &mut |_| answer(&delta));
        }
        assert_eq!(asked, expected, "{name}");
        for vm in [&mut vm, &mut other, &mut third] {
            assert_eq!(vm.decide(&memory, "good"), after, "{name}");
        }
    }
}

/// A VM whose policy is in a store of its own.
fn of_store(store: &[u8]) -> Vm {
    let mut vm = Vm::new("");
    vm.held = PolicyView::new(SourceId::new(Digest::of(store)), Some(FingerprintKey::new([7; 16])));
    vm
}

#[test]
fn a_store_that_nobody_names_any_more_is_emptied_and_no_other_one() {
    let plans = r#", "plans": [{"id": "p", "limits": [{"requests": 9, "per": "day"}]}]"#;
    let page = |revision, names: &[&str]| {
        full(revision, plans, names).replace(r#""api": "a"}"#, r#""api": "a", "plan": "p"}"#)
    };
    let names: Vec<_> = (0..3_000).map(|number| format!("key-{number}")).collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    let memory = Memory::default();
    let (mut old, mut beside, mut vm) = (of_store(b"old"), of_store(b"beside"), of_store(b"new"));
    // Two full policies one after the other use both banks. A third one is not finished.
    for revision in [1, 2] {
        old.tick(&memory, revision * 100_000);
        old.settle(&memory, revision * 100_000, &mut |_| json(page(revision, &names)));
    }
    assert_eq!(old.decide(&memory, "key-7"), "allowed", "and counted: {:?}", old.lines);
    old.tick(&memory, 300_000);
    old.answer(&memory, 300_000, json(page(3, &names).replacen('{', r#"{"next": "/next", "#, 1)));
    drop(old);
    let before = memory.bytes();
    assert!(before > 150_000, "{before}");
    let small = |_: &Fetch| json(full(1, "", &["good"]));
    for now_ms in (301_000..=560_000).step_by(100) {
        for vm in [&mut beside, &mut vm] {
            vm.tick(&memory, now_ms);
            vm.settle(&memory, now_ms, &mut { small });
        }
        // Neither a clock that jumps ahead nor a process that stops for an hour makes the policy distrusted.
        let leapt = now_ms + 3_600_000;
        if now_ms == 320_000 {
            beside.tick(&memory, leapt);
            vm.tick(&memory, leapt);
        }
        if now_ms < 400_000 {
            assert!(memory.bytes() > before, "not yet at {now_ms}");
        }
    }
    assert!(memory.bytes() < 20_000, "{} bytes are left of {before}", memory.bytes());
    for vm in [&mut beside, &mut vm] {
        assert_eq!(vm.decide(&memory, "good"), "allowed");
    }
    // The same configuration comes back. It begins like a new one.
    let mut again = of_store(b"old");
    assert!(!again.held.distrust_unnamed(&memory, 570_000, Duration::from_secs(60)));
    assert_eq!(again.decide(&memory, "key-7"), "policy_unavailable");
    again.tick(&memory, 570_000);
    again.settle(&memory, 570_000, &mut |_| json(page(4, &names)));
    assert_eq!(again.decide(&memory, "key-7"), "allowed");
}
