//! History and restore: revisions, differences, and a restore that lifts no block, revives no key and removes no deny
//! policy.

use std::collections::BTreeSet;

use crate::support::{Options, Service, dice::Dice, digest};
use reqwest::Method;
use serde_json::{Value, json};

async fn restore(service: &Service, revision: i64, lift_blocks: bool) -> Value {
    let asked = json!({"revision": revision, "lift_blocks": lift_blocks});
    service.post("/v1/restore", asked).await.expect(200).whole()
}

/// `kind id` of each row that differs.
async fn differing(service: &Service, from: i64, to: i64) -> BTreeSet<String> {
    let diff = service.get(&format!("/v1/diff?from={from}&to={to}")).await.expect(200).whole();
    assert_eq!(diff["next"], Value::Null);
    let rows = ["made", "changed", "removed"].into_iter().flat_map(|name| diff[name].as_array().unwrap());
    rows.map(|row| format!("{} {}", row["kind"].as_str().unwrap(), row["id"].as_str().unwrap())).collect()
}

fn kept(restored: &Value) -> BTreeSet<String> {
    let rows = restored["kept"].as_array().unwrap().iter();
    rows.map(|row| format!("{} {}", row["kind"].as_str().unwrap(), row["id"].as_str().unwrap())).collect()
}

/// The policy in the feed, without what identifies the history.
async fn policy(service: &Service) -> Value {
    let mut page = service.feed("/v1/policy").await.expect(200).whole();
    for name in ["revision", "poll", "epoch"] {
        page.as_object_mut().unwrap().remove(name);
    }
    for list in page.as_object_mut().unwrap().values_mut().filter_map(Value::as_array_mut) {
        list.sort_by_key(Value::to_string);
    }
    page
}

#[tokio::test]
async fn what_was_done_is_taken_back_as_one_change() {
    let service = Service::start().await;
    service.seed().await;
    service.post("/v1/plans", json!({"id": "gold"})).await.expect(201);
    let (before, revision) = (policy(&service).await, service.revision().await);

    service.post("/v1/plans", json!({"id": "new"})).await.expect(201);
    service.put("/v1/plans/gold", json!({"limits": [{"requests": 5, "per": "day"}]})).await.expect(200);
    service.put("/v1/apis/api-1", json!({"match": [{"path": "/other"}]})).await.expect(200);
    service.put("/v1/subscriptions/s-1", json!({"plan": "new"})).await.expect(200);
    service.post("/v1/apis", json!({"id": "api-2", "match": [{"path": "/one"}]})).await.expect(201);
    service.post("/v1/applications", json!({"id": "app-2"})).await.expect(201);
    service.post("/v1/applications/app-2/keys", json!({"id": "k-2"})).await.expect(201);
    service.post("/v1/subscriptions", json!({"id": "s-2", "application": "app-2", "api": "api-2"})).await.expect(201);
    service.delete("/v1/keys/k-1").await.expect(204);
    service.delete("/v1/applications/app-1").await.expect(204);

    let (latest, changed) = (service.revision().await, policy(&service).await);
    let asked = json!({"revision": revision, "dry_run": true});
    let preview = service.post("/v1/restore", asked).await.expect(200).whole();
    assert_eq!((&preview["revision"], &preview["dry_run"]), (&json!(latest), &json!(true)));
    assert_eq!((service.revision().await, policy(&service).await), (latest, changed), "a preview changes nothing");

    let restored = restore(&service, revision, false).await;
    assert_eq!(restored["revision"], latest + 1, "{restored}");
    assert_eq!((&restored["counts"], &restored["kept"]), (&preview["counts"], &preview["kept"]));
    assert_eq!(restored["kept"], json!([]), "{restored}");
    let one = |made: u64, changed: u64, removed: u64| json!({"made": made, "changed": changed, "removed": removed});
    let counts = json!({"apis": one(0, 1, 1), "applications": one(1, 0, 1), "keys": one(1, 0, 1),
        "plans": one(0, 1, 1), "subscriptions": one(1, 0, 1)});
    assert_eq!(restored["counts"], counts);
    assert_eq!(policy(&service).await, before);
    assert_eq!(differing(&service, revision, latest + 1).await, BTreeSet::new());

    let entry = service.get("/v1/audit?sort=-seq&limit=1").await.whole()["items"][0].clone();
    let words = ["action", "kind", "id", "actor"].map(|name| entry[name].as_str().unwrap());
    assert_eq!(words, ["restore", "policy", &revision.to_string(), "administrator"]);
    assert_eq!((&entry["revision"], &entry["counts"]), (&json!(latest + 1), &counts), "{entry}");
    // A restore is a change like any other, so it can be undone by another.
    let again = restore(&service, latest, false).await;
    assert_eq!(differing(&service, latest, latest + 2).await, kept(&again));
    assert_eq!(service.post("/v1/restore", json!({"revision": latest})).await.expect(200).whole()["counts"], json!({}));
    assert_eq!(service.revision().await, latest + 2, "what is so already makes no revision");
}

