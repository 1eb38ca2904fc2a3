//! What looks like a way round a block or the end of a key is none: a second application in an import, and the row of a
//! key that was regenerated.

use crate::{
    import::import,
    support::{Service, digest, send},
};
use reqwest::Method;
use serde_json::{Value, json};

fn application(id: &str, owner: &str) -> Value {
    json!({"kind": "application", "id": id, "owner": owner})
}

fn subscription(id: &str, application: &str, api: &str, state: &str) -> Value {
    json!({"kind": "subscription", "id": id, "application": application, "api": api, "state": state})
}

/// One owner with a blocked subscription to `api-1`, one with a blocked application, one with a kept block.
async fn blocked_owners() -> Service {
    let service = Service::start().await;
    for api in ["api-1", "api-2"] {
        service.post("/v1/apis", json!({"id": api, "match": [{"path": format!("/{api}")}]})).await.expect(201);
    }
    let rows = [
        application("alice-1", "alice"),
        application("bob-1", "bob"),
        application("carol-1", "carol"),
        application("dave-1", "dave"),
        subscription("alice-s", "alice-1", "api-1", "UNBLOCKED"),
        subscription("carol-s", "carol-1", "api-1", "UNBLOCKED"),
    ];
    import(&service, "", &rows).await.expect(200);
    service.post("/v1/subscriptions/alice-s/block?state=PROD_ONLY_BLOCKED", Value::Null).await.expect(200);
    service.post("/v1/applications/bob-1/block", Value::Null).await.expect(200);
    service.post("/v1/subscriptions/carol-s/block", Value::Null).await.expect(200);
    service.delete("/v1/subscriptions/carol-s").await.expect(200);
    service
}

async fn state(service: &Service, path: &str) -> String {
    service.get(path).await.expect(200).json()["state"].as_str().unwrap().to_owned()
}

/// Each row is new. It is what it would be if a client had made it.
#[tokio::test]
async fn an_import_makes_no_second_application_of_a_blocked_owner_that_is_open() {
    for (row, path, closed) in [
        (subscription("s", "alice-2", "api-1", "UNBLOCKED"), "/v1/subscriptions/s", "ON_HOLD"),
        (subscription("s", "alice-2", "api-1", "PROD_ONLY_BLOCKED"), "/v1/subscriptions/s", "ON_HOLD"),
        (subscription("s", "alice-2", "api-1", "TIER_UPDATE_PENDING"), "/v1/subscriptions/s", "ON_HOLD"),
        (subscription("s", "alice-2", "api-1", "REJECTED"), "/v1/subscriptions/s", "REJECTED"),
        (subscription("s", "alice-2", "api-2", "UNBLOCKED"), "/v1/subscriptions/s", "UNBLOCKED"),
        (subscription("s", "bob-1", "api-2", "UNBLOCKED"), "/v1/subscriptions/s", "ON_HOLD"),
        (subscription("s", "carol-2", "api-1", "UNBLOCKED"), "/v1/subscriptions/s", "ON_HOLD"),
        (subscription("s", "dave-1", "api-1", "UNBLOCKED"), "/v1/subscriptions/s", "UNBLOCKED"),
        (application("a", "bob"), "/v1/applications/a", "BLOCKED"),
        (application("a", "alice"), "/v1/applications/a", "ACTIVE"),
    ] {
        let opens = |closed: &str| !["UNBLOCKED", "REJECTED", "ACTIVE"].contains(&closed);
        for (how, dry) in [("", false), ("?lift_blocks=true", false), ("?dry_run=true", true)] {
            let service = blocked_owners().await;
            let second = [application("alice-2", "alice"), application("carol-2", "carol")];
            import(&service, "", &second).await.expect(200);
            let told = import(&service, how, std::slice::from_ref(&row)).await.expect(200).json();
            let held_back: u64 =
                told["counts"].as_object().unwrap().values().map(|count| count["held_back"].as_u64().unwrap()).sum();
            let lifts = how.starts_with("?lift");
            assert_eq!(held_back, u64::from(opens(closed) && !lifts), "{row} {how} {told}");
            if dry {
                service.get(path).await.expect_problem(404, None);
                continue;
            }
            let asked = row["state"].as_str().unwrap_or("ACTIVE");
            assert_eq!(state(&service, path).await, if lifts { asked } else { closed }, "{row} {how}");
            // The same again changes nothing that was held back: it is there.
            let again = import(&service, "", std::slice::from_ref(&row)).await.expect(200).json();
            assert_eq!(again["counts"].as_object().unwrap().values().next().unwrap()["held_back"], 0, "{again}");
        }
    }
}

