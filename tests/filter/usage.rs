//! Usage: how requests are counted, and that each report arrives exactly once even if VMs die and answers are lost.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use serde_json::{Value, json};

use crate::{
    host::{Answer, Callout, Envoy, Fault, Life, LogLevel, Request},
    policy::*,
};

/// The default interval, the grace of the main thread, and some ticks.
const REPORTED: Duration = Duration::from_secs(63);
/// After this time the counts of a worker are in shared data.
const TICKS: Duration = Duration::from_millis(250);

/// Application, API, plan and outcome.
type Sums = BTreeMap<[String; 4], u64>;

/// A policy service that accepts reports.
#[derive(Clone)]
struct Reports(Arc<Mutex<Taken>>);

#[derive(Default)]
struct Taken {
    sums: Sums,
    batches: BTreeSet<String>,
    keys: BTreeMap<String, u64>,
    posts: Vec<Callout>,
    /// An answer that replaces the service's own. If the flag is set, the report is accepted all the same.
    instead: Option<(Answer, bool)>,
}

impl Reports {
    fn new() -> Self {
        Self(Arc::default())
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.0.lock().unwrap()
    }

    fn feed(&self, page: &Page) -> impl FnMut(&Callout) -> Answer + Send + 'static {
        let (page, reports) = (Answer::json(&page.0), self.clone());
        move |callout| if callout.path() == "/v1/usage" { reports.take(callout) } else { page.clone() }
    }

    fn take(&self, callout: &Callout) -> Answer {
        let mut taken = self.taken();
        taken.posts.push(callout.clone());
        if let Some((answer, false)) = &taken.instead {
            return answer.clone();
        }
        let report: Value = serde_json::from_slice(&callout.body).unwrap();
        let batch = report["batch"].as_str().unwrap().to_owned();
        let repeated = !taken.batches.insert(batch.clone());
        if !repeated {
            for count in report["counts"].as_array().unwrap() {
                let key = ["application", "api", "plan", "outcome"]
                    .map(|name| count[name].as_str().unwrap_or("-").to_owned());
                *taken.sums.entry(key).or_default() += count["requests"].as_u64().unwrap();
            }
            for key in report["keys"].as_array().unwrap() {
                taken.keys.insert(key["id"].as_str().unwrap().to_owned(), key["last_used"].as_u64().unwrap());
            }
        }
        match &taken.instead {
            Some((answer, _)) => answer.clone(),
            None => Answer::json(json!({"batch": batch, "repeated": repeated})),
        }
    }

    fn answer_instead(&self, answer: Option<(Answer, bool)>) {
        self.taken().instead = answer;
    }

    fn total(&self) -> u64 {
        self.taken().sums.values().sum()
    }
}

fn reporting() -> Value {
    configuration([("usage", json!({}))])
}

#[track_caller]
fn started(configuration: Value, page: &Page) -> (Envoy, Reports) {
    let reports = Reports::new();
    let mut envoy = Envoy::new(configuration).feed(reports.feed(page)).started();
    envoy.run_for(Duration::from_secs(1));
    (envoy, reports)
}

fn sums<const N: usize>(rows: [([&str; 4], u64); N]) -> Sums {
    rows.map(|(row, requests)| (row.map(str::to_owned), requests)).into()
}

fn payments(key: &str) -> Request {
    Request::get("/payments/1.0").key(key)
}

#[test]
fn without_the_setting_nothing_is_counted_or_reported() {
    let (mut envoy, reports) = started(configuration([]), &Page::demo(1));
    envoy.worker(1).request(payments(PRODUCTION_KEY));
    envoy.run_for(3 * REPORTED);
    assert_eq!(reports.taken().posts.len(), 0);
    assert!(!envoy.shared_data("").keys().any(|key| String::from_utf8_lossy(key).contains("usage")));
}