/// The changes since, the state after a restore, and the state after a restore with `lift_blocks`.
#[tokio::test]
async fn a_restore_keeps_what_must_stay() {
    let get = Method::GET;
    let post = |path: &str| (Method::POST, path.to_owned(), Value::Null);
    let put = |path: &str, body: Value| (Method::PUT, path.to_owned(), body);
    let delete = |path: &str| (Method::DELETE, path.to_owned(), Value::Null);
    let (s, app, api, k, d) =
        ("/v1/subscriptions/s-1", "/v1/applications/app-1", "/v1/apis/api-1", "/v1/keys/k-1", "/v1/deny-policies/d");
    let state = |state: &str| json!({ "state": state });
    let gone = || Value::Null;
    for (since, what, expected, lifted) in [
        (vec![post("/v1/subscriptions/s-1/block")], s, state("BLOCKED"), state("UNBLOCKED")),
        (
            vec![post("/v1/subscriptions/s-1/block?state=PROD_ONLY_BLOCKED")],
            s,
            state("PROD_ONLY_BLOCKED"),
            state("UNBLOCKED"),
        ),
        (
            vec![post("/v1/subscriptions/s-1/block"), delete(s)],
            s,
            json!({"state": "BLOCKED", "deleted": null}),
            state("UNBLOCKED"),
        ),
        (vec![post("/v1/subscriptions/s-1/block"), delete(api)], s, state("BLOCKED"), state("UNBLOCKED")),
        (vec![post("/v1/applications/app-1/block")], app, state("BLOCKED"), state("ACTIVE")),
        (vec![post("/v1/applications/app-1/block"), delete(app)], app, state("BLOCKED"), state("ACTIVE")),
        // The subscription of a blocked owner is created again, so it is on hold.
        (vec![post("/v1/applications/app-1/block"), delete(s)], s, state("ON_HOLD"), state("UNBLOCKED")),
        (vec![put(api, state("BLOCKED"))], api, state("BLOCKED"), state("PUBLISHED")),
        (vec![put(api, state("BLOCKED")), delete(api)], api, state("BLOCKED"), state("PUBLISHED")),
        (vec![post("/v1/keys/k-1/revoke")], k, state("REVOKED"), state("REVOKED")),
        (vec![post("/v1/keys/k-1/revoke"), delete(k)], k, gone(), gone()),
        (vec![post("/v1/keys/k-1/revoke"), delete(app)], k, gone(), gone()),
        (vec![post("/v1/keys/k-1/regenerate")], k, state("REVOKED"), state("REVOKED")),
        (
            vec![(Method::POST, "/v1/keys/k-1/regenerate".to_owned(), json!({"overlap_seconds": 600, "id": "k-2"}))],
            k,
            json!({"state": "ACTIVE", "replaced_by": "k-2"}),
            json!({"state": "ACTIVE", "replaced_by": "k-2"}),
        ),
        (
            vec![
                (Method::POST, "/v1/keys/k-1/regenerate".to_owned(), json!({"overlap_seconds": 600, "id": "k-2"})),
                delete(k),
            ],
            k,
            gone(),
            gone(),
        ),
        (
            vec![put(k, json!({"expires_at": 4_000_000_000_u64, "not_before": 9}))],
            k,
            json!({"state": "ACTIVE", "expires_at": 4_000_000_000_u64, "not_before": 9}),
            json!({"expires_at": 4_000_000_000_u64}),
        ),
        (
            vec![put(k, json!({"expires_at": 4_000_000_000_u64})), delete(k)],
            k,
            json!({"expires_at": 4_000_000_000_u64}),
            json!({"expires_at": 4_000_000_000_u64}),
        ),
        // The same digest under another id was revoked.
        (
            vec![
                delete(k),
                (
                    Method::POST,
                    "/v1/keys".to_owned(),
                    json!({"id": "k-9", "application": "app-1", "sha256": digest(1), "state": "REVOKED"}),
                ),
            ],
            k,
            gone(),
            gone(),
        ),
        (vec![put(d, json!({"type": "IP", "value": "::9"}))], d, json!({"value": "::9"}), json!({"value": "::1"})),
        (vec![delete(d)], d, json!({"value": "::1"}), json!({"value": "::1"})),
        (
            vec![(
                Method::POST,
                "/v1/deny-policies".to_owned(),
                json!({"id": "more", "type": "USER", "value": "alice"}),
            )],
            "/v1/deny-policies/more",
            json!({"value": "alice"}),
            gone(),
        ),
        // A new and blocked subscription stays blocked.
        (
            vec![
                (Method::POST, "/v1/apis".to_owned(), json!({"id": "api-2"})),
                (
                    Method::POST,
                    "/v1/subscriptions".to_owned(),
                    json!({"id": "s-2", "application": "app-1", "api": "api-2", "state": "BLOCKED"}),
                ),
            ],
            "/v1/subscriptions/s-2",
            json!({"state": "BLOCKED", "deleted": true}),
            gone(),
        ),
        (
            vec![(Method::POST, "/v1/apis".to_owned(), json!({"id": "api-2", "state": "BLOCKED"}))],
            "/v1/apis/api-2",
            state("BLOCKED"),
            gone(),
        ),
        (
            vec![(Method::POST, "/v1/applications".to_owned(), json!({"id": "app-2", "state": "BLOCKED"}))],
            "/v1/applications/app-2",
            json!({"state": "BLOCKED", "deleted": true}),
            gone(),
        ),
        // A blocked subscription that moved to another one's id.
        (
            vec![
                delete(s),
                (Method::POST, "/v1/apis".to_owned(), json!({"id": "api-2"})),
                (
                    Method::POST,
                    "/v1/subscriptions".to_owned(),
                    json!({"id": "s-1", "application": "app-1", "api": "api-2", "state": "BLOCKED"}),
                ),
            ],
            s,
            json!({"state": "BLOCKED", "api": "api-2"}),
            json!({"state": "UNBLOCKED", "api": "api-1"}),
        ),
    ] {
        for (lift, expected) in [(false, expected), (true, lifted)] {
            let service = Service::start().await;
            service.seed().await;
            service.post("/v1/deny-policies", json!({"id": "d", "type": "IP", "value": "::1"})).await.expect(201);
            let revision = service.revision().await;
            for (method, path, body) in &since {
                let answer = service.admin(method.clone(), path, body.clone()).await;
                assert!(answer.status < 300, "{path}: {}", answer.text);
            }
            let restored = restore(&service, revision, lift).await;
            let row = service.admin(get.clone(), what, Value::Null).await;
            let name = format!("{since:?}, lift: {lift}: {restored}");
            match expected.as_object() {
                None => assert_eq!(row.status, 404, "{name} {}", row.text),
                Some(fields) => {
                    let row = row.expect(200).json();
                    for (field, value) in fields {
                        assert_eq!(row.get(field).unwrap_or(&Value::Null), value, "{name} {row}");
                    }
                }
            }
            let differing = differing(&service, revision, service.revision().await).await;
            assert_eq!(differing, kept(&restored), "{name}");
        }
    }
}

