//! Tests of fields that keygate does not know: wherever they are on a page, the page is counted and each name is logged
//! once.

use super::*;

/// A page with one row of each kind. `field` is added at the place with this number.
fn page(place: usize, field: &str, delta: bool) -> String {
    let at = |number: usize| if number == place { format!("{field}, ") } else { String::new() };
    let base = if delta { r#""base": 5, "poll": "/poll2""# } else { r#""poll": "/poll""# };
    format!(
        r#"{{{page}"format": 1, "revision": 6, {base}, "counts": {{{counts}"keys": 1}},
            "apis": [{{{api}"id": "a", "match": [{{{matched}"path": "/a"}}]}}],
            "plans": [{{{plan}"id": "p", "limits": [{{{limit}"requests": 1000, "per": "day"}}],
                        "burst": {{{burst}"requests": 1000, "per": "second"}}, "operations": [{{{operation}"path": "/**"}}]}}],
            "deny_policies": [{{{deny}"id": "d", "type": "USER", "value": "mallory"}}],
            "applications": [{{{application}"id": "app"}}],
            "keys": [{{{key}"sha256": "{sha256}", "id": "k-good", "application": "app"}}],
            "subscriptions": [{{{subscription}"application": "app", "api": "a", "plan": "p"}}],
            "removed": {{{removed}"subscriptions": [{{{pair}"application": "x", "api": "y"}}]}}}}"#,
        page = at(0),
        counts = at(1),
        api = at(2),
        matched = at(3),
        plan = at(4),
        limit = at(5),
        burst = at(6),
        operation = at(7),
        deny = at(8),
        application = at(9),
        key = at(10),
        subscription = at(11),
        removed = at(12),
        pair = at(13),
        sha256 = Digest::of(b"good").to_hex(),
    )
}

/// The names of these places in the log.
const PLACES: [&str; 14] = [
    "of the page itself",
    "in `counts`",
    "in `apis`, row at byte ",
    "in `apis`, row at byte ",
    "in `plans`, row at byte ",
    "in `plans`, row at byte ",
    "in `plans`, row at byte ",
    "in `plans`, row at byte ",
    "in `deny_policies`, row at byte ",
    "in `applications`, row at byte ",
    "in `keys`, row at byte ",
    "in `subscriptions`, row at byte ",
    "in `removed`",
    "in `removed`",
];

/// The removals of a full policy are not looked at.
const PLACES_OF_REMOVALS: [usize; 2] = [12, 13];

/// The log lines about unknown fields, and the number of pages that had some.
fn unknown(vm: &Vm) -> (Vec<&str>, usize) {
    let lines = vm.lines.iter().map(|(_, line)| line.as_str());
    let pages = vm.events.iter().filter(|event| **event == RefreshEvent::UnknownFields);
    (lines.filter(|line| line.contains("does not know")).collect(), pages.count())
}

/// A VM that held revision 5 and then got this answer.
fn answered(body: &str) -> Vm {
    let memory = Memory::default();
    let mut vm = holding(&memory, "");
    vm.tick(&memory, 7_000);
    vm.answer(&memory, 7_000, json(body));
    vm.settle(&memory, 7_000, &mut |_| status(304));
    assert_eq!(vm.decide(&memory, "good"), "allowed", "{body}");
    vm
}

