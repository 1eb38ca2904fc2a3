//! The gateway's secret is rotated by replacing its listener with one that has the new secret. With `policy.name` both
//! use one store. Without it, an abandoned copy decides nothing before it is confirmed.

use std::time::{Duration, SystemTime};

use keygate_e2e::{
    Options,
    deadline::eventually,
    http::{Ask, Connection},
    load::Load,
    policy_service::GATEWAY_ID,
    story::{Expected, ORDERS, PAYMENTS},
};
use serde_json::json;

use crate::{
    front::{self, Front},
    listeners::{Gateway, once},
    secrets::base64,
};

const OLD: &str = "rotation-secret-old-4801";
const NEW: &str = "rotation-secret-new-4802";
/// How long a change may take, and how long it may take until a VM with good credentials refreshes.
const SEEN_WITHIN: Duration = Duration::from_secs(10);
/// `policy.stale_after_ms` where a test waits for it.
const STALE_MS: u64 = 2_000;

const REACHES: Expected = Expected::Reaches("production");
const BLOCKED: Expected = Expected::Refused(401, "900907", "The requested API is temporarily blocked");
const UNAVAILABLE: Expected = Expected::Refused(503, "900424", "Policy unavailable");

/// The policy service with the demo data. It knows these secrets of the gateway.
async fn service(name: &str, secrets: &[&str]) -> Front {
    Front::start(name, Options::default().variable("POLICY_GATEWAYS", gateways(secrets))).await
}

fn gateways(secrets: &[&str]) -> String {
    secrets.iter().map(|secret| format!("{GATEWAY_ID}:{secret}")).collect::<Vec<_>>().join(",")
}

