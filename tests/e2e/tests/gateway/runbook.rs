//! Entries of the runbook in `docs/operations.md` that no alert leads to: what the log says at the level of a mesh is what
//! the runbook names, and the remedy that it names is one. `observability` provokes those with an alert.

use std::time::Duration;

use keygate_e2e::{
    Options, Stack,
    deadline::eventually,
    feed::{self, Feed},
    http::{self, Ask},
    stack::Policy,
    story::{Expected, ORDERS},
};
use serde_json::{Value, json};

use crate::listeners::{Gateway, once};

const SOON: Duration = Duration::from_secs(20);
/// Enough keys for the guard against a policy that shrinks.
const KEYS: usize = 300;

/// A page with this many keys, and an application of which one key opens the orders.
fn page(revision: u64, keys: usize, more: &Value) -> Vec<u8> {
    let keys: Vec<_> = (0..keys)
        .map(|number| {
            let key = keygate::digest::Digest::of(format!("key-{number}").as_bytes()).to_hex();
            json!({"sha256": key, "id": format!("key-{number}"), "application": "shop"})
        })
        .collect();
    let mut page = json!({
        "format": 1, "epoch": "one", "revision": revision,
        "apis": [{"id": "orders", "match": [{"path": "/orders/1.0"}]}],
        "applications": [{"id": "shop"}],
        "subscriptions": [{"application": "shop", "api": "orders"}],
        "keys": keys,
    });
    for (name, value) in more.as_object().unwrap() {
        page[name] = value.clone();
    }
    feed::page(&page)
}

/// An Envoy that logs as in a mesh and asks every 200 ms.
async fn start(name: &str, feed: &Feed, edit: impl FnOnce(Options) -> Options) -> Stack {
    let mut options = Options { policy: Policy::At(feed.address()), ..Options::default() }
        .edit(r#""refresh_interval_ms": 5000"#, r#""refresh_interval_ms": 200"#);
    options.launch.arguments = ["--log-level", "warning"].map(str::to_owned).to_vec();
    Stack::start(name, edit(options)).await.unwrap()
}

async fn says(stack: &Stack, line: &str) {
    let look = async || match stack.envoy().unwrap().log() {
        log if log.contains(line) => Ok(()),
        log => Err(log),
    };
    eventually(format!("the log says `{line}`"), SOON, look).await.unwrap();
}

async fn answered(stack: &Stack, key: &str, status: u16) {
    let ask = Ask::get(ORDERS).key(key);
    eventually(format!("{key}: {status}"), SOON, async || {
        let answer = http::send(stack.envoy().unwrap().gateway(), &ask).await.map_err(|error| error.to_string())?;
        if answer.status == status { Ok(()) } else { Err(answer.to_string()) }
    })
    .await
    .unwrap();
}

async fn refused(stack: &Stack) -> u64 {
    stack.envoy().unwrap().stat("wasmcustom.keygate.refresh.refused").await.unwrap()
}

#[tokio::test]
async fn a_policy_that_drops_most_keys_waits_for_a_confirmation() {
    let feed = Feed::start().await.unwrap();
    feed.answer(page(1, KEYS, &json!({})));
    let stack = start("runbook-shrinks", &feed, |options| options).await;
    answered(&stack, "key-7", 200).await;
    feed.answer(page(2, 1, &json!({})));
    says(&stack, "the policy was not refreshed").await;
    says(&stack, "it would drop 299 of 300 known keys, more than `policy.max_removed_percent` (90)").await;
    assert!(refused(&stack).await > 0);
    answered(&stack, "key-7", 200).await;
    // What `--confirm-removal` of the policy service writes.
    feed.answer(page(2, 1, &json!({"confirm_removal": true})));
    answered(&stack, "key-7", 401).await;
    answered(&stack, "key-0", 200).await;
    stack.stop().await;
}

#[tokio::test]
async fn a_policy_that_is_too_large_is_refused_by_the_name_of_the_setting() {
    let feed = Feed::start().await.unwrap();
    feed.answer(page(1, 1, &json!({})));
    let least = |options: Options| options.edit(r#""max_bytes": 1073741824"#, r#""max_bytes": 10000"#);
    let stack = start("runbook-large", &feed, least).await;
    answered(&stack, "key-0", 200).await;
    feed.answer(page(2, KEYS, &json!({})));
    says(&stack, "the policy was not refreshed").await;
    says(&stack, "it takes more than `policy.max_bytes` (10000)").await;
    assert!(refused(&stack).await > 0);
    answered(&stack, "key-0", 200).await;
    answered(&stack, "key-7", 401).await;
    stack.stop().await;
}

/// A later configuration with a mistake: Envoy says the line that the runbook names, beside the filter's own, and goes on
/// with the configuration that it has.
#[tokio::test]
async fn a_configuration_that_is_refused_leaves_the_line_that_the_runbook_names() {
    let feed = Feed::start().await.unwrap();
    feed.answer(page(1, 1, &json!({})));
    let options = Options { policy: Policy::At(feed.address()), ..Options::default() };
    let gateway = Gateway::start(Gateway::prepare("runbook-configuration", options).await).await;
    gateway.answers(gateway.port, "key-0", ORDERS, Expected::Reaches("production")).await;
    gateway.write(&once(&gateway.listener, r#""mode": "enforce""#, r#""mode": "enforced""#));
    for line in ["Unable to create Wasm plugin keygate", "keygate's configuration is refused: mode"] {
        let look = async || if gateway.envoy.log().contains(line) { Ok(()) } else { Err(gateway.envoy.log()) };
        eventually(format!("the log says `{line}`"), SOON, look).await.unwrap();
    }
    assert!(gateway.envoy.stat("listener_manager.lds.update_rejected").await.unwrap() > 0);
    gateway.answers(gateway.port, "key-0", ORDERS, Expected::Reaches("production")).await;
    gateway.stop().await;
}
