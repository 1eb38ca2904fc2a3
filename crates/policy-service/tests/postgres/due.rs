//! Of several services on one database, one begins and ends each block, and polls held at another are answered.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use super::service::{database, serve};
use crate::support::TOKEN;

#[tokio::test(flavor = "multi_thread")]
async fn one_of_several_services_ends_a_block() {
    let url = database();
    let services = [serve(&url), serve(&url), serve(&url)];
    services[0].seed().await;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let (from, until) = (now.as_secs() + 2, now.as_secs() + 4);
    let body = json!({"from": from, "until": until});
    let (status, row) = services[1].post("/v1/subscriptions/s-1/block", body).await;
    assert_eq!((status, &row["state"]), (200, &json!("UNBLOCKED")), "{row}");
    for (revision, state) in [(5, "BLOCKED"), (6, "UNBLOCKED")] {
        let (status, page) = services[2].held_poll(&format!("/v1/policy?since={revision}"), 20).await;
        assert_eq!((status, &page["revision"]), (200, &json!(revision + 1)), "{page}");
        assert_eq!(page["subscriptions"][0]["state"], state);
    }
    let late = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().checked_sub(Duration::from_secs(until)).unwrap();
    assert!(late < Duration::from_secs(10), "{late:?}");
    tokio::time::sleep(Duration::from_secs(1)).await;
    let audit = services[0].client.get(format!("{}/v1/audit?actor=service", services[0].url)).bearer_auth(TOKEN);
    let entries: Value = audit.send().await.unwrap().json().await.unwrap();
    let actions: Vec<&Value> = entries["items"].as_array().unwrap().iter().map(|entry| &entry["action"]).collect();
    assert_eq!(actions, ["block", "end"], "{entries}");
}
