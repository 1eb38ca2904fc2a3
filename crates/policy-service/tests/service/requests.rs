//! Request ids: `x-request-id` in answers, log lines and problems. For every described operation also the revision of
//! its change and the log line about a rejected credential.

use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr},
    time::Duration,
};

use crate::support::{Service, TOKEN, digest, program::Program, send};
use reqwest::Method;
use serde_json::{Value, json};

#[tokio::test]
async fn a_request_keeps_its_name_if_it_can_stand_in_a_line() {
    let service = Service::start().await;
    let longest = "a".repeat(128);
    for (given, kept) in [
        ("abc", true),
        ("2f0c9a5e-77c5-4d43-9a7c-0d5a1f3b8c9e", true),
        ("A.b_c-9", true),
        (longest.as_str(), true),
        (&"a".repeat(129), false),
        ("", false),
        ("a b", false),
        ("a\"b", false),
        ("a=b", false),
        ("a/b", false),
        ("ä", false),
        ("{}", false),
    ] {
        for (path, status) in
            [("/v1/apis", 200), ("/healthz", 200), ("/nowhere", 404), ("/v1/policy", 401), ("/openapi.json", 200)]
        {
            let request = service.request(Method::GET, path).bearer_auth(TOKEN).header("x-request-id", given);
            let answer = send(request).await.expect(status);
            let id = answer.header("x-request-id").to_owned();
            assert_eq!(id == given, kept, "{path} {given:?}: {id}");
            assert!(kept || (id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit())), "{id}");
            if status >= 400 {
                let problem = answer.expect_problem(status, None).json();
                assert_eq!(problem["request_id"], id);
            }
        }
    }
    // Two ids in one request are ignored. Two ids that the service makes differ.
    let twice = || service.request(Method::GET, "/healthz").header("x-request-id", "a").header("x-request-id", "b");
    let (one, other) = (send(twice()).await, send(twice()).await);
    assert!(!["a", "b", other.header("x-request-id")].contains(&one.header("x-request-id")));
    // The other fields of the problem stay.
    let answer = send(service.request(Method::GET, "/v1/apis")).await.expect_problem(401, None);
    assert_eq!(answer.header("www-authenticate"), "Bearer realm=\"policy-service management\"");
    let length: usize = answer.header("content-length").parse().unwrap();
    assert_eq!(length, answer.text.len());
}

/// One request for each operation that changes something: its path in the description, and the request.
fn changes() -> Vec<(Method, &'static str, &'static str, Value)> {
    let post = |described, path, body| (Method::POST, described, path, body);
    let put = |described, path, body| (Method::PUT, described, path, body);
    let delete = |described, path| (Method::DELETE, described, path, Value::Null);
    vec![
        post("/v1/apis", "/v1/apis", json!({"id": "a"})),
        put("/v1/apis/{id}", "/v1/apis/a", json!({"name": "A"})),
        post("/v1/plans", "/v1/plans", json!({"id": "p"})),
        put("/v1/plans/{id}", "/v1/plans/p", json!({"limits": []})),
        post("/v1/applications", "/v1/applications", json!({"id": "app"})),
        put("/v1/applications/{id}", "/v1/applications/app", json!({"name": "App"})),
        post("/v1/applications/{id}/block", "/v1/applications/app/block", Value::Null),
        post("/v1/applications/{id}/unblock", "/v1/applications/app/unblock", Value::Null),
        post("/v1/keys", "/v1/keys", json!({"id": "k", "application": "app", "sha256": digest(1)})),
        put("/v1/keys/{id}", "/v1/keys/k", json!({"type": "SANDBOX"})),
        post("/v1/applications/{id}/keys", "/v1/applications/app/keys", json!({"id": "k2"})),
        post("/v1/keys/{id}/regenerate", "/v1/keys/k2/regenerate", json!({"id": "k3"})),
        post("/v1/keys/{id}/revoke", "/v1/keys/k/revoke", Value::Null),
        post(
            "/v1/subscriptions",
            "/v1/subscriptions",
            json!({"id": "s", "application": "app", "api": "a", "state": "ON_HOLD"}),
        ),
        put("/v1/subscriptions/{id}", "/v1/subscriptions/s", json!({"plan": "p"})),
        post("/v1/subscriptions/{id}/reject", "/v1/subscriptions/s/reject", Value::Null),
        post("/v1/subscriptions/{id}/approve", "/v1/subscriptions/s/approve", Value::Null),
        post("/v1/subscriptions/{id}/block", "/v1/subscriptions/s/block", Value::Null),
        post("/v1/subscriptions/{id}/unblock", "/v1/subscriptions/s/unblock", Value::Null),
        post("/v1/deny-policies", "/v1/deny-policies", json!({"id": "d", "type": "IP", "value": "203.0.113.9"})),
        put("/v1/deny-policies/{id}", "/v1/deny-policies/d", json!({"type": "IP", "value": "203.0.113.10"})),
        delete("/v1/deny-policies/{id}", "/v1/deny-policies/d"),
        delete("/v1/subscriptions/{id}", "/v1/subscriptions/s"),
        delete("/v1/keys/{id}", "/v1/keys/k"),
        delete("/v1/applications/{id}", "/v1/applications/app"),
        delete("/v1/apis/{id}", "/v1/apis/a"),
        delete("/v1/plans/{id}", "/v1/plans/p"),
        post("/v1/import", "/v1/import", json!({"kind": "plan", "id": "imported"})),
        post("/v1/restore", "/v1/restore", json!({"revision": 1})),
    ]
}

