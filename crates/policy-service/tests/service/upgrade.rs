//! A database of the release before: it opens, and gateways and clients go on with what they held of it. `earlier/README.md`
//! says how it was made.

use std::sync::LazyLock;

use reqwest::Method;
use serde_json::{Value, json};
use sqlx::{Connection as _, SqliteConnection};

use crate::support::{Answer, Options, Service, digest, send};

static HELD: LazyLock<Value> = LazyLock::new(|| serde_json::from_str(include_str!("earlier/held.json")).unwrap());

fn held(name: &str) -> &'static str {
    HELD[name].as_str().unwrap()
}

async fn upgraded() -> Service {
    let directory = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}?mode=rwc", directory.path().join("policy.db").display());
    let mut connection = SqliteConnection::connect(&url).await.unwrap();
    sqlx::raw_sql(include_str!("earlier/policy.sql")).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    Service::in_directory(directory, Options::default()).await
}

/// What a gateway of that time asks for.
async fn poll(service: &Service, query: &str, tag: Option<&str>) -> Answer {
    let mut request = service.poll(&format!("/v1/policy{query}")).header("keygate-version", "0.1.0");
    if let Some(tag) = tag {
        request = request.header("if-none-match", tag);
    }
    send(request).await
}

#[tokio::test]
async fn gateways_go_on_with_a_delta() {
    let service = upgraded().await;
    let full = poll(&service, "", None).await.expect(200);
    assert_eq!((full.whole(), full.header("etag")), (HELD["page"].clone(), held("latest_etag")), "the same policy");
    poll(&service, "", Some(held("latest_etag"))).await.expect(304);
    poll(&service, held("latest_poll"), None).await.expect(304);
    let delta = poll(&service, held("poll"), None).await.expect(200).whole();
    assert_eq!((&delta["base"], &delta["revision"]), (&json!(14), &json!(21)));
    assert_eq!(delta["keys"][0]["state"], "REVOKED");
    assert_eq!(delta["removed"]["keys"], json!([digest(4)]));
    assert_eq!(delta["subscriptions"][0]["state"], "PROD_ONLY_BLOCKED");
    service.post("/v1/plans", json!({"id": "new"})).await.expect(201);
    let delta = poll(&service, held("latest_poll"), None).await.expect(200).whole();
    assert_eq!((&delta["base"], &delta["revision"]), (&json!(21), &json!(22)));
    assert_eq!(delta["plans"][0]["id"], "new");
}

#[tokio::test]
async fn clients_go_on_with_their_etags_and_cursors() {
    let service = upgraded().await;
    for (path, etag) in HELD["etags"].as_object().unwrap() {
        assert_eq!(service.get(path).await.expect(200).header("etag"), etag.as_str().unwrap(), "{path}");
    }
    let (path, etag) = ("/v1/applications/app-1", HELD["etags"]["/v1/applications/app-1"].as_str().unwrap());
    for status in [200, 412] {
        let change = service.request(Method::PUT, path).bearer_auth(crate::support::TOKEN).header("if-match", etag);
        send(change.json(&json!({"owner": "alice", "name": "Shop 3"}))).await.expect(status);
    }
    let rest = service.get(&format!("/v1/keys?cursor={}", held("keys_cursor"))).await.expect(200).json();
    let ids: Vec<&Value> = rest["items"].as_array().unwrap().iter().map(|key| &key["id"]).collect();
    assert_eq!(ids, ["k-2", "k-3"]);
}

#[tokio::test]
async fn what_has_no_owner_is_the_administrators() {
    let service = upgraded().await;
    for (role, subject, apis, applications) in [
        ("publisher", "alice", json!([]), None),
        ("subscriber", "alice", json!([]), Some(json!(["app-1"]))),
        ("subscriber", "bob", json!([]), Some(json!(["app-2"]))),
        ("subscriber", "nobody", json!([]), Some(json!([]))),
        ("auditor", "eve", json!(["api-1", "api-2"]), Some(json!(["app-1", "app-2", "app-3"]))),
    ] {
        let token = service.post("/v1/tokens", json!({"role": role, "subject": subject})).await.expect(201).json();
        let ids = async |path: &str| {
            let answer = send(service.request(Method::GET, path).bearer_auth(token["token"].as_str().unwrap())).await;
            let list = answer.expect(200).json();
            Value::from_iter(list["items"].as_array().unwrap().iter().map(|row| row["id"].clone()))
        };
        assert_eq!(ids("/v1/apis").await, apis, "{role} {subject}");
        if let Some(applications) = applications {
            assert_eq!(ids("/v1/applications").await, applications, "{role} {subject}");
        }
    }
}

#[tokio::test]
async fn blocks_and_revoked_keys_stay_and_the_past_is_there() {
    let service = upgraded().await;
    let key = json!({"id": "again", "application": "app-1", "sha256": digest(4)});
    service.post("/v1/keys", key).await.expect(409);
    assert_eq!(service.get("/v1/keys/k-2").await.json()["state"], "REVOKED");
    assert_eq!(service.get("/v1/subscriptions/s-1").await.json()["state"], "PROD_ONLY_BLOCKED");
    let kept = service.get("/v1/subscriptions/s-3").await.expect(200).json();
    assert_eq!((&kept["state"], &kept["deleted"]), (&json!("BLOCKED"), &json!(true)));
    service.post("/v1/subscriptions", json!({"application": "app-2", "api": "api-2"})).await.expect(409);
    let diff = service.get("/v1/diff?from=14&to=21").await.expect(200).json();
    assert_eq!(diff["removed"][0]["id"], "k-4", "{diff:#}");
    assert_eq!(service.get("/v1/revisions?limit=1000").await.expect(200).json()["items"].as_array().unwrap().len(), 21);
    assert_eq!(service.get("/v1/audit").await.expect(200).json()["items"], json!([]), "it had no audit log");
    let restored = service.post("/v1/restore", json!({"revision": 14})).await.expect(200).json();
    assert_eq!(restored["counts"]["applications"]["changed"], 1, "{restored:#}");
    assert_eq!(service.get("/v1/applications/app-1").await.json()["name"], "Shop");
}
