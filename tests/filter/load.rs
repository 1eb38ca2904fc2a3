//! Loading a configuration: refusals in helpful words, and workers never refuse what the canary accepted.

use serde_json::json;

use crate::{
    host::{Envoy, Refusal, Request},
    policy::*,
};

/// The log lines of a refusal, joined.
#[track_caller]
fn refusal(configuration: impl ToString) -> String {
    let text = configuration.to_string();
    match Envoy::new(configuration).start() {
        Err(Refusal(lines)) => lines.join("\n"),
        Ok(_) => panic!("accepted: {text}"),
    }
}

#[test]
fn a_bad_configuration_is_refused_in_words() {
    let with = |pointer: &'static str, value| configuration([(pointer, value)]).to_string();
    let cases: [(String, &[&str]); 13] = [
        (String::new(), &["line 1"]),
        ("{".to_owned(), &["line 1"]),
        ("{}".to_owned(), &["policy"]),
        ("[]".to_owned(), &["line 1"]),
        // Envoy passes on a `Struct` as protobuf, not JSON.
        ("\n\x1d\n\x06policy\x12\x13*\x11\n\x0f\n\x07cluster".to_owned(), &["StringValue"]),
        (with("polcy", json!({})), &["polcy"]),
        (with("policy/refresh_interval_ms", json!(99)), &["policy.refresh_interval_ms", "99", "100"]),
        (with("policy/refresh_interval_ms", json!("5s")), &["policy.refresh_interval_ms"]),
        (with("policy/max_removed_percent", json!(101)), &["policy.max_removed_percent", "101", "100"]),
        (with("credential_sources", json!([])), &["credential_sources"]),
        (with("mode", json!("watch")), &["mode", "watch", "enforce", "shadow"]),
        (with("policy/credentials", json!({"client_id": "g", "client_secret": {"env": "NOT_THERE"}})), &["not set"]),
        (r#"{"policy": {"cluster": "a"}, "policy": {"cluster": "b"}}"#.to_owned(), &["policy"]),
    ];
    for (text, parts) in cases {
        let said = refusal(&text);
        for part in parts {
            assert!(said.contains(part), "{text:?}: {part} is missing in: {said}");
        }
    }
}

#[test]
fn a_refusal_does_not_repeat_secrets() {
    let cases = [
        configuration([("policy/headers", json!({"x-token": ["a-secret-in-a-list"]}))]),
        configuration([("policy/credentials", json!({"client_id": "gateway", "client_secret": 123456789}))]),
        configuration([("policy/credentials", json!({"client_id": "g", "client_secrt": "misplaced-secret"}))]),
        configuration([("emergency", json!({"deny_keys": ["0123456789abcdef-is-no-digest"]}))]),
    ];
    for configuration in cases {
        let said = refusal(&configuration);
        for secret in ["a-secret-in-a-list", "123456789", "misplaced-secret", "0123456789abcdef"] {
            assert!(!said.contains(secret), "{said}");
        }
    }
}

#[test]
fn loading_looks_at_nothing_that_may_change() {
    // Every worker starts with shared data full of rubbish, and each VM sees another time.
    let (envoy, _service) = running(&Page::demo(1));
    let keys: Vec<_> = envoy.shared_data("").into_keys().collect();
    drop(envoy);
    let service = Service::new(&Page::demo(1));
    let mut envoy = Envoy::new(configuration([])).feed(service.feed());
    envoy.tamper(|data| keys.iter().for_each(|key| data.set("", key, b"\xff\xfe rubbish", 0).unwrap()));
    let mut envoy = envoy.started();
    envoy.run_for(std::time::Duration::from_secs(60));
    let exchange = envoy.worker(1).request(Request::get("/payments/1.0").key(PRODUCTION_KEY));
    assert_eq!(exchange.verdict(), "allowed");
}

#[test]
fn the_canary_leaves_nothing_behind() {
    let mut envoy = Envoy::new(configuration([])).started();
    assert!(envoy.pending().is_empty(), "no callout before the first tick");
    assert!(envoy.shared_data("").is_empty(), "nothing is written while loading");
    let service = Service::new(&Page::demo(1));
    envoy.set_feed(service.feed());
    envoy.run_for(std::time::Duration::from_secs(1));
    assert_eq!(service.seen().len(), 1);
}
