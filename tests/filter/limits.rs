//! Limits of plans: all workers share one count, through all changes of a policy, a configuration and a VM.

use std::time::Duration;

use serde_json::{Value, json};

use crate::{
    host::{Answer, Envoy, Exchange, Fault, Life, LogLevel, Outcome, Ran, Request, Status},
    policy::*,
};

/// The demo policy. app-1 calls payments under a plan with these fields, app-2 without a plan.
fn page(revision: u64, plan: &Value) -> Page {
    let mut plan = plan.clone();
    plan["id"] = json!("gold");
    let row = json!({"application": "app-1", "api": "payments-1.0", "plan": "gold"});
    Page::demo(revision).row("plans", plan).row("subscriptions", row)
}

fn per(requests: u64, unit: &str) -> Value {
    json!({"limits": [{"requests": requests, "per": unit}]})
}

fn payments(key: &str) -> Request {
    Request::get("/payments/1.0").key(key)
}

/// How many of this many requests to that worker pass. All others must be refused for that reason.
#[track_caller]
fn pass(envoy: &mut Envoy, worker: usize, requests: usize, reason: &str) -> usize {
    let verdicts: Vec<_> =
        (0..requests).map(|_| envoy.worker(worker).request(payments(PRODUCTION_KEY)).verdict()).collect();
    let refused = format!("429 {reason}");
    assert!(verdicts.iter().all(|verdict| verdict == "allowed" || *verdict == refused), "{verdicts:?}");
    verdicts.iter().filter(|verdict| *verdict == "allowed").count()
}

fn passed(exchanges: &[Vec<Exchange>]) -> usize {
    exchanges.iter().flatten().filter(|exchange| matches!(exchange.outcome, Outcome::Passed)).count()
}

#[test]
fn four_workers_at_once_share_one_count() {
    for (limit, requests) in [(7, 40), (100, 60), (511, 200), (3_000, 1_500)] {
        let service = Service::new(&page(1, &per(limit, "hour")));
        let mut envoy = Envoy::new(configuration([])).workers(4).feed(service.feed()).started();
        envoy.run_for(Duration::from_secs(1));
        let mut count = 0;
        for _ in 0..2 {
            let exchanges = envoy.in_parallel(requests, |_, _| payments(PRODUCTION_KEY), |_| {});
            count += passed(&exchanges);
            // The workers return their unused tokens.
            envoy.run_for(Duration::from_millis(300));
        }
        assert_eq!(count, usize::try_from(limit).unwrap(), "of {limit}");
        let others = envoy.in_parallel(3, |_, _| payments(OTHER_KEY), |_| {});
        assert_eq!(passed(&others), 12, "another application is not concerned");
        assert!(envoy.metric("keygate.denied.quota_exceeded") > 0);
        assert_eq!(envoy.metric("keygate.limits.restarted"), 0);
    }
}

#[test]
fn a_refusal_says_which_limit_and_an_allowance_what_is_left() {
    let plan = json!({"limits": [{"requests": 2, "per": "minute"}], "burst": {"requests": 9, "per": "second"}});
    let facts = json!(["limit", "remaining", "reset"]);
    let (mut envoy, _service) = running_with(configuration([("annotate", facts)]), &page(1, &plan));
    let mut ask = |worker| envoy.worker(worker).request(payments(PRODUCTION_KEY));
    let fact = |exchange: &Exchange, name: &str| {
        let value = exchange.filter_state.get(&format!("wasm.keygate.{name}"))?;
        Some(String::from_utf8(value.clone()).unwrap())
    };
    let (first, second, third) = (ask(1), ask(2), ask(1));
    for (exchange, verdict, remaining) in
        [(&first, "allowed", "1"), (&second, "allowed", "0"), (&third, "429 quota_exceeded", "0")]
    {
        assert_eq!(exchange.verdict(), verdict);
        let facts = ["limit", "remaining", "reset"].map(|name| fact(exchange, name).unwrap());
        assert_eq!(facts, ["2", remaining, "59"]);
    }
    let Outcome::Refused(reply) = &third.outcome else { panic!("{third:?}") };
    let header = |name: &str| reply.headers.text(name).unwrap();
    assert_eq!(
        ["retry-after", "ratelimit-limit", "ratelimit-remaining", "ratelimit-reset"].map(header),
        ["59", "2", "0", "59"]
    );
    let unlimited = envoy.worker(1).request(payments(OTHER_KEY));
    assert_eq!(["limit", "remaining", "reset"].map(|name| fact(&unlimited, name)), [None, None, None]);
}

