//! The management API: every endpoint, the rejected requests, and that a request makes a revision exactly if it changes
//! something.

use crate::support::{Service, digest};
use management::port;
use reqwest::Method;
use serde_json::{Value, json};

/// A kind of object: its path, a body that creates one, the expected answer, and a body that changes it.
struct Case {
    path: &'static str,
    sent: Value,
    shown: Value,
    change: Value,
    changed: Value,
}

fn cases() -> Vec<Case> {
    vec![
        Case {
            path: "/v1/apis",
            sent: json!({"id": "x", "match": [{"hosts": ["*.example.org"], "path": "/x"}], "endpoints": ["SANDBOX"]}),
            shown: json!({"id": "x", "state": "PUBLISHED", "match": [{"hosts": ["*.example.org"], "path": "/x"}],
                "security": "api_key", "subscription_required": true, "endpoints": ["SANDBOX"]}),
            change: json!({"state": "BLOCKED", "name": "X", "security": "none"}),
            changed: json!({"id": "x", "name": "X", "state": "BLOCKED", "security": "none", "subscription_required": true}),
        },
        Case {
            path: "/v1/applications",
            sent: json!({"id": "x", "name": "Käse", "owner": "alice"}),
            shown: json!({"id": "x", "name": "Käse", "owner": "alice", "state": "ACTIVE"}),
            change: json!({"id": "x", "name": "Kase"}),
            changed: json!({"id": "x", "name": "Kase", "owner": "alice", "state": "ACTIVE"}),
        },
        Case {
            path: "/v1/keys",
            sent: json!({"id": "x", "sha256": "AB".repeat(32), "application": "app-1", "permitted_ips": []}),
            shown: json!({"sha256": "ab".repeat(32), "id": "x", "application": "app-1", "type": "PRODUCTION",
                "state": "ACTIVE", "permitted_ips": []}),
            change: json!({"type": "SANDBOX", "not_before": 5, "expires_at": 6, "apis": ["api-1"],
                "permitted_ips": ["2001:db8::/32", "192.0.2.1"], "permitted_referers": ["a.example/*"]}),
            changed: json!({"sha256": "ab".repeat(32), "id": "x", "application": "app-1", "type": "SANDBOX",
                "state": "ACTIVE", "not_before": 5, "expires_at": 6, "apis": ["api-1"],
                "permitted_ips": ["2001:db8::/32", "192.0.2.1"], "permitted_referers": ["a.example/*"]}),
        },
        Case {
            path: "/v1/subscriptions",
            sent: json!({"id": "x", "application": "app-2", "api": "api-1", "plan": "gold"}),
            shown: json!({"id": "x", "application": "app-2", "api": "api-1", "state": "UNBLOCKED", "plan": "gold"}),
            change: json!({"state": "ON_HOLD"}),
            changed: json!({"id": "x", "application": "app-2", "api": "api-1", "state": "ON_HOLD"}),
        },
        Case {
            path: "/v1/plans",
            sent: json!({"id": "x", "limits": [{"requests": 5, "per": "minute"}], "operations": [{"path": "/a/*"}]}),
            shown: json!({"id": "x", "limits": [{"requests": 5, "per": "minute"}], "stop_on_quota_reach": true,
                "operations": [{"path": "/a/*"}]}),
            change: json!({"burst": {"requests": 1, "per": "second"}, "stop_on_quota_reach": false}),
            changed: json!({"id": "x", "burst": {"requests": 1, "per": "second"}, "stop_on_quota_reach": false}),
        },
        Case {
            path: "/v1/deny-policies",
            sent: json!({"id": "x", "type": "IP_RANGE", "value": "198.51.100.0/24"}),
            shown: json!({"id": "x", "type": "IP_RANGE", "value": "198.51.100.0/24", "invert": false,
                "applies": true}),
            change: json!({"type": "USER", "value": "mallory", "invert": true}),
            changed: json!({"id": "x", "type": "USER", "value": "mallory", "invert": true, "applies": false}),
        },
    ]
}

async fn seeded() -> Service {
    let service = Service::start().await;
    service.seed().await;
    service.post("/v1/applications", json!({"id": "app-2"})).await.expect(201);
    service.post("/v1/plans", json!({"id": "gold"})).await.expect(201);
    service
}

