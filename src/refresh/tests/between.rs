//! Tests of requests between two writes of a delta: each is decided by the old policy or by the new one, and by nothing
//! else.

use super::*;

/// One application, with its rows before and after the delta and with the decisions for both.
struct Case {
    name: &'static str,
    /// The last fields of the application's row and of its subscription's row.
    before: (&'static str, &'static str),
    after: (&'static str, &'static str),
    decided: (&'static str, &'static str),
}

const CASES: &[Case] = &[
    Case {
        name: "moves to a plan that comes with it",
        before: ("", r#","plan": "old""#),
        after: ("", r#","plan": "new""#),
        decided: ("allowed", "allowed"),
    },
    Case {
        name: "gets an application's plan that comes with it",
        before: ("", ""),
        after: (r#","plan": "new""#, ""),
        decided: ("allowed", "allowed"),
    },
    Case {
        name: "moves to a plan that was there",
        before: ("", r#","plan": "new-but-known""#),
        after: ("", r#","plan": "kept""#),
        decided: ("allowed", "allowed"),
    },
    Case {
        name: "leaves a plan that goes",
        before: ("", r#","plan": "goes""#),
        after: ("", ""),
        decided: ("allowed", "allowed"),
    },
    Case {
        name: "is blocked as its plan becomes known",
        before: ("", r#","plan": "new""#),
        after: ("", r#","plan": "new","state": "BLOCKED""#),
        decided: ("subscription_inactive", "subscription_blocked"),
    },
    Case {
        name: "is blocked for production as its plan becomes known",
        before: ("", r#","plan": "new""#),
        after: ("", r#","plan": "new","state": "PROD_ONLY_BLOCKED""#),
        decided: ("subscription_inactive", "subscription_blocked"),
    },
    Case {
        name: "whose application is blocked as its plan becomes known",
        before: (r#","plan": "new""#, ""),
        after: (r#","plan": "new","state": "BLOCKED""#, ""),
        decided: ("subscription_inactive", "application_blocked"),
    },
    Case {
        name: "is used up as its plan becomes known",
        before: ("", r#","plan": "new""#),
        after: ("", r#","plan": "new","used_up_until": 2000"#),
        decided: ("subscription_inactive", "quota_exceeded"),
    },
    Case {
        name: "whose plan becomes known",
        before: ("", r#","plan": "new""#),
        after: ("", r#","plan": "new""#),
        decided: ("subscription_inactive", "allowed"),
    },
    Case {
        name: "is blocked and moves to a plan that comes with it",
        before: ("", ""),
        after: ("", r#","plan": "new","state": "BLOCKED""#),
        decided: ("allowed", "subscription_blocked"),
    },
    Case {
        name: "is unblocked and moves to a plan that comes with it",
        before: ("", r#","state": "BLOCKED""#),
        after: ("", r#","plan": "new""#),
        decided: ("subscription_blocked", "allowed"),
    },
];

const LIMITS: &str = r#""limits": [{"requests": 1000000, "per": "month"}]"#;

/// The rows of all cases, before or after the delta.
fn rows(side: impl Fn(&Case) -> (&'static str, &'static str)) -> String {
    let (mut applications, mut subscriptions) = (Vec::new(), Vec::new());
    for (number, case) in CASES.iter().enumerate() {
        let (application, subscription) = side(case);
        applications.push(format!(r#"{{"id": "app-{number}"{application}}}"#));
        subscriptions.push(format!(r#"{{"application": "app-{number}", "api": "a"{subscription}}}"#));
    }
    format!(r#""applications": [{}], "subscriptions": [{}]"#, applications.join(","), subscriptions.join(","))
}

fn before() -> String {
    let key = |number| {
        let digest = Digest::of(format!("key-{number}").as_bytes()).to_hex();
        format!(r#"{{"sha256": "{digest}", "id": "k-{number}", "application": "app-{number}"}}"#)
    };
    let keys: Vec<_> = (0..CASES.len()).map(key).collect();
    let plan = |id| format!(r#"{{"id": "{id}", {LIMITS}}}"#);
    let plans = ["old", "kept", "goes", "new-but-known"].map(plan);
    format!(
        r#"{{"format": 1, "revision": 5, "poll": "/poll", {API}, "keys": [{}], "plans": [{}], {}}}"#,
        keys.join(","),
        plans.join(","),
        rows(|case| case.before)
    )
}

fn delta() -> String {
    let rows = rows(|case| case.after);
    format!(
        r#"{{"format": 1, "base": 5, "revision": 6, "poll": "/poll6", "plans": [{{"id": "new", {LIMITS}}}],
            "removed": {{"plans": ["old", "goes"]}}, {rows}}}"#
    )
}

fn decided(memory: &Memory) -> Vec<String> {
    // A VM that has read the policy and has cached nothing.
    (0..CASES.len()).map(|number| Vm::new("").decide(memory, &format!("key-{number}"))).collect()
}

#[test]
fn a_delta_that_is_cut_anywhere_refuses_and_allows_only_what_one_of_both_policies_does() {
    for cut in 0.. {
        let memory = Memory::default();
        let mut vm = Vm::new("");
        vm.tick(&memory, 1_000);
        vm.settle(&memory, 1_000, &mut |_| json(before()));
        let found = decided(&memory);
        CASES.iter().zip(&found).for_each(|(case, found)| assert_eq!(found, case.decided.0, "before: {}", case.name));

        vm.tick(&memory, 6_000);
        let steps = Cell::new(0);
        let cutting = Cutting { memory: &memory, left: Cell::new(cut), steps: &steps };
        let mut report = Lines::default();
        let mut context = RefreshContext { now_ms: 6_000, held: &mut vm.held, shared: &cutting, report: &mut report };
        let (token, _) = vm.sent.take().unwrap();
        vm.refresh.answered(token, json(delta()), &mut context);
        for now_ms in 6_001..6_010 {
            let mut context = RefreshContext { now_ms, held: &mut vm.held, shared: &cutting, report: &mut report };
            vm.refresh.tick(0, &mut context);
        }
        for (case, found) in CASES.iter().zip(decided(&memory)) {
            let (before, after) = case.decided;
            assert!(found == before || found == after, "cut after {cut} writes: {}: {found}", case.name);
        }
        if steps.get() < cut {
            let found = decided(&memory);
            CASES
                .iter()
                .zip(&found)
                .for_each(|(case, found)| assert_eq!(found, case.decided.1, "after: {}", case.name));
            assert!(cut > 10, "the delta was {cut} writes");
            return;
        }
    }
}
