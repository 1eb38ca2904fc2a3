//! The list of gateways: its fields, filters and pages, and the removal of one.

use std::collections::BTreeSet;

use crate::support::{Options, Service, envoy::Envoy};
use serde_json::{Value, json};

async fn items(service: &Service, query: &str) -> Vec<Value> {
    service.get(&format!("/v1/gateways{query}")).await.expect(200).json()["items"].as_array().unwrap().clone()
}

fn instances(items: &[Value]) -> Vec<&str> {
    items.iter().map(|item| item["instance"].as_str().unwrap_or("null")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_is_listed_as_it_says() {
    let service = Service::start().await;
    service.seed().await;
    assert_eq!(service.get("/v1/gateways").await.expect(200).json(), json!({"items": [], "next": null, "total": 0}));
    let envoy = Envoy::new(&service.url, "edge-ä", "0a1b").load().await;
    let epoch = service.feed("/v1/policy").await.json()["epoch"].clone();
    let now = i64::try_from(std::time::UNIX_EPOCH.elapsed().unwrap().as_secs()).unwrap();
    let mut listed = items(&service, "").await.remove(0);
    let last_seen = listed["last_seen"].take().as_i64().unwrap();
    assert!((now - last_seen).abs() <= 2, "{now} {last_seen}");
    let id = listed["id"].take();
    let expected = json!({"id": null, "client_id": "gw", "instance": "edge-ä", "process": "0a1b", "version": "1.2.3",
        "workers": 4, "lagging": 0, "address": "127.0.0.1", "state": "live", "last_seen": null, "epoch": epoch,
        "revision": 4, "behind": 0, "refused": null});
    assert_eq!(listed, expected);
    service.post("/v1/plans", json!({"id": "p"})).await.expect(201);
    service.post("/v1/plans", json!({"id": "q"})).await.expect(201);
    assert_eq!(items(&service, "").await[0]["behind"], 2);
    // It is the same one after further calls, and with other words.
    let other = envoy.with("keygate-version", "2").with("keygate-lagging", "3").with("keygate-workers", "x");
    other.ask(&other.poll, 0).await;
    let listed = items(&service, "").await.remove(0);
    assert_eq!(
        (&listed["id"], &listed["version"], &listed["lagging"], &listed["workers"]),
        (&id, &json!("2"), &json!(3), &Value::Null)
    );
    let starting = Envoy::new(&service.url, "starting", "1");
    starting.ask("/v1/policy", 0).await;
    let listed = items(&service, "?instance=starting").await.remove(0);
    assert_eq!((&listed["epoch"], &listed["revision"], &listed["behind"]), (&Value::Null, &Value::Null, &Value::Null));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_list_is_filtered_sorted_and_paged() {
    let service = Service::start().await;
    service.seed().await;
    for instance in ["a", "b", "c", "d"] {
        let envoy = Envoy::new(&service.url, instance, "1");
        match instance {
            "d" => envoy.with_credentials("other", "other-secret").load().await,
            _ => envoy.load().await,
        };
        service.post("/v1/plans", json!({"id": instance})).await.expect(201);
    }
    Envoy::new(&service.url, "Nameless", "1").without("keygate-process").load().await;
    let found = async |query: &str| instances(&items(&service, query).await).join(" ");
    for (query, expected) in [
        ("?sort=instance", "null a b c d"),
        ("?sort=-instance", "d c b a null"),
        ("?sort=revision&client_id=gw&q=g", "a b c null"),
        ("?sort=-revision&client_id=other", "d"),
        ("?instance=b", "b"),
        ("?state=silent", ""),
        ("?state=live&sort=instance&q=D", "d"),
        ("?q=OTHER", "d"),
        ("?client_id=", ""),
    ] {
        assert_eq!(found(query).await, expected, "{query}");
    }
    for sort in ["id", "-id", "client_id", "instance", "-instance", "revision", "-revision"] {
        let (mut all, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = service.get(&format!("/v1/gateways?limit=2&sort={sort}{cursor}")).await.expect(200).json();
            assert_eq!(page["total"], 5);
            all.extend(page["items"].as_array().unwrap().iter().map(|item| item["id"].to_string()));
            let Some(next) = page["next"].as_str() else { break };
            cursor = format!("&cursor={next}");
        }
        let whole: Vec<String> =
            items(&service, &format!("?sort={sort}")).await.iter().map(|item| item["id"].to_string()).collect();
        assert_eq!(all, whole, "{sort}");
        assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), 5, "{sort}");
        let other = format!("/v1/gateways?sort={}{cursor}", if sort == "id" { "-id" } else { "id" });
        service.get(&other).await.expect_problem(400, Some("cursor"));
    }
    for (query, field) in [
        ("state=dead", "state"),
        ("sort=last_seen", "sort"),
        ("q=", "q"),
        ("limit=0", "limit"),
        ("cursor=x", "cursor"),
        (&format!("client_id={}", "a".repeat(257)), "client_id"),
    ] {
        service.get(&format!("/v1/gateways?{query}")).await.expect_problem(400, Some(field));
    }
    service.get("/v1/gateways?other=1").await.expect_problem(400, Some("other"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_gateway_is_audited_and_comes_back_when_it_calls() {
    let service = Service::with(Options::default()).await;
    service.seed().await;
    let envoy = Envoy::new(&service.url, "a", "1").load().await;
    let id = items(&service, "").await[0]["id"].as_str().unwrap().to_owned();
    service.delete(&format!("/v1/gateways/{id}")).await.expect(204);
    assert!(items(&service, "").await.is_empty());
    service.delete(&format!("/v1/gateways/{id}")).await.expect_problem(404, None);
    let entries = service.get("/v1/audit?kind=gateway").await.expect(200).json();
    let entry = &entries["items"][0];
    assert_eq!(
        (&entry["action"], &entry["id"], &entry["revision"], &entry["before"]["instance"]),
        (&json!("delete"), &json!(id), &Value::Null, &json!("a"))
    );
    assert_eq!(service.revision().await, 4, "no revision");
    envoy.ask(&envoy.poll, 0).await;
    assert_eq!(items(&service, "").await[0]["id"], json!(id));
    // While its poll is held it is there.
    let running = envoy.run();
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    service.delete(&format!("/v1/gateways/{id}")).await.expect(204);
    assert_eq!(items(&service, "?state=live").await.len(), 1);
    running.abort();
}

/// An operator revokes a gateway's credential and removes the gateway. Its Envoy runs on, by its last policy.
#[tokio::test(flavor = "multi_thread")]
async fn a_removed_gateway_that_goes_on_keeps_receipts_incomplete() {
    let service = Service::with(Options::default()).await;
    service.seed().await;
    let made = service.post("/v1/gateways/credentials", json!({"client_id": "edge"})).await.expect(201).json();
    let secret = made["client_secret"].as_str().unwrap();
    let mut envoy = Envoy::new(&service.url, "a", "1").with_credentials("edge", secret).load().await;
    service.delete(&format!("/v1/gateways/credentials/{}", made["id"].as_str().unwrap())).await.expect(204);
    assert_eq!(envoy.call(0).await, 401);
    let listed = items(&service, "").await;
    service.delete(&format!("/v1/gateways/{}", listed[0]["id"].as_str().unwrap())).await.expect(204);
    assert!(items(&service, "").await.is_empty());
    // Others learn nothing about the list by wrong credentials, and add nothing to it.
    Envoy::new(&service.url, "a", "2").with_credentials("edge", secret).call(0).await;
    Envoy::new(&service.url, "b", "1").with_credentials("edge", secret).call(0).await;
    assert!(items(&service, "").await.is_empty());
    assert_eq!(envoy.call(0).await, 401);
    let back = items(&service, "").await;
    assert_eq!((back.len(), &back[0]["id"], &back[0]["revision"]), (1, &listed[0]["id"], &Value::Null));
    let block = service.post("/v1/subscriptions/s-1/block?receipt=1", Value::Null).await.expect(200).json();
    assert_eq!(
        (&block["receipt"]["complete"], &block["receipt"]["missing"][0]["instance"]),
        (&json!(false), &json!("a"))
    );
}
