//! The purpose of keygate, end to end: a subscription is blocked, fully or for production keys, and unblocked.

use crate::{
    host::{Envoy, LogLevel, Request},
    policy::*,
};

/// Checks on every worker: the path, the key, the verdict.
#[track_caller]
fn check(envoy: &mut Envoy, cases: &[(&str, &str, &str)]) {
    for thread in envoy.threads().skip(1) {
        for (path, key, expected) in cases {
            let verdict = envoy.worker(thread).request(Request::get(path).key(key)).verdict();
            assert_eq!(verdict, *expected, "worker {thread}: {key} on {path}");
        }
    }
}

#[test]
fn a_block_concerns_one_subscription_and_is_followed_by_every_worker() {
    let (mut envoy, service) = running(&Page::demo(1));
    let untouched = [
        ("/orders/1.0/7", PRODUCTION_KEY, "allowed"),
        ("/orders/1.0/7", SANDBOX_KEY, "allowed"),
        ("/payments/1.0", OTHER_KEY, "allowed"),
        ("/orders/1.0", OTHER_KEY, "403 subscription_missing"),
        ("/payments/1.0", "a key that nobody has", "401 key_unknown"),
    ];
    let story = [
        ("UNBLOCKED", "allowed", "allowed"),
        ("BLOCKED", "401 subscription_blocked", "401 subscription_blocked"),
        ("PROD_ONLY_BLOCKED", "401 subscription_blocked", "allowed"),
        ("UNBLOCKED", "allowed", "allowed"),
        ("PROD_ONLY_BLOCKED", "401 subscription_blocked", "allowed"),
        ("BLOCKED", "401 subscription_blocked", "401 subscription_blocked"),
        ("UNBLOCKED", "allowed", "allowed"),
        ("ON_HOLD", "401 subscription_inactive", "401 subscription_inactive"),
        ("REJECTED", "401 subscription_inactive", "401 subscription_inactive"),
        ("TIER_UPDATE_PENDING", "allowed", "allowed"),
        ("DELETE_PENDING", "allowed", "allowed"),
        ("a state of tomorrow", "401 subscription_inactive", "401 subscription_inactive"),
        ("UNBLOCKED", "allowed", "allowed"),
    ];
    for (step, (state, production, sandbox)) in story.into_iter().enumerate() {
        service.publish(&Page::demo(step as u64 + 2).subscription("app-1", "payments-1.0", state));
        envoy.run_for(SETTLED);
        check(&mut envoy, &[("/payments/1.0/x?y=z", PRODUCTION_KEY, production)]);
        check(&mut envoy, &[("/payments/1.0/x?y=z", SANDBOX_KEY, sandbox)]);
        check(&mut envoy, &untouched);
    }
}

#[test]
fn a_worker_follows_within_its_tick_once_the_policy_is_there() {
    let (mut envoy, service) = running(&Page::demo(1));
    check(&mut envoy, &[("/payments/1.0", PRODUCTION_KEY, "allowed")]);
    service.publish(&Page::demo(2).subscription("app-1", "payments-1.0", "BLOCKED"));
    let asked = service.seen().len();
    while service.seen().len() == asked {
        envoy.run_for(std::time::Duration::from_millis(10));
    }
    envoy.run_for(std::time::Duration::from_millis(250));
    check(&mut envoy, &[("/payments/1.0", PRODUCTION_KEY, "401 subscription_blocked")]);
}

#[test]
fn keys_and_apis_that_leave_the_policy_are_refused() {
    let (mut envoy, service) = running(&Page::demo(1));
    check(&mut envoy, &[("/payments/1.0", PRODUCTION_KEY, "allowed"), ("/payments/1.0", OTHER_KEY, "allowed")]);
    let page = Page::new(2)
        .api("payments-1.0", "/payments/1.0")
        .application("app-2")
        .key(OTHER_KEY, "k-3", "app-2", "PRODUCTION")
        .key(PRODUCTION_KEY, "k-1", "app-1", "PRODUCTION")
        .subscription("app-2", "payments-1.0", "UNBLOCKED");
    service.publish(&page);
    envoy.run_for(SETTLED);
    check(
        &mut envoy,
        &[
            ("/payments/1.0", OTHER_KEY, "allowed"),
            ("/payments/1.0", PRODUCTION_KEY, "403 subscription_missing"),
            ("/payments/1.0", SANDBOX_KEY, "401 key_unknown"),
            ("/orders/1.0", PRODUCTION_KEY, "404 api_not_found"),
        ],
    );
}

#[test]
fn a_delta_changes_what_it_names_and_nothing_else() {
    let service = Service::new(&Page::demo(1).with("poll", "/v1/policy?since=1"));
    let mut envoy = Envoy::new(configuration([])).feed(service.feed()).started();
    envoy.run_for(SETTLED);
    let delta = Page::new(2).with("base", 1).with("poll", "/v1/policy?since=2").subscription(
        "app-1",
        "payments-1.0",
        "PROD_ONLY_BLOCKED",
    );
    let nothing = Page::new(2).with("base", 2).with("poll", "/v1/policy?since=2");
    service.route(&[("/v1/policy?since=1", &delta), ("/v1/policy?since=2", &nothing)]);
    envoy.run_for(2 * SETTLED);
    assert_eq!(service.seen().last().unwrap().path(), "/v1/policy?since=2");
    check(
        &mut envoy,
        &[
            ("/payments/1.0", PRODUCTION_KEY, "401 subscription_blocked"),
            ("/payments/1.0", SANDBOX_KEY, "allowed"),
            ("/payments/1.0", OTHER_KEY, "allowed"),
            ("/orders/1.0", PRODUCTION_KEY, "allowed"),
        ],
    );
    let removal = Page::new(3).with("base", 2).with("removed", serde_json::json!({"keys": [sha256(OTHER_KEY)]}));
    service.route(&[("/v1/policy?since=2", &removal)]);
    envoy.run_for(SETTLED);
    check(
        &mut envoy,
        &[
            ("/payments/1.0", OTHER_KEY, "401 key_unknown"),
            ("/payments/1.0", PRODUCTION_KEY, "401 subscription_blocked"),
            ("/payments/1.0", SANDBOX_KEY, "allowed"),
        ],
    );
}

#[test]
fn a_host_without_random_bytes_decides_alike() {
    let service = Service::new(&Page::demo(1));
    let mut envoy = Envoy::new(configuration([])).without_random().feed(service.feed()).started();
    for (revision, state, expected) in [(2, "UNBLOCKED", "allowed"), (3, "BLOCKED", "401 subscription_blocked")] {
        service.publish(&Page::demo(revision).subscription("app-1", "payments-1.0", state));
        envoy.run_for(SETTLED);
        // A frequent key is read from shared data on every request.
        (0..4).for_each(|_| check(&mut envoy, &[("/payments/1.0", PRODUCTION_KEY, expected)]));
    }
    assert!(envoy.log(LogLevel::Warn).iter().any(|line| line.contains("random_get")));
}
