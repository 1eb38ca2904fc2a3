//! Plugins that share a `vm_id` or a VM share a policy only if their sources are the same.

use std::time::Duration;

use keygate::shared::key::{FORMAT, SHARD_KEY_BYTES};
use serde_json::{Value, json};

use crate::{
    host::{Answer, Envoy, Request},
    policy::*,
};

/// Two plugins whose feeds differ in one setting. Each cluster, authority, path or credential has its own policy.
#[track_caller]
fn check(name: &str, one: Value, other: Value, is_others: impl Fn(&crate::host::Callout) -> bool + Send + 'static) {
    for vm_ids in [["", ""], ["a", "a"]] {
        let blocked = Page::demo(1).subscription("app-1", "payments-1.0", "BLOCKED");
        let open = Page::demo(1);
        let mut envoy = Envoy::new(&one).plugin(vm_ids[1], &other);
        if !vm_ids[0].is_empty() {
            // Also as the second and third plugin, after a plugin with another `vm_id`.
            envoy = envoy.plugin(vm_ids[0], &one);
        }
        let is_others = &is_others;
        let answers = [Answer::json(&blocked.0), Answer::json(&open.0)];
        let mut envoy = envoy.started();
        for _ in 0..10 {
            envoy.run_for(Duration::from_millis(100));
            for callout in envoy.pending() {
                let _ = envoy.answer(&callout, answers[usize::from(is_others(&callout))].clone());
            }
        }
        let request = || Request::get("/payments/1.0").key(PRODUCTION_KEY);
        for thread in [1, 2] {
            let first = envoy.worker(thread).plugin(0).request(request()).verdict();
            let second = envoy.worker(thread).plugin(1).request(request()).verdict();
            assert_eq!((first.as_str(), second.as_str()), ("401 subscription_blocked", "allowed"), "{name} {vm_ids:?}");
        }
    }
}

#[test]
fn policies_of_different_sources_are_not_shared() {
    let with = |name: &'static str, value: Value| configuration([(name, value)]);
    check("cluster", configuration([]), with("policy/cluster", json!("other")), |callout| callout.cluster == "other");
    check("authority", configuration([]), with("policy/authority", json!("other")), |callout| {
        callout.headers.text(":authority").as_deref() == Some("other")
    });
    check("path", configuration([]), with("policy/path", json!("/other")), |callout| callout.path() == "/other");
    check("headers", configuration([]), with("policy/headers", json!({"x-tenant": "other-tenant"})), |callout| {
        callout.headers.first("x-tenant").is_some()
    });
    let tenant = |tenant: &str| with("policy/headers", json!({"x-tenant": tenant}));
    check("values of headers", tenant("first-tenant"), tenant("other-tenant"), |callout| {
        callout.headers.text("x-tenant").as_deref() == Some("other-tenant")
    });
    let credentials =
        |secret: &str| with("policy/credentials", json!({"client_id": "gateway", "client_secret": secret}));
    // base64 of gateway:second-secret
    check("credentials", credentials("first-secret"), credentials("second-secret"), |callout| {
        callout.headers.text("authorization").as_deref() == Some("Basic Z2F0ZXdheTpzZWNvbmQtc2VjcmV0")
    });
}

#[test]
fn a_policy_of_the_same_source_is_fetched_once() {
    let service = Service::new(&Page::demo(1));
    let second =
        configuration([("replies", json!({"format": "problem"})), ("policy/refresh_interval_ms", json!(7000))]);
    let mut envoy = Envoy::new(configuration([])).plugin("", &second).feed(service.feed()).started();
    envoy.run_for(Duration::from_secs(4));
    assert_eq!(service.seen().len(), 1, "{:#?}", service.seen());
    for plugin in [0, 1] {
        let mut worker = envoy.worker(1).plugin(plugin);
        assert_eq!(worker.request(Request::get("/payments/1.0").key(PRODUCTION_KEY)).verdict(), "allowed");
    }
    let refused = envoy.worker(1).plugin(1).request(Request::get("/payments/1.0"));
    assert_eq!(refused.reply().headers.text("content-type").as_deref(), Some("application/problem+json"));
    let refused = envoy.worker(1).plugin(0).request(Request::get("/payments/1.0"));
    assert_eq!(refused.reply().headers.text("content-type").as_deref(), Some("application/json"));
}