/// The operations of the description: method and path.
async fn operations(service: &Program) -> BTreeSet<(String, String)> {
    let description: Value = serde_json::from_str(&service.get("/openapi.json").await.1).unwrap();
    let paths = description["paths"].as_object().unwrap().iter();
    paths
        .flat_map(|(path, item)| {
            item.as_object().unwrap().keys().map(move |method| (method.to_uppercase(), path.clone()))
        })
        .collect()
}

#[tokio::test]
async fn every_operation_that_changes_something_says_its_revision_and_its_name_in_answer_and_log() {
    let service = Program::start();
    let mut described = operations(&service).await;
    // Remove operations that do not change the policy.
    let beside = ["/v1/usage", "/v1/keys/lookup", "/v1/explain", "/v1/tokens", "/v1/gateways"];
    described.retain(|(method, path)| method != "GET" && !beside.iter().any(|begin| path.starts_with(begin)));
    for (number, (method, path, asked, body)) in changes().into_iter().enumerate() {
        let before = service.policy("/v1/policy").await["revision"].as_i64().unwrap();
        assert!(described.remove(&(method.to_string(), path.to_owned())), "{method} {path} is not described");
        for repeated in [false, true] {
            let name = format!("request-{number}-{repeated}");
            let request = service.client.request(method.clone(), format!("{}{asked}", service.url)).bearer_auth(TOKEN);
            let request = request.header("x-request-id", &name);
            let response = if body.is_null() { request } else { request.json(&body) }.send().await.unwrap();
            let status = response.status().as_u16();
            let revision = response.headers().get("x-policy-revision").map(|value| value.to_str().unwrap().to_owned());
            assert_eq!(response.headers()["x-request-id"], name.as_str());
            // The repeated request changes nothing, fails, or makes another key.
            assert!((200..300).contains(&status) || repeated, "{method} {asked}: {status}");
            if status >= 300 {
                assert_eq!(response.json::<Value>().await.unwrap()["request_id"], name.as_str());
                continue;
            }
            assert_eq!(revision, Some((before + 1).to_string()), "{method} {asked} {status}");
            let lines = service.log().lines().filter(|line| line.contains(&name)).count();
            assert_eq!(lines, usize::from(!repeated), "{method} {asked}: {}", service.log());
        }
    }
    assert!(described.is_empty(), "{described:?} were not asked");
}

#[tokio::test]
async fn every_operation_with_a_credential_logs_one_that_it_refuses() {
    let service = Program::start();
    let mut asked = 0;
    for (number, (method, path)) in operations(&service).await.into_iter().enumerate() {
        if !path.starts_with("/v1/") {
            continue;
        }
        // From an address of its own, because only ten lines a minute are logged for each address.
        let address = IpAddr::V4(Ipv4Addr::new(127, 0, 7, u8::try_from(number + 1).unwrap()));
        let client =
            reqwest::Client::builder().no_proxy().local_address(address).timeout(Duration::from_secs(20)).build();
        let name = format!("refused-{number}");
        let url = format!("{}{}", service.url, path.replace("{id}", "some").replace("{revision}", "1"));
        let request = client.unwrap().request(method.parse().unwrap(), url).bearer_auth("a-wrong-credential");
        let response = request.header("x-request-id", &name).send().await.unwrap();
        assert_eq!(response.status(), 401, "{method} {path}");
        let line = service.logs(&name).await;
        for says in ["a credential was refused", &format!("address={address}"), &format!("method={method}")] {
            assert!(line.contains(says), "{says}: {line}");
        }
        asked += 1;
    }
    assert!(asked > 30, "{asked}");
    assert!(!service.log().contains("a-wrong-credential"));
}
