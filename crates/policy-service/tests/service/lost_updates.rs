//! Changes by clients that have not seen the latest version. A block stays, and `if-match` rejects the change.

use crate::support::{Answer, Service, TOKEN, send};
use reqwest::Method;
use serde_json::{Value, json};

async fn with_if_match(service: &Service, method: Method, path: &str, tag: &str, body: &Value) -> Answer {
    let request = service.request(method, path).bearer_auth(TOKEN).header("if-match", tag);
    send(if body.is_null() { request } else { request.json(body) }).await
}

#[tokio::test]
async fn a_put_neither_lifts_nor_weakens_a_block() {
    let every =
        ["UNBLOCKED", "BLOCKED", "PROD_ONLY_BLOCKED", "ON_HOLD", "REJECTED", "TIER_UPDATE_PENDING", "DELETE_PENDING"];
    for block in ["BLOCKED", "PROD_ONLY_BLOCKED"] {
        for state in every {
            let service = Service::start().await;
            service.seed().await;
            service.post("/v1/plans", json!({"id": "gold"})).await.expect(201);
            let mut read = service.get("/v1/subscriptions/s-1").await.json();
            service.post(&format!("/v1/subscriptions/s-1/block?state={block}"), Value::Null).await.expect(200);
            let revision = service.revision().await;
            read["plan"] = json!("gold");
            read["state"] = json!(state);
            let answer = service.put("/v1/subscriptions/s-1", read).await;
            let stays = state == block || state == "BLOCKED";
            assert_eq!(answer.status, if stays { 200 } else { 409 }, "{block} {state}: {}", answer.text);
            let expected = if stays { state } else { block };
            assert_eq!(service.get("/v1/subscriptions/s-1").await.json()["state"], expected);
            assert_eq!(service.revision().await == revision, !stays);
        }
    }
}

#[tokio::test]
async fn a_put_does_not_unblock_an_application_and_deleting_it_keeps_the_block() {
    let service = Service::start().await;
    service.seed().await;
    let read = service.get("/v1/applications/app-1").await.json();
    let blocked = service.post("/v1/applications/app-1/block", Value::Null).await.expect(200).json();
    assert_eq!(blocked["state"], "BLOCKED");
    service.put("/v1/applications/app-1", read).await.expect_problem(409, None);
    service.put("/v1/applications/app-1", json!({"name": "other"})).await.expect(200);
    service.post("/v1/applications/app-1/unblock", Value::Null).await.expect(200);
    service.post("/v1/applications/app-1/block", Value::Null).await.expect(200);

    let kept = service.delete("/v1/applications/app-1").await.expect(200).json();
    assert_eq!((&kept["state"], &kept["deleted"]), (&json!("BLOCKED"), &json!(true)));
    let page = service.feed("/v1/policy").await.whole();
    assert_eq!(page["applications"][0]["state"], "BLOCKED");
    assert!(!page.to_string().contains("deleted") && !page.to_string().contains("etag"), "{page}");
    service.delete("/v1/applications/app-1").await.expect(200);
    service.post("/v1/applications", json!({"id": "app-1"})).await.expect_problem(409, None);
    service.put("/v1/applications/app-1", json!({})).await.expect_problem(409, None);
    let subscription = json!({"application": "app-1", "api": "api-1"});
    service.post("/v1/subscriptions", subscription).await.expect_problem(422, Some("application"));
    service.post("/v1/applications/app-1/keys", json!({})).await.expect_problem(404, None);
    service.post("/v1/applications/app-1/unblock", Value::Null).await.expect(200);
    service.get("/v1/applications/app-1").await.expect(404);
    service.post("/v1/applications", json!({"id": "app-1"})).await.expect(201);
}

