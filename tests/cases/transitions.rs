//! Every transition of a subscription from one state to another, as deltas on one policy, in an order that takes each
//! pair once. `states.json` has the expectations.

use serde_json::{Value, json};

use super::{
    groups,
    table::{Expect, Group, Request, Sent},
};

/// The states, including "none" and an unknown one.
pub const STATES: [&str; 9] = [
    "UNBLOCKED",
    "TIER_UPDATE_PENDING",
    "DELETE_PENDING",
    "BLOCKED",
    "PROD_ONLY_BLOCKED",
    "ON_HOLD",
    "REJECTED",
    "SLEEPING",
    "none",
];
/// The key types. The text of a key is the name of its type.
pub const TYPES: [&str; 4] = ["PRODUCTION", "SANDBOX", "absent", "MYSTERY"];

/// The states in an order in which each directly follows each other one at least once.
pub fn walk() -> Vec<&'static str> {
    let mut walk = vec![STATES[0]];
    for (index, here) in STATES.iter().enumerate() {
        for there in &STATES[index + 1..] {
            walk.extend([there, here]);
        }
        walk.extend(STATES.get(index + 1));
    }
    walk
}

/// The reason that `states.json` expects.
pub fn expected(state: &str, key_type: &str) -> String {
    let name = format!("{state} × {key_type}");
    let groups = groups("states");
    let case = groups.iter().flat_map(|group| &group.cases).find(|case| case.name == name).expect("a case");
    case.expectation().reason
}

/// Path of the first page.
pub const PATH: &str = "/transitions";

/// The cursor after a revision.
pub fn poll(revision: usize) -> String {
    format!("{PATH}?since={revision}")
}

/// The first page: one application with a key of each type, and another application whose subscription never changes.
pub fn group() -> Group {
    let keys: Vec<_> = TYPES
        .iter()
        .map(|name| {
            let mut row = json!({"key": format!("key-{name}"), "application": "app"});
            if *name != "absent" {
                row["type"] = json!(name);
            }
            row
        })
        .chain([json!({"key": "bystander-key", "application": "bystander"})])
        .collect();
    let policy = json!({
        "revision": 1,
        "poll": poll(1),
        "apis": [{"id": "api", "match": [{"path": "/api"}]}],
        "applications": [{"id": "app"}, {"id": "bystander"}],
        "keys": keys,
        "subscriptions": [{"application": "app", "api": "api"}, {"application": "bystander", "api": "api"}],
    });
    let group = json!({"name": "transitions", "policy": policy, "cases": [],
                       "config": {"policy": {"path": PATH, "refresh_interval_ms": 100, "long_poll_ms": 0}}});
    serde_json::from_value(group).expect("a group")
}

/// The delta that sets the subscription to `state`.
pub fn delta(base: usize, state: &str) -> Value {
    let mut delta = json!({"format": 1, "base": base, "revision": base + 1, "poll": poll(base + 1)});
    if state == "none" {
        delta["removed"] = json!({"subscriptions": [{"application": "app", "api": "api"}]});
    } else {
        delta["subscriptions"] = json!([{"application": "app", "api": "api", "state": state}]);
    }
    delta
}

/// Requests with a key of each type and with the key of the other application, each with the reason expected in
/// `state`.
pub fn requests(group: &Group, state: &str) -> Vec<(Sent, String)> {
    let sent = |key: String| {
        let request: Request = serde_json::from_value(json!({"key": key})).expect("a request");
        let case = super::table::Case {
            name: String::new(),
            request,
            expect: Expect::Reason(String::new()),
            native: None,
            not_http1: None,
        };
        group.sent(&case)
    };
    let of_type = |name: &&str| (sent(format!("key-{name}")), expected(state, name));
    TYPES.iter().map(of_type).chain([(sent("bystander-key".to_owned()), "allowed".to_owned())]).collect()
}
