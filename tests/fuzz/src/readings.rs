//! Paths with path parameters. A server that drops them never serves another API or operation than the one that the
//! filter decided about. This file computes the readings again, on the raw path, as servers do.

use std::cell::LazyCell;

use serde_json::json;

use crate::cases::{core::Core, table::Group};

thread_local! {
    static CORE: LazyCell<(Core, Group)> = const { LazyCell::new(core) };
}

fn core() -> (Core, Group) {
    let group = json!({
        "name": "readings",
        "policy": {
            "apis": [
                {"id": "root", "security": "none", "match": [{"path": "/"}]},
                {"id": "api", "match": [{"path": "/api"}]},
                {"id": "payments", "match": [{"path": "/payments/1.0"}]},
                {"id": "admin", "match": [{"path": "/payments/1.0/admin"}]},
                {"id": "open", "security": "none", "match": [{"path": "/open"}]},
                {"id": "aa", "match": [{"path": "/aa"}]},
                {"id": "escaped", "match": [{"path": "/aa/b%3By"}]}
            ],
            "applications": [{"id": "app"}],
            "keys": [{"key": "good-key", "application": "app"}],
            "subscriptions": [
                {"application": "app", "api": "payments", "plan": "some"}, {"application": "app", "api": "admin"},
                {"application": "app", "api": "api", "plan": "some"}, {"application": "app", "api": "aa"}
            ],
            "plans": [{"id": "some", "operations": [{"path": "/list"}, {"path": "/*/items"}, {"path": "/a/**"}]}]
        },
        "cases": []
    });
    let group: Group = serde_json::from_value(group).unwrap();
    (Core::new(&group), group)
}

/// See the head of this file.
pub fn check(target: &[u8]) {
    let end = target.iter().position(|&byte| byte == b'?').unwrap_or(target.len());
    let path = &target[..end];
    let begins = |rest: &[u8], escaped: bool| {
        rest.starts_with(b";") || escaped && rest.get(..3).is_some_and(|begin| begin.eq_ignore_ascii_case(b"%3b"))
    };
    if !(0..path.len()).any(|at| begins(&path[at..], true)) {
        return;
    }
    let without = |escaped: bool| -> Vec<u8> {
        let name = |segment: &[u8]| {
            let end = (0..segment.len()).find(|&at| begins(&segment[at..], escaped));
            segment[..end.unwrap_or(segment.len())].to_vec()
        };
        path.split(|&byte| byte == b'/').map(name).collect::<Vec<_>>().join(&b'/')
    };
    let kept = decide(path);
    if kept.0 == "path_ambiguous" {
        return;
    }
    for escaped in [true, false] {
        let dropped = without(escaped);
        assert_eq!(decide(&dropped), kept, "{} and {}", path.escape_ascii(), dropped.escape_ascii());
    }
}

/// Reason and API of a request with a valid key.
fn decide(path: &[u8]) -> (String, Option<String>) {
    CORE.with(|core| {
        let (core, group) = &**core;
        let case = json!({"name": "", "request": {"path": "/", "key": "good-key"}, "expect": "allowed"});
        let mut sent = group.sent(&serde_json::from_value(case).unwrap());
        sent.path = Some(path.to_vec());
        let mut annotations = core.send(&sent).annotations;
        (annotations.remove("reason").unwrap(), annotations.remove("api_id"))
    })
}