/// Objects from whose removal nothing follows go together, and leave what each alone would leave.
#[tokio::test]
async fn what_goes_together_leaves_what_each_alone_would() {
    let service = Service::start().await;
    service.seed().await;
    let (before, revision) = (policy(&service).await, service.revision().await);
    for number in 2..6 {
        let (application, sha256) = (format!("app-{number}"), digest(number));
        let key = json!({"id": format!("k-{number}"), "application": application, "sha256": sha256});
        let subscription = json!({"id": format!("s-{number}"), "application": application, "api": "api-1"});
        service.post("/v1/applications", json!({"id": application})).await.expect(201);
        service.post("/v1/keys", key).await.expect(201);
        service.post("/v1/subscriptions", subscription).await.expect(201);
    }
    service.post("/v1/keys/k-2/revoke", Value::Null).await.expect(200);
    service.post("/v1/subscriptions/s-3/block", Value::Null).await.expect(200);
    let restored = restore(&service, revision, false).await;
    let expected = json!({"applications": {"made": 0, "changed": 0, "removed": 4},
        "keys": {"made": 0, "changed": 0, "removed": 4}, "subscriptions": {"made": 0, "changed": 1, "removed": 3}});
    assert_eq!(restored["counts"], expected);
    assert_eq!(kept(&restored), BTreeSet::from(["subscription s-3".to_owned()]));
    let left = service.get("/v1/subscriptions/s-3").await.expect(200).json();
    assert_eq!((&left["state"], &left["deleted"]), (&json!("BLOCKED"), &json!(true)));
    // The revoked digest is remembered, and the others are free again.
    for (number, status) in [(2, 409), (3, 201)] {
        let key = json!({"id": "again", "application": "app-1", "sha256": digest(number)});
        service.post("/v1/keys", key).await.expect(status);
    }
    restore(&service, revision, true).await;
    assert_eq!(policy(&service).await, before);
}

