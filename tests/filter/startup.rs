//! Before the first policy: requests wait for a limited time, and no client is told that its key is wrong.

use std::time::Duration;

use serde_json::json;

use crate::{
    host::{Answer, Cluster, Envoy, LogLevel, Request},
    policy::*,
};

const MILLISECOND: Duration = Duration::from_millis(1);

fn payments() -> Request {
    Request::get("/payments/1.0").key(PRODUCTION_KEY)
}

#[test]
fn a_request_is_held_until_the_first_policy_is_there() {
    let service = Service::saying(Answer::Pending);
    let mut envoy = Envoy::new(configuration([])).feed(service.feed()).started();
    let good = envoy.worker(1).request(payments()).ticket();
    let bad = envoy.worker(1).request(Request::get("/payments/1.0").key("an unknown key")).ticket();
    let other = envoy.worker(2).request(payments()).ticket();
    envoy.run_for(500 * MILLISECOND);
    for (thread, ticket) in [(1, good), (1, bad), (2, other)] {
        assert_eq!(envoy.worker(thread).outcome(ticket).verdict(), "held");
    }
    let callout = envoy.pending().pop().expect("the policy is asked for");
    let _ = envoy.answer(&callout, Answer::json(Page::demo(1).0));
    envoy.run_for(300 * MILLISECOND);
    let passed = envoy.worker(1).outcome(good);
    assert_eq!(passed.verdict(), "allowed");
    assert_eq!(passed.headers.text("x-application-id").as_deref(), Some("app-1"), "forwarded after a wait, too");
    assert_eq!(passed.headers.first("x-api-key"), None, "removed after a wait, too");
    assert_eq!(envoy.worker(1).outcome(bad).verdict(), "401 key_unknown");
    assert_eq!(envoy.worker(2).outcome(other).verdict(), "allowed");
}

#[test]
fn the_hold_is_bounded_from_each_requests_arrival() {
    let mut envoy = Envoy::new(configuration([])).feed(|_| Answer::Pending).started();
    let first = envoy.worker(1).request(payments()).ticket();
    envoy.run_for(600 * MILLISECOND);
    let second = envoy.worker(1).request(payments()).ticket();
    envoy.run_for(600 * MILLISECOND);
    let refused = envoy.worker(1).outcome(first);
    assert_eq!(refused.verdict(), "503 policy_unavailable");
    assert_eq!(refused.reply().json()["code"], json!("900424"));
    assert_eq!(envoy.worker(1).outcome(second).verdict(), "held");
    envoy.run_for(600 * MILLISECOND);
    assert_eq!(envoy.worker(1).outcome(second).verdict(), "503 policy_unavailable");
}

#[test]
fn without_a_policy_nobody_is_told_that_a_key_is_wrong() {
    let faults = [
        Answer::ConnectionRefused,
        Answer::Timeout,
        Answer::Reset,
        Answer::Never,
        Answer::status(401, ""),
        Answer::status(500, "oops"),
        Answer::json("{"),
        Answer::json(json!({"format": 2})),
    ];
    let requests = [
        payments(),
        Request::get("/payments/1.0"),
        Request::get("/nowhere"),
        Request::get("/payments/1.0").key("x".repeat(8192)),
        Request::get("/payments/1.0").key(PRODUCTION_KEY).header("apikey", OTHER_KEY),
    ];
    for fault in faults {
        let service = Service::saying(fault.clone());
        let mut envoy = Envoy::new(configuration([])).feed(service.feed()).started();
        envoy.run_for(Duration::from_secs(1));
        for request in &requests {
            let ticket = envoy.worker(1).request(request.clone()).ticket();
            envoy.run_for(1200 * MILLISECOND);
            let verdict = envoy.worker(1).outcome(ticket).verdict();
            assert_eq!(verdict, "503 policy_unavailable", "{fault:?}: {request:?}");
        }
    }
}

