//! Usage: a batch counts once, unauthorised rows are dropped, totals add up, and used-up plans are marked.

use std::{
    sync::LazyLock,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use crate::support::{Answer, Options, Service, TOKEN, digest, send};
use reqwest::Method;
use serde_json::{Value, json};

const HOUR: u64 = 3_600;
const DAY: u64 = 24 * HOUR;
/// Maximum number of seconds that a test with one service takes, even on a busy machine.
const LONGEST_TEST: u64 = 10;

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// Starts the service, but not in the last seconds of an hour, so that the service and the test count in the same hour.
async fn start() -> Service {
    let left = HOUR - now() % HOUR;
    if left <= LONGEST_TEST {
        tokio::time::sleep(Duration::from_secs(left)).await;
    }
    Service::start().await
}

/// The hour in which the tests began. Some tests may continue into the next one.
fn this_hour() -> u64 {
    static BEGUN: LazyLock<u64> = LazyLock::new(now);
    *BEGUN / HOUR * HOUR
}

fn count(application: &str, api: &str, outcome: &str, requests: u64) -> Value {
    json!({"hour": this_hour(), "application": application, "api": api, "plan": "gold", "outcome": outcome,
        "requests": requests})
}

fn batch(id: &str, counts: Vec<Value>) -> Value {
    json!({"format": 1, "batch": id, "counts": counts})
}

async fn report_as(service: &Service, client_id: &str, secret: &str, report: &Value) -> Answer {
    send(service.request(Method::POST, "/v1/usage").basic_auth(client_id, Some(secret)).json(report)).await
}

async fn report(service: &Service, report: &Value) -> Value {
    report_as(service, "gw", "secret", report).await.expect(200).json()
}

async fn items(service: &Service, query: &str) -> Vec<Value> {
    let answer = service.get(&format!("/v1/usage{query}")).await.expect(200).json();
    assert!(answer["next"].is_null(), "{answer}");
    answer["items"].as_array().unwrap().clone()
}

/// The number of requests with this outcome in all usage.
async fn total(service: &Service, outcome: &str) -> u64 {
    let items = items(service, "?limit=1000").await;
    items.iter().filter(|item| item["outcome"] == outcome).map(|item| item["requests"].as_u64().unwrap()).sum()
}

#[tokio::test]
async fn what_is_reported_is_billed_by_the_hour() {
    let service = start().await;
    service.seed().await;
    let before = this_hour() - HOUR;
    let mut earlier = count("app-1", "api-1", "allowed", 7);
    earlier["hour"] = json!(before);
    let mut planless = count("app-1", "api-1", "quota_exceeded", 2);
    planless["plan"] = Value::Null;
    let unknown = json!({"hour": before, "outcome": "allowed", "requests": 5});
    let counts = vec![
        count("app-1", "api-1", "allowed", 100),
        earlier.clone(),
        planless.clone(),
        // The same counts in another batch are added.
        count("app-1", "api-1", "allowed", 23),
        // Usage of deleted objects counts as well.
        count("app-9", "api-9", "allowed", 1),
        unknown.clone(),
    ];
    let receipt = report(&service, &batch("b-1", counts)).await;
    assert_eq!(receipt, json!({"batch": "b-1", "repeated": false, "rejected": 0}));
    let whole = count("app-1", "api-1", "allowed", 123);
    let unknown = json!({"hour": before, "application": null, "api": null, "plan": null, "outcome": "allowed",
        "requests": 5});
    let all =
        [unknown.clone(), earlier.clone(), planless.clone(), whole.clone(), count("app-9", "api-9", "allowed", 1)];
    assert_eq!(items(&service, "").await, all);
    let this = this_hour();
    for (query, expected) in [
        ("?application=app-1".to_owned(), &all[1..4]),
        ("?api=api-9".to_owned(), &all[4..]),
        ("?application=app-1&api=api-9".to_owned(), &[]),
        ("?application=app-2".to_owned(), &[]),
        (format!("?from={this}"), &all[2..]),
        (format!("?to={this}"), &all[..2]),
        (format!("?application=app-1&from={before}&to={this}"), &all[1..2]),
        (format!("?from={}&to={}", before + 1, before + 2), &[]),
    ] {
        assert_eq!(items(&service, &query).await, expected, "{query}");
    }
    assert_eq!(service.revision().await, 4, "usage is no part of the policy");
}

#[tokio::test]
async fn pages_of_usage_leave_nothing_out_and_say_nothing_twice() {
    let service = start().await;
    let counts: Vec<_> =
        (0..25).map(|number| count(&format!("app-{}", number % 5), &format!("api-{number}"), "allowed", 1)).collect();
    report(&service, &batch("b-1", counts)).await;
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = service.get(&format!("/v1/usage?limit=4{cursor}")).await.expect(200).json();
        let rows = page["items"].as_array().unwrap();
        assert!(rows.len() <= 4);
        seen.extend(rows.iter().map(|row| row["api"].as_str().unwrap().to_owned()));
        match page["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(seen.len(), 25);
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 25);
}

#[tokio::test]
async fn a_batch_counts_once() {
    let service = start().await;
    let first = batch("b-1", vec![count("app-1", "api-1", "allowed", 10)]);
    assert_eq!(report(&service, &first).await["repeated"], false);
    for _ in 0..3 {
        assert_eq!(report(&service, &first).await, json!({"batch": "b-1", "repeated": true, "rejected": 0}));
    }
    // The id identifies a batch, not its content. Each gateway has ids of its own.
    report(&service, &batch("b-1", vec![count("app-1", "api-1", "allowed", 99)])).await;
    assert_eq!(total(&service, "allowed").await, 10);
    let other = report_as(&service, "other", "other-secret", &first).await.expect(200).json();
    assert_eq!(other["repeated"], false);
    assert_eq!(report(&service, &batch("b-2", vec![count("app-1", "api-1", "allowed", 1)])).await["repeated"], false);
    assert_eq!(total(&service, "allowed").await, 21);
}

#[tokio::test]
async fn reports_that_come_at_once_are_all_counted() {
    let service = start().await;
    let sends = (0..20).map(|number| {
        // Send each batch twice.
        let request = service.request(Method::POST, "/v1/usage").basic_auth("gw", Some("secret"));
        let body = batch(&format!("b-{}", number / 2), vec![count("app-1", "api-1", "allowed", 1)]);
        tokio::spawn(send(request.json(&body)))
    });
    for sent in sends.collect::<Vec<_>>() {
        sent.await.unwrap().expect(200);
    }
    assert_eq!(total(&service, "allowed").await, 10);
}

#[tokio::test]
async fn only_gateways_report_and_only_the_administrator_reads() {
    let service = start().await;
    let body = batch("b-1", vec![count("app-1", "api-1", "allowed", 1)]);
    let post = || service.request(Method::POST, "/v1/usage").json(&body);
    for request in [post(), post().bearer_auth(TOKEN), post().basic_auth("gw", Some("wrong"))] {
        let answer = send(request).await.expect_problem(401, None);
        assert!(answer.header("www-authenticate").starts_with("Basic "));
    }
    // The service checks the credentials before the content.
    send(service.request(Method::POST, "/v1/usage").body("{")).await.expect_problem(401, None);
    send(post().bearer_auth("secret")).await.expect(200);
    let get = service.request(Method::GET, "/v1/usage").basic_auth("gw", Some("secret"));
    let answer = send(get).await.expect_problem(401, None);
    assert!(answer.header("www-authenticate").starts_with("Bearer "));
}

#[tokio::test]
async fn a_report_that_is_wrong_is_refused_whole_and_says_where() {
    let service = start().await;
    let with = |name: &str, value: Value| {
        let mut row = count("app-1", "api-1", "allowed", 1);
        row[name] = value;
        batch("b-1", vec![count("app-1", "api-1", "allowed", 1), row])
    };
    for (body, field) in [
        (json!({"format": 2, "batch": "b"}), "format"),
        (json!({"format": 1}), "batch"),
        (json!({"format": 1, "batch": ""}), "batch"),
        (json!({"format": 1, "batch": "b", "counts": [[this_hour(), "a", "b", null, "allowed", 1]]}), "counts[0]"),
        (json!({"format": 1, "batch": "b", "keys": [["k-1", now()]]}), "keys[0]"),
        (with("hour", json!(this_hour() + 1)), "counts[1].hour"),
        (with("hour", json!(this_hour() + 2 * DAY)), "counts[1].hour"),
        (with("hour", json!(-3600)), "counts[1].hour"),
        (with("application", json!("")), "counts[1].application"),
        (with("api", Value::Null), "counts[1].api"),
        (with("api", json!(5)), "counts[1].api"),
        (with("outcome", json!("ALLOWED")), "counts[1].outcome"),
        (with("requests", json!(0)), "counts[1].requests"),
        (with("requests", json!(1.5)), "counts[1].requests"),
        (json!({"format": 1, "batch": "b", "keys": [{"id": "k", "last_used": now() + 2 * DAY}]}), "keys[0].last_used"),
    ] {
        report_as(&service, "gw", "secret", &body).await.expect_problem(422, Some(field));
    }
    let request = service.request(Method::POST, "/v1/usage").basic_auth("gw", Some("secret"));
    send(request.body("{\"format\":1,")).await.expect_problem(400, None);
    let request = service.request(Method::POST, "/v1/usage").basic_auth("gw", Some("secret"));
    send(request.body(" ".repeat((1 << 20) + 1))).await.expect_problem(413, None);
    assert_eq!(items(&service, "").await, Vec::<Value>::new());
    // The rejected report has not used up the id.
    assert_eq!(report(&service, &batch("b-1", vec![])).await["repeated"], false);
}

#[tokio::test]
async fn a_limited_gateway_reports_on_its_apis_only() {
    let options = Options { gateway_apis: Some(r#"{"other": ["api-2"]}"#), ..Options::default() };
    let service = Service::with(options).await;
    service.seed().await;
    service.post("/v1/apis", json!({"id": "api-2"})).await.expect(201);
    service.post("/v1/applications", json!({"id": "app-2"})).await.expect(201);
    service.post("/v1/subscriptions", json!({"application": "app-2", "api": "api-2"})).await.expect(201);
    service.post("/v1/keys", json!({"id": "k-2", "application": "app-2", "sha256": digest(2)})).await.expect(201);
    let counts = vec![
        count("app-1", "api-1", "allowed", 1),
        count("app-2", "api-2", "allowed", 2),
        json!({"hour": this_hour(), "outcome": "allowed", "requests": 4}),
    ];
    let mut body = batch("b-1", counts);
    body["keys"] = json!(["k-1", "k-2", "k-none"].map(|id| json!({"id": id, "last_used": now()})));
    let receipt = report_as(&service, "other", "other-secret", &body).await.expect(200).json();
    assert_eq!(receipt, json!({"batch": "b-1", "repeated": false, "rejected": 4}));
    assert_eq!(items(&service, "").await, [count("app-2", "api-2", "allowed", 2)]);
    assert!(service.get("/v1/keys/k-1").await.json()["last_used"].is_null());
    assert!(service.get("/v1/keys/k-2").await.json()["last_used"].is_u64());
}

#[tokio::test]
async fn keys_know_when_they_were_used_last() {
    let service = start().await;
    service.seed().await;
    let used = async |id: &str, batch: &str, last_used: u64| {
        let keys = json!([{"id": id, "last_used": last_used}, {"id": id, "last_used": last_used - 5}]);
        report(&service, &json!({"format": 1, "batch": batch, "keys": keys})).await
    };
    assert!(service.get("/v1/keys/k-1").await.json().get("last_used").is_none());
    let time = now() - 100;
    assert_eq!(used("k-1", "b-1", time).await["rejected"], 0);
    assert_eq!(service.get("/v1/keys/k-1").await.json()["last_used"], time);
    used("k-1", "b-2", time - 50).await;
    assert_eq!(service.get("/v1/keys").await.json()["items"][0]["last_used"], time, "a later use stays");
    assert_eq!(used("k-2", "b-3", time).await["rejected"], 1, "there is no such key");
    // The last use is shown, but neither stored in the key's row nor fed to gateways.
    let shown = service.get("/v1/keys/k-1").await.json();
    service.put("/v1/keys/k-1", shown).await.expect(200);
    assert_eq!(service.revision().await, 4);
    assert!(!service.feed("/v1/policy").await.text.contains("last_used"));
    // A later key with the same id was never used.
    service.delete("/v1/keys/k-1").await.expect(204);
    service.post("/v1/keys", json!({"id": "k-1", "application": "app-1", "sha256": digest(3)})).await.expect(201);
    assert!(service.get("/v1/keys/k-1").await.json().get("last_used").is_none());
}

#[tokio::test]
async fn what_is_too_old_goes() {
    let service = start().await;
    let old = |days: u64| {
        let mut row = count(&format!("app-{days}"), "api-1", "allowed", 1);
        row["hour"] = json!(this_hour() - days * DAY);
        row
    };
    report(&service, &batch("b-1", vec![old(399), old(401), old(4_000)])).await;
    let left: Vec<_> = items(&service, "").await.iter().map(|item| item["application"].clone()).collect();
    assert_eq!(left, ["app-399"]);
}

/// Adds an API, an application and plans: `small` has 20 requests a month.
async fn seed_plans(service: &Service) {
    service.seed().await;
    for (id, requests, per) in [("small", 20, "month"), ("large", 1_000, "month"), ("daily", 20, "day")] {
        let limits = json!([{"requests": requests, "per": per}]);
        service.post("/v1/plans", json!({"id": id, "limits": limits})).await.expect(201);
    }
    service.post("/v1/apis", json!({"id": "api-2"})).await.expect(201);
    service.post("/v1/subscriptions", json!({"id": "s-2", "application": "app-1", "api": "api-2"})).await.expect(201);
    service.put("/v1/subscriptions/s-1", json!({"plan": "small"})).await.expect(200);
}

/// The mark of a subscription, which the API and the feed must both show.
async fn mark(service: &Service, id: &str) -> Option<u64> {
    let shown = service.get(&format!("/v1/subscriptions/{id}")).await.expect(200).json();
    let page = service.feed("/v1/policy").await.expect(200).json();
    let fed = page["subscriptions"].as_array().unwrap().iter().find(|row| row["api"] == shown["api"]).unwrap();
    assert_eq!(shown.get("used_up_until"), fed.get("used_up_until"));
    shown.get("used_up_until").map(|until| until.as_u64().unwrap())
}

/// The mark of `app-1`.
async fn application_mark(service: &Service) -> Option<u64> {
    service.get("/v1/applications/app-1").await.json().get("used_up_until").map(|until| until.as_u64().unwrap())
}

async fn uses(service: &Service, id: &str, api: &str, outcome: &str, requests: u64) {
    report(service, &batch(id, vec![count("app-1", api, outcome, requests)])).await;
}

/// Whether `until` is the end of a current or future day of UTC, at most this many days from now.
fn is_end_of_a_day(until: Option<u64>, days: u64) -> bool {
    until.is_some_and(|until| until % DAY == 0 && until > now() && until <= now() + days * DAY)
}

#[tokio::test]
async fn a_plan_that_is_used_up_is_marked_in_the_feed_as_one_change() {
    let service = start().await;
    seed_plans(&service).await;
    let before = service.revision().await;
    uses(&service, "b-1", "api-1", "allowed", 19).await;
    uses(&service, "b-2", "api-1", "quota_exceeded", 500).await;
    uses(&service, "b-3", "api-2", "allowed", 500).await;
    assert_eq!((mark(&service, "s-1").await, service.revision().await), (None, before));

    let wait = tokio::spawn(send(service.poll(&format!("/v1/policy?since={before}")).header("prefer", "wait=30")));
    uses(&service, "b-4", "api-1", "allowed", 1).await;
    let delta = wait.await.unwrap().expect(200).json();
    let until = mark(&service, "s-1").await;
    assert!(is_end_of_a_day(until, 31), "{until:?}");
    let row =
        json!({"application": "app-1", "api": "api-1", "state": "UNBLOCKED", "plan": "small", "used_up_until": until});
    assert_eq!((&delta["base"], &delta["revision"]), (&json!(before), &json!(before + 1)));
    assert_eq!(delta["subscriptions"], json!([row]));
    assert!(delta.get("removed").is_none() && delta["applications"].as_array().unwrap().is_empty(), "{delta}");

    // A used-up plan stays so without a further change, whatever reports arrive.
    for id in ["b-4", "b-5"] {
        uses(&service, id, "api-1", "allowed", 3).await;
    }
    assert_eq!((mark(&service, "s-1").await, service.revision().await), (until, before + 1));
    assert_eq!(mark(&service, "s-2").await, None);
    assert_eq!(application_mark(&service).await, None);
}

#[tokio::test]
async fn a_mark_goes_with_what_it_came_from() {
    let service = start().await;
    seed_plans(&service).await;
    uses(&service, "b-1", "api-1", "allowed", 20).await;
    let until = mark(&service, "s-1").await;
    assert!(until.is_some());

    // Changing to another plan and back.
    service.put("/v1/subscriptions/s-1", json!({"plan": "large"})).await.expect(200);
    assert_eq!(mark(&service, "s-1").await, None);
    service.put("/v1/subscriptions/s-1", json!({"plan": "small"})).await.expect(200);
    assert_eq!(mark(&service, "s-1").await, until, "what was used stays used");
    service.put("/v1/subscriptions/s-1", json!({})).await.expect(200);
    assert_eq!(mark(&service, "s-1").await, None, "no plan, no limit");
    service.put("/v1/subscriptions/s-1", json!({"plan": "small"})).await.expect(200);

    // Changing the plan itself takes one revision.
    let before = service.revision().await;
    let limit = |requests: u64, stop: bool| json!({"limits": [{"requests": requests, "per": "month"}], "stop_on_quota_reach": stop});
    service.put("/v1/plans/small", limit(20, true)).await.expect(200);
    assert_eq!((mark(&service, "s-1").await, service.revision().await), (until, before));
    service.put("/v1/plans/small", limit(21, true)).await.expect(200);
    assert_eq!((mark(&service, "s-1").await, service.revision().await), (None, before + 1));
    uses(&service, "b-2", "api-1", "allowed", 1).await;
    assert_eq!(mark(&service, "s-1").await, until);
    service.put("/v1/plans/small", limit(21, false)).await.expect(200);
    assert_eq!(mark(&service, "s-1").await, None, "it only counts");
    service.put("/v1/plans/small", limit(21, true)).await.expect(200);
    uses(&service, "b-3", "api-1", "allowed", 1).await;

    // Blocking, sending the row again, deleting and subscribing again.
    service.post("/v1/subscriptions/s-1/block", Value::Null).await.expect(200);
    assert_eq!(mark(&service, "s-1").await, until);
    service.post("/v1/subscriptions/s-1/unblock", Value::Null).await.expect(200);
    let shown = service.get("/v1/subscriptions/s-1").await.json();
    let before = service.revision().await;
    service.put("/v1/subscriptions/s-1", shown.clone()).await.expect(200);
    service.post("/v1/subscriptions", shown.clone()).await.expect(200);
    let mut forged = shown.clone();
    forged["used_up_until"] = json!(1);
    service.put("/v1/subscriptions/s-1", forged).await.expect(200);
    assert_eq!((mark(&service, "s-1").await, service.revision().await), (until, before));
    service.delete("/v1/subscriptions/s-1").await.expect(204);
    service.post("/v1/subscriptions", shown).await.expect(201);
    assert_eq!(mark(&service, "s-1").await, until);
}

#[tokio::test]
async fn an_applications_plan_counts_over_all_its_apis() {
    let service = start().await;
    seed_plans(&service).await;
    service.put("/v1/subscriptions/s-1", json!({})).await.expect(200);
    service.put("/v1/applications/app-1", json!({"owner": "alice", "plan": "daily"})).await.expect(200);
    let before = service.revision().await;
    uses(&service, "b-1", "api-1", "allowed", 10).await;
    uses(&service, "b-2", "api-2", "allowed", 9).await;
    // Usage of yesterday, and usage without an application.
    let mut yesterday = count("app-1", "api-1", "allowed", 500);
    yesterday["hour"] = json!(this_hour() - 25 * HOUR);
    let nobodys = json!({"hour": this_hour(), "outcome": "allowed", "requests": 500});
    report(&service, &batch("b-3", vec![yesterday, nobodys])).await;
    assert_eq!((application_mark(&service).await, service.revision().await), (None, before));
    uses(&service, "b-4", "api-2", "allowed", 1).await;
    assert!(is_end_of_a_day(application_mark(&service).await, 1));
    assert_eq!((mark(&service, "s-1").await, mark(&service, "s-2").await), (None, None));
    assert_eq!(service.revision().await, before + 1);
    service.put("/v1/applications/app-1", json!({"plan": "large"})).await.expect(200);
    assert_eq!(application_mark(&service).await, None);
}

#[tokio::test]
async fn what_a_limited_gateway_reports_uses_up_only_what_it_may_report_on() {
    let options = Options { gateway_apis: Some(r#"{"other": ["api-2"]}"#), ..Options::default() };
    let service = Service::with(options).await;
    seed_plans(&service).await;
    let body = batch("b-1", vec![count("app-1", "api-1", "allowed", 500)]);
    report_as(&service, "other", "other-secret", &body).await.expect(200);
    assert_eq!(mark(&service, "s-1").await, None);
}

#[tokio::test]
async fn a_limit_that_is_lowered_below_what_was_used_is_reached_at_once() {
    let service = start().await;
    seed_plans(&service).await;
    let limit = |requests: u64, per: &str, stop: bool| json!({"limits": [{"requests": requests, "per": per}], "stop_on_quota_reach": stop});
    service.put("/v1/subscriptions/s-2", json!({"plan": "large"})).await.expect(200);
    service.put("/v1/applications/app-1", json!({"plan": "large"})).await.expect(200);
    uses(&service, "b-1", "api-1", "allowed", 5).await;
    uses(&service, "b-2", "api-2", "allowed", 15).await;
    for (plan, marked) in [
        (limit(1_000, "month", true), [false, false]),
        // s-2 used 15, the application 20 over all its APIs.
        (limit(21, "month", true), [false, false]),
        (limit(20, "month", true), [false, true]),
        (limit(16, "day", true), [false, true]),
        (limit(15, "day", true), [true, true]),
        (limit(15, "day", false), [false, false]),
        (limit(1, "hour", true), [false, false]),
        (limit(1, "month", true), [true, true]),
        (limit(1_000, "month", true), [false, false]),
    ] {
        let before = service.revision().await;
        let same = service.get("/v1/plans/large").await.json()["limits"] == plan["limits"]
            && service.get("/v1/plans/large").await.json()["stop_on_quota_reach"] == plan["stop_on_quota_reach"];
        service.put("/v1/plans/large", plan.clone()).await.expect(200);
        assert_eq!(service.revision().await, before + i64::from(!same), "it is one change: {plan}");
        let marks = [mark(&service, "s-2").await.is_some(), application_mark(&service).await.is_some()];
        assert_eq!(marks, marked, "{plan}");
        assert_eq!(mark(&service, "s-1").await, None, "it has another plan");
    }
}

#[tokio::test]
async fn sums_stay_at_the_largest_number_and_other_reports_are_taken() {
    let service = start().await;
    service.seed().await;
    let full = i64::MAX - 5;
    report(&service, &batch("b-1", vec![count("app-1", "api-1", "allowed", 1)])).await;
    let mut connection = service.connection().await;
    for table in ["usage", "usage_total"] {
        sqlx::query(&format!("UPDATE {table} SET requests = ?")).bind(full).execute(&mut connection).await.unwrap();
    }
    for (id, requests, sum) in [("b-2", 5, i64::MAX), ("b-3", 1, i64::MAX), ("b-4", 1_000_000, i64::MAX)] {
        let counts = vec![count("app-1", "api-1", "allowed", requests), count("app-2", "api-1", "allowed", 1)];
        assert_eq!(report(&service, &batch(id, counts)).await["rejected"], 0);
        assert_eq!(items(&service, "?application=app-1").await[0]["requests"], sum);
        let totals = sqlx::query_scalar::<_, i64>("SELECT min(requests) FROM usage_total WHERE application = 'app-1'");
        assert_eq!(totals.fetch_one(&mut connection).await.unwrap(), sum);
    }
    assert_eq!(items(&service, "?application=app-2").await[0]["requests"], 3);
}

#[tokio::test]
async fn a_gateway_cannot_report_more_than_it_can_have_served() {
    use management::usage::room::{FIRST, MAX_RATE};
    let service = start().await;
    service.seed().await;
    let first = u64::try_from(FIRST * MAX_RATE).unwrap();
    let large = 1_u64 << 40;
    let counts = vec![count("app-1", "api-1", "allowed", 7), count("app-1", "api-1", "plan_missing", large)];
    assert_eq!(report(&service, &batch("b-1", counts)).await["rejected"], 1);
    assert_eq!((total(&service, "allowed").await, total(&service, "plan_missing").await), (7, first - 7));
    // A gateway's room grows with the seconds since its last report. Another gateway has its own room.
    let counts = vec![count("app-1", "api-1", "allowed", large)];
    report(&service, &batch("b-2", counts)).await;
    let grown = total(&service, "allowed").await;
    let second = u64::try_from(MAX_RATE).unwrap();
    assert!(grown < 60 * second, "{grown}");
    let own = batch("b-1", vec![count("app-2", "api-1", "allowed", 100 * second)]);
    let receipt = report_as(&service, "other", "other-secret", &own).await.expect(200).json();
    assert_eq!((receipt["rejected"].clone(), total(&service, "allowed").await), (json!(0), grown + 100 * second));
}

#[tokio::test]
async fn an_application_that_is_made_again_has_used_nothing() {
    for blocked in [false, true] {
        let service = start().await;
        service.seed().await;
        let plan = |id: &str, limit: u64| json!({"id": id, "limits": [{"requests": limit, "per": "month"}]});
        service.post("/v1/plans", plan("small", 20)).await.expect(201);
        service.put("/v1/applications/app-1", json!({"plan": "small"})).await.expect(200);
        service.put("/v1/subscriptions/s-1", json!({"plan": "small"})).await.expect(200);
        report(&service, &batch("b-1", vec![count("app-1", "api-1", "allowed", 20)])).await;
        for path in ["/v1/applications/app-1", "/v1/subscriptions/s-1"] {
            assert!(service.get(path).await.json()["used_up_until"].is_u64(), "{path}");
        }
        if blocked {
            service.post("/v1/applications/app-1/block", Value::Null).await.expect(200);
        }
        service.delete("/v1/applications/app-1").await.expect(if blocked { 200 } else { 204 });
        if blocked {
            service.post("/v1/applications/app-1/unblock", Value::Null).await.expect(200);
        }
        assert_eq!(total(&service, "allowed").await, 20, "it is still billed");
        service.post("/v1/applications", json!({"id": "app-1", "plan": "small"})).await.expect(201);
        let subscription = json!({"id": "s-1", "application": "app-1", "api": "api-1", "plan": "small"});
        service.post("/v1/subscriptions", subscription).await.expect(201);
        // A late report about the old application.
        report(&service, &batch("b-late", vec![count("app-1", "api-1", "allowed", 20)])).await;
        let unused = async || {
            for path in ["/v1/applications/app-1", "/v1/subscriptions/s-1"] {
                assert!(service.get(path).await.json()["used_up_until"].is_null(), "{path}");
            }
        };
        unused().await;
        // Move all of this an hour into the past.
        let mut connection = service.connection().await;
        sqlx::query("UPDATE usage_cut SET made_at = made_at - 3600").execute(&mut connection).await.unwrap();
        report(&service, &batch("b-2", vec![count("app-1", "api-1", "allowed", 19)])).await;
        unused().await;
        report(&service, &batch("b-3", vec![count("app-1", "api-1", "allowed", 1)])).await;
        for path in ["/v1/applications/app-1", "/v1/subscriptions/s-1"] {
            assert!(service.get(path).await.json()["used_up_until"].is_u64(), "{path}");
        }
        assert_eq!(total(&service, "allowed").await, 60);
    }
}

/// Only hours that began after the application was created again count for its plans. If it was not created again, all
/// hours count.
#[tokio::test]
async fn a_late_report_of_a_deleted_application_does_not_count_for_a_new_one_of_its_id() {
    const MAKE: &str = "make";
    const IMPORT: &str = "import";
    const DELETE: &str = "delete";
    const BLOCK: &str = "block";
    const UNBLOCK: &str = "unblock";
    for (steps, made_again, is_there) in [
        (&[][..], false, true),
        (&[DELETE][..], true, false),
        (&[DELETE, MAKE], true, true),
        (&[DELETE, IMPORT], true, true),
        (&[DELETE, MAKE, DELETE], true, false),
        (&[DELETE, MAKE, DELETE, MAKE], true, true),
        (&[BLOCK, DELETE], true, false),
        (&[BLOCK, DELETE, UNBLOCK, MAKE], true, true),
        (&[BLOCK, UNBLOCK], false, true),
    ] {
        let service = start().await;
        service.seed().await;
        let first = batch("before", vec![count("app-1", "api-1", "allowed", 100)]);
        assert_eq!(report(&service, &first).await["rejected"], 0);
        for step in steps {
            let application = json!({"id": "app-1", "owner": "alice"});
            match *step {
                MAKE => service.post("/v1/applications", application).await.expect(201),
                IMPORT => {
                    // As an import does, which inserts many rows at once.
                    let mut change = service.store.begin(crate::support::act()).await.unwrap();
                    let row = management::port::NewRow {
                        kind: management::port::Kind::Application,
                        id: "app-1".to_owned(),
                        identity: "app-1".to_owned(),
                        application: Some("app-1".to_owned()),
                        api: None,
                        plan: None,
                        kept_block: None,
                        kept_owner: None,
                        beside: None,
                        due: None,
                        state_before: None,
                        document: application.to_string(),
                    };
                    change.insert_all(&[row]).await.unwrap();
                    change.commit().await.unwrap();
                    continue;
                }
                DELETE => service.delete("/v1/applications/app-1").await,
                action => service.post(&format!("/v1/applications/app-1/{action}"), Value::Null).await,
            };
        }
        // An hour long ago, the hour of this test, and the next two.
        let this = now() / HOUR * HOUR;
        let hours = [(this - 5 * HOUR, 1_u64), (this, 10), (this + HOUR, 1_000), (this + 2 * HOUR, 10_000)];
        for (number, (hour, requests)) in hours.into_iter().enumerate() {
            let mut late = count("app-1", "api-1", "allowed", requests);
            late["hour"] = json!(hour);
            report(&service, &batch(&format!("late-{number}"), vec![late])).await;
        }
        let mut connection = service.connection().await;
        let used = |api: &'static str| {
            sqlx::query_scalar::<_, Option<i64>>(
                "SELECT sum(requests) FROM usage_total WHERE application = 'app-1' AND per = 2 AND api = ?",
            )
            .bind(api)
        };
        let expected = match (made_again, is_there) {
            (false, _) => Some(11_111),
            (true, true) => Some(11_000),
            (true, false) => None,
        };
        for api in ["", "api-1"] {
            assert_eq!(used(api).fetch_one(&mut connection).await.unwrap(), expected, "{steps:?}, {api:?}");
        }
        // Bills include all of them.
        assert_eq!(total(&service, "allowed").await, 11_111, "{steps:?}");
    }
}
