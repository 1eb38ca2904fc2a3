//! Finding rows: filters, orders, cursors and totals of lists, and the owner of a key.

use crate::support::{Service, digest};
use serde_json::{Value, json};

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
    // The kept block can still be found.
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
    // Further pages keep the filter.
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
        ("keys?state=BLOCKED", "state"),
        ("apis?plan=gold", "plan"),
        ("plans?api=a", "api"),
        ("keys?sha256=ab", "sha256"),
        ("applications?sha256=ab", "sha256"),
        ("subscriptions?state=DELETED", "state"),
        ("keys?type=production", "type"),
        ("keys?type=", "type"),
        ("keys?plan=gold", "plan"),
        ("keys?sort=owner", "sort"),
        ("keys?sort=", "sort"),
        ("keys?sort=--id", "sort"),
        ("keys?sort=ID", "sort"),
        ("keys?last_used_before=-1", "last_used_before"),
        ("keys?last_used_before=now", "last_used_before"),
        ("keys?last_used_before=1748736000000", "last_used_before"),
        ("keys?q=", "q"),
        (&format!("keys?q={}", "a".repeat(257)), "q"),
        (&format!("keys?application={}", "a".repeat(257)), "application"),
        ("apis?type=API", "type"),
        ("plans?sort=name", "sort"),
        ("subscriptions?last_used_before=5", "last_used_before"),
        ("subscriptions?planned=yes", "planned"),
        ("subscriptions?planned=", "planned"),
        ("keys?planned=true", "planned"),
        ("applications?planned=false", "planned"),
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
    for (key, mistyped) in [
        ("kg_live_0000000000000000000000000000keAmu", false),
        ("kg_live_0000000000000000000000000000keAmv", true),
        ("kg_2KfWRuIjcjP6xrgW4PTVMz6WtVBVlY8mPCZey9L-PXU", false),
    ] {
        let answer = service.post("/v1/keys/lookup", json!({"key": key})).await.expect_problem(404, None);
        assert_eq!(answer.text.contains("mistyped"), mistyped, "{}", answer.text);
    }
    let revision = service.revision().await;
    service.post("/v1/keys/lookup", json!({"sha256": digest(1)})).await.expect(200);
    assert_eq!(service.revision().await, revision);
}

/// The ids of a list, read in pages of `limit`, and the total that each page names.
async fn pages(service: &Service, path: &str, limit: usize) -> (Vec<String>, Vec<i64>) {
    let (mut ids, mut totals, mut cursor) = (Vec::new(), Vec::new(), String::new());
    loop {
        let page = service.get(&format!("/v1/{path}&limit={limit}{cursor}")).await.expect(200).json();
        let items = page["items"].as_array().unwrap();
        assert!(items.len() <= limit && (page["next"].is_null() || items.len() == limit), "{path}: {page}");
        ids.extend(items.iter().map(|row| row["id"].as_str().unwrap().to_owned()));
        totals.push(page["total"].as_i64().unwrap());
        match page["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return (ids, totals),
        }
    }
}

/// Reports the last use of keys.
async fn use_keys(service: &Service, batch: &str, keys: Value) {
    let report = json!({"format": 1, "batch": batch, "keys": keys});
    let request = service.request(reqwest::Method::POST, "/v1/usage").basic_auth("gw", Some("secret"));
    crate::support::send(request.json(&report)).await.expect(200);
}