#[test]
fn without_a_hold_the_answer_comes_at_once() {
    let mut envoy = Envoy::new(configuration([("policy/startup_hold_ms", json!(0))])).started();
    assert_eq!(envoy.worker(1).request(payments()).verdict(), "503 policy_unavailable");
    envoy.run_for(Duration::from_secs(1));
    assert_eq!(envoy.worker(2).request(payments()).verdict(), "503 policy_unavailable");
}

#[test]
fn a_client_that_leaves_while_it_waits_is_forgotten() {
    let service = Service::saying(Answer::Pending);
    let mut envoy = Envoy::new(configuration([])).feed(service.feed()).started();
    let gone = envoy.worker(1).request(payments()).ticket();
    let stays = envoy.worker(1).request(payments()).ticket();
    let _ = envoy.worker(1).abort(gone).finished();
    envoy.run_for(300 * MILLISECOND);
    let callout = envoy.pending().pop().expect("the policy is asked for");
    let _ = envoy.answer(&callout, Answer::json(Page::demo(1).0));
    envoy.run_for(300 * MILLISECOND);
    assert_eq!(envoy.worker(1).outcome(gone).verdict(), "aborted");
    assert_eq!(envoy.worker(1).outcome(stays).verdict(), "allowed");
}

#[test]
fn a_request_allowed_without_a_policy_carries_no_identity() {
    let changes = [("on_policy_unavailable", json!("allow"))];
    let mut envoy = Envoy::new(configuration(changes)).feed(|_| Answer::ConnectionRefused).started();
    let request = payments().header("x-application-id", "forged").header("x-key-type", "SANDBOX");
    let ticket = envoy.worker(1).request(request).ticket();
    envoy.run_for(Duration::from_secs(2));
    let passed = envoy.worker(1).outcome(ticket);
    assert!(matches!(passed.outcome, crate::host::Outcome::Passed), "{passed:?}");
    for name in ["x-application-id", "x-key-id", "x-key-type"] {
        assert_eq!(passed.headers.first(name), None, "{name}");
    }
    assert_eq!(envoy.metric("keygate.allowed_without_policy"), 1);
    assert_eq!(envoy.metric("keygate.allowed"), 0);
}

#[test]
fn emergency_digests_win_without_a_policy() {
    let changes = [
        ("emergency", json!({"deny_keys": [sha256(OTHER_KEY)], "allow_keys": [sha256(PRODUCTION_KEY)]})),
        ("policy/startup_hold_ms", json!(0)),
    ];
    let mut envoy = Envoy::new(configuration(changes)).started();
    let allowed = envoy.worker(1).request(payments());
    assert_eq!(allowed.verdict(), "allowed");
    assert_eq!(allowed.headers.text("x-application-id").as_deref(), Some("emergency"));
    assert_eq!(allowed.headers.text("x-key-type").as_deref(), Some("PRODUCTION"));
    let denied = envoy.worker(1).request(Request::get("/payments/1.0").key(OTHER_KEY));
    assert_eq!(denied.verdict(), "401 key_denied");
    let neither = envoy.worker(1).request(Request::get("/payments/1.0").key(SANDBOX_KEY));
    assert_eq!(neither.verdict(), "503 policy_unavailable");
}

#[test]
fn a_cluster_that_appears_later_is_found() {
    for missing in [Cluster::Unknown, Cluster::WithoutHosts] {
        let service = Service::new(&Page::demo(1));
        let mut envoy = Envoy::new(configuration([])).feed(service.feed()).started();
        envoy.set_cluster("policy-service", Some(missing));
        envoy.run_for(Duration::from_secs(10));
        assert!(service.seen().is_empty());
        envoy.set_cluster("policy-service", None);
        envoy.run_for(Duration::from_secs(40));
        assert_eq!(envoy.worker(1).request(payments()).verdict(), "allowed", "{missing:?}");
    }
}

#[test]
fn a_build_without_a_commit_says_so_at_configuration() {
    let envoy = Envoy::new(configuration([])).feed(|_| Answer::Pending).started();
    let expected = format!("keygate {} (commit unknown) is configured", env!("CARGO_PKG_VERSION"));
    let lines = envoy.log(LogLevel::Info);
    assert!(lines.contains(&expected), "{lines:?}");
}
