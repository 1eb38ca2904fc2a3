//! The policy service misbehaves. The last good policy stays in use, one log line names the fault, and the counters
//! count it.

use std::time::Duration;

use serde_json::json;

use crate::{
    host::{Answer, Cluster, Envoy, LogLevel},
    policy::*,
};

/// The name, the answer of the service, and a word that the log line must contain.
fn faults() -> Vec<(&'static str, Answer, &'static str)> {
    let page = Page::demo(2).0.to_string();
    vec![
        ("connection refused", Answer::ConnectionRefused, "503"),
        ("timeout", Answer::Timeout, "504"),
        ("reset", Answer::Reset, "reset"),
        ("unauthorized", Answer::status(401, "{}"), "credentials"),
        ("forbidden", Answer::status(403, "{}"), "credentials"),
        ("internal error", Answer::status(500, "oops"), "500"),
        ("not there", Answer::status(404, ""), "status 404"),
        ("gone", Answer::status(410, ""), "status 410"),
        ("too many requests", Answer::status(429, ""), "429"),
        ("a redirect", Answer::status(302, "").header("location", "/login"), "302"),
        ("an HTML page", Answer::status(200, "<html>").header("content-type", "text/html"), "content type"),
        ("no content type", Answer::status(200, page.clone()), "content"),
        ("an empty body", Answer::json(""), "empty"),
        ("a truncated body", Answer::json(&page[..page.len() / 2]), "too early"),
        ("not an object", Answer::json("[]"), "policy page"),
        ("another format", Answer::json(Page::demo(2).with("format", 2).0), "format"),
        ("no format", Answer::json(json!({"revision": 2})), "format"),
        (
            "bytes that are no text",
            Answer::status(200, b"\xff\xfe".to_vec()).header("content-type", "application/json"),
            "UTF-8",
        ),
        ("a foreign next", Answer::json(Page::demo(2).with("next", "https://evil.example/").0), "next"),
        ("a bad API", Answer::json(Page::demo(2).row("apis", json!({"id": 7})).0), "apis"),
        ("a bad deny policy", Answer::json(Page::demo(2).row("deny_policies", json!({"id": "x"})).0), "deny_policies"),
    ]
}

#[test]
fn a_fault_changes_nothing_and_is_logged_once() {
    let mut unsaid = Vec::new();
    for (name, fault, word) in faults() {
        let (mut envoy, service) = running(&Page::demo(1));
        let before = verdicts(&mut envoy);
        assert_eq!(before[..4], ["allowed", "allowed", "allowed", "401 key_unknown"], "{name}");
        service.say(fault);
        let asked = service.seen().len();
        for _ in 0..5 {
            envoy.run_for(Duration::from_secs(10));
            assert_eq!(verdicts(&mut envoy), before, "{name}");
        }
        let tries = service.seen().len() - asked;
        assert!((2..=10).contains(&tries), "{name}: {tries} tries in 50 s");
        let lines = envoy.log(LogLevel::Warn);
        assert_eq!(lines.len(), 1, "{name}: {lines:#?}");
        let missing = |part: &&str| !lines[0].contains(*part);
        let missing = ["policy-service", "/v1/policy", word].into_iter().filter(missing);
        unsaid.extend(missing.map(|part| format!("{name}: {part} is missing in: {}", lines[0])));
        let counted = envoy.metric("keygate.refresh.failed") + envoy.metric("keygate.refresh.refused");
        // If a held poll fails, something in between may have ended it. It is repeated at once and does not count.
        assert!((0..=1).contains(&(tries as i64 - counted)), "{name}: {counted} of {tries}");

        service.publish(&Page::demo(3).subscription("app-1", "payments-1.0", "BLOCKED"));
        envoy.run_for(Duration::from_secs(40));
        assert_eq!(verdicts(&mut envoy)[0], "401 subscription_blocked", "{name}: recovers");
    }
    assert!(unsaid.is_empty(), "{unsaid:#?}");
}

#[test]
fn a_callout_that_is_never_answered_does_not_end_refreshing() {
    let (mut envoy, service) = running(&Page::demo(1));
    service.say(Answer::Never);
    envoy.run_for(Duration::from_secs(20));
    service.publish(&Page::demo(2).subscription("app-1", "payments-1.0", "BLOCKED"));
    envoy.run_for(Duration::from_secs(120));
    assert_eq!(verdicts(&mut envoy)[0], "401 subscription_blocked");
}

#[test]
fn a_cluster_that_goes_away_and_comes_back_is_used_again() {
    for missing in [Cluster::Unknown, Cluster::WithoutHosts] {
        let (mut envoy, service) = running(&Page::demo(1));
        envoy.set_cluster("policy-service", Some(missing));
        envoy.run_for(Duration::from_secs(50));
        assert_eq!(verdicts(&mut envoy)[0], "allowed");
        let lines = envoy.log(LogLevel::Warn);
        assert_eq!(lines.len(), 1, "{lines:#?}");
        assert!(lines[0].contains("policy-service"), "{lines:?}");
        envoy.set_cluster("policy-service", None);
        service.publish(&Page::demo(2).subscription("app-1", "payments-1.0", "BLOCKED"));
        envoy.run_for(Duration::from_secs(40));
        assert_eq!(verdicts(&mut envoy)[0], "401 subscription_blocked");
    }
}