/// Each way to change a row, with the etag of an earlier version, with that of another row, and with the right one.
#[tokio::test]
async fn if_match_refuses_who_has_not_seen_the_latest_version() {
    for (read, method, change, body, status) in [
        ("/v1/subscriptions/s-1", Method::PUT, "/v1/subscriptions/s-1", json!({}), 200),
        ("/v1/subscriptions/s-1", Method::DELETE, "/v1/subscriptions/s-1", Value::Null, 204),
        ("/v1/subscriptions/s-1", Method::POST, "/v1/subscriptions/s-1/block", Value::Null, 200),
        ("/v1/subscriptions/s-1", Method::POST, "/v1/subscriptions/s-1/unblock", Value::Null, 200),
        ("/v1/applications/app-1", Method::PUT, "/v1/applications/app-1", json!({"name": "n"}), 200),
        ("/v1/applications/app-1", Method::DELETE, "/v1/applications/app-1", Value::Null, 204),
        ("/v1/applications/app-1", Method::POST, "/v1/applications/app-1/block", Value::Null, 200),
        ("/v1/applications/app-1", Method::POST, "/v1/applications/app-1/unblock", Value::Null, 200),
        ("/v1/apis/api-1", Method::PUT, "/v1/apis/api-1", json!({"name": "n"}), 200),
        ("/v1/apis/api-1", Method::DELETE, "/v1/apis/api-1", Value::Null, 204),
        ("/v1/keys/k-1", Method::PUT, "/v1/keys/k-1", json!({"expires_at": 5}), 200),
        ("/v1/keys/k-1", Method::DELETE, "/v1/keys/k-1", Value::Null, 204),
        ("/v1/keys/k-1", Method::POST, "/v1/keys/k-1/revoke", Value::Null, 200),
        ("/v1/keys/k-1", Method::POST, "/v1/keys/k-1/regenerate", Value::Null, 201),
        ("/v1/plans/p", Method::PUT, "/v1/plans/p", json!({"stop_on_quota_reach": false}), 200),
        ("/v1/plans/p", Method::DELETE, "/v1/plans/p", Value::Null, 204),
        ("/v1/deny-policies/d", Method::PUT, "/v1/deny-policies/d", json!({"type": "IP", "value": "::3"}), 200),
        ("/v1/deny-policies/d", Method::DELETE, "/v1/deny-policies/d", Value::Null, 204),
    ] {
        let service = Service::start().await;
        service.seed().await;
        service.post("/v1/plans", json!({"id": "p"})).await.expect(201);
        service.post("/v1/deny-policies", json!({"id": "d", "type": "IP", "value": "::1"})).await.expect(201);
        let old = service.get(read).await.header("etag").to_owned();
        let latest = json!({"name": "seen", "type": "SANDBOX"});
        let put = match read.split('/').nth(2).unwrap() {
            "subscriptions" => json!({"plan": "p"}),
            "plans" => json!({"operations": []}),
            "keys" => json!({"type": latest["type"]}),
            "deny-policies" => json!({"type": "IP", "value": "::2"}),
            _ => json!({"name": latest["name"]}),
        };
        let put = service.put(read, put).await.expect(200);
        let revision = service.revision().await;
        assert_eq!(put.header("x-policy-revision"), revision.to_string());
        for tag in [&old, "\"0\"", &format!("W/{}", put.header("etag")), put.header("etag").trim_matches('"'), ""] {
            let refused = with_if_match(&service, method.clone(), change, tag, &body).await;
            assert_eq!(refused.status, 412, "{method} {change} {tag}: {}", refused.text);
        }
        assert_eq!(service.revision().await, revision, "{method} {change}");
        let shown = service.get(read).await;
        assert_eq!((shown.header("etag"), &shown.whole()["etag"]), (put.header("etag"), &put.whole()["etag"]));
        assert_eq!(shown.whole()["etag"], shown.header("etag"));
        let list = service.get(read.rsplit_once('/').unwrap().0).await.whole();
        assert_eq!(list["items"][0]["etag"], shown.header("etag"));
        let several = format!("{old}, {}", shown.header("etag"));
        let done = with_if_match(&service, method.clone(), change, &several, &body).await.expect(status);
        assert_eq!(done.header("x-policy-revision"), service.revision().await.to_string(), "{method} {change}");
        if status == 200 && !change.ends_with("/unblock") {
            assert_ne!(done.header("etag"), shown.header("etag"), "{method} {change}");
        }
    }
}

