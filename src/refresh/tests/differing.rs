//! Tests of two rows of one page for the same thing: the last one counts. If they differ, the log says so once for each
//! page.

use super::*;

/// The log lines about rows that differ.
fn differing(vm: &Vm) -> Vec<&str> {
    vm.lines.iter().map(|(_, line)| line.as_str()).filter(|line| line.contains("from an earlier row")).collect()
}

fn key_row(fields: &str) -> String {
    format!(r#"{{"sha256": "{}", {fields}}}"#, Digest::of(b"twice").to_hex())
}

/// A VM that held revision 5 and then got this answer.
fn answered(memory: &Memory, header: &str, rows: &str) -> Vm {
    let mut vm = holding(memory, "");
    vm.tick(memory, 7_000);
    vm.answer(memory, 7_000, json(format!(r#"{{"format": 1, "revision": 6, {header} {rows}}}"#)));
    vm.settle(memory, 7_000, &mut |_| status(304));
    assert_eq!(vm.held.manifest().unwrap().revision, Some(6), "{rows}: {:?}", vm.lines);
    vm
}

/// A list, its rows, and the name in the log line if the rows differ.
fn cases() -> Vec<(&'static str, Vec<String>, Option<&'static str>)> {
    let row = |row: &str| row.to_owned();
    let first = key_row(r#""id": "k-1", "application": "app""#);
    let other = key_row(r#""id": "k-2", "application": "other""#);
    vec![
        (
            "keys",
            vec![first.clone(), other.clone()],
            Some(
                "1 row differs from an earlier row for the same thing, and the last one counts: key `k-2` of application `other`",
            ),
        ),
        ("keys", vec![first.clone(), other.clone(), first.clone()], Some("2 rows differ")),
        (
            "keys",
            vec![first.clone(), key_row(r#""id": "k-1", "application": "app", "state": "REVOKED""#)],
            Some("key `k-1`"),
        ),
        ("keys", vec![first.clone(), first.clone()], None),
        (
            "keys",
            vec![
                first.clone(),
                key_row(r#""application": "app", "state": null, "id": "\u006b-1", "type": "PRODUCTION""#),
            ],
            None,
        ),
        ("keys", vec![first.clone(), key("another")], None),
        ("keys", vec![first, key_row(r#""id": "", "application": "app""#)], None),
        (
            "applications",
            vec![row(r#"{"id": "x"}"#), row(r#"{"id": "x", "state": "BLOCKED"}"#)],
            Some("application `x`"),
        ),
        (
            "applications",
            vec![row(r#"{"id": "x", "owner": "a"}"#), row(r#"{"id": "x", "owner": "b"}"#)],
            Some("application `x`"),
        ),
        (
            "applications",
            vec![row(r#"{"id": "x"}"#), row(r#"{"id": "x", "state": "ACTIVE"}"#), row(r#"{"id": "y"}"#)],
            None,
        ),
        (
            "subscriptions",
            vec![
                row(r#"{"application": "x", "api": "a"}"#),
                row(r#"{"application": "x", "api": "a", "state": "BLOCKED"}"#),
            ],
            Some("the subscription of application `x` to API `a`"),
        ),
        (
            "subscriptions",
            vec![
                row(r#"{"application": "x", "api": "a", "plan": "p"}"#),
                row(r#"{"application": "x", "api": "b"}"#),
                row(r#"{"application": "x", "api": "a", "plan": "q"}"#),
            ],
            Some("the subscription of application `x` to API `a`"),
        ),
        (
            "subscriptions",
            vec![
                row(r#"{"application": "x", "api": "a"}"#),
                row(r#"{"application": "x", "api": "b", "state": "BLOCKED"}"#),
                row(r#"{"application": "y", "api": "a", "state": "BLOCKED"}"#),
                row(r#"{"application": "x", "api": "a", "state": "UNBLOCKED"}"#),
            ],
            None,
        ),
        ("apis", vec![row(r#"{"id": "x"}"#), row(r#"{"id": "x", "name": "X"}"#)], Some("`x` in `apis`")),
        ("apis", vec![row(r#"{"id": "x"}"#), row(r#"{"id": "y", "name": "X"}"#), row(r#"{"id": "x"}"#)], None),
        ("plans", vec![row(r#"{"id": "x"}"#), row(r#"{"id": "x", "operations": []}"#)], Some("`x` in `plans`")),
        (
            "deny_policies",
            vec![
                row(r#"{"id": "x", "type": "USER", "value": "a"}"#),
                row(r#"{"id": "x", "type": "USER", "value": "b"}"#),
            ],
            Some("`x` in `deny_policies`"),
        ),
    ]
}

#[test]
fn differing_rows_of_one_page_are_logged_once() {
    for (list, rows, expected) in cases() {
        for header in ["", r#""poll": "/poll","#, r#""base": 5, "poll": "/poll","#] {
            // One API stays, so that the policy can serve.
            let rows = format!(r#""{list}": [{}]"#, rows.join(","));
            let vm = answered(&Memory::default(), header, &rows);
            let lines = differing(&vm);
            assert_eq!(lines.len(), usize::from(expected.is_some()), "{header} {rows}: {lines:?}");
            assert!(lines.iter().all(|line| line.contains(expected.unwrap_or_default())), "{header} {rows}: {lines:?}");
            assert!(!format!("{:?}", vm.lines).contains(&Digest::of(b"twice").to_hex()[..16]), "{:?}", vm.lines);
        }
    }
}

#[test]
fn the_last_row_counts() {
    for (rows, expected) in [
        ([r#""id": "k-1", "application": "app""#, r#""id": "k-2", "application": "other""#], "subscription_missing"),
        ([r#""id": "k-2", "application": "other""#, r#""id": "k-1", "application": "app""#], "allowed"),
    ] {
        let memory = Memory::default();
        let rows = rows.map(key_row).join(",");
        let mut vm = answered(&memory, r#""base": 5, "poll": "/poll","#, &format!(r#""keys": [{rows}]"#));
        assert_eq!((vm.decide(&memory, "twice").as_str(), differing(&vm).len()), (expected, 1));
    }
}

#[test]
fn a_row_that_a_later_page_changes_differs_from_nothing() {
    let memory = Memory::default();
    let rows = r#""keys": [KEY], "applications": [{"id": "app", "owner": "new"}, {"id": "x"}],
        "subscriptions": [{"application": "app", "api": "a", "state": "BLOCKED"}, {"application": "app", "api": "b"}],
        "removed": {"subscriptions": [{"application": "app", "api": "b"}], "keys": ["SHA256"]}"#;
    let sha256 = Digest::of(b"good").to_hex();
    let good = format!(r#"{{"sha256": "{sha256}", "id": "k-other", "application": "app"}}"#);
    let rows = rows.replace("KEY", &good).replace("SHA256", &sha256);
    let mut vm = answered(&memory, r#""base": 5, "poll": "/poll","#, &rows);
    assert_eq!(differing(&vm), Vec::<&str>::new(), "it replaces what an older page said");
    assert_eq!(vm.decide(&memory, "good"), "subscription_blocked");
}

#[test]
fn a_page_with_new_plans_is_logged_once() {
    let rows = r#""plans": [{"id": "p"}], "subscriptions": [{"application": "app", "api": "a", "plan": "p"},
        {"application": "app", "api": "a", "state": "BLOCKED"}]"#;
    let vm = answered(&Memory::default(), r#""base": 5, "poll": "/poll","#, rows);
    assert_eq!(differing(&vm).len(), 1, "{:?}", vm.lines);
}

#[test]
fn differing_rows_are_found_in_spilled_policies_too() {
    let memory = Memory::default();
    let mut vm = Vm::new("");
    vm.tick(&memory, 1_000);
    let referers = vec![format!(r#""example.com/{}""#, "x".repeat(400)); 1_000].join(",");
    vm.settle(&memory, 1_000, &mut |fetch| {
        let (page, next) = if fetch.path == "/v1/policy" { (1, r#""next": "/2","#) } else { (2, "") };
        let keys: Vec<_> = (0..12)
            .map(|number| {
                let sha256 = Digest::of(&[number, page]).to_hex();
                format!(
                    r#"{{"sha256": "{sha256}", "id": "k", "application": "app", "permitted_referers": [{referers}]}}"#
                )
            })
            .chain([1, 2].map(|id| key_row(&format!(r#""id": "k-{page}-{id}", "application": "app""#))))
            .collect();
        json(format!(r#"{{"format": 1, "revision": 6, {API}, {next} "keys": [{}]}}"#, keys.join(",")))
    });
    assert!(vm.held.manifest().is_some(), "{:?}", vm.lines);
    assert!(differing(&vm)[0].contains("3 rows differ"), "{:?}", vm.lines);
}