/// A service with plans, names and last uses.
async fn rich() -> Service {
    let service = Service::start().await;
    service.seed().await;
    for plan in ["gold", "silver"] {
        service.post("/v1/plans", json!({"id": plan})).await.expect(201);
    }
    for (id, name, owner, plan) in [
        ("app-2", Some("Web shop"), "bob", Some("gold")),
        ("app-3", Some("50% off_"), "alice", Some("silver")),
        ("app-4", Some("web SHOP"), "carol", Some("gold")),
        ("app-5", None, "bob", None),
    ] {
        let application = json!({"id": id, "name": name, "owner": owner, "plan": plan});
        service.post("/v1/applications", application).await.expect(201);
    }
    let keys = [("k-2", "app-2", "SANDBOX"), ("k-3", "app-2", "PRODUCTION"), ("k-4", "app-3", "SANDBOX")];
    for (place, (id, application, key_type)) in keys.into_iter().enumerate() {
        let sha256 = digest(place as u64 + 2);
        service
            .post("/v1/keys", json!({"id": id, "application": application, "sha256": sha256, "type": key_type}))
            .await
            .expect(201);
    }
    for (id, application, plan) in
        [("s-2", "app-2", Some("gold")), ("s-3", "app-3", Some("silver")), ("s-4", "app-4", Some("gold"))]
    {
        service
            .post("/v1/subscriptions", json!({"id": id, "application": application, "api": "api-1", "plan": plan}))
            .await
            .expect(201);
    }
    for (id, target, value) in [("d-1", "USER", "mallory"), ("d-2", "API", "api-1"), ("d-3", "USER", "trudy")] {
        service.post("/v1/deny-policies", json!({"id": id, "type": target, "value": value})).await.expect(201);
    }
    let keys = json!([{"id": "k-1", "last_used": 1_790_000_200}, {"id": "k-3", "last_used": 1_790_000_100}]);
    use_keys(&service, "b-1", keys).await;
    service
}

/// Every combination of filter and order returns all rows, in order, in pages of any size, and each page names the
/// total.
#[tokio::test]
async fn lists_filter_sort_and_count_in_pages_of_any_size() {
    let service = rich().await;
    for (path, ids) in [
        ("applications?plan=gold", &["app-2", "app-4"][..]),
        ("applications?plan=gold&owner=bob", &["app-2"]),
        ("applications?q=shop", &["app-2", "app-4"]),
        ("applications?q=APP-", &["app-1", "app-2", "app-3", "app-4", "app-5"]),
        ("applications?q=p-3", &["app-3"]),
        ("applications?q=50%25%20o", &["app-3"]),
        ("applications?q=%25", &["app-3"]),
        ("applications?q=_", &["app-3"]),
        ("applications?q=alice", &[]),
        ("applications?sort=name", &["app-1", "app-5", "app-3", "app-2", "app-4"]),
        ("applications?sort=-name", &["app-4", "app-2", "app-3", "app-5", "app-1"]),
        ("applications?sort=owner", &["app-1", "app-3", "app-2", "app-5", "app-4"]),
        ("applications?sort=plan&q=app", &["app-1", "app-5", "app-2", "app-4", "app-3"]),
        ("applications?sort=-changed", &["app-5", "app-4", "app-3", "app-2", "app-1"]),
        ("applications?sort=id", &["app-1", "app-2", "app-3", "app-4", "app-5"]),
        ("applications?sort=-id&owner=bob", &["app-5", "app-2"]),
        ("keys?type=SANDBOX", &["k-2", "k-4"]),
        ("keys?type=PRODUCTION&application=app-2", &["k-3"]),
        ("keys?sort=last_used", &["k-2", "k-4", "k-3", "k-1"]),
        ("keys?sort=-last_used", &["k-1", "k-3", "k-4", "k-2"]),
        ("keys?sort=type", &["k-1", "k-3", "k-2", "k-4"]),
        ("keys?sort=-application", &["k-4", "k-3", "k-2", "k-1"]),
        ("keys?last_used_before=1790000100", &["k-2", "k-4"]),
        ("keys?last_used_before=1790000101", &["k-2", "k-3", "k-4"]),
        ("keys?last_used_before=1790000201&sort=-last_used", &["k-1", "k-3", "k-4", "k-2"]),
        ("keys?q=K-2", &["k-2"]),
        ("keys?owner=bob", &["k-2", "k-3"]),
        ("keys?owner=bob&type=SANDBOX&sort=-last_used", &["k-2"]),
        ("keys?owner=alice&sort=-id", &["k-4", "k-1"]),
        ("keys?owner=nobody", &[]),
        ("subscriptions?owner=alice", &["s-1", "s-3"]),
        ("subscriptions?owner=alice&plan=silver", &["s-3"]),
        ("subscriptions?owner=alice&state=BLOCKED", &[]),
        ("subscriptions?plan=gold", &["s-2", "s-4"]),
        ("subscriptions?sort=plan", &["s-1", "s-2", "s-4", "s-3"]),
        ("subscriptions?sort=-application&api=api-1", &["s-4", "s-3", "s-2", "s-1"]),
        ("deny-policies?type=USER", &["d-1", "d-3"]),
        ("deny-policies?q=trudy", &["d-3"]),
        ("deny-policies?sort=type", &["d-2", "d-1", "d-3"]),
        ("plans?q=old", &["gold"]),
        ("apis?sort=-name", &["api-1"]),
    ] {
        for limit in [1, 2, 3, 1_000] {
            let (found, totals) = pages(&service, path, limit).await;
            assert_eq!(found, ids, "{path} in pages of {limit}");
            assert!(totals.iter().all(|total| usize::try_from(*total) == Ok(ids.len())), "{path}: {totals:?}");
        }
    }
}

