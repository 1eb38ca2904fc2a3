//! Golden files of the public interfaces: the OpenAPI document, one page of each kind and a usage report, in
//! `tests/golden/`.
//!
//! A test fails here if an interface has changed. If the change was intended, write the files again and review the
//! difference: `GOLDEN=write cargo test -p policy-service --test golden`. The filter reads the same files
//! (`tests/golden.rs` of the workspace). Values that differ from run to run (epoch, mark, times) are replaced.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod support;

use std::{fs, path::Path, time::SystemTime};

use reqwest::Method;
use serde_json::{Value, json};
use support::{Options, Service, digest, follower::check, send};

/// Stands for an epoch, a mark, and the time until which a plan is used up.
const EPOCH: &str = "00000000000000000000000000000000";
const MARK: &str = "0000000000000000";
const USED_UP_UNTIL: &str = "4102444800";

/// Compares `text` with a file, or writes the file.
#[track_caller]
fn golden(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    if std::env::var_os("GOLDEN").is_some_and(|value| value == "write") {
        return fs::write(&path, text).expect("the file can be written");
    }
    let expected = fs::read_to_string(&path).unwrap_or_default();
    if let Some((number, (expected, found))) = differing(&expected, text) {
        panic!(
            "{name} is not what it was, in line {number}:\n  was: {expected}\n  is:  {found}\nIf that is meant: \
             GOLDEN=write cargo test -p policy-service --test golden, and look at the difference"
        );
    }
}

/// The first line that differs.
fn differing<'a>(one: &'a str, other: &'a str) -> Option<(usize, (&'a str, &'a str))> {
    let lines = |text: &'a str| text.lines().map(Some).chain(std::iter::repeat(None));
    let most = one.lines().count().max(other.lines().count());
    let pairs = lines(one).zip(lines(other)).take(most).enumerate();
    let mut differing = pairs.filter(|(_, (one, other))| one != other);
    let (number, (one, other)) = differing.next()?;
    Some((number.saturating_add(1), (one.unwrap_or("(nothing)"), other.unwrap_or("(nothing)"))))
}

/// A page as sent, with a line for each row, and without values that differ from run to run.
fn page(text: &str, epoch: &str) -> String {
    check(text);
    let mut text = text.replace(epoch, EPOCH);
    for (field, ends, instead) in [("mark=", "\"&", MARK), ("\"used_up_until\":", ",}", USED_UP_UNTIL)] {
        let mut rest = text.as_str();
        let mut replaced = String::new();
        while let Some((before, behind)) = rest.split_once(field) {
            let end = behind.find(|character| ends.contains(character)).expect("it ends");
            replaced.extend([before, field, instead]);
            rest = &behind[end..];
        }
        replaced.push_str(rest);
        text = replaced;
    }
    text.replace(":[{", ":[\n{").replace("},{", "},\n{").replace("}],", "}\n],") + "\n"
}