#[test]
fn a_window_ends_with_its_second_minute_hour_and_month() {
    for (unit, length) in [("second", 1), ("minute", 60), ("hour", 3_600)] {
        let (mut envoy, _service) = running(&page(1, &per(2, unit)));
        envoy.run_for(Duration::from_millis(500));
        for window in 0..3 {
            let count = pass(&mut envoy, 1, 3, "quota_exceeded") + pass(&mut envoy, 2, 3, "quota_exceeded");
            assert_eq!(count, 2, "{unit} {window}");
            envoy.run_for(Duration::from_secs(length));
        }
    }
    let (mut envoy, _service) = running(&page(1, &per(2, "month")));
    assert_eq!(pass(&mut envoy, 1, 3, "quota_exceeded"), 2);
    // The clock begins on the first of June.
    envoy.adjust_clock(30 * 86_400 - 60);
    assert_eq!(pass(&mut envoy, 2, 3, "quota_exceeded"), 0);
    envoy.adjust_clock(60);
    assert_eq!(pass(&mut envoy, 2, 3, "quota_exceeded"), 2);
}

#[test]
fn a_count_outlives_refreshes_plans_configurations_and_vms() {
    let (mut envoy, service) = running(&page(1, &per(10, "day")));
    assert_eq!(pass(&mut envoy, 1, 4, "quota_exceeded"), 4);
    let mut revision = 1;
    let mut publish = |envoy: &mut Envoy, plan: &Value| {
        revision += 1;
        service.publish(&page(revision, plan));
        envoy.run_for(SETTLED);
    };
    publish(&mut envoy, &per(10, "day"));
    assert_eq!(pass(&mut envoy, 2, 1, "quota_exceeded"), 1, "a refresh");
    publish(&mut envoy, &per(6, "day"));
    assert_eq!(pass(&mut envoy, 2, 9, "quota_exceeded"), 1, "a lower limit");
    publish(&mut envoy, &per(8, "day"));
    assert_eq!(pass(&mut envoy, 1, 1, "quota_exceeded"), 1, "a higher one");
    envoy.reconfigure(0, configuration([("policy/refresh_interval_ms", json!(4000))]));
    envoy.run_for(Duration::from_secs(1));
    for worker in [1, 2] {
        envoy.worker(worker).kill();
        envoy.worker(worker).revive();
    }
    envoy.run_for(Duration::from_secs(1));
    assert_eq!(pass(&mut envoy, 1, 9, "quota_exceeded") + pass(&mut envoy, 2, 9, "quota_exceeded"), 1, "new VMs");
    publish(&mut envoy, &per(1, "minute"));
    assert_eq!(pass(&mut envoy, 1, 9, "quota_exceeded"), 1, "another unit is another count");
    publish(&mut envoy, &json!({}));
    assert_eq!(pass(&mut envoy, 1, 9, "quota_exceeded"), 9, "no limit any more");
    publish(&mut envoy, &per(10, "day"));
    assert_eq!(pass(&mut envoy, 2, 9, "quota_exceeded"), 2, "and back");
}

#[test]
fn a_vm_that_dies_takes_with_it_no_more_than_its_batch() {
    let (mut envoy, _service) = running(&page(1, &per(2_000, "hour")));
    assert_eq!(pass(&mut envoy, 1, 500, "quota_exceeded"), 500);
    envoy.worker(1).kill();
    let left = pass(&mut envoy, 2, 2_000, "quota_exceeded");
    assert!((1_490..=1_500).contains(&left), "{left}");
}

#[test]
fn requests_refused_for_another_reason_are_not_counted() {
    let blocked = |revision, state: &str| {
        let row = json!({"application": "app-1", "api": "payments-1.0", "plan": "gold", "state": state});
        page(revision, &per(2, "day")).row("subscriptions", row)
    };
    let (mut envoy, service) = running(&blocked(1, "PROD_ONLY_BLOCKED"));
    for worker in [1, 2, 1, 2] {
        let verdict = envoy.worker(worker).request(payments(PRODUCTION_KEY)).verdict();
        assert_eq!(verdict, "401 subscription_blocked");
    }
    service.publish(&blocked(2, "UNBLOCKED"));
    envoy.run_for(SETTLED);
    assert_eq!(pass(&mut envoy, 1, 9, "quota_exceeded"), 2);
}

