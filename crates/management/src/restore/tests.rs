//! Each rule of a restore, on both sides of its condition.

use serde_json::{Value, json};

use super::rules::{Restore, Verdict};
use crate::{
    apis::Api, applications::Application, deny_policies::DenyPolicy, keys::Key, resource::Resource as _,
    subscriptions::Subscription,
};

/// The stored row when `then` is restored and `known` is the latest state, and whether a reason is reported. `None` if
/// nothing is stored.
fn put<R: Restore>(then: &Value, known: &Value, is_gone: bool, lift: bool) -> Option<(Value, bool)> {
    let read = |row: &Value| serde_json::from_value::<R>(row.clone()).expect("a row");
    let known = (!known.is_null()).then(|| read(known));
    match R::put_back(read(then), known.as_ref(), is_gone, lift) {
        Verdict::Put(row, because) => Some((serde_json::to_value(row).expect("JSON"), because.is_some())),
        Verdict::Leave(_) => None,
    }
}

#[test]
fn blocks_are_neither_lifted_nor_weakened() {
    let state = |state: &str| json!({"id": "s", "application": "a", "api": "b", "state": state});
    for (then, now, is_gone, lift, expected) in [
        ("UNBLOCKED", "BLOCKED", false, false, "BLOCKED"),
        ("UNBLOCKED", "PROD_ONLY_BLOCKED", false, false, "PROD_ONLY_BLOCKED"),
        ("ON_HOLD", "BLOCKED", false, false, "BLOCKED"),
        ("PROD_ONLY_BLOCKED", "BLOCKED", false, false, "BLOCKED"),
        ("BLOCKED", "PROD_ONLY_BLOCKED", false, false, "BLOCKED"),
        ("BLOCKED", "UNBLOCKED", false, false, "BLOCKED"),
        ("UNBLOCKED", "ON_HOLD", false, false, "UNBLOCKED"),
        ("UNBLOCKED", "BLOCKED", false, true, "UNBLOCKED"),
        ("PROD_ONLY_BLOCKED", "BLOCKED", false, true, "PROD_ONLY_BLOCKED"),
        // It was unblocked before it was deleted. Otherwise its block would still exist.
        ("UNBLOCKED", "BLOCKED", true, false, "UNBLOCKED"),
    ] {
        let (row, is_told) = put::<Subscription>(&state(then), &state(now), is_gone, lift).expect("a row");
        assert_eq!(row["state"], expected, "{then} {now} {is_gone} {lift}");
        assert_eq!(is_told, then != expected, "{then} {now} {is_gone} {lift}");
    }
    for (then, now, lift, expected) in [
        ("ACTIVE", "BLOCKED", false, "BLOCKED"),
        ("ACTIVE", "BLOCKED", true, "ACTIVE"),
        ("BLOCKED", "ACTIVE", false, "BLOCKED"),
        ("ACTIVE", "ACTIVE", false, "ACTIVE"),
    ] {
        let state = |state: &str| json!({"id": "a", "state": state});
        let (row, is_told) = put::<Application>(&state(then), &state(now), false, lift).expect("a row");
        assert_eq!((&row["state"], is_told), (&json!(expected), then != expected), "{then} {now} {lift}");
    }
    for (then, now, lift, expected) in [
        ("PUBLISHED", "BLOCKED", false, "BLOCKED"),
        ("RETIRED", "BLOCKED", false, "BLOCKED"),
        ("PUBLISHED", "BLOCKED", true, "PUBLISHED"),
        ("PUBLISHED", "RETIRED", false, "PUBLISHED"),
        ("BLOCKED", "PUBLISHED", false, "BLOCKED"),
    ] {
        let state = |state: &str| json!({"id": "a", "state": state});
        let (row, is_told) = put::<Api>(&state(then), &state(now), false, lift).expect("a row");
        assert_eq!((&row["state"], is_told), (&json!(expected), then != expected), "{then} {now} {lift}");
    }
}