/// A whole export has subscriptions that are older than the block of their owner. It gives the same states again, in any
/// order, into an empty service, and into one that took a part of it before.
#[tokio::test]
async fn blocks_that_the_import_itself_states_hold_nothing_back() {
    let rows = [
        json!({"kind": "api", "id": "api-1", "match": [{"path": "/one"}]}),
        application("a-1", "alice"),
        application("a-2", "alice"),
        application("b-1", "bob"),
        json!({"kind": "application", "id": "b-2", "owner": "bob", "state": "BLOCKED"}),
        subscription("open", "a-2", "api-1", "UNBLOCKED"),
        subscription("of-bob", "b-1", "api-1", "UNBLOCKED"),
        subscription("blocked", "a-1", "api-1", "BLOCKED"),
    ];
    for (before, reversed) in [(0, false), (0, true), (5, false), (8, false)] {
        let service = Service::start().await;
        let mut rows = rows.to_vec();
        import(&service, "", &rows[..before]).await.expect(200);
        if before == 0 && reversed {
            rows.reverse();
        }
        import(&service, "", &rows).await.expect(200);
        for (id, is) in [("open", "UNBLOCKED"), ("of-bob", "UNBLOCKED"), ("blocked", "BLOCKED")] {
            assert_eq!(state(&service, &format!("/v1/subscriptions/{id}")).await, is, "{before} {reversed} {id}");
        }
        assert_eq!(state(&service, "/v1/applications/b-1").await, "ACTIVE");
    }
}

/// A key that was regenerated ends with its overlap, whatever is sent for its row.
#[tokio::test]
async fn a_regenerated_key_never_lives_longer() {
    let service = Service::start().await;
    service.seed().await;
    let key = service.get("/v1/keys/k-1").await.json();
    let digest_of = key["sha256"].clone();
    service.post("/v1/keys/k-1/regenerate", json!({"overlap_seconds": 600, "id": "k-2"})).await.expect(201);
    let end = service.get("/v1/keys/k-1").await.json()["expires_at"].as_i64().unwrap();
    let row = |end: Value| {
        let mut row = json!({"kind": "key", "id": "k-1", "application": "app-1", "sha256": digest_of});
        if !end.is_null() {
            row["expires_at"] = end;
        }
        row
    };
    // Sent, answered by a PUT, and the end that is stored then.
    for (sent, status, stored) in [
        (json!({}), 200, end),
        (json!({"permitted_ips": ["10.0.0.0/8"]}), 200, end),
        (json!({"expires_at": null}), 200, end),
        (json!({"expires_at": end}), 200, end),
        (json!({"expires_at": end + 1}), 409, end),
        (json!({"expires_at": end - 1}), 200, end - 1),
        (json!({"expires_at": end}), 409, end - 1),
    ] {
        let answer = service.put("/v1/keys/k-1", sent.clone()).await;
        assert_eq!(answer.status, status, "{sent} {}", answer.text);
        if status == 409 {
            assert_eq!(answer.json()["field"], "expires_at", "{sent}");
        }
        assert_eq!(service.get("/v1/keys/k-1").await.json()["expires_at"], stored, "{sent}");
    }
    import(&service, "", &[row(Value::Null)]).await.expect(200);
    let told = import(&service, "", &[row(json!(end + 9))]).await.expect(200).json();
    assert_eq!(told["refused_total"], 1, "{told}");
    let shown = service.get("/v1/keys/k-1").await.json();
    assert_eq!((&shown["expires_at"], &shown["replaced_by"]), (&json!(end - 1), &json!("k-2")));
    // Its digest does not come back under another row either.
    service.delete("/v1/keys/k-1").await.expect(204);
    let again = json!({"application": "app-1", "sha256": digest_of});
    service.post("/v1/keys", again).await.expect_problem(409, None);
    assert_eq!(import(&service, "", &[row(Value::Null)]).await.expect(200).json()["refused_total"], 1);
    // A deleted key that was not regenerated does.
    let other = json!({"application": "app-1", "id": "k-9", "sha256": digest(9)});
    service.post("/v1/keys", other.clone()).await.expect(201);
    service.delete("/v1/keys/k-9").await.expect(204);
    service.post("/v1/keys", other).await.expect(201);
}