#[test]
fn an_expired_policy_counts_only_what_it_lets_pass() {
    for (setting, verdict, left) in [("deny", "503 policy_unavailable", 3), ("allow", "allowed", 0)] {
        let expiring = configuration([
            ("policy/expire_after_ms", json!(60_000)),
            ("policy/stale_after_ms", json!(30_000)),
            ("on_policy_unavailable", json!(setting)),
        ]);
        let (mut envoy, service) = running_with(expiring, &page(1, &per(3, "day")));
        service.say(Answer::status(500, ""));
        envoy.run_for(Duration::from_secs(120));
        for worker in [1, 2, 1] {
            assert_eq!(envoy.worker(worker).request(payments(PRODUCTION_KEY)).verdict(), verdict, "{setting}");
        }
        service.publish(&page(2, &per(3, "day")));
        envoy.run_for(Duration::from_secs(60));
        assert_eq!(pass(&mut envoy, 2, 9, "quota_exceeded"), left, "{setting}");
    }
}

#[test]
fn damaged_counts_are_logged_and_windows_continue_from_the_last_known_count() {
    let (mut envoy, _service) = running(&page(1, &per(5, "day")));
    assert_eq!(pass(&mut envoy, 1, 3, "quota_exceeded"), 3);
    envoy.tamper(|data| {
        let counts = data.entries().filter(|(_, key, _)| key.windows(7).any(|part| part == b"/count/"));
        let keys: Vec<_> = counts.map(|(_, key, _)| key.to_vec()).collect();
        assert_eq!(keys.len(), 1);
        keys.iter().for_each(|key| data.set("", key, b"somebody else's bytes", 0).unwrap());
    });
    assert_eq!(pass(&mut envoy, 1, 9, "quota_exceeded"), 2, "worker 1 knows of three");
    assert_eq!(pass(&mut envoy, 2, 9, "quota_exceeded"), 0);
    envoy.run_for(Duration::from_secs(1));
    assert_eq!(envoy.metric("keygate.limits.restarted"), 1);
    let lines = envoy.log(LogLevel::Warn);
    assert_eq!(lines.iter().filter(|line| line.starts_with("limits: 1 slots")).count(), 1, "{lines:?}");
}

#[test]
fn no_fault_of_shared_data_lets_more_pass_than_the_limit() {
    for call in ["proxy_get_shared_data", "proxy_set_shared_data"] {
        for fault in [Fault::Return(Status::InternalFailure), Fault::Return(Status::CasMismatch), Fault::Die] {
            for skip in 0..12 {
                let (mut envoy, _service) = running(&page(1, &per(4, "day")));
                envoy.worker(1).faults(|faults| faults.once(Some(call), skip, fault));
                let mut count = 0;
                for _ in 0..6 {
                    for worker in [1, 2] {
                        let exchange = envoy.worker(worker).request(payments(PRODUCTION_KEY));
                        count += usize::from(exchange.verdict() == "allowed");
                    }
                }
                let least = if fault == Fault::Die { 3 } else { 4 };
                assert!((least..=4).contains(&count), "{count} of 4, {call} {fault:?} after {skip}");
                let alive = envoy.worker(1).life() == Life::Idle;
                assert!(alive || fault == Fault::Die, "{call} {fault:?} after {skip}");
                envoy.forgive();
            }
        }
    }
}

#[test]
fn if_counting_fails_no_request_with_a_limit_passes() {
    let (mut envoy, _service) = running(&page(1, &per(100, "day")));
    assert_eq!(pass(&mut envoy, 1, 1, "quota_exceeded"), 1);
    envoy.worker(1).faults(|faults| faults.always("proxy_set_shared_data", Fault::Return(Status::CasMismatch)));
    assert_eq!(pass(&mut envoy, 1, 5, "quota_exceeded"), 0);
    assert_eq!(envoy.worker(1).request(payments(OTHER_KEY)).verdict(), "allowed", "what has none passes");
    assert_eq!(pass(&mut envoy, 2, 5, "quota_exceeded"), 5);
    envoy.worker(1).faults(|faults| faults.clear());
    assert_eq!(pass(&mut envoy, 1, 5, "quota_exceeded"), 5);
    assert!(matches!(envoy.worker(1).tick(), Ran::Finished(_)));
    assert_eq!(envoy.metric("keygate.limits.not_counted"), 5);
}

#[test]
fn plugins_that_share_a_policy_share_its_counts_and_others_do_not() {
    let service = Service::new(&page(1, &per(4, "day")));
    let other = configuration([("policy/path", json!("/other"))]);
    let mut envoy =
        Envoy::new(configuration([])).plugin("", configuration([])).plugin("", other).feed(service.feed()).started();
    envoy.run_for(Duration::from_secs(1));
    let mut count = |plugin| {
        let mut thread = envoy.worker(1).plugin(plugin);
        (0..3).filter(|_| thread.request(payments(PRODUCTION_KEY)).verdict() == "allowed").count()
    };
    assert_eq!([0, 1, 2].map(&mut count), [3, 1, 3]);
}