#[test]
fn a_request_counts_if_its_subject_and_api_are_known() {
    let page = Page::demo(1)
        .row("plans", json!({"id": "gold", "operations": [{"methods": ["GET"], "path": "/**"}]}))
        .row("apis", json!({"id": "open", "match": [{"path": "/open"}], "security": "none"}))
        .row("apis", json!({"id": "closed", "match": [{"path": "/closed"}], "state": "BLOCKED"}))
        .row("subscriptions", json!({"application": "app-2", "api": "orders-1.0", "plan": "gold"}))
        .subscription("app-1", "orders-1.0", "BLOCKED");
    let emergency = "a key for the day on which all is wrong";
    let send = |envoy: &mut Envoy| {
        let mut send = |request: Request| envoy.worker(1).request(request).verdict();
        [
            send(payments(PRODUCTION_KEY)),
            send(payments(SANDBOX_KEY)),
            send(Request::get("/orders/1.0").key(PRODUCTION_KEY)),
            send(Request::get("/orders/1.0").key(OTHER_KEY)),
            send(Request::method("POST", "/orders/1.0").key(OTHER_KEY)),
            // Requests with an unknown key, without a key, or without an API.
            send(payments("a key that nobody has")),
            send(Request::get("/payments/1.0")),
            send(Request::get("/nowhere").key(PRODUCTION_KEY)),
            send(Request::get("/open").key(PRODUCTION_KEY)),
            send(Request::get("/closed").key(PRODUCTION_KEY)),
            send(payments(emergency)),
        ]
    };
    let emergencies = ("emergency", json!({"allow_keys": [sha256(emergency)]}));
    let enforced = sums([
        (["app-1", "payments-1.0", "-", "allowed"], 2),
        (["app-1", "orders-1.0", "-", "subscription_blocked"], 1),
        (["app-2", "orders-1.0", "gold", "allowed"], 1),
        (["app-2", "orders-1.0", "gold", "operation_not_permitted"], 1),
    ]);
    // In shadow mode a refused request passes, and it counts as allowed.
    let shadow = sums([
        (["app-1", "payments-1.0", "-", "allowed"], 2),
        (["app-1", "orders-1.0", "-", "allowed"], 1),
        (["app-2", "orders-1.0", "gold", "allowed"], 2),
    ]);
    for (mode, expected) in [("enforce", enforced), ("shadow", shadow)] {
        let configuration =
            configuration([("usage", json!({})), ("mode", json!(mode)), (emergencies.0, emergencies.1.clone())]);
        let (mut envoy, reports) = started(configuration, &page);
        let verdicts = send(&mut envoy);
        assert!(mode == "shadow" || verdicts.contains(&"401 subscription_blocked".to_owned()), "{verdicts:?}");
        envoy.run_for(REPORTED);
        assert_eq!(reports.taken().sums, expected, "{mode}");
        assert_eq!(reports.taken().keys.keys().collect::<Vec<_>>(), ["k-1", "k-2", "k-3"]);
    }
}

#[test]
fn two_workers_count_and_the_main_thread_reports_with_the_gateways_credentials() {
    let credentials = json!({"client_id": "edge-1", "client_secret": "a secret of the gateway"});
    let configuration = configuration([("usage", json!({"interval_ms": 10_000})), ("policy/credentials", credentials)]);
    let (mut envoy, reports) = started(configuration, &Page::demo(1));
    for round in 0..30 {
        let (worker, key) = (1 + round % 2, [PRODUCTION_KEY, OTHER_KEY][round % 2]);
        (0..10).for_each(|_| drop(envoy.worker(worker).request(payments(key))));
        envoy.run_for(Duration::from_secs(1));
    }
    envoy.run_for(Duration::from_secs(12));
    let expected = [(["app-1", "payments-1.0", "-", "allowed"], 150), (["app-2", "payments-1.0", "-", "allowed"], 150)];
    assert_eq!(reports.taken().sums, sums(expected));
    let taken = reports.taken();
    assert!((4..=5).contains(&taken.posts.len()), "{}", taken.posts.len());
    for post in &taken.posts {
        assert_eq!((post.thread, post.cluster.as_str()), (0, "policy-service"));
        assert_eq!(post.headers.text(":method").unwrap(), "POST");
        assert_eq!(post.headers.text("content-type").unwrap(), "application/json");
        assert!(post.headers.text("authorization").unwrap().starts_with("Basic "));
        assert_eq!(post.headers.text("keygate-expires-after").as_deref(), Some("3600"));
        assert_eq!(serde_json::from_slice::<Value>(&post.body).unwrap()["format"], 1);
    }
    assert_eq!(envoy.metric("keygate.usage.reported"), i64::try_from(taken.posts.len()).unwrap());
    assert_eq!(envoy.metric("keygate.usage.failed"), 0);
}

#[test]
fn a_holder_may_die_at_every_host_call() {
    // Short times, so that the test ends soon.
    let hasty = configuration([("usage", json!({"interval_ms": 2_000})), ("policy/timeout_ms", json!(1_000))]);
    for (answers_are_lost, revive) in [(false, false), (false, true), (true, false)] {
        let mut cuts = 0;
        for step in 0.. {
            let (mut envoy, reports) = started(hasty.clone(), &Page::demo(1));
            for worker in [1, 2] {
                (0..10).for_each(|_| drop(envoy.worker(worker).request(payments(PRODUCTION_KEY))));
            }
            envoy.run_for(Duration::from_millis(500));
            assert_eq!(reports.total(), 0, "it is not due yet");
            if answers_are_lost {
                reports.answer_instead(Some((Answer::Never, true)));
            }
            // Everything that the main thread does until the report is over. Jitter shortens the interval by up to a
            // tenth.
            envoy.main().faults(|faults| faults.once(None, step, Fault::Die));
            envoy.run_for(Duration::from_millis(1_200));
            let died = envoy.main().life() == Life::Dead;
            envoy.main().faults(|faults| faults.clear());
            reports.answer_instead(None);
            if died {
                cuts += 1;
                if revive {
                    envoy.main().revive();
                }
            }
            for worker in [1, 2] {
                envoy.worker(worker).request(payments(PRODUCTION_KEY));
            }
            // A claim of 4 s, a pause of 2 s after a failure, an interval, and the grace of VMs that serve requests.
            envoy.run_for(Duration::from_secs(12));
            assert_eq!(reports.total(), 22, "cut before call {step}, lost answers: {answers_are_lost}");
            if !died {
                break;
            }
        }
        assert!(cuts > 50, "{cuts}");
    }
}

