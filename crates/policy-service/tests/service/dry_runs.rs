//! `?dry_run=true` on a block: what the block would concern, and nothing else happens.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Service, act, digest, send};

/// An application with keys of each kind and its usage of the last hour.
async fn service() -> Service {
    let service = Service::start().await;
    let now = act().now;
    service.seed().await;
    service.post("/v1/apis", json!({"id": "api-2", "match": [{"path": "/two"}]})).await.expect(201);
    for (number, (id, more)) in [
        ("sandbox", json!({"type": "SANDBOX"})),
        ("later", json!({"not_before": now + 1_000})),
        ("expired", json!({"expires_at": now - 1})),
        ("of-two", json!({"apis": ["api-2"]})),
        ("revoked", json!({})),
    ]
    .into_iter()
    .enumerate()
    {
        let mut body = json!({"id": id, "application": "app-1", "sha256": digest(100 + number as u64)});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        service.post("/v1/keys", body).await.expect(201);
    }
    service.post("/v1/keys/revoked/revoke", Value::Null).await.expect(200);
    let hour = now / 3_600 * 3_600;
    let count = |api: &str, outcome: &str, requests: i64| json!({"hour": hour, "application": "app-1", "api": api, "outcome": outcome, "requests": requests});
    let counts = json!([count("api-1", "allowed", 5), count("api-1", "key_expired", 50), count("api-2", "allowed", 7)]);
    let report = json!({"format": 1, "batch": "b", "counts": counts});
    send(service.request(Method::POST, "/v1/usage").bearer_auth("secret").json(&report)).await.expect(200);
    service
}

#[tokio::test]
async fn a_dry_run_counts_what_a_block_would_refuse() {
    let service = service().await;
    let concerns = |keys: i64, requests: i64| json!({"applications": 1, "keys": keys, "requests_last_day": requests});
    for (path, body, expected) in [
        ("subscriptions/s-1/block?dry_run=true", json!({}), concerns(2, 5)),
        ("subscriptions/s-1/block?dry_run=true&state=PROD_ONLY_BLOCKED", Value::Null, concerns(1, 5)),
        ("subscriptions/s-1/block?dry_run=true", json!({"state": "PROD_ONLY_BLOCKED", "note": "n"}), concerns(1, 5)),
        ("subscriptions/s-1/block?dry_run=true", json!({"from": act().now + 1_000}), concerns(2, 5)),
        ("applications/app-1/block?dry_run=true", Value::Null, concerns(3, 12)),
        ("applications/app-1/block?dry_run=true", json!({"reason": "r"}), concerns(3, 12)),
    ] {
        let answer = service.post(&format!("/v1/{path}"), body.clone()).await.expect(200);
        assert_eq!(answer.whole(), expected, "{path} {body}");
        assert!(answer.headers.get("x-policy-revision").is_none() && answer.headers.get("etag").is_none());
    }
}

#[tokio::test]
async fn a_dry_run_changes_nothing_and_checks_everything() {
    let service = service().await;
    let (revision, audit) = (service.revision().await, service.get("/v1/audit").await.json());
    for (path, body, status, field) in [
        ("subscriptions/s-1/block?dry_run=true", json!({"until": 5}), 422, Some("until")),
        ("subscriptions/s-1/block?dry_run=true", json!({"states": "BLOCKED"}), 422, Some("states")),
        (
            "subscriptions/s-1/block?dry_run=true&state=BLOCKED",
            json!({"state": "PROD_ONLY_BLOCKED"}),
            422,
            Some("state"),
        ),
        ("subscriptions/s-1/block?dry_run=1", Value::Null, 400, Some("dry_run")),
        ("subscriptions/none/block?dry_run=true", Value::Null, 404, None),
        ("applications/none/block?dry_run=true", Value::Null, 404, None),
        ("applications/app-1/block?dry_run=maybe", Value::Null, 400, Some("dry_run")),
        ("applications/app-1/block?state=BLOCKED", Value::Null, 400, Some("state")),
    ] {
        service.post(&format!("/v1/{path}"), body).await.expect_problem(status, field);
    }
    let again =
        service.request(Method::POST, "/v1/subscriptions/s-1/block?dry_run=true").bearer_auth(crate::support::TOKEN);
    send(again.header("if-match", "\"another\"")).await.expect_problem(412, None);
    service.post("/v1/subscriptions/s-1/block?dry_run=true", Value::Null).await.expect(200);
    assert_eq!((service.revision().await, service.get("/v1/audit").await.json()), (revision, audit));
    let state = service.get("/v1/subscriptions/s-1").await.json()["state"].clone();
    assert_eq!(state, "UNBLOCKED");
    service.post("/v1/subscriptions/s-1/block?dry_run=false", Value::Null).await.expect(200);
    assert_eq!(service.revision().await, revision + 1);
    // A block that stays after its subscription concerns no key.
    service.delete("/v1/subscriptions/s-1").await;
    let kept = service.post("/v1/subscriptions/s-1/block?dry_run=true&state=PROD_ONLY_BLOCKED", Value::Null).await;
    assert_eq!(kept.expect(200).whole(), json!({"applications": 0, "keys": 0, "requests_last_day": 5}));
}
