//! Receipts with two replicas: gateways poll at one, and the change is made at the other.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use testkit::deadline::eventually;

use super::service::{database, serve};
use crate::support::{TOKEN, digest, envoy::Envoy, program::Program};

/// How long anything may take that a test waits for.
const SOON: Duration = Duration::from_secs(20);

/// A change at `service`, with a receipt.
async fn change(service: &Program, number: u64, seconds: u32) -> Value {
    let key = json!({"id": format!("k-{number}"), "application": "app-1", "sha256": digest(number)});
    let request = service.client.post(format!("{}/v1/keys?receipt={seconds}", service.url)).bearer_auth(TOKEN);
    let answer = request.json(&key).send().await.unwrap();
    assert_eq!(answer.status(), 201);
    answer.json::<Value>().await.unwrap()["receipt"].clone()
}

async fn get(service: &Program, path: &str) -> Value {
    let request = service.client.request(Method::GET, format!("{}{path}", service.url)).bearer_auth(TOKEN);
    let answer = request.send().await.unwrap();
    assert_eq!(answer.status(), 200, "{path}");
    answer.json().await.unwrap()
}

fn numbers(receipt: &Value) -> (u64, u64, usize, usize, bool) {
    let len = |name: &str| receipt[name].as_array().unwrap_or_else(|| panic!("{receipt}")).len();
    let number = |name: &str| receipt[name].as_u64().unwrap_or_else(|| panic!("{receipt}"));
    (number("live"), number("have"), len("missing"), len("silent"), receipt["complete"].as_bool().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receipt_at_one_counts_the_polls_at_another() {
    let url = database();
    let (one, other) = (serve(&url), serve(&url));
    one.seed().await;
    for (instance, service) in [("a", &one), ("b", &other), ("c", &other)] {
        Envoy::new(&service.url, instance, "1").load().await.run();
    }
    let mut times = Vec::new();
    for number in 10..30 {
        let receipt = change(if number % 2 == 0 { &one } else { &other }, number, 10).await;
        assert_eq!(numbers(&receipt), (3, 3, 0, 0, true), "{number}: {receipt}");
        times.push(receipt["after_ms"].as_u64().unwrap());
    }
    // The first one tells the other replica that somebody waits.
    times.sort_unstable();
    println!("milliseconds: {times:?}");
    assert!(times[times.len() / 2] < 1_000, "{times:?}");
    for service in [&one, &other] {
        let listed = get(service, "/v1/gateways?state=live&sort=instance").await;
        assert_eq!(listed["total"], 3);
        let revision = get(service, "/v1/receipts/24").await;
        assert_eq!(numbers(&revision), (3, 3, 0, 0, true));
    }
}

/// A gateway may call one replica for the first time when a change at the other is already made.
#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_starts_at_another_replica_is_waited_for_at_once() {
    let url = database();
    let (one, other) = (serve(&url), serve(&url));
    one.seed().await;
    for number in 0..10_u64 {
        let envoy = Envoy::new(&other.url, &format!("e-{number}"), "1").load().await;
        // It has the policy, and does not ask again. The very next receipt knows it.
        let receipt = change(&one, 100 + number, 1).await;
        assert_eq!(numbers(&receipt), (1, 0, 1, 0, false), "{receipt}");
        let listed = get(&one, &format!("/v1/gateways?instance=e-{number}")).await;
        let id = listed["items"][0]["id"].as_str().unwrap();
        let path = format!("{}/v1/gateways/{id}", one.url);
        assert_eq!(one.client.delete(path).bearer_auth(TOKEN).send().await.unwrap().status(), 204);
        drop(envoy);
        // The other replica hears of the removal.
        let gone = async || {
            let listed = get(&other, &format!("/v1/gateways?instance=e-{number}")).await;
            if listed["total"] == 0 { Ok(()) } else { Err(listed) }
        };
        eventually("the gateway is removed everywhere", SOON, gone).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn gateways_stay_known_while_replicas_come_and_go() {
    let url = database();
    let (mut one, other) = (serve(&url), serve(&url));
    one.seed().await;
    let mut moving = Envoy::new(&one.url, "moving", "1").load().await;
    Envoy::new(&other.url, "stays", "1").load().await.run();
    one.signal("-KILL");
    one.ended();
    // It says nothing to anybody now, so it may still serve.
    assert_eq!(numbers(&change(&other, 10, 1).await), (2, 1, 1, 0, false));
    moving.url.clone_from(&other.url);
    moving.run();
    assert_eq!(numbers(&change(&other, 11, 10).await), (2, 2, 0, 0, true));
    // A replica that starts knows nobody; the other one tells it.
    let new = serve(&url);
    let receipt = change(&new, 12, 10).await;
    assert_eq!(numbers(&receipt), (2, 2, 0, 0, true), "{receipt}");
    assert!(receipt["after_ms"].as_u64().unwrap() < 5_000, "{receipt}");
}

/// The epoch is renewed at one, so that no gateway has any revision until it has fetched all.
#[tokio::test(flavor = "multi_thread")]
async fn after_a_new_epoch_nobody_has_anything_until_it_has_loaded_all() {
    let url = database();
    let (one, other) = (serve(&url), serve(&url));
    one.seed().await;
    let mut envoy = Envoy::new(&other.url, "a", "1").load().await;
    assert_eq!(numbers(&get(&one, "/v1/receipts/4").await), (1, 1, 0, 0, true));
    let mut renew = one.another(&["renew-epoch"]);
    renew.variable("POLICY_DATABASE", Some(&url));
    let (succeeded, said) = renew.run();
    assert!(succeeded, "{said}");
    assert_eq!(numbers(&change(&one, 10, 1).await), (1, 0, 1, 0, false));
    // 410, the full policy, and the cursor of it.
    let loaded = async {
        for _ in 0..5 {
            envoy.call(0).await;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    loaded.await;
    let found = async || {
        let receipt = get(&one, "/v1/receipts/5").await;
        if numbers(&receipt) == (1, 1, 0, 0, true) { Ok(()) } else { Err(receipt) }
    };
    eventually("the gateway has the new epoch", SOON, found).await.unwrap();
}