/// Who owns what, and whether a subscription was approved, is as it was.
#[tokio::test]
async fn owners_and_approvals_come_back() {
    let service = Service::start().await;
    service.seed().await;
    service.put("/v1/apis/api-1", json!({"owner": "bob", "approval": "manual"})).await.expect(200);
    let (revision, approved) = (service.revision().await, service.get("/v1/subscriptions/s-1").await.json());
    assert_eq!(approved["state"], "UNBLOCKED");
    service.put("/v1/apis/api-1", json!({"owner": "eve"})).await.expect(200);
    assert_eq!(differing(&service, revision, revision + 1).await, BTreeSet::from(["api api-1".to_owned()]));
    service.delete("/v1/subscriptions/s-1").await.expect(204);
    let restored = restore(&service, revision, false).await;
    assert_eq!(restored["kept"], json!([]));
    let api = service.get("/v1/apis/api-1").await.json();
    assert_eq!((&api["owner"], &api["approval"]), (&json!("bob"), &json!("manual")), "{api}");
    assert_eq!(service.get("/v1/subscriptions/s-1").await.json(), approved);
}

/// Random calls, then a restore of a random revision. Only objects that the rules kept differ from it, and nothing is
/// open that was closed.
#[tokio::test]
async fn what_differs_from_the_restored_revision_is_what_the_rules_kept() {
    let mut dice = Dice::new(0xbac4_2024);
    let mut restores = 0;
    for _ in 0..6 {
        let service = Service::start().await;
        for _ in 0..12 {
            for _ in 0..40 {
                let (method, path, body) = dice.call();
                let answer = service.admin(method, &path, body).await;
                assert!(answer.status < 500, "{path}: {}", answer.text);
            }
            let latest = service.revision().await;
            let revision = i64::try_from(dice.throw(latest.unsigned_abs() + 1)).unwrap();
            let before = closed(&service).await;
            let restored = restore(&service, revision, false).await;
            let now = service.revision().await;
            assert!(now == latest || now == latest + 1, "one revision: {restored}");
            let differing = differing(&service, revision, now).await;
            let kept = kept(&restored);
            assert!(differing.is_subset(&kept), "{revision}: {differing:?} {restored}");
            let after = closed(&service).await;
            assert!(before.is_subset(&after), "{revision}: {before:?} {after:?} {restored}");
            restores += 1;
        }
    }
    assert_eq!(restores, 72);
}

