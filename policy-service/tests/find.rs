//! Finding rows: lists by digest, state and owner, and whose a key is.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "tests"
)]

mod support;

use serde_json::{Value, json};
use support::{Service, digest};

async fn service() -> Service {
    let service = Service::start().await;
    service.seed().await;
    service.post("/v1/apis", json!({"id": "api-2", "match": [{"path": "/two"}], "state": "RETIRED"})).await.expect(201);
    service.post("/v1/applications", json!({"id": "app-2", "owner": "bob"})).await.expect(201);
    service.post("/v1/applications", json!({"id": "app-3", "owner": "alice"})).await.expect(201);
    service.post("/v1/applications/app-3/block", Value::Null).await.expect(200);
    service.post("/v1/keys", json!({"id": "k-2", "application": "app-1", "sha256": digest(0xab)})).await.expect(201);
    service.post("/v1/keys/k-2/revoke", Value::Null).await.expect(200);
    for (id, application, api) in [("s-2", "app-1", "api-2"), ("s-3", "app-2", "api-1"), ("s-4", "app-2", "api-2")] {
        let subscription = json!({"id": id, "application": application, "api": api});
        service.post("/v1/subscriptions", subscription).await.expect(201);
    }
    service.post("/v1/subscriptions/s-2/block?state=PROD_ONLY_BLOCKED", Value::Null).await.expect(200);
    service.post("/v1/subscriptions/s-3/block", Value::Null).await.expect(200);
    service.post("/v1/subscriptions/s-4/block?state=PROD_ONLY_BLOCKED", Value::Null).await.expect(200);
    // Its block stays, and it is found by it.
    service.delete("/v1/subscriptions/s-4").await.expect(200);
    service
}

#[tokio::test]
async fn lists_find_by_digest_state_and_owner() {
    let service = service().await;
    let upper = digest(0xab).to_uppercase();
    for (path, ids) in [
        ("apis?state=PUBLISHED", &["api-1"][..]),
        ("apis?state=RETIRED", &["api-2"]),
        ("apis?state=BLOCKED", &[]),
        ("applications?owner=alice", &["app-1", "app-3"]),
        ("applications?owner=alice&state=BLOCKED", &["app-3"]),
        ("applications?owner=ALICE", &[]),
        ("applications?owner=", &[]),
        ("applications?owner=%25", &[]),
        ("applications?state=ACTIVE", &["app-1", "app-2"]),
        ("keys?state=ACTIVE", &["k-1"]),
        ("keys?state=REVOKED", &["k-2"]),
        (&format!("keys?sha256={}", digest(1)), &["k-1"]),
        (&format!("keys?sha256={upper}"), &["k-2"]),
        (&format!("keys?sha256={upper}&state=ACTIVE"), &[]),
        (&format!("keys?sha256={}", digest(7)), &[]),
        (&format!("keys?sha256={}&application=app-2", digest(1)), &[]),
        ("subscriptions?state=UNBLOCKED", &["s-1"]),
        ("subscriptions?state=BLOCKED", &["s-3"]),
        ("subscriptions?state=PROD_ONLY_BLOCKED", &["s-2", "s-4"]),
        ("subscriptions?state=PROD_ONLY_BLOCKED&application=app-1", &["s-2"]),
        ("subscriptions?state=ON_HOLD", &[]),
    ] {
        let found = service.get(&format!("/v1/{path}")).await.expect(200).json();
        let found: Vec<&str> =
            found["items"].as_array().unwrap().iter().map(|row| row["id"].as_str().unwrap()).collect();
        assert_eq!(found, ids, "{path}");
    }
    // Pages go on within what was asked for.
    let first = service.get("/v1/applications?owner=alice&limit=1").await.expect(200).json();
    let next = first["next"].as_str().unwrap();
    let second = service.get(&format!("/v1/applications?owner=alice&limit=1&cursor={next}")).await.expect(200).json();
    assert_eq!((&second["items"][0]["id"], &second["next"]), (&json!("app-3"), &Value::Null));
}