/// A block is planned until it begins, or until it is lifted or replaced by one that holds.
#[tokio::test]
async fn planned_blocks_are_found() {
    let service = rich().await;
    let later = crate::support::act().now + 3_600;
    let block = async |id: &str, order: Value| {
        service.post(&format!("/v1/subscriptions/{id}/block"), order).await.expect(200);
    };
    block("s-1", json!({"from": later})).await;
    block("s-2", json!({"from": later, "until": later + 60, "state": "PROD_ONLY_BLOCKED"})).await;
    block("s-3", json!({"until": later})).await;
    block("s-4", json!({"state": "PROD_ONLY_BLOCKED"})).await;
    let found = async |path: &str| pages(&service, path, 1).await.0;
    assert_eq!(found("subscriptions?planned=true").await, ["s-1", "s-2"]);
    assert_eq!(found("subscriptions?planned=false&sort=-id").await, ["s-4", "s-3"]);
    assert_eq!(found("subscriptions?planned=true&plan=gold").await, ["s-2"]);
    assert_eq!(found("subscriptions?planned=true&state=UNBLOCKED").await, ["s-1", "s-2"]);
    // The stronger one is planned on top of the one that holds.
    block("s-4", json!({"state": "BLOCKED", "from": later})).await;
    assert_eq!(found("subscriptions?planned=true&state=PROD_ONLY_BLOCKED").await, ["s-4"]);
    block("s-1", json!({})).await;
    service.post("/v1/subscriptions/s-2/unblock", json!({})).await.expect(200);
    // A subscription that is deleted counts as blocked from then on.
    service.delete("/v1/subscriptions/s-4").await.expect(200);
    assert_eq!(found("subscriptions?planned=true").await, Vec::<String>::new());
    assert_eq!(found("subscriptions?planned=false").await, ["s-1", "s-2", "s-3", "s-4"]);
}

/// Lists follow each change. No list shows deleted rows or old values.
#[tokio::test]
async fn lists_follow_what_is_changed() {
    let service = rich().await;
    service
        .put("/v1/applications/app-2", json!({"name": "Other", "owner": "dave", "plan": "silver"}))
        .await
        .expect(200);
    service.put("/v1/keys/k-2", json!({"type": "PRODUCTION"})).await.expect(200);
    service.delete("/v1/applications/app-3").await.expect(204);
    service.post("/v1/subscriptions/s-4/block", Value::Null).await.expect(200);
    service.delete("/v1/subscriptions/s-4").await.expect(200);
    // The last use of a key survives a replacement of its row, changes by reports, and ends with the key.
    service.put("/v1/keys/k-3", json!({"type": "SANDBOX", "state": "REVOKED"})).await.expect(200);
    use_keys(
        &service,
        "b-2",
        json!([{"id": "k-2", "last_used": 1_790_000_300}, {"id": "k-1", "last_used": 1_790_000_400}]),
    )
    .await;
    use_keys(&service, "b-3", json!([{"id": "k-1", "last_used": 1_790_000_001}])).await;
    service.delete("/v1/keys/k-2").await.expect(204);
    service.post("/v1/keys", json!({"id": "k-2", "application": "app-2", "sha256": digest(70)})).await.expect(201);
    for (path, ids) in [
        ("keys?sort=-last_used", &["k-1", "k-3", "k-2"][..]),
        ("keys?last_used_before=1790000400", &["k-2", "k-3"]),
        ("applications?q=shop", &["app-4"]),
        ("applications?owner=dave", &["app-2"]),
        ("applications?plan=silver", &["app-2"]),
        ("applications?sort=-changed", &["app-2", "app-5", "app-4", "app-1"]),
        ("keys?type=SANDBOX", &["k-3"]),
        ("subscriptions?state=BLOCKED", &["s-4"]),
        ("subscriptions?state=UNBLOCKED", &["s-1", "s-2"]),
        // A kept block has no plan.
        ("subscriptions?plan=gold", &["s-2"]),
        ("subscriptions?sort=id", &["s-1", "s-2", "s-4"]),
    ] {
        let (found, totals) = pages(&service, path, 100).await;
        assert_eq!(
            (found.as_slice(), totals[0]),
            (ids.iter().map(|id| (*id).to_owned()).collect::<Vec<_>>().as_slice(), ids.len() as i64),
            "{path}"
        );
    }
}