#[tokio::test]
async fn each_thing_is_made_shown_changed_listed_and_deleted() {
    let service = seeded().await;
    for Case { path, sent, shown, change, changed } in cases() {
        let one = format!("{path}/x");
        let start = service.revision().await;
        let made = service.post(path, sent.clone()).await.expect(201);
        assert_eq!((made.json(), made.header("location")), (shown.clone(), one.as_str()));
        assert_eq!(service.post(path, sent).await.expect(200).json(), shown, "the same again is no change");
        assert_eq!(service.post(path, shown.clone()).await.expect(200).json(), shown, "defaults are the same, said");
        assert_eq!(service.put(&one, shown.clone()).await.expect(200).json(), shown);
        assert_eq!(service.revision().await, start + 1, "{path}: one thing was made");
        let other = if path == "/v1/subscriptions" { json!({"state": "REJECTED"}) } else { change.clone() };
        let mut conflict = shown.clone();
        conflict.as_object_mut().unwrap().extend(other.as_object().unwrap().clone());
        service.post(path, conflict).await.expect_problem(409, None);
        assert_eq!(service.get(&one).await.expect(200).json(), shown);
        assert_eq!(service.put(&one, change).await.expect(200).json(), changed);
        assert_eq!(service.get(&one).await.expect(200).json(), changed);
        assert_eq!(service.revision().await, start + 2, "{path}: and changed");
        let list = service.get(path).await.expect(200).json();
        assert!(list["items"].as_array().unwrap().contains(&changed), "{list}");
        assert!(list["next"].is_null());
        let gone = service.delete(&one).await.expect(204);
        assert_eq!(gone.text, "");
        for method in [Method::GET, Method::DELETE] {
            service.admin(method, &one, Value::Null).await.expect_problem(404, None);
        }
        service.put(&one, shown).await.expect_problem(404, None);
        assert_eq!(service.revision().await, start + 3, "{path}: and deleted, once");
    }
}

