//! The gateway's secret changes: what happens to the policy that was stored under the old secret.

use std::time::Duration;

use serde_json::{Value, json};

use crate::{
    host::{Answer, Envoy, LogLevel, Request},
    policy::*,
};

fn with_secret(secret: &str, name: Option<&str>) -> Value {
    let credentials = json!({"client_id": "gateway", "client_secret": secret});
    let mut configuration = configuration([("policy/credentials", credentials), ("policy/startup_hold_ms", json!(0))]);
    if let Some(name) = name {
        configuration["policy"]["name"] = name.into();
    }
    configuration
}

fn verdict(envoy: &mut Envoy) -> String {
    envoy.worker(1).request(Request::get("/payments/1.0").key(PRODUCTION_KEY)).verdict()
}

/// Size of all values in shared data.
fn bytes(envoy: &Envoy) -> usize {
    envoy.shared_data("").values().map(Vec::len).sum()
}

/// The demo policy with many more keys.
fn large(revision: u64) -> Page {
    (0..3_000).fold(Page::demo(revision), |page, number| {
        page.key(&format!("key-{number}"), &format!("k-{number}"), "app-1", "PRODUCTION")
    })
}

#[test]
fn without_a_name_the_old_copy_is_emptied_and_decides_nothing_when_the_secret_comes_back() {
    let (mut envoy, service) = running_with(with_secret("old", None), &large(1));
    assert_eq!(verdict(&mut envoy), "allowed");
    let one = bytes(&envoy);
    envoy.reconfigure(0, with_secret("new", None));
    envoy.run_for(Duration::from_secs(10));
    assert_eq!(verdict(&mut envoy), "allowed");
    let both = bytes(&envoy);
    assert!(both > 2 * one - 2_000, "{one} bytes, then {both}: the old copy is there");
    service.publish(&large(2).subscription("app-1", "payments-1.0", "BLOCKED"));

    // The secret comes back while the service is away. This is after `stale_after_ms`, but before the old store is
    // emptied.
    envoy.run_for(Duration::from_secs(80));
    assert!(bytes(&envoy) > one / 2, "{} bytes: the old copy is there", bytes(&envoy));
    service.say(Answer::status(503, ""));
    envoy.reconfigure(0, with_secret("old", None));
    envoy.run_for(Duration::from_secs(5));
    assert_eq!(verdict(&mut envoy), "503 policy_unavailable");
    let line = "an old copy of this policy";
    assert!(envoy.log(LogLevel::Info).iter().any(|told| told.contains(line)));
    envoy.reconfigure(0, with_secret("new", None));
    envoy.run_for(Duration::from_secs(5));
    assert_eq!(verdict(&mut envoy), "401 subscription_blocked", "this one was named all the time");

    envoy.run_for(Duration::from_secs(240));
    assert!(bytes(&envoy) < one + 2_000, "{} bytes are left of {both}", bytes(&envoy));
    assert_eq!(verdict(&mut envoy), "401 subscription_blocked");
}

#[test]
fn with_a_name_the_policy_stays_and_serves_while_the_new_secret_is_refused() {
    let (mut envoy, service) = running_with(with_secret("old", Some("edge")), &large(1));
    assert_eq!(verdict(&mut envoy), "allowed");
    let (one, asked) = (bytes(&envoy), service.seen().len());
    service.say(Answer::status(401, ""));
    envoy.reconfigure(0, with_secret("new", Some("edge")));
    envoy.run_for(Duration::from_secs(200));
    assert_eq!(verdict(&mut envoy), "allowed");
    assert!(bytes(&envoy) < one + 2_000, "{one} bytes, then {}", bytes(&envoy));
    // Each of the three VMs may try again after its pause, which grows to 30 s.
    let tried = service.seen().len() - asked;
    assert!((5..=40).contains(&tried), "{tried}");
    service.publish(&large(2).subscription("app-1", "payments-1.0", "BLOCKED"));
    envoy.run_for(Duration::from_secs(40));
    assert_eq!(verdict(&mut envoy), "401 subscription_blocked");
    assert_eq!(envoy.metric("keygate.policy.edge.revision"), 2);
}