#[test]
fn a_replaced_configuration_keeps_serving_and_stops_what_it_replaced() {
    let (mut envoy, service) = running(&Page::demo(1));
    envoy.reconfigure(0, configuration([("forward/owner", json!("x-owner"))]));
    let exchange = envoy.worker(1).request(Request::get("/payments/1.0").key(PRODUCTION_KEY));
    assert_eq!(exchange.verdict(), "allowed", "the policy is there already: {exchange:?}");
    assert_eq!(exchange.headers.text("x-owner").as_deref(), Some("alice"));
    service.publish(&Page::demo(2).subscription("app-1", "payments-1.0", "BLOCKED"));
    envoy.run_for(Duration::from_secs(60));
    for thread in [1, 2] {
        let exchange = envoy.worker(thread).request(Request::get("/payments/1.0").key(PRODUCTION_KEY));
        assert_eq!(exchange.verdict(), "401 subscription_blocked");
    }
}

#[test]
fn requests_held_under_a_configuration_survive_its_replacement() {
    let service = Service::saying(Answer::Pending);
    let mut envoy = Envoy::new(configuration([])).feed(service.feed()).started();
    let held = envoy.worker(1).request(Request::get("/payments/1.0").key(PRODUCTION_KEY)).ticket();
    envoy.run_for(Duration::from_millis(200));
    envoy.reconfigure(0, configuration([("forward/owner", json!("x-owner"))]));
    service.publish(&Page::demo(1));
    envoy.run_for(Duration::from_secs(2));
    let after = envoy.worker(1).request(Request::get("/payments/1.0").key(PRODUCTION_KEY));
    assert_ne!(after.verdict(), "dead");
    // A real Envoy ends a listener's root context only after its streams. The fake one does not wait, and that must not
    // trap.
    let _ = envoy.worker(1).outcome(held);
}

/// Another version of the module with another format, on the same `vm_id`. Its keys have another prefix, and their
/// values are not the filter's business.
#[test]
fn another_version_of_the_format_is_neither_read_nor_touched() {
    let (mut envoy, service) = running(&Page::demo(1));
    let ours = envoy.shared_data("");
    let mut theirs = Vec::new();
    for format in [FORMAT - 1, FORMAT + 1, 63] {
        for (key, value) in &ours {
            let text = std::str::from_utf8(key).ok().filter(|_| key.len() != SHARD_KEY_BYTES);
            let key = match text {
                Some(text) => {
                    text.replacen(&format!("keygate/{FORMAT}/"), &format!("keygate/{format}/"), 1).into_bytes()
                }
                // The key of a shard has its format in the upper bits of one byte.
                None => key
                    .iter()
                    .enumerate()
                    .map(|(at, byte)| if at == 8 { format << 2 | byte & 3 } else { *byte })
                    .collect(),
            };
            theirs.push((key, [&value[..], b"in another format"].concat()));
        }
    }
    assert!(theirs.len() > 20 && theirs.iter().all(|(key, _)| !ours.contains_key(key)));
    envoy.tamper(|data| theirs.iter().for_each(|(key, value)| data.set("", key, value, 0).unwrap()));
    for thread in [1, 2] {
        envoy.worker(thread).renew();
    }
    service.publish(&Page::demo(2).subscription("app-1", "payments-1.0", "BLOCKED"));
    envoy.run_for(Duration::from_secs(60));
    assert_eq!(verdicts(&mut envoy)[..3], ["401 subscription_blocked", "401 subscription_blocked", "allowed"]);
    let now = envoy.shared_data("");
    for (key, value) in &theirs {
        assert_eq!(now.get(key), Some(value), "{}", String::from_utf8_lossy(key));
    }
}
