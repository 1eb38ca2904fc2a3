//! Tests of rows that would make a request too expensive. A row at each bound is kept. One above it is left out, or its
//! page is refused where a missing row could allow too much.

use super::*;

/// What a page with such a row does.
#[derive(Debug, PartialEq)]
enum Outcome {
    Taken,
    /// The page is refused, because it could allow too much without the row.
    Refused(&'static str),
    /// The row, or the part of it, is left out.
    LeftOut(&'static str),
}

use Outcome::{LeftOut, Refused, Taken};

fn list(entries: impl Iterator<Item = String>) -> String {
    entries.map(|entry| format!("\"{entry}\"")).collect::<Vec<_>>().join(",")
}

/// A page with additional fields of an API, of a plan's operation and of a key.
fn page([api, operation, key_row]: [&str; 3]) -> String {
    format!(
        r#"{{"format": 1, "revision": 6, "apis": [{{"id": "a", "match": [{{{api}}}]}}],
            "plans": [{{"id": "p", "operations": [{{"path": "/**"{operation}}}]}}], "applications": [{{"id": "app"}}],
            "subscriptions": [{{"application": "app", "api": "a"}}],
            "keys": [{{"sha256": "{}", "id": "k", "application": "app"{key_row}}}]}}"#,
        Digest::of(b"good").to_hex()
    )
}

#[test]
fn rows_that_make_a_request_expensive_are_bounded_and_reported() {
    let path = |segments: usize| format!(r#""path": "{}""#, "/a".repeat(segments));
    let host = |labels: usize| format!(r#""path": "/a", "hosts": ["*{}"]"#, ".a".repeat(labels));
    let methods = |count: u8| format!(r#", "methods": [{}]"#, list((0..count).map(|number| format!("M{number}"))));
    let referers = |pattern: &str, count: usize| {
        format!(
            r#", "permitted_referers": [{}]"#,
            list((0..count).map(|number| pattern.replace('#', &number.to_string())))
        )
    };
    const API: &str = r#""path": "/a""#;
    let cases: [([&str; 3], Outcome); 12] = [
        ([&path(64), "", ""], Taken),
        ([&path(65), "", ""], Refused("more than 64 segments")),
        ([&host(32), "", ""], Taken),
        ([&host(33), "", ""], Refused("more than 32 labels")),
        (
            [
                r#""path": "/a", "hosts": ["a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a"]"#,
                "",
                "",
            ],
            Taken,
        ),
        ([API, &methods(64), ""], Taken),
        ([API, &methods(65), ""], LeftOut("more than 64 methods")),
        ([API, "", &referers("h#.test/*/a/*", 6)], Taken),
        ([API, "", &referers("h#.test/*/a/*", 7)], LeftOut("more than 6 patterns with something between two stars")),
        ([API, "", &referers("*.h#.*/", 7)], LeftOut("more than 6 patterns")),
        ([API, "", &referers("*.h#.test/a/*", 1_000)], Taken),
        ([API, "", &referers("h#.test/*", 1_001)], LeftOut("more than 1000 entries")),
    ];
    for (rows, expected) in cases {
        let memory = Memory::default();
        let mut vm = holding(&memory, "");
        vm.tick(&memory, 7_000);
        vm.answer(&memory, 7_000, json(page(rows)));
        vm.settle(&memory, 7_000, &mut |_| status(304));
        let told = |what: &str| vm.lines.iter().any(|(level, line)| *level == Severity::Warn && line.contains(what));
        let (is_told, is_applied) = match expected {
            Taken => (!vm.lines.iter().any(|(level, _)| *level == Severity::Warn), true),
            Refused(what) => (told(what), false),
            LeftOut(what) => (told(what), true),
        };
        assert!(is_told, "{rows:?}: {:?}", vm.lines);
        assert_eq!(vm.events.contains(&RefreshEvent::Applied), is_applied, "{rows:?}");
        let left_out = matches!(expected, LeftOut(_));
        let counted = vm.events.iter().any(|event| matches!(event, RefreshEvent::RowsRejected(1)));
        assert_eq!(counted, left_out, "{rows:?}: {:?}", vm.events);
    }
}

/// The decision for a request with these `referer` headers.
fn decided(referers: &[&str]) -> &'static str {
    let memory = Memory::default();
    let mut vm = holding(&memory, "");
    vm.tick(&memory, 7_000);
    let patterns = r#", "permitted_referers": ["a.test/*"]"#;
    vm.answer(&memory, 7_000, json(page([r#""path": "/a""#, "", patterns])));
    vm.settle(&memory, 7_000, &mut |_| status(304));
    let mut headers: Vec<(&[u8], &[u8])> = vec![(b":authority", b"h"), (b":path", b"/a"), (b"x-api-key", b"good")];
    headers.extend(referers.iter().map(|referer| (&b"referer"[..], referer.as_bytes())));
    vm.held.look(&memory);
    let view = vm.held.lookup(&memory);
    match decision::decide(&Head::new(headers), &vm.config, view.as_ref(), &Nothing).verdict {
        Ok(_) => "allowed",
        Err(denial) => denial.reason().as_str(),
    }
}

#[test]
fn a_request_has_few_referers_and_each_must_be_permitted() {
    let good = "https://a.test/x";
    for (referers, expected) in [
        (&[][..], "referer_not_permitted"),
        (&[good], "allowed"),
        (&[good, good], "allowed"),
        (&[good, "https://b.test/x"], "referer_not_permitted"),
        (&[good, good, good], "referer_not_permitted"),
    ] {
        assert_eq!(decided(referers), expected, "{referers:?}");
    }
}
