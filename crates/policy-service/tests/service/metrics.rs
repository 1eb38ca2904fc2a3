//! `/metrics`: the counts, the absence of names of clients, applications and APIs, and the document's table.

use std::collections::{BTreeMap, BTreeSet};

use crate::support::{TOKEN, program::Program};
use reqwest::Method;
use serde_json::json;
use testkit::deadline::eventually;

/// The samples of a page: `name{labels}` and the value.
fn samples(text: &str) -> BTreeMap<&str, f64> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| line.rsplit_once(' ').unwrap()).map(|(name, value)| (name, value.parse().unwrap())).collect()
}

async fn scrape(service: &Program) -> String {
    let answer = service.client.get(format!("{}/metrics", service.url)).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    assert!(answer.headers()["content-type"].to_str().unwrap().starts_with("text/plain; version=0.0.4"));
    answer.text().await.unwrap()
}

#[tokio::test]
async fn requests_changes_and_refusals_are_counted() {
    let service = Program::start();
    service.seed().await;
    let (status, issued) = service.post("/v1/applications/app-1/keys", json!({"id": "named-key"})).await;
    assert_eq!(status, 201, "{issued}");
    service.post("/v1/subscriptions/s-1/block", json!({})).await;
    service.post("/v1/subscriptions/s-1/block", json!({})).await;
    for (method, path) in
        [("GET", "/v1/apis/api-1"), ("GET", "/v1/apis/unknown-api"), ("GET", "/nowhere/app-1"), ("BREW", "/v1/apis")]
    {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        service.client.request(method, format!("{}{path}", service.url)).bearer_auth(TOKEN).send().await.unwrap();
    }
    service.client.get(format!("{}/v1/keys", service.url)).bearer_auth("guess").send().await.unwrap();
    let page = service.policy("/v1/policy").await;
    let polling = tokio::spawn({
        let poll = service.client.get(format!("{}{}", service.url, page["poll"].as_str().unwrap()));
        poll.basic_auth("gw", Some("secret")).header("prefer", "wait=20").send()
    });
    let held = async || {
        let text = scrape(&service).await;
        if samples(&text)["policy_service_polls_held"] == 1.0 { Ok(text) } else { Err(text) }
    };
    let (text, _) = eventually("a held poll", std::time::Duration::from_secs(10), held).await.unwrap();
    let found = samples(&text);
    for (name, value) in [
        ("policy_service_revision", 6.0),
        ("policy_service_refused_credentials_total", 1.0),
        (r#"policy_service_requests_total{method="POST",route="/v1/apis",status="2xx"}"#, 1.0),
        (r#"policy_service_requests_total{method="GET",route="/v1/apis/{id}",status="2xx"}"#, 1.0),
        (r#"policy_service_requests_total{method="GET",route="/v1/apis/{id}",status="4xx"}"#, 1.0),
        (r#"policy_service_requests_total{method="GET",route="none",status="4xx"}"#, 1.0),
        (r#"policy_service_requests_total{method="other",route="/v1/apis",status="4xx"}"#, 1.0),
        (r#"policy_service_requests_total{method="GET",route="/v1/keys",status="4xx"}"#, 1.0),
        (r#"policy_service_requests_total{method="GET",route="/v1/policy",status="2xx"}"#, 1.0),
        (r#"policy_service_requests_total{method="POST",route="/v1/subscriptions/{id}/block",status="2xx"}"#, 2.0),
        (r#"policy_service_changes_total{action="block",kind="subscription"}"#, 1.0),
        (r#"policy_service_changes_total{action="issue",kind="key"}"#, 1.0),
        (r#"policy_service_changes_total{action="create",kind="api"}"#, 1.0),
        (r#"policy_service_database_seconds_count{operation="write"}"#, 6.0),
    ] {
        assert_eq!(found.get(name), Some(&value), "{name} in {text}");
    }
    assert!(found[r#"policy_service_database_seconds_count{operation="begin"}"#] >= 7.0);
    assert!(found[r#"policy_service_database_seconds_count{operation="read"}"#] >= 3.0);
    assert!(found[r#"policy_service_connections{state="proven"}"#] >= 1.0);
    for secret in ["api-1", "app-1", "s-1", "named-key", "gw", "secret", "alice", "unknown-api", TOKEN, "BREW"] {
        assert!(!text.contains(secret), "{secret}: {text}");
    }
    polling.abort();
}

#[tokio::test]
async fn connections_are_counted_while_they_are_open() {
    let service = Program::start();
    let held: Vec<_> =
        (0..30).map(|_| std::net::TcpStream::connect(service.url.trim_start_matches("http://")).unwrap()).collect();
    let unproven = async |least: f64, most: f64| {
        let look = async || {
            let text = scrape(&service).await;
            let count = samples(&text)[r#"policy_service_connections{state="unproven"}"#];
            if (least..=most).contains(&count) { Ok(()) } else { Err(text) }
        };
        eventually("the connections", std::time::Duration::from_secs(10), look).await.unwrap();
    };
    unproven(31.0, 32.0).await;
    drop(held);
    unproven(1.0, 2.0).await;
}

#[tokio::test]
async fn it_is_said_whether_changes_can_be_written() {
    let service = Program::start();
    let writable = async |expected: f64| {
        let look = async || {
            let text = scrape(&service).await;
            if samples(&text)["policy_service_writable"] == expected { Ok(()) } else { Err(text) }
        };
        eventually("the gauge", std::time::Duration::from_secs(10), look).await.unwrap();
    };
    writable(1.0).await;
    let (file, away) = (service.directory().join("policy.db"), service.directory().join("away"));
    std::fs::rename(&file, &away).unwrap();
    writable(0.0).await;
    std::fs::rename(&away, &file).unwrap();
    writable(1.0).await;
    // Without TLS there is no certificate.
    assert_eq!(samples(&scrape(&service).await)["policy_service_certificate_ends_at"], 0.0);
}

/// The rows of the document's table: name without its prefix, labels, and description.
fn documented() -> BTreeSet<(String, String)> {
    let text = include_str!("../../../../docs/operations.md");
    let (_, rest) = text.split_once("<!-- service metrics -->").unwrap();
    let (table, _) = rest.split_once("<!-- /service metrics -->").unwrap();
    let rows =
        table.trim().lines().skip(2).map(|row| row.trim_matches('|').split(" | ").map(str::trim).collect::<Vec<_>>());
    rows.map(|row| (row[0].trim_matches('`').to_owned(), row[1].replace('`', ""))).collect()
}

#[tokio::test]
async fn the_document_has_the_metrics_of_the_service() {
    let service = Program::start();
    service.seed().await;
    service.client.get(format!("{}/v1/keys", service.url)).bearer_auth("guess").send().await.unwrap();
    let text = scrape(&service).await;
    let mut shown = BTreeSet::new();
    for line in text.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
        let (name, _) = line.split_once(' ').unwrap();
        let mut labels = BTreeSet::new();
        for sample in text
            .lines()
            .filter(|line| line.starts_with(&format!("{name}{{")) || line.starts_with(&format!("{name}_bucket{{")))
        {
            let inside = sample.split_once('{').unwrap().1.rsplit_once('}').unwrap().0;
            let named = inside.split("\",").map(|label| label.split('=').next().unwrap().to_owned());
            labels.extend(named.filter(|label| label != "le"));
        }
        shown.insert((name.to_owned(), labels.into_iter().collect::<Vec<_>>().join(", ")));
    }
    assert_eq!(shown, documented());
}
