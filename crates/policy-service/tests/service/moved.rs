//! The export that `docs/operations.md` shows, for a move to another database: its rows, imported elsewhere, are the same
//! rows. Which database it is makes no difference, because both speak only HTTP.

use reqwest::Method;
use serde_json::{Value, json};
use tokio::process::Command;

use crate::support::{Service, TOKEN, send};

/// The script in the document.
fn script() -> String {
    let document = include_str!("../../../../docs/operations.md");
    let (_, rest) = document.split_once("   ```python\n").expect("a script");
    let (script, _) = rest.split_once("   ```\n").expect("its end");
    script.lines().map(|line| format!("{}\n", line.strip_prefix("   ").unwrap_or(line))).collect()
}

async fn exported(service: &Service) -> String {
    let mut python = Command::new("python3");
    python.args(["-c", &script()]).env("POLICY", &service.url).env("ADMIN_TOKEN", TOKEN).kill_on_drop(true);
    let output = python.output().await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The rows without what belongs to the database: the version of each row.
fn rows(exported: &str) -> Vec<Value> {
    let row = |line: &str| {
        let mut row: Value = serde_json::from_str(line).unwrap();
        row.as_object_mut().map(|row| row.remove("etag"));
        row
    };
    exported.lines().map(row).collect()
}

#[tokio::test]
async fn an_export_is_imported_elsewhere_with_all_blocks_and_owners() {
    let old = Service::start().await;
    old.seed().await;
    for path in ["/v1/keys/k-1/revoke", "/v1/subscriptions/s-1/block"] {
        old.post(path, Value::Null).await.expect(200);
    }
    old.delete("/v1/subscriptions/s-1").await.expect(200);
    old.post("/v1/applications", json!({"id": "app-2", "owner": "bob"})).await.expect(201);
    old.post("/v1/applications/app-2/block", Value::Null).await.expect(200);
    old.delete("/v1/applications/app-2").await.expect(200);
    old.post("/v1/plans", json!({"id": "gold"})).await.expect(201);
    // Blocks with a time: one that ends, one on what waits for approval, a planned one, and one of a deleted row.
    let subscribed = [("app-3", "UNBLOCKED"), ("app-4", "ON_HOLD"), ("app-5", "UNBLOCKED"), ("app-6", "UNBLOCKED")];
    for (application, state) in subscribed {
        old.post("/v1/applications", json!({"id": application, "owner": application})).await.expect(201);
        let row = json!({"id": application, "application": application, "api": "api-1", "state": state});
        old.post("/v1/subscriptions", row).await.expect(201);
        let mut block = json!({"until": 4_102_444_800_u64, "reason": "r", "note": "n"});
        if application == "app-5" {
            (block["from"], block["state"]) = (json!(4_102_441_200_u64), json!("PROD_ONLY_BLOCKED"));
        }
        old.post(&format!("/v1/subscriptions/{application}/block"), block).await.expect(200);
    }
    old.delete("/v1/subscriptions/app-6").await.expect(200);
    old.post("/v1/deny-policies", json!({"id": "d-1", "type": "USER", "value": "mallory"})).await.expect(201);

    let export = exported(&old).await;
    let new = Service::start().await;
    let import = new.request(Method::POST, "/v1/import").bearer_auth(TOKEN).body(export.clone());
    let answer = send(import).await.expect(200).json();
    assert_eq!(answer["refused_total"], 0, "{answer}");
    assert_eq!(rows(&exported(&new).await), rows(&export));
    assert_eq!(rows(&export).len(), 15, "{export}");
    let fed = async |service: &Service| {
        let mut rows = service.feed("/v1/policy").await.expect(200).json()["subscriptions"].as_array().unwrap().clone();
        rows.sort_by_key(ToString::to_string);
        rows
    };
    assert_eq!(fed(&new).await, fed(&old).await);
    // What waited for approval waits again.
    let unblocked = new.post("/v1/subscriptions/app-4/unblock", Value::Null).await.expect(200).json();
    assert_eq!(unblocked["state"], "ON_HOLD");
}