/// A gateway with the old secret.
fn options(front: &Front, name: Option<&str>) -> Options {
    let options = front::asks(front.cutter.address())
        .edit(r#"{"env": "POLICY_CLIENT_SECRET"}"#, format!("\"{OLD}\""))
        .edit(r#""refresh_interval_ms": 5000"#, r#""refresh_interval_ms": 200"#);
    match name {
        None => options,
        Some(name) => options
            .edit(r#""cluster": "policy-service","#, format!(r#""cluster": "policy-service", "name": "{name}","#)),
    }
}

/// The listener with the new secret.
fn rotated(gateway: &Gateway) -> String {
    once(&gateway.listener, OLD, NEW)
}

fn both(one: &str, other: &str) -> String {
    format!("{one}{}", other.replace("resources:\n", ""))
}

/// The answer to one request to this port, over a connection of its own.
async fn answer(port: u16, ask: &Ask) -> keygate_e2e::http::Answer {
    Connection::open(([127, 0, 0, 1], port).into()).await.unwrap().send(ask).await.unwrap()
}

/// Blocks and unblocks, and waits until each port gives the right answer.
async fn changes_arrive(front: &Front, gateway: &Gateway, ports: &[u16]) {
    for (change, expected) in [("block", BLOCKED), ("unblock", REACHES)].into_iter().cycle().take(4) {
        front.policy().post(&format!("/v1/subscriptions/shop-orders/{change}"), None).await.unwrap();
        let ask = Ask::get(ORDERS).key(&front.keys.production);
        for port in ports {
            eventually(format!("{change} on {port}"), SEEN_WITHIN, async || {
                let answer = answer(*port, &ask).await;
                if expected.is(answer.status.as_u16(), &answer.json()) { Ok(()) } else { Err(answer) }
            })
            .await
            .unwrap_or_else(|error| panic!("{error}; log:\n{}", gateway.envoy.log()));
        }
    }
}

#[tokio::test]
async fn with_a_name_one_store_goes_through_a_rotation_and_limits_go_on() {
    const QUOTA: u64 = 20;
    let front = service("rotation-both-service", &[OLD, NEW]).await;
    let plan = json!({"id": "few", "limits": [{"requests": QUOTA, "per": "month"}]});
    front.policy().post("/v1/plans", Some(plan)).await.unwrap();
    let subscription = json!({"application": "shop", "api": "orders-1.0", "plan": "few"});
    let put = Ask::new("PUT", "/v1/subscriptions/shop-orders").json(subscription);
    assert!(front.policy().call(put).await.unwrap().status.is_success());
    let gateway = Gateway::start(Gateway::prepare("rotation-both", options(&front, Some("main"))).await).await;
    gateway.answers(gateway.port, &front.keys.production, PAYMENTS, REACHES).await;
    let limited = Ask::get(ORDERS).key(&front.keys.production);
    let remaining = async || {
        let answer = answer(gateway.port, &limited).await;
        assert_eq!(answer.status, 200, "{answer}");
        answer.header("ratelimit-remaining").expect("ratelimit-remaining").parse::<u64>().unwrap()
    };
    for used in 1..=5 {
        assert_eq!(remaining().await, QUOTA - used);
    }

    let always = vec![(Ask::get(PAYMENTS).key(&front.keys.production), REACHES)];
    let load = Load::start(gateway.port, always);
    let before = front.cutter.asked().len();
    gateway.listen(&rotated(&gateway)).await;
    gateway.drained().await;
    eventually("requests behind the new listener", SEEN_WITHIN, async || {
        let new = format!("Basic {}", base64(&format!("{GATEWAY_ID}:{NEW}")));
        let asked = front.cutter.asked();
        let by_new = asked.iter().skip(before).filter(|asked| asked.header("authorization") == Some(&*new)).count();
        if by_new > 0 { Ok(()) } else { Err("nobody asks with the new secret") }
    })
    .await
    .unwrap();
    assert_eq!(remaining().await, QUOTA - 6, "the limit began anew");
    let asked = load.end().await.unwrap();
    changes_arrive_without_limit(&front, &gateway).await;
    let polls = front.polls(before);
    assert!(!polls.iter().any(|target| target == "/v1/policy"), "the policy was fetched anew: {polls:?}");
    println!("{asked} answers meanwhile, {} polls", polls.len());
    gateway.stop().await;
    front.stack.stop().await;
}

/// Like [`changes_arrive`], for the subscription that has no plan.
async fn changes_arrive_without_limit(front: &Front, gateway: &Gateway) {
    for (change, expected) in [("block", BLOCKED), ("unblock", REACHES)] {
        front.policy().post(&format!("/v1/subscriptions/shop-payments/{change}"), None).await.unwrap();
        gateway.answers(gateway.port, &front.keys.production, PAYMENTS, expected).await;
    }
}

#[tokio::test]
async fn with_a_name_the_policy_serves_while_the_feed_refuses_the_new_secret_and_others_refresh_it() {
    let mut front = service("rotation-refused-service", &[OLD]).await;
    let gateway = Gateway::start(Gateway::prepare("rotation-refused", options(&front, Some("main"))).await).await;
    let always = vec![(Ask::get(PAYMENTS).key(&front.keys.production), REACHES)];
    gateway.answers(gateway.port, &front.keys.production, PAYMENTS, REACHES).await;
    let load = Load::start(gateway.port, always.clone());

    // Only the new secret is in use, and the service does not know it.
    gateway.listen(&rotated(&gateway)).await;
    gateway.drained().await;
    eventually("the refusal in the log", SEEN_WITHIN, async || {
        let log = gateway.envoy.log();
        let line = log.lines().any(|line| line.contains("401") && line.contains("policy.credentials"));
        if line { Ok(()) } else { Err(log) }
    })
    .await
    .unwrap();

    // A second listener has good credentials. It refreshes for both, however many changes come.
    let (second, port) = gateway.beside(&gateway.listener, "second");
    gateway.listen(&both(&rotated(&gateway), &second)).await;
    changes_arrive(&front, &gateway, &[gateway.port, port]).await;

    // The service learns the new secret, and the old one is no longer needed.
    front.policy_mut().set("POLICY_GATEWAYS", gateways(&[OLD, NEW]));
    front.policy_mut().stop().await;
    front.policy_mut().restart().await.unwrap();
    gateway.listen(&rotated(&gateway)).await;
    gateway.drained().await;
    changes_arrive(&front, &gateway, &[gateway.port]).await;
    let asked = load.end().await.unwrap();
    println!("{asked} answers through it all");
    gateway.stop().await;
    front.stack.stop().await;
}

/// Waits for that long. The test cannot look meanwhile, because no request may use the store.
async fn wait(milliseconds: u64) {
    let due = SystemTime::now() + Duration::from_millis(milliseconds);
    let passed = async || if SystemTime::now() >= due { Ok(()) } else { Err("not yet") };
    eventually("time to pass", Duration::from_millis(2 * milliseconds), passed).await.unwrap();
}

#[tokio::test]
async fn without_a_name_a_copy_that_was_left_behind_decides_nothing_before_it_is_confirmed() {
    let mut front = service("rotation-unnamed-service", &[OLD, NEW]).await;
    let options = options(&front, None)
        .edit(r#""stale_after_ms": 60000"#, format!(r#""stale_after_ms": {STALE_MS}"#))
        .edit(r#""long_poll_ms": 25000"#, r#""long_poll_ms": 1000"#)
        .edit(r#""startup_hold_ms": 1000"#, r#""startup_hold_ms": 5000"#);
    let gateway = Gateway::start(Gateway::prepare("rotation-unnamed", options).await).await;
    let (key, port) = (front.keys.production.clone(), gateway.port);
    gateway.answers(port, &key, ORDERS, REACHES).await;

    // The old copy allows the orders. No configuration names it any more, and the orders are blocked.
    let new = rotated(&gateway);
    gateway.listen(&new).await;
    gateway.drained().await;
    front.policy().post("/v1/subscriptions/shop-orders/block", None).await.unwrap();
    gateway.answers(port, &key, ORDERS, BLOCKED).await;
    wait(STALE_MS + 1_000).await;

    // Back to the old secret, on a port of its own. Clients ask there before it exists.
    let (old, second) = gateway.beside(&gateway.listener, "second");
    let load = Load::start(second, vec![(Ask::get(ORDERS).key(&key), BLOCKED)]);
    gateway.listen(&both(&new, &old)).await;
    gateway.answers(second, &key, ORDERS, BLOCKED).await;
    let asked = load.end().await.unwrap();
    println!("{asked} answers of a copy that had been left behind");

    // The same with the service down. Then no policy can decide.
    gateway.listen(&new).await;
    gateway.drained().await;
    wait(STALE_MS + 1_000).await;
    front.policy_mut().kill().await;
    let (old, third) = gateway.beside(&gateway.listener, "third");
    let load = Load::start(third, vec![(Ask::get(PAYMENTS).key(&key), UNAVAILABLE)]);
    gateway.listen(&both(&new, &old)).await;
    gateway.answers(third, &key, PAYMENTS, UNAVAILABLE).await;
    load.end().await.unwrap();
    // The store that was in use all the time still decides.
    gateway.answers(port, &key, PAYMENTS, REACHES).await;
    gateway.stop().await;
    front.stack.stop().await;
}
