//! Tests of matches and operations that can never apply: each is left out and counted, and the other parts of its row
//! stay.

use super::*;

/// A path, and whether it is kept in a match and in an operation.
const PATHS: [(&str, bool, bool); 27] = [
    ("/x", true, true),
    ("/", true, true),
    ("/x/%7Bid%7D", true, true),
    ("/x/%2A", true, true),
    ("/a%20b", true, true),
    ("/x;y/z", true, true),
    ("/x/{id}", false, true),
    ("/{id}", false, true),
    ("/x/*", false, true),
    ("/*/x", false, true),
    ("/x/**", false, true),
    ("/x/{*}", false, true),
    ("/x{id}", false, false),
    ("/{a}{b}", false, false),
    ("/{}", false, false),
    ("/{id", false, false),
    ("/id}", false, false),
    ("/x*", false, false),
    ("*", false, false),
    ("{id}", false, false),
    ("/a b", false, false),
    (" /x", false, false),
    ("/x ", false, false),
    (" ", false, false),
    ("/x?y=1", false, false),
    ("?", false, false),
    ("/x?", false, false),
];

/// A VM that got this page after revision 5, and how many rows or parts of rows it left out.
fn answered(body: &str) -> (Memory, Vm, u64) {
    let memory = Memory::default();
    let mut vm = holding(&memory, "");
    vm.tick(&memory, 7_000);
    vm.answer(&memory, 7_000, json(body));
    vm.settle(&memory, 7_000, &mut |_| status(304));
    let counts = vm.events.iter().map(|event| if let RefreshEvent::RowsRejected(rows) = event { *rows } else { 0 });
    let left_out = counts.sum();
    (memory, vm, left_out)
}

fn policy(header: &str, matches: &str, operations: &str) -> String {
    format!(
        r#"{{"format": 1, "revision": 6, {header} "apis": [{{"id": "a", "match": [{matches}]}}],
            "plans": [{{"id": "p", "operations": [{operations}]}}], "applications": [{{"id": "app"}}],
            "subscriptions": [{{"application": "app", "api": "a", "plan": "p"}}], "keys": [{}]}}"#,
        key("good")
    )
}

fn entry(path: &str) -> String {
    format!(r#"{{"path": "{path}"}}"#)
}

#[test]
fn a_part_that_can_never_apply_is_left_out_and_counted_and_the_others_stay() {
    for header in ["", r#""base": 5, "poll": "/poll","#] {
        for (path, in_match, in_operation) in PATHS {
            let good = entry("/a");
            for (matches, operations, kept, list, field) in [
                (format!("{}, {good}", entry(path)), entry("/**"), in_match, "apis", "match"),
                (good, format!("{}, {}", entry(path), entry("/**")), in_operation, "plans", "operations"),
            ] {
                let (memory, mut vm, left_out) = answered(&policy(header, &matches, &operations));
                let case = format!("{path:?} in `{field}`, {header}");
                assert_eq!(left_out, u64::from(!kept), "{case}: {:?}", vm.lines);
                assert_eq!(vm.held.manifest().unwrap().revision, Some(6), "{case}");
                assert_eq!(vm.decide(&memory, "good"), "allowed", "{case}");
                let said = format!("`{list}`, row at byte ");
                let lines: Vec<_> = vm.lines.iter().filter(|(_, line)| line.contains("permit nothing")).collect();
                assert_eq!(lines.len(), usize::from(!kept), "{case}: {lines:?}");
                assert!(lines.iter().all(|(_, line)| line.contains(&said) && line.contains(field)), "{lines:?}");
            }
        }
    }
}

#[test]
fn a_list_without_usable_parts_permits_nothing() {
    let bad: Vec<_> = PATHS.iter().filter(|(_, in_match, in_operation)| !in_match && !in_operation).collect();
    let bad: Vec<_> = bad.into_iter().map(|(path, ..)| entry(path)).collect();
    let count = u64::try_from(bad.len()).unwrap();
    let bad = bad.join(",");
    for (matches, operations, expected) in
        [(bad.as_str(), entry("/**"), "api_not_found"), (&entry("/a"), bad.clone(), "operation_not_permitted")]
    {
        let (memory, mut vm, left_out) = answered(&policy("", matches, &operations));
        assert_eq!((vm.decide(&memory, "good").as_str(), left_out), (expected, count));
        assert_eq!(
            vm.lines.iter().filter(|(_, line)| line.contains("permit nothing")).count(),
            1,
            "one line for a row"
        );
    }
}

#[test]
fn a_host_that_no_request_has_is_counted_and_the_others_stay() {
    for host in ["*", "*.", "*x", "a.*.b", "http://x", "", "x y", "a..b", "a:b:c", "[::1", "x/y"] {
        for (hosts, expected) in [(format!(r#""{host}", "h""#), "allowed"), (format!(r#""{host}""#), "api_not_found")] {
            let matches = format!(r#"{{"path": "/a", "hosts": [{hosts}]}}"#);
            let (memory, mut vm, left_out) = answered(&policy("", &matches, &entry("/**")));
            assert_eq!((vm.held.manifest().unwrap().revision, left_out), (Some(6), 1), "{hosts}: {:?}", vm.lines);
            assert!(
                vm.lines.iter().any(|(_, line)| line.contains("`match`") && line.contains("hosts")),
                "{:?}",
                vm.lines
            );
            assert_eq!(vm.decide(&memory, "good"), expected, "{hosts}");
        }
    }
    let (memory, mut vm, left_out) = answered(&policy("", r#"{"path": "/a", "hosts": []}"#, &entry("/**")));
    assert_eq!((vm.decide(&memory, "good").as_str(), left_out), ("api_not_found", 0), "an empty list is no mistake");
}

#[test]
fn another_path_that_no_request_has_refuses_its_page() {
    for path in ["", "x", "//x", "/../x", "/x/%2f", "/x\\u0000", "/x\\\\y"] {
        let (_, vm, left_out) = answered(&policy("", &entry(path), &entry("/**")));
        assert_eq!((vm.held.manifest().unwrap().revision, left_out), (Some(5), 0), "{path}");
        assert!(vm.lines.iter().any(|(_, line)| line.contains("`match.path`")), "{path}: {:?}", vm.lines);
    }
}

#[test]
fn no_more_than_five_lines_are_written_for_a_page() {
    let plans: Vec<_> = (0..8).map(|n| format!(r#"{{"id": "p-{n}", "operations": [{}]}}"#, entry("/a b"))).collect();
    let body = format!(r#"{{"format": 1, "revision": 6, {API}, "plans": [{}]}}"#, plans.join(","));
    let (_, vm, left_out) = answered(&body);
    assert_eq!(left_out, 8);
    assert_eq!(vm.lines.iter().filter(|(_, line)| line.contains("permit nothing")).count(), 5, "{:?}", vm.lines);
    assert!(vm.lines.iter().any(|(_, line)| line.starts_with("3 more")), "{:?}", vm.lines);
}