#[tokio::test]
async fn any_version_fits_a_star_but_none_that_is_not_there() {
    let service = Service::start().await;
    service.seed().await;
    let put = |path| with_if_match(&service, Method::PUT, path, "*", &Value::Null);
    put("/v1/subscriptions/s-1").await.expect_problem(400, None);
    let star = with_if_match(&service, Method::PUT, "/v1/subscriptions/s-1", "*", &json!({})).await;
    star.expect(200);
    with_if_match(&service, Method::PUT, "/v1/subscriptions/none", "*", &json!({})).await.expect_problem(404, None);
}

#[tokio::test]
async fn what_nobody_reads_of_a_query_is_refused() {
    let service = Service::start().await;
    service.seed().await;
    for (method, path, body) in [
        (Method::POST, "/v1/apis", json!({"id": "x"})),
        (Method::GET, "/v1/apis/api-1", Value::Null),
        (Method::PUT, "/v1/apis/api-1", json!({})),
        (Method::DELETE, "/v1/apis/api-1", Value::Null),
        (Method::POST, "/v1/applications/app-1/keys", json!({})),
        (Method::POST, "/v1/applications/app-1/block", Value::Null),
        (Method::POST, "/v1/applications/app-1/unblock", Value::Null),
        (Method::POST, "/v1/keys/k-1/regenerate", Value::Null),
        (Method::POST, "/v1/keys/k-1/revoke", Value::Null),
        (Method::POST, "/v1/subscriptions/s-1/unblock", Value::Null),
    ] {
        let revision = service.revision().await;
        service.admin(method, &format!("{path}?receipts=5"), body).await.expect_problem(400, Some("receipts"));
        assert_eq!(service.revision().await, revision, "{path}");
    }
}

/// Every operation with a body, with an unknown field at the top level and in nested objects.
#[tokio::test]
async fn no_field_of_a_body_is_dropped() {
    let service = Service::start().await;
    service.seed().await;
    let limit = json!({"requests": 1, "per": "day", "x": 1});
    for (method, path, body, field) in [
        (Method::POST, "/v1/subscriptions/s-1/block", json!({"reason": "late", "by": "me"}), "by"),
        (Method::POST, "/v1/subscriptions/s-1/block", json!({"state": "BLOCKED", "ends": 1}), "ends"),
        (Method::POST, "/v1/subscriptions/s-1/block", json!({"note": "late", "at": 1}), "at"),
        (Method::POST, "/v1/subscriptions/s-1/unblock", json!({"reason": "paid", "note": "paid"}), "note"),
        (Method::POST, "/v1/applications/app-1/block", json!({"until": 1}), "until"),
        (Method::POST, "/v1/applications/app-1/unblock", json!({"because": "paid"}), "because"),
        (Method::PUT, "/v1/subscriptions/s-1", json!({"block": {"ends": 1}}), "block.ends"),
        (Method::PUT, "/v1/applications/app-1", json!({"block": {"ends": 1}}), "block.ends"),
        (Method::POST, "/v1/keys/k-1/revoke", json!({"reason": "leaked"}), "reason"),
        (Method::POST, "/v1/keys/k-1/regenerate", json!({"x": 1}), "x"),
        (Method::POST, "/v1/applications/app-1/keys", json!({"x": 1}), "x"),
        (Method::DELETE, "/v1/keys/k-1", json!({"reason": "leaked"}), "reason"),
        (Method::DELETE, "/v1/subscriptions/s-1", json!({"reason": "late"}), "reason"),
        (Method::POST, "/v1/subscriptions", json!({"status": "BLOCKED"}), "status"),
        (Method::PUT, "/v1/subscriptions/s-1", json!({"blocked_until": 1}), "blocked_until"),
        (Method::PUT, "/v1/applications/app-1", json!({"x": 1}), "x"),
        (Method::PUT, "/v1/keys/k-1", json!({"expires": 1}), "expires"),
        (Method::PUT, "/v1/apis/api-1", json!({"match": [{"path": "/a", "x": 1}]}), "match[0].x"),
        (Method::POST, "/v1/plans", json!({"limits": [limit]}), "limits[0].x"),
        (Method::POST, "/v1/plans", json!({"burst": limit}), "burst.x"),
        (Method::POST, "/v1/plans", json!({"operations": [{"path": "/a", "x": 1}]}), "operations[0].x"),
        (Method::POST, "/v1/deny-policies", json!({"type": "IP", "value": "::1", "until": 1}), "until"),
    ] {
        service.admin(method, path, body).await.expect_problem(422, Some(field));
    }
    assert_eq!(service.revision().await, 4);
    let block = "/v1/subscriptions/s-1/block";
    let both = service.post(&format!("{block}?state=BLOCKED"), json!({"state": "PROD_ONLY_BLOCKED"})).await;
    both.expect_problem(422, Some("state"));
    let blocked = service.post(block, json!({"state": "PROD_ONLY_BLOCKED"})).await.expect(200).json();
    assert_eq!(blocked["state"], "PROD_ONLY_BLOCKED");
    let same = service.post(&format!("{block}?state=BLOCKED"), json!({"state": "BLOCKED"})).await.expect(200).json();
    assert_eq!(same["state"], "BLOCKED");
    assert_eq!(service.post(block, json!({})).await.expect(200).json()["state"], "BLOCKED");
}