#[test]
fn retry_after_is_honoured() {
    // The date is far from the fake host's clock, so it is honoured up to the limit of five minutes.
    for (status, header) in [(429, "60"), (503, "60"), (429, "Fri, 31 Dec 9999 23:59:59 GMT")] {
        let (mut envoy, service) = running(&Page::demo(1));
        service.say(Answer::status(status, "").header("retry-after", header));
        envoy.run_for(Duration::from_secs(6));
        let asked = service.seen().len();
        envoy.run_for(Duration::from_secs(50));
        assert_eq!(service.seen().len(), asked, "{status}");
        envoy.run_for(Duration::from_secs(if header == "60" { 20 } else { 260 }));
        assert!(service.seen().len() > asked, "{status} {header}");
    }
}

#[test]
fn the_policys_age_is_reported_and_ends_it() {
    let changes = [("policy/expire_after_ms", json!(600_000))];
    let (mut envoy, service) =
        running_with(configuration(changes), &Page::demo(1).subscription("app-2", "payments-1.0", "BLOCKED"));
    let confirmed = envoy.metric("keygate.policy.confirmed_at");
    assert!(confirmed > 0);
    service.say(Answer::ConnectionRefused);
    envoy.run_for(Duration::from_secs(100));
    assert!((0..=30).contains(&(envoy.metric("keygate.policy.confirmed_at") - confirmed)), "it stands still");
    assert_eq!(verdicts(&mut envoy)[0], "allowed", "stale still serves");
    assert!(envoy.metric("keygate.policy.age_ms") >= 95_000);
    assert!(envoy.log(LogLevel::Warn).iter().any(|line| line.contains("stale")), "{:#?}", envoy.log(LogLevel::Warn));
    envoy.run_for(Duration::from_secs(600));
    let after = verdicts(&mut envoy);
    assert_eq!(after[0], "503 policy_unavailable", "expired allows nothing");
    assert_eq!(after[2..4], ["401 subscription_blocked", "401 key_unknown"], "denials keep their reason");
    service.publish(&Page::demo(2));
    envoy.run_for(Duration::from_secs(40));
    assert_eq!(verdicts(&mut envoy)[0], "allowed");
    // Whoever sees the faults at a mesh's usual level also sees their end.
    let lines = envoy.log(LogLevel::Warn);
    for end in ["the policy is refreshed again", "the policy is fresh again"] {
        assert_eq!(lines.iter().filter(|line| line.contains(end)).count(), 1, "{end}: {lines:#?}");
    }
}

#[test]
fn the_gateway_proves_itself() {
    let changes = [
        ("policy/headers", json!({"x-gateway": "edge-number-one"})),
        ("policy/credentials", json!({"client_id": "gateway-1", "client_secret": {"env": "POLICY_CLIENT_SECRET"}})),
        ("policy/authority", json!("policies.internal")),
        ("policy/path", json!("/feed")),
    ];
    let service = Service::new(&Page::demo(1));
    let envoy = Envoy::new(configuration(changes))
        .environment("OTHER", "else-where")
        .environment("POLICY_CLIENT_SECRET", "s3cr3t-of-gateway");
    let mut envoy = envoy.feed(service.feed()).started();
    envoy.run_for(Duration::from_secs(1));
    service.publish(&Page::demo(1).with("poll", "/feed?since=1"));
    envoy.run_for(2 * SETTLED);
    let callout = service.seen().pop().unwrap();
    assert_eq!(callout.cluster, "policy-service");
    assert!(callout.body.is_empty());
    let headers = [
        (":method", "GET"),
        (":path", "/feed?since=1"),
        (":authority", "policies.internal"),
        ("x-gateway", "edge-number-one"),
        ("prefer", "wait=25"),
        // base64 of gateway-1:s3cr3t-of-gateway
        ("authorization", "Basic Z2F0ZXdheS0xOnMzY3IzdC1vZi1nYXRld2F5"),
    ];
    for (name, value) in headers {
        assert_eq!(callout.headers.text(name).as_deref(), Some(value), "{name}");
    }
    assert!((25_000..=31_000).contains(&callout.timeout_ms), "{}", callout.timeout_ms);
    assert_eq!(verdicts(&mut envoy)[0], "allowed");
}

#[test]
fn a_clock_that_jumps_neither_kills_nor_stops_refreshing() {
    let (mut envoy, service) = running(&Page::demo(1));
    for (step, jump) in [-86_400, 0, 86_400, -3_600, 7].into_iter().enumerate() {
        envoy.adjust_clock(jump);
        let verdict = verdicts(&mut envoy).remove(0);
        assert!(
            ["allowed", "401 subscription_blocked", "503 policy_unavailable"].contains(&verdict.as_str()),
            "{verdict}"
        );
        let state = ["BLOCKED", "UNBLOCKED"][step % 2];
        service.publish(&Page::demo(step as u64 + 2).subscription("app-1", "payments-1.0", state));
        envoy.run_for(Duration::from_secs(120));
        let expected = ["401 subscription_blocked", "allowed"][step % 2];
        assert_eq!(verdicts(&mut envoy)[0], expected, "after a jump of {jump} s");
    }
}