#[test]
fn an_unknown_field_is_counted_and_logged_wherever_it_is() {
    let fields = [
        (r#""status": "BLOCKED""#, "`status`"),
        (r#""expires": 1"#, "`expires`"),
        (r#""revoked": true"#, "`revoked`"),
        (r#""denyPolicies": [{"id": "d"}, null]"#, "`denyPolicies`"),
        (r#""State": {"state": "BLOCKED"}"#, "`State`"),
        (r#""": 0"#, "``"),
        (r#""\u000a\"\u202e": 0"#, r#"`\n\"\u{202e}`"#),
    ];
    for (place, words) in PLACES.into_iter().enumerate() {
        for delta in [false, true] {
            let clean = page(usize::MAX, "", delta);
            assert_eq!(unknown(&answered(&clean)), (Vec::new(), 0));
            for (field, name) in fields {
                let vm = answered(&page(place, field, delta));
                if PLACES_OF_REMOVALS.contains(&place) && !delta {
                    assert_eq!(unknown(&vm), (Vec::new(), 0), "{field} at {place}");
                    continue;
                }
                let (lines, pages) = unknown(&vm);
                let expected = format!(": {name} {words}");
                assert_eq!((lines.len(), pages), (1, 1), "{field} at {place}: {lines:?}");
                assert!(lines[0].contains(&expected), "{field} at {place}: {lines:?}");
            }
        }
    }
}

#[test]
fn a_similar_known_name_is_suggested() {
    for (place, field, meant) in [
        (0, r#""denyPolicies": []"#, Some("deny_policies")),
        (0, r#""subscription": []"#, Some("subscriptions")),
        (4, r#""stopOnQuotaReach": false"#, Some("stop_on_quota_reach")),
        (10, r#""expires": 1"#, Some("expires_at")),
        (10, r#""revoked": true"#, None),
        (11, r#""status": "BLOCKED""#, Some("state")),
        (11, r#""expires": 1"#, None),
        (12, r#""denyPolicies": []"#, Some("deny_policies")),
    ] {
        let vm = answered(&page(place, field, true));
        let (lines, _) = unknown(&vm);
        let hint = meant.map(|name| format!("; did you mean `{name}`?")).unwrap_or_default();
        assert!(
            lines[0].ends_with(&hint) && lines[0].contains("did you mean") == meant.is_some(),
            "{field}: {lines:?}"
        );
    }
}

#[test]
fn five_names_of_a_page_are_logged_once_and_a_vm_remembers_a_bounded_number() {
    let memory = Memory::default();
    let mut vm = holding(&memory, "");
    let mut revision = 5;
    let mut say = |names: &[String]| {
        let fields: Vec<_> = names.iter().map(|name| format!(r#""{name}": 1"#)).collect();
        let now_ms = revision * 10_000;
        vm.tick(&memory, now_ms);
        let body = format!(
            r#"{{"format": 1, "base": {revision}, "revision": {}, "poll": "/poll", "applications": [{{"id": "x"}}], {}}}"#,
            revision + 1,
            fields.join(", ")
        );
        revision += 1;
        vm.answer(&memory, now_ms, json(body));
        vm.settle(&memory, now_ms, &mut |_| status(304));
        let (lines, pages) = unknown(&vm);
        let said = (lines.len(), pages);
        vm.lines.clear();
        vm.events.clear();
        said
    };
    let names = |numbers: std::ops::Range<u32>| numbers.map(|number| format!("name-{number}")).collect::<Vec<_>>();
    assert_eq!(say(&names(0..7)), (5, 1), "the first five");
    assert_eq!(say(&names(0..7)), (0, 1), "each once");
    assert_eq!(say(&names(4..7)), (2, 1), "those that were not said yet");
    for begin in (7..64).step_by(3) {
        assert_eq!(say(&names(begin..begin + 3)), (3, 1), "{begin}");
    }
    assert_eq!(say(&names(64..67)), (0, 1), "what no room is left for is counted all the same");
}

#[test]
fn a_page_that_brings_plans_is_worked_in_twice_and_counted_once() {
    let vm = answered(&page(11, r#""status": "BLOCKED""#, true));
    assert!(vm.events.contains(&RefreshEvent::Applied));
    assert_eq!(unknown(&vm).1, 1, "the plan is new, so this page was read twice");
}

#[test]
fn each_page_of_a_policy_counts_and_neither_the_same_bytes_again_nor_nothing_new() {
    let memory = Memory::default();
    let mut vm = Vm::new("");
    vm.tick(&memory, 1_000);
    vm.settle(&memory, 1_000, &mut |fetch| match fetch.path.as_str() {
        "/v1/policy" => json(format!(r#"{{"format": 1, "revision": 5, "next": "/2", "one": 1, {API}}}"#)),
        "/2" => json(r#"{"format": 1, "revision": 5, "next": "/3", "applications": [{"id": "app", "one": 1}]}"#),
        _ => json(r#"{"format": 1, "revision": 5, "poll": "/poll", "keys": [{"two": 1}]}"#),
    });
    assert_eq!(unknown(&vm).1, 3);
    assert_eq!(unknown(&vm).0.len(), 2, "{:?}", vm.lines);

    let memory = Memory::default();
    let mut vm = Vm::new(r#", "long_poll_ms": 0"#);
    for now_ms in [1_000, 7_000, 14_000] {
        vm.tick(&memory, now_ms);
        vm.settle(&memory, now_ms, &mut |_| json(full(5, r#", "one": 1"#, &["good"])));
    }
    assert_eq!(unknown(&vm).1, 1, "the same bytes are the same page");
}

#[test]
fn a_name_of_any_length_makes_a_short_line_and_no_digest_is_logged() {
    let sha256 = Digest::of(b"secret").to_hex();
    for (name, parts) in [
        ("x".repeat(1_000_000), ["xxx", "…`"]),
        ("\\u0000".repeat(100), [r"\0\0", "…`"]),
        (sha256.clone(), ["a name of hexadecimal digits", " in `keys`"]),
        (sha256.repeat(3), ["a name of hexadecimal digits", " in `keys`"]),
    ] {
        let vm = answered(&page(10, &format!(r#""{name}": 1"#), false));
        let (lines, pages) = unknown(&vm);
        assert_eq!((lines.len(), pages), (1, 1));
        assert!(lines[0].len() < 1_000 && parts.iter().all(|part| lines[0].contains(part)), "{lines:?}");
        assert!(!lines[0].contains(&sha256[..60]), "{lines:?}");
    }
}
