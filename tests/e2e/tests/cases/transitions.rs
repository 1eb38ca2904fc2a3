//! Deltas that take a subscription from each state to each other one, in an Envoy that serves meanwhile.

use std::time::Duration;

use keygate_e2e::deadline::eventually;
use serde_json::json;

use crate::{
    cases::{table::Sent, transitions},
    gateway::{Gateway, Listener, keygate},
    servers::{Feed, Page},
    wire,
};

/// A delta is fetched within an interval of 100 ms, and every worker has it within a tick of 100 ms. The rest is for a
/// busy machine.
const WITHIN: Duration = Duration::from_secs(10);
/// Connections that must all get the same answer. With two workers, all are on one with a probability of 2^-7.
const CONNECTIONS: usize = 8;

/// Checks that each connection gets the expected answers.
async fn look(gateway: &Gateway, requests: &[(Sent, String)]) -> Result<(), String> {
    for (sent, expected) in requests {
        let key = &sent.headers.iter().find(|(name, _)| name == "x-api-key").unwrap().1;
        let headers: [(&str, &[u8]); 3] = [("host", b"gateway.test"), ("connection", b"close"), ("x-api-key", key)];
        for _ in 0..CONNECTIONS {
            let answer = wire::send(gateway.addresses[0], &wire::head("GET", b"/api", &headers)).await;
            let found = match answer.status {
                200 => "allowed".to_owned(),
                _ => {
                    let body: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
                    reason_of(body["code"].as_str().unwrap())
                }
            };
            if found != *expected {
                return Err(format!("{}: expected {expected}, found {found}", key.escape_ascii()));
            }
        }
    }
    Ok(())
}

/// The reason with this code, among the reasons that a subscription's state can cause.
fn reason_of(code: &str) -> String {
    match code {
        "900907" => "subscription_blocked".to_owned(),
        "900908" => "subscription_missing".to_owned(),
        "900909" => "subscription_inactive".to_owned(),
        _ => code.to_owned(),
    }
}

#[tokio::test]
async fn every_transition_reaches_every_worker_and_no_other_subscription() {
    let group = transitions::group();
    let feed = Feed::start().await;
    let mut pages = vec![group.page(0).unwrap()];
    feed.put(transitions::PATH, Page::Revisions(pages.clone()));
    let filters = vec![keygate(&group.configuration(&json!({"cluster": "policy"})))];
    let gateway = Gateway::start("cases-transitions", feed, &[Listener { filters, ..Listener::default() }]).await;
    gateway.applied(1).await;
    let walk = transitions::walk();
    for (index, state) in walk.iter().enumerate() {
        if let Some(base) = index.checked_sub(1) {
            pages.push(transitions::delta(base + 1, state));
            gateway.feed.put(transitions::PATH, Page::Revisions(pages.clone()));
        }
        let requests = transitions::requests(&group, state);
        let before = index.checked_sub(1).map_or("nothing", |before| walk[before]);
        let what = format!("{before} to {state}");
        eventually(&what, WITHIN, async || look(&gateway, &requests).await).await.unwrap();
    }
    let refused = gateway.envoy.stats("^wasmcustom.keygate.(refresh.(failed|refused)|policy.re)").await.unwrap();
    let counted: Vec<_> =
        refused.into_iter().filter(|(name, value)| *value > 0 && !name.ends_with("revision")).collect();
    assert_eq!(counted, []);
}
