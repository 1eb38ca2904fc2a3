//! The table of subscription states and key types: each cell is compared with the decision of the core.

use keygate::reason::Reason;
use serde_json::{Value, json};

use super::{
    all_marked,
    cases::{core::Core, table::Group},
    rows,
};

/// The result for a request with this state of the subscription and type of the key: `allow` or the code.
fn decided(state: Option<&str>, kind: Option<&str>) -> String {
    let subscriptions: Vec<Value> =
        state.into_iter().map(|state| json!({"application": "shop", "api": "api", "state": state})).collect();
    let policy = json!({
        "apis": [{"id": "api", "match": [{"path": "/api"}]}],
        "applications": [{"id": "shop"}],
        "keys": [{"key": "the-key", "application": "shop", "type": kind}],
        "subscriptions": subscriptions,
    });
    let request = json!({"name": "a request", "request": {"key": "the-key", "path": "/api"}, "expect": "allowed"});
    let group = json!({"name": "states", "policy": policy, "cases": [request]});
    let group: Group = serde_json::from_value(group).expect("a group");
    let reason = Core::new(&group).observe(&group, &group.cases[0]).annotations.remove("reason").expect("a reason");
    let refused = Reason::ALL.iter().find(|known| known.as_str() == reason);
    refused.map_or_else(|| "allow".to_owned(), |reason| reason.defaults().0.to_owned())
}

#[test]
fn the_table_of_states_is_what_the_core_decides() {
    let mut count = 0;
    for table in all_marked("docs/decision.md", "states") {
        for row in rows(&table) {
            for state in row[0].split(", ") {
                let state = match state {
                    "none" => None,
                    "anything else" => Some("SLEEPING"),
                    state => Some(state),
                };
                let kinds = [&[Some("PRODUCTION")][..], &[Some("SANDBOX")], &[None, Some("MYSTERY")]];
                for (told, kinds) in row[1..].iter().zip(kinds) {
                    for kind in kinds {
                        assert_eq!(told.trim_matches('*'), decided(state, *kind), "{state:?}, {kind:?}");
                        count += 1;
                    }
                }
            }
        }
    }
    assert_eq!(count, 9 * 4, "states and types");
}