/// Each block in time against each later one; what is stored is at no time weaker than what there is.
#[test]
fn blocks_are_not_shortened() {
    let row =
        |state: &str, block: Value| json!({"id": "s", "application": "a", "api": "b", "state": state, "block": block});
    let rows = [
        row("UNBLOCKED", Value::Null),
        row("ON_HOLD", Value::Null),
        row("BLOCKED", json!({"state": "BLOCKED"})),
        row("BLOCKED", json!({"state": "BLOCKED", "until": 20})),
        row("BLOCKED", json!({"state": "BLOCKED", "until": 30, "before": "ON_HOLD"})),
        row("PROD_ONLY_BLOCKED", json!({"state": "PROD_ONLY_BLOCKED", "until": 30})),
        row("UNBLOCKED", json!({"state": "BLOCKED", "from": 10, "until": 20})),
        row("ON_HOLD", json!({"state": "PROD_ONLY_BLOCKED", "from": 5})),
        row("PROD_ONLY_BLOCKED", json!({"state": "BLOCKED", "from": 10, "until": 20})),
    ];
    let read = |row: &Value| serde_json::from_value::<Subscription>(row.clone()).expect("a row");
    for (then, is_kept) in rows.iter().flat_map(|row| [(row, false), (row, true)]) {
        for held in &rows {
            let (mut past, present) = (read(then), read(held));
            if is_kept {
                past = past.kept(None);
            }
            let Verdict::Put(put, because) = Subscription::put_back(past.clone(), Some(&present), false, false) else {
                panic!("{then} {held}");
            };
            assert!(put.covers(&present), "{then} {held} {put:?}");
            assert_eq!(because.is_some(), put != past, "{then} {held}");
            assert!(
                !put.deleted || put.block().is_some() || !past.is_blocked() && put == past,
                "{then} {held} {put:?}"
            );
            // The service must write it again, or nobody ends the block.
            let until = put.record.as_ref().and_then(|record| record.until);
            assert_eq!(put.due().is_some(), until.is_some() || put.planned().is_some(), "{then} {held} {put:?}");
        }
    }
}

#[test]
fn a_deny_policy_stays_as_it_is() {
    let policy = |value: &str| json!({"id": "d", "type": "IP", "value": value});
    for (now, is_gone, lift, is_put) in [
        (policy("::2"), false, false, false),
        (policy("::2"), false, true, true),
        (policy("::2"), true, false, true),
        (Value::Null, true, false, true),
    ] {
        assert_eq!(put::<DenyPolicy>(&policy("::1"), &now, is_gone, lift).is_some(), is_put, "{now} {is_gone} {lift}");
    }
    let now: DenyPolicy = serde_json::from_value(policy("::1")).expect("a row");
    assert!(DenyPolicy::stays(&now, false).is_some() && DenyPolicy::stays(&now, true).is_none());
}

#[test]
fn a_key_is_neither_revived_nor_given_a_longer_life() {
    let key = |more: Value| {
        let mut key = json!({"id": "k", "sha256": "0".repeat(64), "application": "a", "state": "ACTIVE"});
        key.as_object_mut().expect("an object").extend(more.as_object().cloned().expect("an object"));
        key
    };
    for (then, known, is_gone, expected) in [
        (json!({}), json!({}), false, Some(json!({}))),
        (json!({}), json!({"state": "REVOKED"}), false, Some(json!({"state": "REVOKED"}))),
        (json!({}), json!({"state": "REVOKED"}), true, None),
        (json!({"state": "REVOKED"}), json!({}), false, Some(json!({"state": "REVOKED"}))),
        (json!({"state": "REVOKED"}), json!({"state": "REVOKED"}), true, Some(json!({"state": "REVOKED"}))),
        (
            json!({}),
            json!({"replaced_by": "k2", "expires_at": 50}),
            false,
            Some(json!({"replaced_by": "k2", "expires_at": 50})),
        ),
        (json!({}), json!({"replaced_by": "k2", "expires_at": 50}), true, None),
        (json!({"replaced_by": "k2"}), json!({"replaced_by": "k2"}), true, Some(json!({"replaced_by": "k2"}))),
        (json!({}), json!({"expires_at": 50}), false, Some(json!({"expires_at": 50}))),
        (json!({}), json!({"expires_at": 50}), true, Some(json!({"expires_at": 50}))),
        (json!({"expires_at": 90}), json!({"expires_at": 50}), false, Some(json!({"expires_at": 50}))),
        (json!({"expires_at": 50}), json!({"expires_at": 90}), false, Some(json!({"expires_at": 50}))),
        (json!({"expires_at": 50}), json!({}), false, Some(json!({"expires_at": 50}))),
        (json!({"not_before": 5}), json!({"not_before": 9}), false, Some(json!({"not_before": 9}))),
        (json!({}), json!({"not_before": 9}), true, Some(json!({"not_before": 9}))),
        (json!({"not_before": 9}), json!({}), false, Some(json!({"not_before": 9}))),
        (json!({"expires_at": 5}), json!({"not_before": 9}), false, None),
    ] {
        // Lifting blocks does not affect keys.
        for lift in [false, true] {
            let found = put::<Key>(&key(then.clone()), &key(known.clone()), is_gone, lift);
            let name = format!("{then} {known} {is_gone}");
            let Some(expected) = &expected else {
                assert_eq!(found, None, "{name}");
                continue;
            };
            let (row, is_told) = found.expect(&name);
            for field in ["state", "expires_at", "not_before", "replaced_by"] {
                assert_eq!(row.get(field), key(expected.clone()).get(field), "{name}");
            }
            assert_eq!(is_told, *expected != then, "{name}");
        }
    }
}