/// An existing API's match, a new API's match, and whether the service rejects it. The service compares matches like
/// the filter.
const MATCHES: &[(&str, &str, bool)] = &[
    (r#"[{"path": "/a"}]"#, r#"[{"path": "/a"}]"#, true),
    (r#"[{"path": "/a"}]"#, r#"[{"path": "/a/"}]"#, true),
    (r#"[{"path": "/a"}]"#, r#"[{"path": "/%61"}]"#, true),
    (r#"[{"path": "/"}]"#, r#"[{"path": "/"}]"#, true),
    (r#"[{"path": "/a"}]"#, r#"[{"path": "/A"}]"#, false),
    (r#"[{"path": "/a"}]"#, r#"[{"path": "/a/b"}]"#, false),
    (r#"[{"path": "/a"}]"#, r#"[{"path": "/ab"}]"#, false),
    (r#"[{"path": "/a"}, {"path": "/b"}]"#, r#"[{"path": "/c"}, {"path": "/b"}]"#, true),
    (
        r#"[{"path": "/a", "hosts": ["x.example"]}]"#,
        r#"[{"path": "/a", "hosts": ["y.example", "X.Example:443"]}]"#,
        true,
    ),
    (r#"[{"path": "/a", "hosts": ["x.example"]}]"#, r#"[{"path": "/a", "hosts": ["x.example."]}]"#, true),
    (r#"[{"path": "/a", "hosts": ["*.example"]}]"#, r#"[{"path": "/a", "hosts": ["*.EXAMPLE"]}]"#, true),
    (r#"[{"path": "/a", "hosts": ["*.example"]}]"#, r#"[{"path": "/a", "hosts": ["x.example"]}]"#, false),
    (r#"[{"path": "/a", "hosts": ["*.example"]}]"#, r#"[{"path": "/a", "hosts": ["example"]}]"#, false),
    (r#"[{"path": "/a", "hosts": ["x.example"]}]"#, r#"[{"path": "/a"}]"#, false),
    (r#"[{"path": "/a", "hosts": ["x.example"]}]"#, r#"[{"path": "/b", "hosts": ["x.example"]}]"#, false),
    (r#"[{"path": "/a", "hosts": []}]"#, r#"[{"path": "/a", "hosts": []}]"#, false),
    ("[]", "[]", false),
    ("null", "null", false),
    // One API may name the same match twice.
    (r#"[{"path": "/b"}]"#, r#"[{"path": "/a"}, {"path": "/a/"}]"#, false),
];

#[tokio::test]
async fn two_apis_with_the_same_match_are_refused() {
    for (there, sent, is_refused) in MATCHES {
        let matches = |text: &str| serde_json::from_str::<Value>(text).unwrap();
        for state in ["PUBLISHED", "RETIRED"] {
            let service = Service::start().await;
            let first = json!({"id": "first", "state": state, "match": matches(there)});
            service.post("/v1/apis", first.clone()).await.expect(201);
            let second = json!({"id": "second", "match": matches(sent)});
            let created = service.post("/v1/apis", second.clone()).await;
            service.post("/v1/apis", json!({"id": "third"})).await.expect(201);
            let replaced = service.put("/v1/apis/third", json!({"match": matches(sent)})).await;
            if !is_refused {
                assert_eq!(created.status, 201, "{there}, {sent}: {}", created.text);
                continue;
            }
            for answer in [created, replaced] {
                let answer = answer.expect_problem(409, Some("match"));
                assert!(answer.text.contains(r#"\"first\""#), "{}", answer.text);
            }
            // The first API may be sent again, changed and moved. Its old match is then free.
            service.post("/v1/apis", first).await.expect(200);
            let closed = json!({"state": "BLOCKED", "match": matches(there)});
            service.put("/v1/apis/first", closed).await.expect(200);
            service.put("/v1/apis/first", json!({"match": [{"path": "/elsewhere"}]})).await.expect(200);
            service.post("/v1/apis", second).await.expect(201);
            service.delete("/v1/apis/second").await.expect(204);
            service.put("/v1/apis/third", json!({"match": matches(sent)})).await.expect(200);
        }
    }
}

#[tokio::test]
async fn apis_that_were_stored_with_the_same_match_can_be_changed_but_clash_nowhere_else() {
    let service = Service::start().await;
    let row = |id: &str| port::NewRow {
        kind: port::Kind::Api,
        id: id.to_owned(),
        identity: id.to_owned(),
        application: None,
        api: None,
        plan: None,
        kept_block: None,
        kept_owner: None,
        beside: None,
        due: None,
        state_before: None,
        document: json!({"id": id, "match": [{"path": "/a"}]}).to_string(),
    };
    let mut change = service.store.begin(crate::support::act()).await.unwrap();
    change.insert_all(&[row("b"), row("a"), row("c")]).await.unwrap();
    change.commit().await.unwrap();
    service.post("/v1/apis", json!({"id": "d", "match": [{"path": "/d"}]})).await.expect(201);
    let clashes = service.store.clashes().await.unwrap();
    let pairs: Vec<_> = clashes.iter().map(|clash| (clash.meant.as_str(), clash.shadowed.as_str())).collect();
    assert_eq!(pairs, [("a", "b"), ("a", "c"), ("b", "c")]);
    // Closing an API must always be possible.
    let closed = json!({"state": "BLOCKED", "match": [{"path": "/a"}]});
    service.put("/v1/apis/b", closed).await.expect(200);
    let more = json!({"match": [{"path": "/a"}, {"path": "/d"}]});
    service.put("/v1/apis/b", more).await.expect_problem(409, Some("match"));
    service.put("/v1/apis/b", json!({"match": [{"path": "/b"}]})).await.expect(200);
    service.put("/v1/apis/b", json!({"match": [{"path": "/a"}]})).await.expect_problem(409, Some("match"));
}

#[tokio::test]
async fn ids_are_made_where_none_is_given() {
    let service = seeded().await;
    for Case { path, mut sent, .. } in cases() {
        sent.as_object_mut().unwrap().remove("id");
        let made = service.post(path, sent).await.expect(201);
        let id = made.json()["id"].as_str().unwrap().to_owned();
        assert!(id.len() >= 16, "{id}");
        assert_eq!(service.get(made.header("location")).await.expect(200).json(), made.json());
    }
}

#[tokio::test]
async fn ids_of_any_characters_are_found_again() {
    let service = Service::start().await;
    for id in ["a/b", "a b", "ä?&#%", "...", ".a", "%2f", "a%20b", "\"'\\", "x".repeat(256).as_str()] {
        let made = service.post("/v1/applications", json!({"id": id})).await.expect(201);
        assert_eq!(service.get(made.header("location")).await.expect(200).json()["id"], id);
    }
}

#[tokio::test]
async fn lists_go_on_where_the_page_before_ended() {
    let service = seeded().await;
    for number in 0..25 {
        let body = json!({"id": format!("k-{number:02}"), "application": "app-2", "sha256": digest(100 + number)});
        service.post("/v1/keys", body).await.expect(201);
    }
    let mut seen = Vec::new();
    let mut path = "/v1/keys?limit=10&application=app-2".to_owned();
    loop {
        let page = service.get(&path).await.expect(200).json();
        let items = page["items"].as_array().unwrap();
        assert!(items.len() <= 10);
        seen.extend(items.iter().map(|item| item["id"].as_str().unwrap().to_owned()));
        // Rows that are added before the reader's position do not shift the pages.
        let body = json!({"id": format!("k-00-{}", seen.len()), "application": "app-2", "sha256": digest(200 + seen.len() as u64)});
        service.post("/v1/keys", body).await.expect(201);
        match page["next"].as_str() {
            Some(next) => path = format!("/v1/keys?limit=10&application=app-2&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(seen, (0..25).map(|number| format!("k-{number:02}")).collect::<Vec<_>>());
    let of_api = service.get("/v1/subscriptions?api=api-1").await.expect(200).json();
    assert_eq!(of_api["items"].as_array().unwrap().len(), 1);
    assert_eq!(
        service.get("/v1/subscriptions?api=nowhere").await.expect(200).json(),
        json!({"items": [], "next": null, "total": 0})
    );
}

#[tokio::test]
async fn what_is_refused_changes_nothing_and_names_its_field() {
    let service = seeded().await;
    let long = "x".repeat(257);
    let many: Vec<String> = (0..1001).map(|number| number.to_string()).collect();
    let (apis, applications, keys, subscriptions) = ("/v1/apis", "/v1/applications", "/v1/keys", "/v1/subscriptions");
    let (plans, deny) = ("/v1/plans", "/v1/deny-policies");
    let key = |fields: Value| {
        let mut key = json!({"sha256": digest(77), "application": "app-1"});
        key.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        key
    };
    for (path, body, field) in [
        (apis, json!({"id": ""}), "id"),
        (apis, json!({"id": long}), "id"),
        (apis, json!({"id": "a\nb"}), "id"),
        (apis, json!({"id": "a\u{7f}"}), "id"),
        (apis, json!({"id": 5}), "id"),
        (apis, json!({"name": ""}), "name"),
        (apis, json!({"version": "\u{85}"}), "version"),
        (apis, json!({"state": "published"}), "state"),
        (apis, json!({"security": "oauth2"}), "security"),
        (apis, json!({"subscription_required": "yes"}), "subscription_required"),
        (apis, json!({"endpoints": ["STAGING"]}), "endpoints[0]"),
        (apis, json!({"match": [{"hosts": ["x"]}]}), "match[0].path"),
        (apis, json!({"match": [{"path": "x"}]}), "match[0].path"),
        (apis, json!({"match": [{"path": "/a"}, {"path": "/a/../b"}]}), "match[1].path"),
        (apis, json!({"match": [{"path": "/a"}, {"path": "/a/{id}"}]}), "match[1].path"),
        (apis, json!({"match": [{"path": "/a/*"}]}), "match[0].path"),
        (apis, json!({"match": [{"path": "/a b"}]}), "match[0].path"),
        (apis, json!({"match": [{"path": "/a?b"}]}), "match[0].path"),
        (apis, json!({"match": [{"path": "/a", "hosts": ["ok.example", "*"]}]}), "match[0].hosts[1]"),
        (apis, json!({"match": {}}), "match"),
        // A list is not an object, even if its entries fit the fields in order.
        (apis, json!({"match": [[["a.example"], "/a"]]}), "match[0]"),
        (plans, json!({"limits": [[5, "day"]]}), "limits[0]"),
        (plans, json!({"burst": [5, "second"]}), "burst"),
        (plans, json!({"operations": [{"path": "/a"}, [["GET"], "/b"]]}), "operations[1]"),
        // No path can name these ids.
        (apis, json!({"id": "."}), "id"),
        (keys, key(json!({"id": ".."})), "id"),
        (keys, key(json!({"id": "lookup"})), "id"),
        ("/v1/applications/app-1/keys", json!({"id": "lookup"}), "id"),
        ("/v1/applications/app-1/keys", json!({"id": ".."}), "id"),
        ("/v1/keys/k-1/regenerate", json!({"id": "."}), "id"),
        (apis, json!({"matches": []}), "matches"),
        (applications, json!({"owner": "\u{0}"}), "owner"),
        (applications, json!({"state": "ON_HOLD"}), "state"),
        (applications, json!({"plan": "nowhere"}), "plan"),
        (keys, json!({"application": "app-1"}), "sha256"),
        (keys, key(json!({"sha256": "abc"})), "sha256"),
        (keys, key(json!({"sha256": "g".repeat(64)})), "sha256"),
        (keys, json!({"sha256": digest(77)}), "application"),
        (keys, key(json!({"application": "nowhere"})), "application"),
        (keys, key(json!({"key": "secret"})), "key"),
        (keys, key(json!({"type": "TEST"})), "type"),
        (keys, key(json!({"state": "EXPIRED"})), "state"),
        (keys, key(json!({"not_before": -1})), "not_before"),
        (keys, key(json!({"not_before": 1.5})), "not_before"),
        (keys, key(json!({"expires_at": 253_402_300_800_i64})), "expires_at"),
        (keys, key(json!({"not_before": 6, "expires_at": 6})), "expires_at"),
        (keys, key(json!({"apis": ["api-1", "nowhere"]})), "apis[1]"),
        (keys, key(json!({"permitted_ips": ["10.0.0.0/8", "10.0.0.0/33"]})), "permitted_ips[1]"),
        (keys, key(json!({"permitted_ips": ["localhost"]})), "permitted_ips[0]"),
        (keys, key(json!({"permitted_ips": many})), "permitted_ips"),
        (keys, key(json!({"permitted_referers": [""]})), "permitted_referers[0]"),
        (subscriptions, json!({"api": "api-1"}), "application"),
        (subscriptions, json!({"application": "app-2"}), "api"),
        (subscriptions, json!({"application": "nowhere", "api": "api-1"}), "application"),
        (subscriptions, json!({"application": "app-2", "api": "nowhere"}), "api"),
        (subscriptions, json!({"application": "app-2", "api": "api-1", "plan": "nowhere"}), "plan"),
        (subscriptions, json!({"application": "app-2", "api": "api-1", "state": "SUSPENDED"}), "state"),
        (subscriptions, json!({"id": "", "application": "app-2", "api": "api-1"}), "id"),
        (subscriptions, json!({"application": "app-2", "api": "api-1", "deleted": true}), "deleted"),
        (plans, json!({"limits": [{"requests": 0, "per": "day"}]}), "limits"),
        (plans, json!({"limits": [{"requests": 1, "per": "week"}]}), "limits[0].per"),
        (plans, json!({"burst": {"requests": -1, "per": "second"}}), "burst.requests"),
        (plans, json!({"operations": [{"path": "/a", "methods": ["get"]}]}), "operations[0].methods[0]"),
        (plans, json!({"operations": [{"path": "a"}]}), "operations[0].path"),
        (plans, json!({"operations": [{"path": "/{id}"}, {"path": "/a b"}]}), "operations[1].path"),
        (plans, json!({"operations": [{"path": "/a{id}"}]}), "operations[0].path"),
        (plans, json!({"operations": [{"path": "/a?b"}]}), "operations[0].path"),
        (deny, json!({"type": "IP", "value": "nonsense"}), "value"),
        (deny, json!({"type": "COUNTRY", "value": "XX"}), "type"),
        (deny, json!({"type": "USER", "value": ""}), "value"),
        (deny, json!({"type": "USER"}), "value"),
    ] {
        let before = service.revision().await;
        let answer = service.post(path, body.clone()).await;
        assert_eq!(answer.status, 422, "{path} {body}: {}", answer.text);
        answer.expect_problem(422, Some(field));
        assert_eq!(service.revision().await, before, "{path} {body}");
    }
}

#[tokio::test]
async fn what_goes_with_what_is_deleted() {
    let service = seeded().await;
    service.put("/v1/applications/app-1", json!({"plan": "gold"})).await.expect(200);
    // A plan in use is not deleted.
    service.delete("/v1/plans/gold").await.expect_problem(409, None);
    service.post("/v1/subscriptions", json!({"id": "s-2", "application": "app-2", "api": "api-1"})).await.expect(201);
    let before = service.revision().await;
    service.delete("/v1/applications/app-1").await.expect(204);
    assert_eq!(service.revision().await, before + 1, "however much goes, it is one change");
    for path in ["/v1/keys/k-1", "/v1/subscriptions/s-1"] {
        service.get(path).await.expect(404);
    }
    service.get("/v1/subscriptions/s-2").await.expect(200);
    service.delete("/v1/plans/gold").await.expect(204);
    // Objects with the same ids are new ones: they have no keys and no subscriptions.
    service.post("/v1/applications", json!({"id": "app-1"})).await.expect(201);
    assert_eq!(service.get("/v1/keys?application=app-1").await.json()["items"], json!([]));
    service.delete("/v1/apis/api-1").await.expect(204);
    service.get("/v1/subscriptions/s-2").await.expect(404);
}

#[tokio::test]
async fn a_key_that_is_bound_to_an_api_stays_bound_when_the_api_goes() {
    let service = seeded().await;
    service.put("/v1/keys/k-1", json!({"apis": ["api-1"]})).await.expect(200);
    service.delete("/v1/apis/api-1").await.expect(204);
    assert_eq!(service.get("/v1/keys/k-1").await.json()["apis"], json!(["api-1"]));
    // The key can still be revoked and regenerated.
    let new = service.post("/v1/keys/k-1/regenerate", Value::Null).await.expect(201).json();
    assert_eq!(new["apis"], json!(["api-1"]));
    assert_eq!(service.get("/v1/keys/k-1").await.json()["state"], "REVOKED");
}

#[tokio::test]
async fn what_makes_a_thing_itself_cannot_be_changed() {
    let service = seeded().await;
    for (path, body, field) in [
        ("/v1/keys/k-1", json!({"sha256": digest(5)}), "sha256"),
        ("/v1/keys/k-1", json!({"application": "app-2"}), "application"),
        ("/v1/keys/k-1", json!({"id": "other"}), "id"),
        ("/v1/subscriptions/s-1", json!({"application": "app-2"}), "application"),
        ("/v1/subscriptions/s-1", json!({"api": "api-2"}), "api"),
        ("/v1/apis/api-1", json!({"id": "api-2"}), "id"),
    ] {
        service.put(path, body).await.expect_problem(422, Some(field));
    }
    // The same digest or pair under another id is still the same key or subscription.
    service
        .post("/v1/keys", json!({"id": "k-2", "application": "app-1", "sha256": digest(1)}))
        .await
        .expect_problem(409, None);
    let again = json!({"id": "s-2", "application": "app-1", "api": "api-1"});
    service.post("/v1/subscriptions", again).await.expect_problem(409, None);
    // Without an id, the request finds the existing subscription.
    let held = service.post("/v1/subscriptions", json!({"application": "app-1", "api": "api-1"})).await.expect(200);
    assert_eq!(held.json()["id"], "s-1");
}

#[tokio::test]
async fn leaving_a_state_out_of_a_put_opens_nothing() {
    let service = seeded().await;
    for (path, closed) in [
        ("/v1/apis/api-1", "RETIRED"),
        ("/v1/applications/app-1", "BLOCKED"),
        ("/v1/subscriptions/s-1", "BLOCKED"),
        ("/v1/keys/k-1", "REVOKED"),
    ] {
        service.put(path, json!({"state": closed})).await.expect(200);
        assert_eq!(service.put(path, json!({})).await.expect(200).json()["state"], closed, "{path}");
    }
}

#[tokio::test]
async fn two_deny_policies_are_never_about_the_same() {
    for (kind, value, other, status) in [
        ("IP", "203.0.113.9", "203.0.113.9", 409),
        ("IP", "203.0.113.9", "::ffff:203.0.113.9", 409),
        ("IP", "::1", "0:0::0:1", 409),
        ("IP", "203.0.113.9", "203.0.113.8", 201),
        ("IP_RANGE", "198.51.100.0/24", "198.51.100.7/24", 409),
        ("IP_RANGE", "198.51.100.0/24", "198.51.100.0/25", 201),
        ("API", "api-1", "api-1", 409),
        ("API", "api-1", "API-1", 201),
        ("APPLICATION", "app-1", "app-1", 409),
        ("USER", "alice", "alice", 409),
    ] {
        let service = seeded().await;
        let policy = |id: &str, value: &str| json!({"id": id, "type": kind, "value": value});
        service.post("/v1/deny-policies", policy("a", value)).await.expect(201);
        service.post("/v1/deny-policies", policy("a", value)).await.expect(200);
        service.put("/v1/deny-policies/a", policy("a", value)).await.expect(200);
        service.post("/v1/deny-policies", json!({"id": "z", "type": "IP", "value": "192.0.2.1"})).await.expect(201);
        let sent = json!({"type": kind, "value": other, "invert": kind == "IP"});
        let revision = service.revision().await;
        let second = service.post("/v1/deny-policies", sent.clone()).await;
        if status == 409 {
            let said = second.expect_problem(409, Some("value"));
            assert!(said.text.contains("\\\"a\\\""), "{}", said.text);
            service.put("/v1/deny-policies/z", sent.clone()).await.expect_problem(409, Some("value"));
            assert_eq!(service.revision().await, revision);
            service.delete("/v1/deny-policies/a").await.expect(204);
            service.post("/v1/deny-policies", sent).await.expect(201);
        } else {
            second.expect(status);
        }
    }
}

#[tokio::test]
async fn a_deny_policy_that_names_nothing_says_so() {
    let service = seeded().await;
    for (kind, value, applies) in [
        ("API", "api-1", true),
        ("API", "api-l", false),
        ("API", "app-1", false),
        ("APPLICATION", "app-1", true),
        ("APPLICATION", "api-1", false),
        ("USER", "alice", true),
        ("USER", "Alice", false),
        ("IP", "192.0.2.1", true),
        ("IP_RANGE", "192.0.2.0/24", true),
    ] {
        let sent = json!({"id": "d", "type": kind, "value": value});
        let made = service.post("/v1/deny-policies", sent.clone()).await.expect(201).json();
        let again = service.post("/v1/deny-policies", sent.clone()).await.expect(200).json();
        let put = service.put("/v1/deny-policies/d", made.clone()).await.expect(200).json();
        let shown = service.get("/v1/deny-policies/d").await.json();
        let listed = service.get("/v1/deny-policies").await.json()["items"][0].clone();
        for answer in [made, again, put, shown, listed] {
            assert_eq!(answer["applies"], applies, "{answer}");
        }
        assert!(!service.feed("/v1/policy").await.text.contains("applies"));
        service.delete("/v1/deny-policies/d").await.expect(204);
    }
    // `applies` follows the current state.
    service.post("/v1/deny-policies", json!({"id": "d", "type": "APPLICATION", "value": "app-1"})).await.expect(201);
    service.post("/v1/applications/app-1/block", Value::Null).await.expect(200);
    service.delete("/v1/applications/app-1").await.expect(200);
    assert_eq!(service.get("/v1/deny-policies/d").await.json()["applies"], false);
}

/// Gateways accept no key without an id.
#[tokio::test]
async fn a_key_always_has_an_id() {
    let service = seeded().await;
    for (number, id) in [(10, None), (11, Some(Value::Null)), (12, Some(json!("k-own")))] {
        let mut key = json!({"application": "app-1", "sha256": digest(number)});
        if let Some(id) = id.clone() {
            key["id"] = id;
        }
        let made = service.post("/v1/keys", key).await.expect(201).json();
        assert!(made["id"].as_str().is_some_and(|made| id == Some(json!(made)) || made.starts_with("k-")), "{made}");
    }
    for id in [json!(""), json!(5), json!(" k"), json!("k\n")] {
        let key = json!({"id": id, "application": "app-1", "sha256": digest(13)});
        service.post("/v1/keys", key).await.expect_problem(422, Some("id"));
    }
    let keys = service.feed("/v1/policy").await.json()["keys"].clone();
    assert_eq!(keys.as_array().unwrap().len(), 4);
    assert!(keys.as_array().unwrap().iter().all(|key| key["id"].is_string()), "{keys}");
}
