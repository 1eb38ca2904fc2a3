//! Rows of an import that remove objects, and kept blocks that say whom they concern.

use serde_json::{Value, json};

use super::import::import;
use crate::support::{Service, digest};

fn remove(kind: &str, id: &str) -> Value {
    json!({"kind": kind, "id": id, "remove": true})
}

/// What stays, as `id: because`, and whether it is deleted.
fn kept(answer: &Value) -> Vec<(String, bool)> {
    let text = |row: &Value, name: &str| row[name].as_str().unwrap().to_owned();
    let rows = answer["kept"].as_array().unwrap().iter();
    rows.map(|row| (format!("{}: {}", text(row, "id"), text(row, "because")), row["deleted"] == true)).collect()
}

async fn seeded() -> Service {
    let service = Service::start().await;
    let rows = [
        json!({"kind": "plan", "id": "gold", "limits": [{"requests": 5, "per": "minute"}]}),
        json!({"kind": "plan", "id": "free"}),
        json!({"kind": "api", "id": "api-1", "match": [{"path": "/one"}]}),
        json!({"kind": "application", "id": "app-1", "owner": "alice"}),
        json!({"kind": "application", "id": "app-2", "owner": "bob"}),
        json!({"kind": "key", "id": "k-1", "application": "app-1", "sha256": digest(1)}),
        json!({"kind": "subscription", "id": "s-1", "application": "app-1", "api": "api-1", "plan": "gold"}),
        json!({"kind": "subscription", "id": "s-2", "application": "app-2", "api": "api-1", "state": "BLOCKED"}),
        json!({"kind": "deny_policy", "id": "d-1", "type": "USER", "value": "mallory"}),
    ];
    import(&service, "", &rows).await.expect(200);
    service
}

#[tokio::test]
async fn what_a_row_removes_goes_unless_something_belongs_to_it() {
    let service = seeded().await;
    let all = [
        remove("plan", "gold"),
        remove("plan", "free"),
        remove("application", "app-1"),
        remove("application", "app-2"),
        remove("subscription", "s-2"),
        remove("deny_policy", "d-1"),
        remove("api", "api-1"),
        remove("key", "nobody"),
    ];
    let before = service.revision().await;
    let preview = import(&service, "?dry_run=true", &all).await.expect(200).json();
    assert_eq!(service.revision().await, before);
    let answer = import(&service, "?label=git", &all).await.expect(200).json();
    assert_eq!((&answer["counts"], &answer["kept"]), (&preview["counts"], &preview["kept"]));
    assert_eq!(service.revision().await, before + 1, "all of it is one revision");
    let mut stays = kept(&answer);
    stays.sort();
    let expected = [
        ("api-1: subscription \"s-1\" belongs to it, and is not removed", false),
        ("app-1: key \"k-1\" belongs to it, and is not removed", false),
        ("d-1: a deny policy stays; lift_blocks removes it", false),
        ("gold: ", false),
        ("s-2: it was deleted while it was blocked, and its block stays", true),
    ];
    assert_eq!(stays.len(), expected.len(), "{stays:?}");
    for ((found, deleted), (begins, is_deleted)) in stays.iter().zip(expected) {
        assert!(found.starts_with(begins) && *deleted == is_deleted, "{found}");
    }
    let status = async |path: &str| service.get(path).await.status;
    for (path, expected) in [
        ("/v1/plans/free", 404),
        ("/v1/plans/gold", 200),
        ("/v1/applications/app-1", 200),
        ("/v1/applications/app-2", 404),
        ("/v1/apis/api-1", 200),
        ("/v1/deny-policies/d-1", 200),
    ] {
        assert_eq!(status(path).await, expected, "{path}");
    }
    let block = service.get("/v1/subscriptions/s-2").await.expect(200).json();
    assert_eq!((&block["deleted"], &block["state"], &block["owner"]), (&json!(true), &json!("BLOCKED"), &json!("bob")));

    // What is removed with what belongs to it goes, whatever the order of the rows.
    let rest = [
        remove("plan", "gold"),
        remove("api", "api-1"),
        remove("application", "app-1"),
        remove("key", "k-1"),
        remove("subscription", "s-1"),
        remove("subscription", "s-2"),
        remove("deny_policy", "d-1"),
    ];
    let answer = import(&service, "?lift_blocks=true", &rest).await.expect(200).json();
    assert_eq!(kept(&answer).len(), 1, "the kept block stays in any case: {answer:#}");
    assert_eq!(service.get("/v1/deny-policies").await.json()["total"], 0);
    assert_eq!(service.get("/v1/applications").await.json()["total"], 0);
    assert_eq!(service.get("/v1/subscriptions/s-2").await.json()["state"], "BLOCKED");
    // The digest of a removed key is that of no new one if it was revoked; this one was not.
    let again = import(&service, "", &[remove("api", "api-1")]).await.expect(200).json();
    assert_eq!(again["counts"].get("apis").map(|count| &count["removed"]), None, "{again}");
}