#[tokio::test]
async fn what_a_list_cannot_be_asked_for_is_said() {
    let service = service().await;
    for (path, field) in [
        ("apis?state=published", "state"),
        ("apis?state=", "state"),
        ("apis?owner=alice", "owner"),
        ("keys?state=BLOCKED", "state"),
        ("keys?owner=alice", "owner"),
        ("keys?sha256=ab", "sha256"),
        ("applications?sha256=ab", "sha256"),
        ("subscriptions?state=DELETED", "state"),
        ("plans?state=ACTIVE", "state"),
        ("deny-policies?owner=alice", "owner"),
    ] {
        service.get(&format!("/v1/{path}")).await.expect_problem(400, Some(field));
    }
}

#[tokio::test]
async fn a_lookup_says_whose_a_key_is() {
    let service = service().await;
    let issued = service.post("/v1/applications/app-1/keys", json!({"id": "k-3"})).await.expect(201).json();
    for asked in [json!({"key": issued["key"]}), json!({"sha256": issued["sha256"]})] {
        let answer = service.post("/v1/keys/lookup", asked).await.expect(200);
        assert_eq!(answer.header("cache-control"), "no-store");
        let found = answer.whole();
        for (place, path) in [("key", "/v1/keys/k-3"), ("application", "/v1/applications/app-1")] {
            assert_eq!(found[place], service.get(path).await.expect(200).whole(), "{place}");
        }
        assert_eq!(found["owner"], "alice");
        let subscriptions = found["subscriptions"].as_array().unwrap();
        let mut states: Vec<(&str, &str)> =
            subscriptions.iter().map(|row| (row["id"].as_str().unwrap(), row["state"].as_str().unwrap())).collect();
        states.sort_unstable();
        assert_eq!(states, [("s-1", "UNBLOCKED"), ("s-2", "PROD_ONLY_BLOCKED")]);
        assert!(!answer.text.contains(issued["key"].as_str().unwrap()));
    }
    let revoked = service.post("/v1/keys/lookup", json!({"sha256": digest(0xab)})).await.expect(200).whole();
    assert_eq!(revoked["key"]["state"], "REVOKED");
    for (asked, status, field) in [
        (json!({"key": "kg_nobodys"}), 404, None),
        (json!({"sha256": digest(99)}), 404, None),
        (json!({"key": ""}), 422, Some("key")),
        (json!({"key": "k".repeat(4_097)}), 422, Some("key")),
        (json!({"sha256": "ab"}), 422, Some("sha256")),
        (json!({}), 422, Some("key")),
        (json!({"key": "a", "sha256": digest(1)}), 422, Some("sha256")),
        (json!({"id": "k-1"}), 422, Some("id")),
    ] {
        let answer = service.post("/v1/keys/lookup", asked).await.expect_problem(status, field);
        assert!(!answer.text.contains("nobodys"), "{}", answer.text);
    }
    let revision = service.revision().await;
    service.post("/v1/keys/lookup", json!({"sha256": digest(1)})).await.expect(200);
    assert_eq!(service.revision().await, revision);
}

#[tokio::test]
async fn lists_by_owner_and_state_use_their_indexes() {
    let service = service().await;
    let mut connection = service.connection().await;
    for (condition, index) in [
        ("json_extract(document, '$.owner') = 'alice'", "found_by_owner"),
        (
            "coalesce(kept_block, json_extract(document, '$.state')) = 'BLOCKED' AND \
             coalesce(kept_block, json_extract(document, '$.state')) NOT IN ('ACTIVE', 'PUBLISHED', 'UNBLOCKED')",
            "found_by_state",
        ),
    ] {
        let plan = format!(
            "EXPLAIN QUERY PLAN SELECT * FROM version WHERE until_revision IS NULL AND kind = 2 AND id > '' \
             AND {condition} ORDER BY id LIMIT 10"
        );
        let plan: Vec<(i64, i64, i64, String)> = sqlx::query_as(&plan).fetch_all(&mut connection).await.unwrap();
        assert!(plan.iter().any(|(_, _, _, detail)| detail.contains(index)), "{plan:?}");
    }
}
