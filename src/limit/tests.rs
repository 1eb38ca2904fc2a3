//! Tests of limits within one VM: windows, levels, remaining requests, and which count a request takes from.

#![allow(clippy::arithmetic_side_effects, reason = "a test that overflows has failed")]

mod shared;

use super::{
    limiter::Limiter,
    quota::{Bound, Plans, Subscriber},
    *,
};
use crate::{
    digest::Digest,
    policy::{rows::Plan, wire},
    shared::{Shared, key::SourceId, memory::Memory},
};

/// 2025-06-01T00:00:00Z. A window of every unit begins here.
const NOW: u64 = 1_748_736_000;

fn plan(json: &str) -> Plan {
    Plan::try_from(serde_json::from_str::<wire::PlanRow<'_>>(json).unwrap()).unwrap()
}

/// A plan with one limit.
fn per(requests: u64, unit: &str) -> Plan {
    plan(&format!(r#"{{"id": "p", "limits": [{{"requests": {requests}, "per": "{unit}"}}]}}"#))
}

fn source() -> SourceId {
    SourceId::new(Digest::of(b"source"))
}

/// A VM that counts requests.
struct Vm(Limiter);

impl Vm {
    fn new() -> Self {
        Self(Limiter::new(source()))
    }

    /// Sends one request of `app` to `api` with a new key.
    fn ask(&self, shared: &impl Shared, plans: &Plans<'_>, now: u64) -> Taking {
        self.ask_as(shared, plans, Subscriber { application: b"app", api: "api" }, now)
    }

    fn ask_as(&self, shared: &impl Shared, plans: &Plans<'_>, subscriber: Subscriber<'_>, now: u64) -> Taking {
        let bound = Bound::default();
        self.0.spend_tokens(shared, self.0.quotas(&bound, subscriber, plans), now, true)
    }

    /// Sends that many requests with one key and returns how many pass.
    fn pass(&self, shared: &impl Shared, plans: &Plans<'_>, now: u64, requests: u64) -> u64 {
        let bound = Bound::default();
        let quotas = self.0.quotas(&bound, Subscriber { application: b"app", api: "api" }, plans);
        (0..requests).map(|_| u64::from(self.0.spend_tokens(shared, quotas, now, true).refusal.is_none())).sum()
    }
}

fn of(plan: &Plan) -> Plans<'_> {
    Plans { subscription: Some(plan), ..Plans::default() }
}

/// The level and the seconds to wait of a refusal; then limit, remaining and reset.
fn seen(taking: Taking) -> (Option<(LimitOwner, u64)>, (u64, u64, u64)) {
    let Remaining { limit, remaining, reset } = taking.remaining.unwrap();
    (taking.refusal.map(|refusal| (refusal.level, refusal.retry_after)), (limit, remaining, reset))
}

#[test]
fn a_small_limit_is_exact_and_says_what_is_left() {
    let (memory, vm) = (Memory::default(), Vm::new());
    let plan = per(3, "minute");
    for remaining in [2, 1, 0] {
        assert_eq!(seen(vm.ask(&memory, &of(&plan), NOW + 10)), (None, (3, remaining, 50)));
    }
    let over = (Some((LimitOwner::Subscription, 50)), (3, 0, 50));
    assert_eq!(seen(vm.ask(&memory, &of(&plan), NOW + 10)), over);
    assert_eq!(seen(Vm::new().ask(&memory, &of(&plan), NOW + 10)), over, "another worker, another key");
    assert_eq!(vm.pass(&memory, &of(&plan), NOW + 59, 9), 0, "until the last second");
    assert_eq!(seen(vm.ask(&memory, &of(&plan), NOW + 60)), (None, (3, 2, 60)), "and then anew");
}

#[test]
fn every_unit_has_its_own_window() {
    for (unit, last) in [("second", 0), ("minute", 59), ("hour", 3_599), ("day", 86_399), ("month", 30 * 86_400 - 1)] {
        let (memory, vm, plan) = (Memory::default(), Vm::new(), per(1, unit));
        assert_eq!(vm.pass(&memory, &of(&plan), NOW, 2), 1, "{unit}");
        assert_eq!(vm.pass(&memory, &of(&plan), NOW + last, 2), 0, "{unit}: its last second");
        assert_eq!(vm.pass(&memory, &of(&plan), NOW + last + 1, 2), 1, "{unit}: the first of the next");
    }
}

#[test]
fn levels_are_looked_at_in_order_and_a_refused_request_is_counted_nowhere() {
    let rich =
        r#"{"id": "p", "burst": {"requests": 2, "per": "second"}, "limits": [{"requests": 3, "per": "minute"}]}"#;
    let (rich, app) = (plan(rich), per(4, "hour"));
    let plans = Plans { application: Some(&app), ..of(&rich) };
    let (memory, vm) = (Memory::default(), Vm::new());
    assert_eq!(vm.pass(&memory, &plans, NOW, 2), 2);
    // The burst is used up, so the other limits are not asked.
    assert_eq!(seen(vm.ask(&memory, &plans, NOW)), (Some((LimitOwner::Burst, 1)), (2, 0, 1)));
    // In the next second one more request passes and uses up the minute. The burst has one left.
    assert_eq!(seen(vm.ask(&memory, &plans, NOW + 1)), (None, (3, 0, 59)));
    assert_eq!(seen(vm.ask(&memory, &plans, NOW + 1)), (Some((LimitOwner::Subscription, 59)), (3, 0, 59)));
    // In the next minute one more request passes and uses up the application's limit.
    assert_eq!(seen(vm.ask(&memory, &plans, NOW + 60)), (None, (4, 0, 3_540)));
    assert_eq!(seen(vm.ask(&memory, &plans, NOW + 60)), (Some((LimitOwner::Application, 3_540)), (4, 0, 3_540)));
    assert_eq!(vm.pass(&memory, &plans, NOW + 60, 100), 0);
    // The refused requests took nothing: the minute has two left, the burst one.
    let subscriber = Subscriber { application: b"app", api: "api" };
    let (bound, alone) = (Bound::default(), of(&rich));
    let quotas = vm.0.quotas(&bound, subscriber, &alone);
    let left: Vec<_> = quotas.all.iter().filter_map(|quota| quota.remaining(NOW + 60)).map(|s| s.remaining).collect();
    assert_eq!(left, [1, 2]);
    assert_eq!(vm.pass(&memory, &alone, NOW + 61, 9), 2);
}

#[test]
fn if_two_limits_are_used_up_the_first_is_named_and_the_later_end_counts() {
    let both =
        plan(r#"{"id": "p", "burst": {"requests": 2, "per": "second"}, "limits": [{"requests": 2, "per": "minute"}]}"#);
    let (memory, vm) = (Memory::default(), Vm::new());
    assert_eq!(vm.pass(&memory, &of(&both), NOW, 2), 2);
    assert_eq!(seen(vm.ask(&memory, &of(&both), NOW)), (Some((LimitOwner::Burst, 60)), (2, 0, 60)));
    let other = Vm::new();
    assert_eq!(other.ask(&memory, &of(&both), NOW).refusal.unwrap().level, LimitOwner::Burst, "another worker");
    assert_eq!(seen(vm.ask(&memory, &of(&both), NOW + 1)), (Some((LimitOwner::Subscription, 59)), (2, 0, 59)));
}

#[test]
fn every_worker_names_the_first_limit_used_up_and_the_last_end() {
    let subscription =
        plan(r#"{"id": "s", "limits": [{"requests": 2, "per": "hour"}], "burst": {"requests": 9, "per": "day"}}"#);
    let application = per(3, "month");
    let both = Plans { subscription: Some(&subscription), application: Some(&application), ..Plans::default() };
    let alone = Plans { application: Some(&application), ..Plans::default() };
    let api = |api| Subscriber { application: b"app", api };
    let memory = Memory::default();
    let (one, two, three) = (Vm::new(), Vm::new(), Vm::new());
    for (vm, plans, subscriber) in [(&one, &both, api("1")), (&one, &both, api("1")), (&two, &alone, api("2"))] {
        assert_eq!(vm.ask_as(&memory, plans, subscriber, NOW).refusal, None);
    }
    // The second VM knows that the application's own limit is used up, the first knows it of the subscription's, and
    // the third of neither.
    assert!(two.ask_as(&memory, &alone, api("2"), NOW).refusal.is_some());
    let month = 30 * 24 * 3_600;
    for (number, vm) in [&two, &one, &three, &two, &one, &three].into_iter().enumerate() {
        let taking = vm.ask_as(&memory, &both, api("1"), NOW);
        let expected = Refusal { level: LimitOwner::Subscription, retry_after: month };
        assert_eq!(taking.refusal, Some(expected), "{number}");
        assert_eq!(taking.remaining, Some(Remaining { limit: 3, remaining: 0, reset: month }), "{number}");
    }
}

#[test]
fn the_limit_with_the_smallest_share_left_is_reported() {
    for (limits, expected) in [
        (r#"[{"requests": 10, "per": "minute"}, {"requests": 30, "per": "hour"}]"#, (10, 9, 60)),
        (r#"[{"requests": 30, "per": "minute"}, {"requests": 10, "per": "hour"}]"#, (10, 9, 3_600)),
        // Both have the same share left. The limit with the longer window is reported.
        (r#"[{"requests": 10, "per": "minute"}, {"requests": 10, "per": "day"}]"#, (10, 9, 86_400)),
        // Of two limits for one unit the stricter one counts.
        (
            r#"[{"requests": 40, "per": "day"}, {"requests": 20, "per": "day"}, {"requests": 50, "per": "day"}]"#,
            (20, 19, 86_400),
        ),
    ] {
        let plan = plan(&format!(r#"{{"id": "p", "limits": {limits}}}"#));
        let found = seen(Vm::new().ask(&Memory::default(), &of(&plan), NOW));
        assert_eq!(found, (None, expected), "{limits}");
    }
    // A limit of 2^40 is compared as exactly as a small one.
    let huge = format!(
        r#"{{"id": "p", "limits": [{{"requests": {}, "per": "second"}}, {{"requests": 2, "per": "day"}}]}}"#,
        1u64 << 40
    );
    assert_eq!(seen(Vm::new().ask(&Memory::default(), &of(&plan(&huge)), NOW)).1, (2, 1, 86_400));
}

#[test]
fn a_plan_that_does_not_stop_counts_on_but_its_burst_refuses() {
    let soft = r#"{"id": "p", "stop_on_quota_reach": false, "limits": [{"requests": 3, "per": "hour"}]}"#;
    let (memory, vm, soft) = (Memory::default(), Vm::new(), plan(soft));
    assert_eq!(vm.pass(&memory, &of(&soft), NOW, 10), 10);
    assert_eq!(seen(vm.ask(&memory, &of(&soft), NOW)), (None, (3, 0, 3_600)));
    // The VM counted beyond its limit. A plan that stops at 12 has one request left.
    let hard = per(12, "hour");
    assert_eq!(vm.pass(&memory, &of(&hard), NOW, 9), 1);
    let burst = r#"{"id": "p", "stop_on_quota_reach": false, "burst": {"requests": 2, "per": "second"}}"#;
    assert_eq!(vm.pass(&Memory::default(), &of(&plan(burst)), NOW, 9), 2);
}

#[test]
fn an_application_counts_over_all_its_apis_and_a_subscription_for_one() {
    let (memory, vm, five) = (Memory::default(), Vm::new(), per(5, "hour"));
    let requests = |plans: &Plans<'_>, application: &str, api| {
        let application = application.as_bytes();
        let one = || u64::from(vm.ask_as(&memory, plans, Subscriber { application, api }, NOW).refusal.is_none());
        (0..9).map(|_| one()).sum::<u64>()
    };
    assert_eq!([("a", "x"), ("a", "y"), ("b", "x")].map(|(app, api)| requests(&of(&five), app, api)), [5, 5, 5]);
    let over_all = Plans { application: Some(&five), ..Plans::default() };
    assert_eq!([("a", "x"), ("a", "y"), ("b", "x")].map(|(app, api)| requests(&over_all, app, api)), [5, 0, 5]);
}

#[test]
fn no_two_subscribers_share_a_count() {
    let (memory, vm) = (Memory::default(), Vm::new());
    let one = per(1, "hour");
    let plans = Plans { application: Some(&one), ..of(&one) };
    for (application, api) in [("a", "bc"), ("ab", "c"), ("abc", ""), ("a_b", "c"), ("", "abc")] {
        let subscriber = Subscriber { application: application.as_bytes(), api };
        assert_eq!(vm.ask_as(&memory, &plans, subscriber, NOW).refusal, None, "{application} {api}");
        assert!(vm.ask_as(&memory, &plans, subscriber, NOW).refusal.is_some(), "{application} {api}");
    }
}

#[test]
fn a_subscription_that_the_policy_marks_is_used_up_until_that_time() {
    let json = r#"{"id": "p", "burst": {"requests": 1, "per": "second"}, "limits": [{"requests": 9, "per": "minute"}, {"requests": 90, "per": "month"}]}"#;
    let (memory, vm, plan) = (Memory::default(), Vm::new(), plan(json));
    let plans = Plans { subscription_used_up_until: Some(NOW + 100), ..of(&plan) };
    assert_eq!(seen(vm.ask(&memory, &of(&plan), NOW)), (None, (1, 0, 1)));
    assert_eq!(seen(vm.ask(&memory, &plans, NOW)), (Some((LimitOwner::Burst, 100)), (90, 0, 100)));
    assert_eq!(seen(vm.ask(&memory, &plans, NOW + 99)), (Some((LimitOwner::Subscription, 1)), (90, 0, 1)));
    assert_eq!(vm.ask(&memory, &plans, NOW + 100).refusal, None);
}

#[test]
fn a_request_that_does_not_pass_anyway_is_not_counted() {
    let (memory, vm, two) = (Memory::default(), Vm::new(), per(2, "hour"));
    let (bound, plans) = (Bound::default(), of(&two));
    let quotas = vm.0.quotas(&bound, Subscriber { application: b"app", api: "api" }, &plans);
    for _ in 0..9 {
        assert_eq!(seen(vm.0.spend_tokens(&memory, quotas, NOW, false)), (None, (2, 2, 3_600)));
    }
    assert_eq!(vm.pass(&memory, &plans, NOW, 9), 2);
    assert!(vm.0.spend_tokens(&memory, quotas, NOW, false).refusal.is_some(), "what is over a limit is, whatever else");
}

#[test]
fn tokens_that_a_refused_request_took_are_there_for_others() {
    let (memory, burst, one) =
        (Memory::default(), r#"{"id": "p", "burst": {"requests": 5, "per": "second"}}"#, per(1, "day"));
    let burst = plan(burst);
    let over_all = Plans { application: Some(&burst), ..Plans::default() };
    let both = Plans { subscription: Some(&one), ..over_all };
    let x = Subscriber { application: b"app", api: "x" };
    assert_eq!(Vm::new().ask_as(&memory, &both, x, NOW).refusal, None);
    // Each of these workers finds the burst open and then finds x used up.
    for _ in 0..4 {
        assert_eq!(Vm::new().ask_as(&memory, &both, x, NOW).refusal.unwrap().level, LimitOwner::Subscription);
    }
    let vm = Vm::new();
    let y = || vm.ask_as(&memory, &over_all, Subscriber { application: b"app", api: "y" }, NOW).refusal.is_none();
    assert_eq!((0..9).filter(|_| y()).count(), 4);
}

#[test]
fn a_changed_limit_keeps_the_count() {
    let (memory, vm) = (Memory::default(), Vm::new());
    assert_eq!(vm.pass(&memory, &of(&per(10, "hour")), NOW, 99), 10);
    assert_eq!(vm.pass(&memory, &of(&per(15, "hour")), NOW, 99), 5, "raised");
    assert_eq!(vm.pass(&memory, &of(&per(12, "hour")), NOW, 99), 0, "lowered");
    assert_eq!(vm.pass(&memory, &of(&per(3, "day")), NOW, 99), 3, "another unit is another count");
    assert_eq!(vm.pass(&memory, &of(&per(16, "hour")), NOW, 99), 1, "and back");
    // A batch that was taken under a large limit is not used under a small one.
    assert_eq!(vm.pass(&memory, &of(&per(100_000, "day")), NOW, 5_000), 5_000);
    assert_eq!(vm.pass(&memory, &of(&per(5_003, "day")), NOW, 9_999), 0);
    assert_eq!(vm.pass(&memory, &of(&per(5_100, "day")), NOW, 9_999), 97);
}
