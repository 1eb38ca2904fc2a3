//! What a block would concern.

use management::port::{
    Kind, NewRow,
    concerned::{Concerned, Counted},
    usage::UsageRow,
};
use serde_json::{Value, json};

use crate::{
    databases::Opened,
    support::{NOW, application, begin, digest, put, row},
};

fn key(number: usize, more: &Value) -> NewRow {
    let id = format!("k-{number}");
    let mut document = json!({"id": id, "sha256": digest(&id), "application": "app", "state": "ACTIVE"});
    document.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    row(Kind::Key, &id, document)
}

pub async fn keys_and_requests_that_a_block_refuses_are_counted(opened: &Opened) {
    let store = &opened.store;
    // Each key, and whether a block of both types, of production keys, and of the API `a` alone refuses it.
    let keys = [
        (json!({}), [true, true, true]),
        (json!({"type": "PRODUCTION", "not_before": NOW, "expires_at": NOW + 1}), [true, true, true]),
        (json!({"type": "SANDBOX"}), [true, false, true]),
        (json!({"type": "ODD"}), [true, true, true]),
        (json!({"state": "REVOKED"}), [false, false, false]),
        (json!({"state": "ODD"}), [false, false, false]),
        (json!({"not_before": NOW + 1}), [false, false, false]),
        (json!({"expires_at": NOW}), [false, false, false]),
        (json!({"apis": ["a"]}), [true, true, true]),
        (json!({"apis": ["b", "c"]}), [true, true, false]),
        (json!({"apis": []}), [true, true, false]),
        (json!({"apis": null, "expires_at": null, "type": null}), [true, true, true]),
        (json!({"application": "other"}), [false, false, false]),
    ];
    let mut rows = vec![application("app", "o", "ACTIVE"), application("other", "o", "ACTIVE")];
    rows.extend(keys.iter().enumerate().map(|(number, (more, _))| key(number, more)));
    put(store, &rows).await;
    let hour = NOW / 3_600 * 3_600;
    let used = |application: &str, api: &str, hour, outcome: &str, requests| UsageRow {
        application: application.to_owned(),
        api: api.to_owned(),
        hour,
        plan: String::new(),
        outcome: outcome.to_owned(),
        requests,
    };
    let mut change = begin(store).await;
    let usage = [
        used("app", "a", hour, "allowed", 5),
        used("app", "a", hour - 3_600, "allowed", 7),
        used("app", "b", hour, "allowed", 11),
        used("app", "a", hour, "key_expired", 100),
        used("app", "a", hour - 90_000, "allowed", 1_000),
        used("other", "a", hour, "allowed", 10_000),
    ];
    change.add_usage(&usage).await.unwrap();
    change.commit_without_revision();
    change.commit().await.unwrap();

    let whole =
        Concerned { application: "app".to_owned(), api: None, production_only: false, now: NOW, since: NOW - 86_400 };
    let refused = |of: usize| i64::try_from(keys.iter().filter(|(_, refused)| refused[of]).count()).unwrap();
    for (of, expected) in [
        (whole.clone(), Counted { keys: refused(0), requests: 23 }),
        (Concerned { production_only: true, ..whole.clone() }, Counted { keys: refused(1), requests: 23 }),
        (Concerned { api: Some("a".to_owned()), ..whole.clone() }, Counted { keys: refused(2), requests: 12 }),
        (Concerned { application: "nobody\0".to_owned(), ..whole.clone() }, Counted::default()),
        (Concerned { since: hour, ..whole.clone() }, Counted { keys: refused(0), requests: 16 }),
    ] {
        assert_eq!(store.concerned(&of).await.unwrap(), expected, "{of:?}");
    }
    let mut change = begin(store).await;
    change.add_usage(&[used("app", "a", hour, "allowed", i64::MAX - 1)]).await.unwrap();
    change.commit_without_revision();
    change.commit().await.unwrap();
    assert!(store.concerned(&whole).await.unwrap().requests > i64::MAX - 10_000, "the sum has a bound");
}