#[test]
fn a_service_that_is_away_for_an_hour_gets_all_of_it_once() {
    let (mut envoy, reports) = started(reporting(), &Page::demo(1));
    reports.answer_instead(Some((Answer::ConnectionRefused, false)));
    let mut sent = 0;
    for minute in 0..70 {
        for worker in [1, 2] {
            for key in [PRODUCTION_KEY, SANDBOX_KEY, OTHER_KEY].iter().take(1 + minute % 3) {
                envoy.worker(worker).request(payments(key));
                sent += 1;
            }
        }
        envoy.run_for(Duration::from_secs(60));
    }
    let bytes: usize = envoy.shared_data("").values().map(Vec::len).sum();
    assert!(bytes < 8_000, "{bytes} bytes");
    assert_eq!(reports.total(), 0);
    reports.answer_instead(None);
    envoy.run_for(3 * REPORTED);
    assert_eq!(reports.total(), sent);
    let lines = envoy.log(LogLevel::Warn);
    for line in ["usage was not reported", "usage is reported again"] {
        assert_eq!(lines.iter().filter(|said| said.contains(line)).count(), 1, "{line}: {lines:?}");
    }
    assert!(envoy.metric("keygate.usage.failed") > 50);
}

#[test]
fn answers_that_are_lost_make_nothing_count_twice() {
    for answer in [Answer::Timeout, Answer::Reset, Answer::ConnectionRefused, Answer::json("{}")] {
        let (mut envoy, reports) = started(reporting(), &Page::demo(1));
        reports.answer_instead(Some((answer, true)));
        for _ in 0..3 {
            (0..5).for_each(|_| drop(envoy.worker(1).request(payments(PRODUCTION_KEY))));
            envoy.run_for(REPORTED);
        }
        reports.answer_instead(None);
        envoy.run_for(3 * REPORTED);
        assert_eq!(reports.total(), 15);
        let taken = reports.taken();
        assert!(taken.posts.len() > taken.batches.len());
    }
}

#[test]
fn a_service_that_takes_no_reports_harms_nothing() {
    let (mut envoy, reports) = started(reporting(), &Page::demo(1));
    reports.answer_instead(Some((Answer::status(404, "{}"), false)));
    let failed = envoy.metric("keygate.refresh.failed");
    for _ in 0..10 {
        assert_eq!(envoy.worker(1).request(payments(PRODUCTION_KEY)).verdict(), "allowed");
        envoy.run_for(REPORTED);
    }
    assert_eq!(envoy.metric("keygate.refresh.failed"), failed);
    let lines = envoy.log(LogLevel::Warn);
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].contains("check `usage.path`") && lines[0].contains("404"), "{}", lines[0]);
}

#[test]
fn a_vm_that_traps_loses_no_more_than_it_had_counted_since_its_last_tick() {
    let (mut envoy, reports) = started(reporting(), &Page::demo(1));
    (0..10).for_each(|_| drop(envoy.worker(1).request(payments(PRODUCTION_KEY))));
    envoy.run_for(TICKS);
    (0..3).for_each(|_| drop(envoy.worker(1).request(payments(PRODUCTION_KEY))));
    envoy.worker(1).kill();
    envoy.worker(1).revive();
    (0..5).for_each(|_| drop(envoy.worker(1).request(payments(PRODUCTION_KEY))));
    envoy.run_for(2 * REPORTED);
    assert_eq!(reports.total(), 15);
}

#[test]
fn a_new_configuration_keeps_the_counts() {
    let (mut envoy, reports) = started(reporting(), &Page::demo(1));
    (0..10).for_each(|_| drop(envoy.worker(1).request(payments(PRODUCTION_KEY))));
    envoy.run_for(TICKS);
    envoy.reconfigure(0, configuration([("usage", json!({"interval_ms": 5_000}))]));
    envoy.run_for(Duration::from_secs(8));
    assert_eq!(reports.total(), 10);
}

#[test]
fn plugins_that_share_a_policy_share_its_reports() {
    let reports = Reports::new();
    let mut envoy = Envoy::new(configuration([])).plugin("", reporting()).feed(reports.feed(&Page::demo(1))).started();
    envoy.run_for(Duration::from_secs(1));
    envoy.worker(1).plugin(1).request(payments(PRODUCTION_KEY));
    envoy.worker(2).plugin(1).request(payments(PRODUCTION_KEY));
    // A plugin without `usage` counts nothing, whether or not it refreshes the policy.
    envoy.worker(1).plugin(0).request(payments(PRODUCTION_KEY));
    envoy.run_for(REPORTED);
    assert_eq!(reports.total(), 2);
}