/// Blocked pairs, applications and APIs, and deny policies.
async fn closed(service: &Service) -> BTreeSet<String> {
    let mut closed = BTreeSet::new();
    for (path, names) in [
        ("/v1/subscriptions", &["application", "api"][..]),
        ("/v1/applications", &["id"]),
        ("/v1/apis", &["id"]),
        ("/v1/deny-policies", &["type", "value"]),
    ] {
        let page = service.get(&format!("{path}?limit=1000")).await.expect(200).json();
        for row in page["items"].as_array().unwrap() {
            let state = row["state"].as_str().unwrap_or("BLOCKED");
            let name: Vec<_> = names.iter().map(|name| row[name].as_str().unwrap()).collect();
            if state == "BLOCKED" {
                closed.insert(format!("{path} {name:?} BLOCKED"));
            }
            if ["BLOCKED", "PROD_ONLY_BLOCKED"].contains(&state) {
                closed.insert(format!("{path} {name:?} PRODUCTION"));
            }
        }
    }
    closed
}

#[tokio::test]
async fn revisions_are_listed_with_what_made_them() {
    let service = Service::start().await;
    service.seed().await;
    service.post("/v1/subscriptions/s-1/block", Value::Null).await.expect(200);
    let all = service.get("/v1/revisions").await.expect(200).whole();
    let items = all["items"].as_array().unwrap();
    let words: Vec<String> = items
        .iter()
        .map(|item| {
            let words = ["actor", "action", "kind", "id"].map(|name| item[name].as_str().unwrap());
            format!("{} {}", item["revision"], words.join(" "))
        })
        .collect();
    assert_eq!(
        words,
        [
            "1 administrator create api api-1",
            "2 administrator create application app-1",
            "3 administrator create key k-1",
            "4 administrator create subscription s-1",
            "5 administrator block subscription s-1"
        ]
    );
    assert!(items[0]["at"].as_i64().unwrap() > 1_700_000_000);
    let page = service.get("/v1/revisions?sort=-revision&limit=2").await.expect(200).whole();
    assert_eq!((&page["items"][0], &page["items"][1], &page["next"]), (&items[4], &items[3], &json!("4")));
    let page = service.get("/v1/revisions?sort=-revision&limit=5&cursor=4").await.expect(200).whole();
    assert_eq!((&page["items"][0], &page["next"]), (&items[2], &Value::Null));
}