/// A page continues after the end of the other one, even if that row was deleted or new rows have come.
#[tokio::test]
async fn a_cursor_is_a_place_and_no_number() {
    let service = rich().await;
    let page = service.get("/v1/applications?sort=owner&limit=2").await.expect(200).json();
    assert_eq!(page["items"][1]["id"], "app-3");
    let next = page["next"].as_str().unwrap();
    service.delete("/v1/applications/app-3").await.expect(204);
    service.post("/v1/applications", json!({"id": "app-0", "owner": "aaron"})).await.expect(201);
    service.post("/v1/applications", json!({"id": "app-6", "owner": "alice"})).await.expect(201);
    let page = service.get(&format!("/v1/applications?sort=owner&cursor={next}")).await.expect(200).json();
    let ids: Vec<&str> = page["items"].as_array().unwrap().iter().map(|row| row["id"].as_str().unwrap()).collect();
    assert_eq!((ids, &page["total"]), (vec!["app-6", "app-2", "app-5", "app-4"], &json!(6)));
    // A cursor from another order is invalid, and so is one that the service did not make.
    for query in [
        format!("cursor={next}"),
        format!("sort=-owner&cursor={next}"),
        format!("sort=name&cursor={next}"),
        "cursor=ay0x".to_owned(),
        "cursor=%00".to_owned(),
        "cursor=".to_owned(),
        format!("cursor={}", "a".repeat(5_000)),
        format!("sort=changed&cursor={}", "WyJjaGFuZ2VkIiwieCIsImEiXQ"),
    ] {
        service.get(&format!("/v1/applications?{query}")).await.expect_problem(400, Some("cursor"));
    }
}

/// The description of each list names exactly the parameters that the list accepts.
#[tokio::test]
async fn lists_take_the_parameters_that_are_described() {
    let service = service().await;
    let description = service.get("/openapi.json").await.expect(200).whole();
    let digest = digest(1);
    let values = [
        ("state", "BLOCKED"),
        ("owner", "alice"),
        ("plan", "gold"),
        ("application", "app-1"),
        ("api", "api-1"),
        ("type", "API"),
        ("sha256", &digest),
        ("last_used_before", "5"),
        ("planned", "true"),
        ("q", "a"),
        ("sort", "-changed"),
    ];
    for list in ["apis", "applications", "keys", "subscriptions", "plans", "deny-policies"] {
        let path = format!("/v1/{list}");
        let described = &description["paths"][&path]["get"]["parameters"];
        let described: Vec<&str> =
            described.as_array().unwrap().iter().map(|parameter| parameter["name"].as_str().unwrap()).collect();
        for (name, value) in values {
            let value = match (list, name) {
                ("keys", "state") => "REVOKED",
                ("keys", "type") => "SANDBOX",
                _ => value,
            };
            let status = if described.contains(&name) { 200 } else { 400 };
            service.get(&format!("{path}?{name}={value}")).await.expect(status);
        }
        for parameter in &described {
            assert!(["limit", "cursor"].contains(parameter) || values.iter().any(|(name, _)| name == parameter));
        }
    }
}
