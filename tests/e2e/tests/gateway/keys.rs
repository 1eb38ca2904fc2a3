//! What a key may do, and what the upstream and the logs learn of it.

use std::time::Duration;

use keygate_e2e::{
    Options,
    deadline::eventually,
    http::Ask,
    story::{self, Caller, Expected, ORDERS},
    workers::Workers,
};
use serde_json::json;

/// How long a change may take: the shipped refresh interval and a second.
const SEEN_WITHIN: Duration = Duration::from_secs(6);

const REACHES: Expected = Expected::Reaches("production");

#[tokio::test]
async fn each_refusal_of_a_key_has_a_code_of_its_own() {
    let (stack, keys) = story::stage("keys-codes", Options::default()).await.unwrap();
    let policy = stack.policy().unwrap();
    let mut workers = Workers::connect(stack.envoy().unwrap()).await.unwrap();
    // Asks until the deadline, because a change takes a moment and a key expires only with its second.
    let mut holds = async |key: Option<&str>, expected: Expected| {
        let ask = key.map_or_else(|| Ask::get(ORDERS), |key| Ask::get(ORDERS).key(key));
        let what = format!("{expected} on every worker");
        eventually(what, SEEN_WITHIN, async || workers.expect(&ask, expected).await).await.unwrap();
    };

    let (revoked, revoked_id) = story::new_key(policy, "shop", json!({"type": "PRODUCTION"})).await.unwrap();
    holds(Some(&revoked), REACHES).await;
    policy.post(&format!("/v1/keys/{revoked_id}/revoke"), None).await.unwrap();
    let expired = story::key(policy, "shop", json!({"type": "PRODUCTION", "expires_in": 1})).await.unwrap();
    let late = story::key(policy, "shop", json!({"type": "PRODUCTION", "expires_in": 3600})).await.unwrap();

    holds(None, Expected::Refused(401, "900902", "Missing Credentials")).await;
    holds(Some(""), Expected::Refused(401, "900902", "Missing Credentials")).await;
    holds(Caller::Stranger.key(&keys), Expected::Refused(401, "900901", "Invalid Credentials")).await;
    holds(Some(&revoked), Expected::Refused(401, "900904", "Access Token Inactive")).await;
    holds(Some(&expired), Expected::Refused(401, "900903", "Access Token Expired")).await;
    holds(Some(&keys.visitor), Expected::Refused(403, "900908", "Resource forbidden")).await;
    // Only these keys are refused. The other keys still work.
    holds(Some(&late), REACHES).await;
    holds(Some(&keys.production), REACHES).await;
    stack.stop().await;
}

#[tokio::test]
async fn upstream_learns_who_calls_from_keygate_alone_and_never_the_key() {
    let (stack, keys) = story::stage("keys-upstream", Options::default()).await.unwrap();
    let mut workers = Workers::connect(stack.envoy().unwrap()).await.unwrap();
    let production = Ask::get(format!("{ORDERS}?a=1&apikey={}&b=%20", keys.production))
        .key(&keys.production)
        .header("x-application-id", "forged")
        .header("x-key-id", "forged")
        .header("x-key-type", "SANDBOX");
    eventually("the policy", SEEN_WITHIN, async || workers.expect(&production, REACHES).await).await.unwrap();
    for (worker, answer) in workers.send(&production).await.unwrap() {
        let echo = answer.json();
        // A forged type has no effect: the type of the key decides.
        assert_eq!(echo["endpoint"], "production", "{worker}");
        assert_eq!(echo["path"], format!("{ORDERS}?a=1&b=%20"), "{worker}");
        assert_eq!(echo["headers"]["x-application-id"], json!(["shop"]), "{worker}");
        assert_eq!(echo["headers"]["x-key-type"], json!(["PRODUCTION"]), "{worker}");
        assert_ne!(echo["headers"]["x-key-id"], json!(["forged"]), "{worker}");
        assert!(!answer.body.contains(&keys.production), "{worker} handed the key on: {answer}");
    }
    stack.stop().await;
}

#[tokio::test]
async fn every_request_is_in_the_access_log_with_its_reason_and_no_key_is_in_any_log() {
    let (stack, keys) = story::stage("keys-logs", Options::default()).await.unwrap();
    let envoy = stack.envoy().unwrap();
    let mut workers = Workers::connect(envoy).await.unwrap();
    let by_query = |key: &str| Ask::get(format!("{ORDERS}?apikey={key}"));
    let allowed = by_query(&keys.production);
    eventually("the policy", SEEN_WITHIN, async || workers.expect(&allowed, REACHES).await).await.unwrap();
    workers.send(&by_query("never-given-out")).await.unwrap();
    workers.send(&by_query(&keys.visitor)).await.unwrap();
    workers.send(&Ask::get("/nowhere").key(&keys.production)).await.unwrap();

    let expected = [
        (200, "allowed", "via_upstream", json!("shop"), json!("orders-1.0")),
        (401, "key_unknown", "keygate_key_unknown", json!(null), json!("orders-1.0")),
        (403, "subscription_missing", "keygate_subscription_missing", json!("visitor"), json!("orders-1.0")),
        (404, "api_not_found", "keygate_api_not_found", json!(null), json!(null)),
    ];
    for (status, reason, details, application, api) in expected {
        let line = |entry: &serde_json::Value| {
            entry["status"] == status
                && entry["reason"] == reason
                && entry["details"] == details
                && entry["application_id"] == application
                && entry["api_id"] == api
        };
        eventually(format!("{reason} in the access log, once for each worker"), SEEN_WITHIN, async || {
            let log = envoy.access_log();
            if log.iter().filter(|entry| line(entry)).count() >= workers.count() {
                Ok(())
            } else {
                Err(format!("{log:?}"))
            }
        })
        .await
        .unwrap();
    }
    for file in std::fs::read_dir(stack.folder()).unwrap() {
        let file = file.unwrap().path();
        let bytes = std::fs::read(&file).unwrap();
        for key in [&keys.production, &keys.sandbox, &keys.partner, &keys.visitor] {
            let found = bytes.windows(key.len()).any(|window| window == key.as_bytes());
            assert!(!found, "a key is in {}", file.display());
        }
    }
    stack.stop().await;
}