/// An application whose row is sent without its owner keeps it: blocks and deny policies of the owner concern it.
#[tokio::test]
async fn an_application_keeps_its_owner_until_another_is_named() {
    for sent in [json!({"name": "renamed"}), json!({"name": "renamed", "owner": null})] {
        for by_import in [false, true] {
            let service = blocked_owners().await;
            if by_import {
                let mut row = sent.clone();
                (row["kind"], row["id"], row["state"]) = (json!("application"), json!("bob-1"), json!("BLOCKED"));
                import(&service, "", &[row]).await.expect(200);
            } else {
                service.put("/v1/applications/bob-1", sent.clone()).await.expect(200);
            }
            let shown = service.get("/v1/applications/bob-1").await.expect(200).json();
            assert_eq!((&shown["name"], &shown["owner"]), (&json!("renamed"), &json!("bob")), "{by_import}");
            let second = service.post("/v1/applications", json!({"owner": "bob"})).await.expect(201).json();
            assert_eq!(second["state"], "BLOCKED");
        }
    }
    let service = blocked_owners().await;
    service.put("/v1/applications/bob-1", json!({"owner": "erin"})).await.expect(200);
    assert_eq!(service.get("/v1/applications/bob-1").await.json()["owner"], "erin");
}

/// The block of a deleted row stays under its ids. Nobody else takes them, who would then see and lift what is not theirs.
#[tokio::test]
async fn nobody_takes_the_id_under_which_a_block_of_somebody_else_stays() {
    let service = Service::start().await;
    let token = async |role: &str, subject: &str| {
        let made = service.post("/v1/tokens", json!({"role": role, "subject": subject})).await.expect(201).json();
        made["token"].as_str().unwrap().to_owned()
    };
    let as_one = async |token: &str, method: Method, path: &str, body: Value| {
        let request = service.request(method, path).bearer_auth(token);
        send(if body.is_null() { request } else { request.json(&body) }).await
    };
    let (alice, carol) = (token("subscriber", "alice").await, token("subscriber", "carol").await);
    let (dana, pete) = (token("publisher", "dana").await, token("publisher", "pete").await);
    let api = json!({"id": "zx", "match": [{"path": "/zx"}]});
    as_one(&dana, Method::POST, "/v1/apis", api.clone()).await.expect(201);
    as_one(&alice, Method::POST, "/v1/applications", json!({"id": "mm"})).await.expect(201);
    let subscription = json!({"id": "zx-s", "application": "mm", "api": "zx"});
    as_one(&alice, Method::POST, "/v1/subscriptions", subscription.clone()).await.expect(201);
    let block = json!({"reason": "fraud 17", "note": "alice owes"});
    as_one(&dana, Method::POST, "/v1/subscriptions/zx-s/block", block).await.expect(200);
    as_one(&alice, Method::DELETE, "/v1/applications/mm", Value::Null).await.expect(204);
    // The id of the application: not for others, and still for its owner, for whom the block goes on.
    let refused = as_one(&carol, Method::POST, "/v1/applications", json!({"id": "mm"})).await;
    let refused = refused.expect_problem(409, Some("id"));
    assert!(!refused.text.contains("alice") && !refused.text.contains("zx"), "{}", refused.text);
    as_one(&carol, Method::POST, "/v1/applications", json!({"id": "other"})).await.expect(201);
    as_one(&alice, Method::POST, "/v1/applications", json!({"id": "mm"})).await.expect(201);
    as_one(&alice, Method::POST, "/v1/subscriptions", subscription).await.expect_problem(409, None);
    // The id of the API: not for publishers, and for an administrator.
    as_one(&dana, Method::DELETE, "/v1/apis/zx", Value::Null).await.expect(204);
    let refused = as_one(&pete, Method::POST, "/v1/apis", api.clone()).await.expect_problem(409, Some("id"));
    assert!(!refused.text.contains("alice") && !refused.text.contains("fraud"), "{}", refused.text);
    as_one(&pete, Method::GET, "/v1/subscriptions/zx-s", Value::Null).await.expect(404);
    service.post("/v1/apis", json!({"id": "zx", "owner": "dana", "match": [{"path": "/zx"}]})).await.expect(201);
    let seen = as_one(&dana, Method::GET, "/v1/subscriptions/zx-s", Value::Null).await.expect(200).json();
    assert_eq!((&seen["deleted"], &seen["block"]["reason"]), (&json!(true), &json!("fraud 17")));
    // Without the block everybody may have both.
    as_one(&dana, Method::POST, "/v1/subscriptions/zx-s/unblock", Value::Null).await.expect(200);
    as_one(&alice, Method::DELETE, "/v1/applications/mm", Value::Null).await.expect(204);
    as_one(&carol, Method::POST, "/v1/applications", json!({"id": "mm"})).await.expect(201);
}