/// Two APIs, plans, applications, keys, subscriptions and deny policies. One of each has the fewest fields, the other
/// has all.
async fn fill(service: &Service) {
    let limits = json!([{"requests": 5, "per": "month"}, {"requests": 9, "per": "hour"}]);
    let operations = json!([{"methods": ["GET", "HEAD"], "path": "/orders/{id}"}, {"path": "/status"}]);
    let matches = json!([{"hosts": ["api.example.com", "*.example.org"], "path": "/orders"}, {"path": "/old/orders"}]);
    for (path, row) in [
        ("plans", json!({"id": "plan-least"})),
        (
            "plans",
            json!({"id": "plan-all", "limits": limits, "burst": {"requests": 2, "per": "second"},
                "stop_on_quota_reach": true, "operations": operations}),
        ),
        ("apis", json!({"id": "api-least"})),
        (
            "apis",
            json!({"id": "api-all", "name": "Orders", "version": "1.0", "state": "DEPRECATED", "match": matches,
                "security": "none", "subscription_required": false, "endpoints": ["PRODUCTION", "SANDBOX"]}),
        ),
        ("applications", json!({"id": "app-least"})),
        ("applications", json!({"id": "app-all", "name": "Shop \"Zoë\"", "owner": "alice", "plan": "plan-all"})),
        ("keys", json!({"id": "key-least", "application": "app-least", "sha256": digest(1)})),
        (
            "keys",
            json!({"id": "key-all", "application": "app-all", "sha256": digest(2), "type": "SANDBOX", "not_before": 1,
                "expires_at": 253_402_300_799_i64, "apis": ["api-all"], "permitted_ips": ["192.0.2.0/24", "2001:db8::1"],
                "permitted_referers": ["shop.example/*"]}),
        ),
        ("subscriptions", json!({"id": "sub-least", "application": "app-least", "api": "api-least"})),
        (
            "subscriptions",
            json!({"id": "sub-all", "application": "app-all", "api": "api-all", "state": "BLOCKED", "plan": "plan-all"}),
        ),
        ("deny-policies", json!({"id": "deny-least", "type": "USER", "value": "mallory"})),
        ("deny-policies", json!({"id": "deny-all", "type": "IP_RANGE", "value": "198.51.100.0/24", "invert": true})),
    ] {
        service.post(&format!("/v1/{path}"), row).await.expect(201);
    }
    // A subscription's plan counts for its pair, an application's plan for all APIs. Both are used up.
    let sent = usage_report();
    let answer = send(service.request(Method::POST, "/v1/usage").basic_auth("gw", Some("secret")).body(sent)).await;
    assert_eq!(answer.expect(200).json(), json!({"batch": "golden-batch", "repeated": false, "rejected": 0}));
}

/// The report in the file, with the current time.
fn usage_report() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/usage_report.json");
    let mut report: Value = serde_json::from_str(&fs::read_to_string(path).expect("it is there")).unwrap();
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    for count in report["counts"].as_array_mut().unwrap() {
        count["hour"] = json!(now.saturating_sub(now % 3_600));
    }
    for key in report["keys"].as_array_mut().unwrap() {
        key["last_used"] = json!(now);
    }
    report.to_string()
}

#[tokio::test]
async fn the_description_of_the_api_is_what_it_was() {
    let service = Service::start().await;
    let mut document = send(service.request(Method::GET, "/openapi.json")).await.expect(200).whole();
    // The version changes with each release and is not part of the interface.
    document["info"]["version"] = json!("0.0.0");
    golden("openapi.json", &(serde_json::to_string_pretty(&document).unwrap() + "\n"));
}

#[tokio::test]
async fn pages_are_what_they_were() {
    for (page_rows, names) in
        [(5_000, &["page_full.json"][..]), (4, &["page_first.json", "page_second.json", "page_last.json"])]
    {
        let service = Service::with(Options { page_rows, ..Options::default() }).await;
        fill(&service).await;
        let epoch = service.store.state().await.unwrap().epoch;
        let mut path = "/v1/policy".to_owned();
        for name in names {
            let answer = service.feed(&path).await.expect(200);
            golden(name, &page(&answer.text, &epoch));
            path = answer.json()["next"].as_str().unwrap_or_default().to_owned();
        }
        assert_eq!(path, "", "there are more pages");
    }
}

#[tokio::test]
async fn a_delta_is_what_it_was() {
    let service = Service::start().await;
    fill(&service).await;
    let epoch = service.store.state().await.unwrap().epoch;
    let poll = service.feed("/v1/policy").await.expect(200).json()["poll"].as_str().unwrap().to_owned();
    for gone in [
        "subscriptions/sub-least",
        "keys/key-least",
        "applications/app-least",
        "apis/api-least",
        "plans/plan-least",
        "deny-policies/deny-least",
    ] {
        let answer = service.delete(&format!("/v1/{gone}")).await;
        assert!(answer.status < 300, "{gone}: {}", answer.text);
    }
    service.post("/v1/keys/key-all/revoke", Value::Null).await.expect(200);
    service.put("/v1/plans/plan-all", json!({"limits": [{"requests": 10, "per": "day"}]})).await.expect(200);
    let answer = service.feed(&poll).await.expect(200);
    golden("page_delta.json", &page(&answer.text, &epoch));
}