#[tokio::test]
async fn a_difference_has_the_rows_before_and_after() {
    let service = Service::start().await;
    service.seed().await;
    service.post("/v1/subscriptions/s-1/block", Value::Null).await.expect(200);
    service.delete("/v1/keys/k-1").await.expect(204);
    service.post("/v1/plans", json!({"id": "gold"})).await.expect(201);
    let diff = service.get("/v1/diff?from=4&to=7").await.expect(200).whole();
    assert_eq!((&diff["from"], &diff["to"]), (&json!(4), &json!(7)));
    assert_eq!(
        diff["made"],
        json!([{"kind": "plan", "id": "gold", "after": {"id": "gold", "stop_on_quota_reach": true}}])
    );
    let changed = &diff["changed"][0];
    assert_eq!((&changed["kind"], &changed["id"]), (&json!("subscription"), &json!("s-1")));
    assert_eq!((&changed["before"]["state"], &changed["after"]["state"]), (&json!("UNBLOCKED"), &json!("BLOCKED")));
    let removed = &diff["removed"][0];
    assert_eq!((&removed["kind"], &removed["before"]["sha256"]), (&json!("key"), &json!(digest(1))));
    assert!(removed.get("after").is_none() && changed.get("etag").is_none(), "{diff}");
    // In the other direction, in pages.
    let (mut rows, mut cursor) = (0, String::new());
    loop {
        let page = service.get(&format!("/v1/diff?from=7&to=4&limit=1{cursor}")).await.expect(200).whole();
        rows += ["made", "changed", "removed"].iter().map(|name| page[name].as_array().unwrap().len()).sum::<usize>();
        match page["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(rows, 3);
}

#[tokio::test]
async fn what_is_not_kept_or_cannot_be_used_is_named() {
    let service = Service::with(Options { history_rows: 2, ..Options::default() }).await;
    service.seed().await;
    for owner in 0..6 {
        service.put("/v1/applications/app-1", json!({"owner": format!("o-{owner}")})).await.expect(200);
    }
    service.get("/v1/diff?from=1&to=10").await.expect_problem(410, Some("from"));
    service.get("/v1/diff?from=10&to=11").await.expect_problem(410, Some("to"));
    service.get("/v1/diff?from=8&to=10").await.expect(200);
    service.get("/v1/diff?from=8").await.expect(200);
    for (query, field) in [
        ("", Some("from")),
        ("from=x", Some("from")),
        ("from=-1", Some("from")),
        ("from=9&to=", Some("to")),
        ("from=9&limit=1001", Some("limit")),
        ("from=9&cursor=x", Some("cursor")),
        ("from=9&since=1", Some("since")),
    ] {
        service.get(&format!("/v1/diff?{query}")).await.expect_problem(400, field);
    }
    for revision in [1, 11] {
        service.post("/v1/restore", json!({"revision": revision})).await.expect_problem(410, Some("revision"));
    }
    for (body, field) in [
        (json!({}), "revision"),
        (json!({"revision": "1"}), "revision"),
        (json!({"revision": -1}), "revision"),
        (json!({"revision": 9, "lift": true}), "lift"),
        (json!({"revision": 9, "dry_run": 1}), "dry_run"),
    ] {
        service.post("/v1/restore", body).await.expect_problem(422, Some(field));
    }
    assert_eq!(service.revision().await, 10);
}

/// With `--history-days`, old history is deleted by age, but never current rows.
#[tokio::test]
async fn old_history_goes_when_days_are_given() {
    const DAY: i64 = 86_400;
    for (history_days, horizon) in [(0, 0), (1, 2), (3, 1), (30, 0)] {
        let directory = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", directory.path().join("policy.db").display());
        let settings = store::Settings { history_days, ..store::Settings::default() };
        let store = store::SqliteStore::open(&url, settings).await.unwrap();
        let store: management::port::Store = std::sync::Arc::new(store);
        for (age, requests) in [(5, 1), (2, 2), (0, 3), (0, 4)] {
            let act = crate::support::act();
            let act = management::port::Act { now: act.now - age * DAY, ..act };
            let mut change = store.begin(act).await.unwrap();
            let limits = json!({"id": "p", "limits": [{"requests": requests, "per": "day"}]});
            let sent: management::plans::Plan = serde_json::from_value(limits).unwrap();
            management::pipeline::put_any(&mut *change, sent).await.unwrap();
            change.commit().await.unwrap();
        }
        let state = store.state().await.unwrap();
        assert_eq!((state.revision, state.horizon), (4, horizon), "{history_days}");
        let kept = store.made(None, false, 10).await.unwrap();
        assert_eq!(kept.first().unwrap().revision, horizon.max(1), "{history_days}");
        assert_eq!(store.differences(horizon, 4, None, 10).await.unwrap().differences.len(), 1);
    }
}