/// Accounts are no part of the policy, and who has not seen their latest version is refused as well.
#[tokio::test]
async fn if_match_holds_for_tokens_and_credentials_of_gateways() {
    let service = Service::start().await;
    service.seed().await;
    let (tokens, credentials) = ("/v1/tokens", "/v1/gateways/credentials");
    let listed = async |path: &str, id: &str| {
        let list = service.get(path).await.expect(200).whole();
        list["items"].as_array().unwrap().iter().find(|item| item["id"] == id).cloned()
    };
    let wrong =
        |etag: &str| ["\"0\"".to_owned(), format!("W/{etag}"), etag.trim_matches('"').to_owned(), String::new()];
    let token = service.post(tokens, json!({"role": "auditor", "subject": "ann"})).await.expect(201);
    let other = service.post(tokens, json!({"role": "auditor", "subject": "ann"})).await.expect(201);
    let made = service.post(credentials, json!({"client_id": "edge"})).await.expect(201);
    let (path, first) = (format!("{credentials}/{}", made.whole()["id"].as_str().unwrap()), made.header("etag"));
    let changed = service.put(&path, json!({"apis": ["api-1"]})).await.expect(200);
    let again = service.put(&path, json!({"apis": ["api-1"]})).await.expect(200);
    assert_eq!(again.header("etag"), changed.header("etag"));
    for answer in [&token, &changed] {
        let row = answer.whole();
        assert_eq!(row["etag"], answer.header("etag"));
        let list = if row.get("role").is_some() { tokens } else { credentials };
        assert_eq!(listed(list, row["id"].as_str().unwrap()).await.unwrap()["etag"], row["etag"]);
    }
    let token_path = format!("{tokens}/{}", token.whole()["id"].as_str().unwrap());
    let entries = async || service.get("/v1/audit").await.expect(200).whole()["items"].as_array().unwrap().len();
    let before = entries().await;
    for (method, path, old, now, body) in [
        (Method::PUT, &path, first, changed.header("etag"), json!({})),
        (Method::DELETE, &path, first, changed.header("etag"), Value::Null),
        (Method::DELETE, &token_path, other.header("etag"), token.header("etag"), Value::Null),
    ] {
        for tag in wrong(now).iter().map(String::as_str).chain([old]) {
            let refused = with_if_match(&service, method.clone(), path, tag, &body).await;
            refused.expect_problem(412, None);
        }
    }
    assert_eq!(entries().await, before);
    assert_eq!(listed(credentials, changed.whole()["id"].as_str().unwrap()).await.unwrap()["apis"], json!(["api-1"]));
    let several = format!("{first}, {}", changed.header("etag"));
    let widened = with_if_match(&service, Method::PUT, &path, &several, &json!({})).await.expect(200);
    assert_ne!(widened.header("etag"), changed.header("etag"));
    with_if_match(&service, Method::DELETE, &path, widened.header("etag"), &Value::Null).await.expect(204);
    with_if_match(&service, Method::DELETE, &token_path, "*", &Value::Null).await.expect(204);
}
