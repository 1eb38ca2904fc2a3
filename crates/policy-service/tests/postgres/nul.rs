//! The character U+0000, which PostgreSQL's texts cannot hold, in each place of a request that takes a text.

use reqwest::Method;
use serde_json::{Value, json};

use super::service::{database, serve};
use crate::support::{TOKEN, digest, program::Program, send};

/// Bodies that pass the checks of their routes, so that the database is asked.
fn body(path: &str) -> Value {
    match path {
        "/v1/gateways/credentials/{id}" => json!({"apis": ["api-1"]}),
        "/v1/keys/lookup" => json!({"sha256": digest(1)}),
        "/v1/explain" => json!({"method": "GET", "url": "/one"}),
        "/v1/deny-policies/{id}" => json!({"type": "USER", "value": "u"}),
        "/v1/restore" => json!({"revision": 1, "dry_run": true}),
        _ => json!({}),
    }
}

async fn ask(service: &Program, method: &str, target: &str, body: Value) -> (u16, String) {
    let method = Method::from_bytes(method.to_uppercase().as_bytes()).unwrap();
    let request = service.client.request(method.clone(), format!("{}{target}", service.url));
    let request = match target.starts_with("/v1/policy") {
        true => request.basic_auth("gw", Some("secret")),
        false => request.bearer_auth(TOKEN),
    };
    let answer =
        send(if method == Method::GET || method == Method::DELETE { request } else { request.json(&body) }).await;
    (answer.status, answer.text)
}

#[tokio::test(flavor = "multi_thread")]
async fn no_route_fails_on_a_nul() {
    let service = serve(&database());
    service.seed().await;
    let document: Value = serde_json::from_str(&service.get("/openapi.json").await.1).unwrap();
    let page = service.policy("/v1/policy").await;
    let poll = page["poll"].as_str().unwrap();
    let mut targets =
        vec![("get", format!("{poll}%00"), Value::Null), ("get", format!("{poll}&epoch=%00"), Value::Null)];
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            for nul in ["%00", "a%00b"] {
                targets.extend(path.contains("{id}").then(|| (&**method, path.replace("{id}", nul), body(path))));
            }
            for parameter in operation["parameters"].as_array().into_iter().flatten().filter(|it| it["in"] == "query") {
                let name = parameter["name"].as_str().unwrap();
                // An encoded cursor of a NUL, too.
                for nul in ["%00", "a%00b", "AA", "WyJpZCIsIlx1MDAwMCIsIlx1MDAwMCJd", "WzEsIlx1MDAwMCJd"] {
                    let target = format!("{}?{name}={nul}", path.replace("{id}", "s-1"));
                    targets.push((&**method, target, body(path)));
                }
            }
        }
    }
    let mut wrong = Vec::new();
    for (method, target, body) in &targets {
        let (status, text) = ask(&service, method, target, body.clone()).await;
        if status >= 500 {
            wrong.push(format!("{method} {target}: {status} {text}"));
        }
    }
    for (path, sent) in [
        ("/v1/tokens", json!({"role": "auditor", "subject": "a\u{0}"})),
        ("/v1/gateways/credentials", json!({"client_id": "a\u{0}"})),
        ("/v1/gateways/credentials", json!({"client_id": "a", "apis": ["\u{0}"]})),
        ("/v1/keys/lookup", json!({"key": "\u{0}"})),
        ("/v1/explain", json!({"method": "GET", "url": "/one", "key": "\u{0}"})),
        ("/v1/explain", json!({"method": "GET", "url": "/one", "key_id": "\u{0}"})),
        ("/v1/apis", json!({"id": "\u{0}"})),
        ("/v1/apis", json!({"match": [{"path": "/a\u{0}"}]})),
        ("/v1/applications", json!({"owner": "\u{0}"})),
        ("/v1/applications", json!({"etag": "\u{0}"})),
        ("/v1/subscriptions", json!({"application": "app-1", "api": "api-1\u{0}"})),
        ("/v1/keys", json!({"application": "\u{0}", "sha256": digest(2)})),
        ("/v1/keys", json!({"application": "app-1", "sha256": digest(3), "replaced_by": "\u{0}"})),
        ("/v1/deny-policies", json!({"type": "USER", "value": "\u{0}"})),
        ("/v1/subscriptions/s-1/reject", json!({"reason": "\u{0}"})),
    ] {
        let (status, text) = ask(&service, "post", path, sent.clone()).await;
        if status >= 500 {
            wrong.push(format!("post {path} {sent}: {status} {text}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(targets.len() > 200, "{}", targets.len());
}
