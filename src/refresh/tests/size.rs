//! Tests of `policy.max_bytes`: a larger policy is refused with the setting's name, early if the page announces its
//! size, and its memory is freed.

use super::*;

/// Keys of 400 KiB each, with these numbers.
fn large_keys(numbers: std::ops::Range<u32>) -> String {
    let referers = vec![format!(r#""example.com/{}""#, "x".repeat(400)); 1_000].join(",");
    let keys: Vec<_> = numbers
        .map(|number| {
            let sha256 = Digest::of(&number.to_le_bytes()).to_hex();
            format!(r#"{{"sha256": "{sha256}", "id": "k", "application": "app", "permitted_referers": [{referers}]}}"#)
        })
        .collect();
    keys.join(",")
}

/// The bytes of all values in shared data.
fn taken(memory: &Memory) -> usize {
    memory.keys().iter().map(|key| memory.get(key).unwrap().unwrap().value.len()).sum()
}

/// Ticks until no work is left.
fn rest(vm: &mut Vm, memory: &Memory, now_ms: u64) {
    while vm.sent.is_none() && vm.refresh.is_busy() {
        vm.tick(memory, now_ms);
    }
}

/// The log lines that name the setting.
fn named(vm: &Vm) -> Vec<&str> {
    vm.lines.iter().map(|(_, line)| line.as_str()).filter(|line| line.contains("`policy.max_bytes`")).collect()
}

#[test]
fn a_full_policy_that_never_ends_is_refused_and_its_memory_is_given_back() {
    let memory = Memory::default();
    let mut vm = holding(&memory, r#", "max_bytes": 12000000"#);
    let before = taken(&memory);
    let mut most = 0;
    let mut pages = 0;
    vm.tick(&memory, 7_000);
    // The service no longer knows the cursor, so the full policy is fetched.
    vm.answer(&memory, 7_000, status(410));
    vm.settle(&memory, 7_000, &mut |_| {
        pages += 1;
        assert!(pages < 100, "it would go on and on");
        most = most.max(taken(&memory));
        let keys = large_keys(pages * 12..pages * 12 + 12);
        json(format!(r#"{{"format": 1, "revision": 6, {API}, "next": "/{pages}", "keys": [{keys}]}}"#))
    });
    assert!((3..6).contains(&pages), "{pages} pages of 5 MB");
    assert!((before + 4_000_000..before + 14_000_000).contains(&most), "{most}");
    assert_eq!(vm.events.iter().filter(|event| **event == RefreshEvent::Refused).count(), 1);
    assert!(named(&vm)[0].contains("packed, it takes more than `policy.max_bytes` (12000000)"), "{:?}", vm.lines);
    rest(&mut vm, &memory, 7_000);
    assert!(taken(&memory) <= before + 100, "{} are left of {most}", taken(&memory) - before);
    assert_eq!(vm.decide(&memory, "good"), "allowed", "the policy held serves on");
}

#[test]
fn a_policy_may_take_exactly_the_bound_and_not_a_byte_more() {
    let names: Vec<_> = (0..300).map(|number| format!("key-{number}")).collect();
    let names: Vec<_> = names.iter().map(String::as_str).chain(["good"]).collect();
    let body = full(6, r#", "poll": "/poll2""#, &names);
    let memory = Memory::default();
    let mut vm = holding(&memory, "");
    vm.tick(&memory, 7_000);
    vm.answer(&memory, 7_000, json(body.clone()));
    rest(&mut vm, &memory, 7_000);
    let bytes = vm.held.manifest().unwrap().totals.bytes;
    // First everything fits; then the small lists do not; then only a few shards do; then nothing does.
    for (max_bytes, taken_whole) in
        [(bytes, true), (bytes - 1, false), (bytes - 60, false), (bytes / 2, false), (1, false)]
    {
        let memory = Memory::default();
        let mut vm = holding(&memory, "");
        vm.refresh = Refresh::new(config(&format!(r#", "max_bytes": {max_bytes}"#)).policy);
        vm.tick(&memory, 7_000);
        vm.tick(&memory, 20_000);
        let before = taken(&memory);
        vm.answer(&memory, 20_000, json(body.clone()));
        rest(&mut vm, &memory, 20_000);
        let revision = vm.held.manifest().unwrap().revision;
        assert_eq!(revision, Some(if taken_whole { 6 } else { 5 }), "{max_bytes} of {bytes}: {:?}", vm.lines);
        assert_eq!(named(&vm).is_empty(), taken_whole, "{max_bytes}: {:?}", vm.lines);
        if !taken_whole {
            assert!(taken(&memory) <= before + 100, "{max_bytes}: {} and before {before}", taken(&memory));
        }
        assert_eq!(vm.decide(&memory, "good"), "allowed");
    }
}

#[test]
fn counts_may_refuse_a_policy_early_and_have_no_other_effect() {
    const MAX: u64 = 1_000_000;
    for (counts, keys, expected) in [
        (r#"{"keys": 1}"#.to_owned(), 2, None),
        (r#"{}"#.to_owned(), 2, None),
        (r#"{"keys": "many"}"#.to_owned(), 2, None),
        (r#"{"keys": -1}"#.to_owned(), 1, None),
        // The counts are smaller than the lists.
        (r#"{"keys": 1}"#.to_owned(), 12, Some("packed, it takes more")),
        (r#"{"keys": 0, "applications": 0, "subscriptions": 0}"#.to_owned(), 12, Some("packed, it takes more")),
        // The counts are larger than the lists, but that many short rows would fit.
        (format!(r#"{{"keys": {}}}"#, MAX / 40), 1, None),
        (format!(r#"{{"applications": {}}}"#, MAX / 12), 1, None),
        (format!(r#"{{"subscriptions": {}}}"#, MAX / 12), 1, None),
        // That many rows cannot fit, however short they are.
        (format!(r#"{{"keys": {}}}"#, MAX / 40 + 1), 1, Some("`counts` announces 25001 keys")),
        (format!(r#"{{"applications": {}}}"#, MAX / 12 + 1), 1, Some("`counts` announces")),
        (format!(r#"{{"keys": 12500, "subscriptions": {}}}"#, MAX / 24 + 1), 1, Some("`counts` announces")),
        (
            format!(r#"{{"keys": {0}, "applications": {0}, "subscriptions": {0}}}"#, u64::MAX),
            1,
            Some("`counts` announces"),
        ),
    ] {
        let memory = Memory::default();
        let mut vm = Vm::new(&format!(r#", "max_bytes": {MAX}"#));
        vm.tick(&memory, 1_000);
        let keys = large_keys(0..keys);
        let body = format!(r#"{{"format": 1, "counts": {counts}, {API}, "keys": [{keys}]}}"#);
        vm.settle(&memory, 1_000, &mut |_| json(body.clone()));
        match expected {
            None => assert!(vm.held.manifest().is_some() && named(&vm).is_empty(), "{counts}: {:?}", vm.lines),
            Some(words) => {
                assert!(vm.held.manifest().is_none(), "{counts}");
                assert!(named(&vm)[0].contains(words), "{counts}: {:?}", vm.lines);
            }
        }
    }
}

#[test]
fn announced_counts_are_refused_before_the_next_page_is_requested() {
    let memory = Memory::default();
    let mut vm = Vm::new("");
    vm.tick(&memory, 1_000);
    let paths = vm.settle(&memory, 1_000, &mut |_| {
        json(format!(r#"{{"format": 1, "counts": {{"keys": 26843546}}, {API}, "next": "/2"}}"#))
    });
    assert_eq!(paths, ["/v1/policy"], "the default is 1 GiB");
    assert!(named(&vm)[0].contains("`policy.max_bytes` is 1073741824"), "{:?}", vm.lines);
    assert!(taken(&memory) < 100);
}

#[test]
fn a_policy_that_grew_too_large_by_deltas_makes_no_new_records_and_takes_every_block() {
    let memory = Memory::default();
    let mut vm = holding(&memory, r#", "max_bytes": 1000000"#);
    let say = |vm: &mut Vm, base: u64, rest_of_page: &str| {
        vm.lines.clear();
        let (now_ms, revision) = (base * 100_000, base + 1);
        vm.tick(&memory, now_ms);
        let header = format!(r#""format": 1, "base": {base}, "revision": {revision}, "poll": "/poll""#);
        vm.answer(&memory, now_ms, json(format!("{{{header}, {rest_of_page}}}")));
        rest(vm, &memory, now_ms);
        assert_eq!(vm.held.manifest().unwrap().revision, Some(revision), "{rest_of_page}: {:?}", vm.lines);
        vm.held.manifest().unwrap().totals.bytes
    };
    let grown = say(&mut vm, 5, &format!(r#""keys": [{}]"#, large_keys(0..12)));
    // The changes of one shard are applied as a whole.
    assert!((1_000_000..2_500_000).contains(&grown), "{grown}");
    assert!(named(&vm)[0].contains("`keys`") && named(&vm)[0].contains("`sha256` is new"), "{:?}", vm.lines);
    let left_out = |vm: &Vm| vm.events.iter().filter(|event| matches!(event, RefreshEvent::RowsRejected(1))).count();
    let before = left_out(&vm);

    let new = [
        format!(r#""keys": [{}]"#, key("new")),
        r#""applications": [{"id": "new"}]"#.to_owned(),
        r#""subscriptions": [{"application": "nobody", "api": "a"}]"#.to_owned(),
    ];
    for (base, rows) in (6..).zip(new) {
        // A shard that had no record exists now and has none.
        assert!(say(&mut vm, base, &rows) <= grown + 100, "{rows}");
        // The same line is logged once an hour.
        assert_eq!(named(&vm).len(), usize::from(base > 6), "{rows}: {:?}", vm.lines);
    }
    assert_eq!(left_out(&vm), before + 3, "{:?}", vm.events);
    assert_eq!(vm.decide(&memory, "good"), "allowed");
    assert_eq!(vm.decide(&memory, "new"), "key_unknown");

    // Changes of existing records and of the small lists still arrive.
    let blocked = r#""subscriptions": [{"application": "app", "api": "a", "state": "BLOCKED"}]"#;
    let unblocked = r#""subscriptions": [{"application": "app", "api": "a"}]"#;
    for (base, (rows, expected)) in (9..).zip([
        (blocked.to_owned(), "subscription_blocked"),
        (unblocked.to_owned(), "allowed"),
        (r#""applications": [{"id": "app", "state": "BLOCKED"}]"#.to_owned(), "application_blocked"),
        (r#""applications": [{"id": "app"}]"#.to_owned(), "allowed"),
        (r#""deny_policies": [{"id": "d", "type": "APPLICATION", "value": "app"}]"#.to_owned(), "denied_by_policy"),
        (r#""removed": {"deny_policies": ["d"]}"#.to_owned(), "allowed"),
        (format!(r#""plans": [{{"id": "p"}}], {blocked}"#), "subscription_blocked"),
    ]) {
        say(&mut vm, base, &rows);
        assert_eq!(vm.decide(&memory, "good"), expected, "{rows}");
        assert!(named(&vm).is_empty(), "{rows}: {:?}", vm.lines);
    }

    let digests: Vec<_> =
        (0..12u32).map(|number| format!(r#""{}""#, Digest::of(&number.to_le_bytes()).to_hex())).collect();
    let shrunk = say(&mut vm, 16, &format!(r#""removed": {{"keys": [{}]}}, {unblocked}"#, digests.join(",")));
    assert!(shrunk < 1_000_000, "{shrunk}: what it removes is removed");
    say(&mut vm, 17, &format!(r#""keys": [{}]"#, key("new")));
    assert_eq!(vm.decide(&memory, "new"), "allowed");
}

#[test]
fn the_size_of_the_small_lists_is_always_counted() {
    let apis = |name: &str| {
        let rows = (0..50).map(|number| format!(r#"{{"id": "api-{number}", "name": "{}"}}"#, name.repeat(20)));
        rows.collect::<Vec<_>>().join(",")
    };
    let memory = Memory::default();
    let mut vm = holding(&memory, "");
    let mut bytes = vec![vm.held.manifest().unwrap().totals.bytes];
    for (revision, rows) in (6..).zip([
        format!(r#""apis": [{}]"#, apis("x")),
        format!(r#""apis": [{}]"#, apis("longer")),
        format!(r#""apis": [{}], "plans": [{{"id": "p"}}], "applications": [{{"id": "app"}}]"#, apis("x")),
        format!(
            r#""removed": {{"apis": [{}], "plans": ["p"]}}"#,
            (0..50).map(|n| format!(r#""api-{n}""#)).collect::<Vec<_>>().join(",")
        ),
    ]) {
        let now_ms = revision * 10_000;
        vm.tick(&memory, now_ms);
        let base = revision - 1;
        vm.answer(
            &memory,
            now_ms,
            json(format!(r#"{{"format": 1, "base": {base}, "revision": {revision}, "poll": "/poll", {rows}}}"#)),
        );
        rest(&mut vm, &memory, now_ms);
        bytes.push(vm.held.manifest().unwrap().totals.bytes);
    }
    let plan = u64::try_from(r#"{"id": "p"}"#.len()).unwrap();
    assert_eq!(bytes[3], bytes[1] + plan, "{bytes:?}");
    assert_eq!(bytes[4], bytes[0], "{bytes:?}");
    assert_eq!(bytes[2] - bytes[1], 50 * 20 * 5, "{bytes:?}");
}