#[tokio::test]
async fn nothing_is_removed_if_a_row_is_refused() {
    let service = seeded().await;
    for (row, part) in [
        (json!({"kind": "plan", "id": "x", "limits": 7}), "invalid type"),
        (json!({"kind": "plan", "id": "x", "remove": true, "limits": []}), "unknown field"),
        (json!({"kind": "plan", "remove": true}), "missing field `id`"),
        (json!({"kind": "plan", "id": "x", "remove": "yes"}), "invalid type"),
        (json!({"kind": "subscription", "id": "s-2", "remove": true, "deleted": true}), "do not go together"),
    ] {
        let answer = import(&service, "", &[remove("plan", "free"), row.clone()]).await.expect(200).json();
        let said = answer["refused"][0]["detail"].as_str().unwrap_or_default();
        assert!(answer["refused_total"] == 1 && said.contains(part), "{row} {answer:#}");
        service.get("/v1/plans/free").await.expect(200);
    }
    let rows = [json!({"kind": "plan", "id": "free", "remove": false}), remove("plan", "free")];
    let answer = import(&service, "", &rows).await.expect(200).json();
    assert_eq!(answer["counts"]["plans"]["removed"], 1, "{answer}");
}

/// A kept block concerns the owner of that time, whoever has the application when the block is imported elsewhere.
#[tokio::test]
async fn a_kept_block_comes_back_with_whom_it_concerns() {
    let service = seeded().await;
    service.delete("/v1/subscriptions/s-2").await.expect(200);
    service.put("/v1/applications/app-2", json!({"owner": "carol"})).await.expect(200);
    let shown = service.get("/v1/subscriptions/s-2").await.expect(200).json();
    assert_eq!(shown["owner"], "bob");

    for is_application_there in [true, false] {
        let other = Service::start().await;
        let mut rows = vec![
            json!({"kind": "api", "id": "api-1", "match": [{"path": "/one"}]}),
            json!({"kind": "application", "id": "app-3", "owner": "bob"}),
            json!({"kind": "application", "id": "app-4", "owner": "carol"}),
        ];
        if is_application_there {
            rows.push(json!({"kind": "application", "id": "app-2", "owner": "carol"}));
        }
        let mut row = shown.clone();
        row["kind"] = "subscription".into();
        rows.push(row);
        let answer = import(&other, "", &rows).await.expect(200).json();
        assert_eq!(answer["refused_total"], 0, "{answer:#}");
        assert_eq!(other.get("/v1/subscriptions/s-2").await.json(), shown, "{is_application_there}");
        let subscribe = async |application: &str| {
            let sent = json!({"application": application, "api": "api-1"});
            other.post("/v1/subscriptions", sent).await.expect(201).json()["state"].as_str().unwrap().to_owned()
        };
        assert_eq!(subscribe("app-3").await, "ON_HOLD", "the owner that the block concerns");
        assert_eq!(subscribe("app-4").await, "UNBLOCKED", "another owner");
    }

    // Only a kept block has an owner of its own.
    let sent = json!({"application": "app-1", "api": "api-1", "owner": "eve"});
    service.post("/v1/subscriptions", sent.clone()).await.expect_problem(422, Some("owner"));
    service.put("/v1/subscriptions/s-1", sent).await.expect_problem(422, Some("owner"));
    let row = json!({"kind": "subscription", "id": "s-9", "application": "app-1", "api": "api-1", "deleted": true,
        "state": "BLOCKED", "owner": "e\u{7}"});
    let answer = import(&service, "", &[row]).await.expect(200).json();
    assert_eq!(answer["refused"][0]["field"], "owner", "{answer:#}");
}
