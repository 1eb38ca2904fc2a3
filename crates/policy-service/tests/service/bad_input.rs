//! Bad values in every field of every body of the OpenAPI document: the answer names the field, and nothing is changed. The
//! fields come from the document, so a new route has to be given a good body here, and a new field is tried at once.

use crate::support::{Service, TOKEN, digest, send};
use reqwest::Method;
use serde_json::{Map, Value, json};

/// A good body for each operation with one, and where it is sent to. A repeated field is not among them: each is changed.
fn good_bodies() -> Vec<(&'static str, &'static str, &'static str, Value)> {
    let hour = crate::support::act().now / 3600 * 3600;
    let plan = json!({"limits": [{"requests": 5, "per": "minute"}], "burst": {"requests": 5, "per": "second"}, "operations": [{"path": "/a"}]});
    vec![
        ("post", "/v1/apis", "/v1/apis", json!({"match": [{"path": "/new"}]})),
        ("put", "/v1/apis/{id}", "/v1/apis/api-1", json!({"match": [{"path": "/new"}]})),
        ("post", "/v1/applications", "/v1/applications", json!({"name": "n"})),
        ("put", "/v1/applications/{id}", "/v1/applications/app-1", json!({"name": "n"})),
        ("post", "/v1/applications/{id}/keys", "/v1/applications/app-1/keys", json!({})),
        ("post", "/v1/keys", "/v1/keys", json!({"application": "app-1", "sha256": digest(77)})),
        ("put", "/v1/keys/{id}", "/v1/keys/k-1", json!({"expires_at": 4_000_000_000_i64})),
        ("post", "/v1/keys/{id}/regenerate", "/v1/keys/k-1/regenerate", json!({})),
        ("post", "/v1/keys/lookup", "/v1/keys/lookup", json!({"sha256": digest(1)})),
        ("post", "/v1/explain", "/v1/explain", json!({"sha256": digest(1), "method": "GET", "url": "/one"})),
        ("post", "/v1/subscriptions", "/v1/subscriptions", json!({"application": "app-1", "api": "api-2"})),
        ("put", "/v1/subscriptions/{id}", "/v1/subscriptions/s-1", json!({"plan": "gold"})),
        ("post", "/v1/subscriptions/{id}/block", "/v1/subscriptions/s-1/block", json!({})),
        ("post", "/v1/subscriptions/{id}/unblock", "/v1/subscriptions/s-1/unblock", json!({})),
        ("post", "/v1/applications/{id}/block", "/v1/applications/app-1/block", json!({})),
        ("post", "/v1/applications/{id}/unblock", "/v1/applications/app-1/unblock", json!({})),
        ("post", "/v1/subscriptions/{id}/approve", "/v1/subscriptions/s-1/approve", json!({})),
        ("post", "/v1/subscriptions/{id}/reject", "/v1/subscriptions/s-1/reject", json!({})),
        ("post", "/v1/tokens", "/v1/tokens", json!({"role": "auditor", "subject": "eve"})),
        ("post", "/v1/gateways/credentials", "/v1/gateways/credentials", json!({"client_id": "edge-9"})),
        ("put", "/v1/gateways/credentials/{id}", "/v1/gateways/credentials/CREDENTIAL", json!({"apis": ["api-1"]})),
        ("post", "/v1/plans", "/v1/plans", plan.clone()),
        ("put", "/v1/plans/{id}", "/v1/plans/gold", plan),
        ("post", "/v1/deny-policies", "/v1/deny-policies", json!({"type": "USER", "value": "eve"})),
        ("put", "/v1/deny-policies/{id}", "/v1/deny-policies/d-1", json!({"type": "USER", "value": "eve"})),
        ("post", "/v1/restore", "/v1/restore", json!({"revision": 1, "dry_run": true})),
        (
            "post",
            "/v1/usage",
            "/v1/usage",
            json!({"format": 1, "batch": "b", "counts": [{"hour": hour, "application": "app-1",
            "api": "api-1", "outcome": "allowed", "requests": 1}], "keys": [{"id": "k-1", "last_used": hour}]}),
        ),
    ]
}

/// The fields of a body that a client may set, with their schemas.
fn fields(document: &Value, schema: &Value) -> Map<String, Value> {
    if let Some(name) = schema["$ref"].as_str() {
        return fields(document, &document["components"]["schemas"][name.rsplit('/').next().unwrap()]);
    }
    let mut found = Map::new();
    for word in ["oneOf", "anyOf", "allOf"] {
        for part in schema[word].as_array().into_iter().flatten() {
            found.extend(fields(document, part));
        }
    }
    let own = schema["properties"].as_object().into_iter().flatten();
    found.extend(
        own.filter(|(_, schema)| schema["readOnly"] != true).map(|(name, schema)| (name.clone(), schema.clone())),
    );
    found
}

fn has_type(schema: &Value, word: &str) -> bool {
    schema["type"] == word || schema["type"].as_array().is_some_and(|types| types.iter().any(|found| found == word))
}

/// Values that a field of this name and schema cannot have.
fn bad_values(name: &str, schema: &Value) -> Vec<Value> {
    // No field takes an object but `burst`, and none a list of numbers.
    let mut bad = vec![json!([7])];
    if has_type(schema, "string") {
        bad.extend([json!(7), json!("a\u{7}b"), json!("x".repeat(257)), json!("")]);
        if name == "key" {
            bad.retain(|value| value.as_str().is_none_or(str::is_empty));
            bad.push(json!("x".repeat(4_097)));
        }
        if name == "referer" {
            bad.retain(|value| value.as_str().is_none_or(|text| text.len() < 257));
        }
        if name == "version" {
            bad.retain(|value| value != "");
        }
    } else if has_type(schema, "integer") {
        bad.extend([json!("7"), json!(-1), json!(1.5), json!(1_700_000_000_000_000_i64)]);
    } else if has_type(schema, "boolean") {
        bad.extend([json!("true"), json!(1)]);
    } else if has_type(schema, "array") {
        bad.extend([json!("a"), json!({"a": 1}), json!(vec![json!("a"); 10_001])]);
    } else {
        bad.extend([json!("no such word"), json!(7)]);
    }
    bad
}

#[tokio::test]
async fn every_bad_field_of_every_body_is_named_and_changes_nothing() {
    let service = Service::start().await;
    service.seed().await;
    service.post("/v1/apis", json!({"id": "api-2", "match": [{"path": "/two"}]})).await.expect(201);
    service.post("/v1/plans", json!({"id": "gold"})).await.expect(201);
    service.post("/v1/deny-policies", json!({"id": "d-1", "type": "USER", "value": "mallory"})).await.expect(201);
    let credential = service.post("/v1/gateways/credentials", json!({"client_id": "edge-1"})).await.expect(201).json();
    let credential = credential["id"].as_str().unwrap().to_owned();
    let document = send(service.request(Method::GET, "/openapi.json")).await.expect(200).whole();
    let bodies = good_bodies();
    let revision = service.revision().await;
    let audit = service.get("/v1/audit").await.expect(200).text;
    let (mut tried, mut wrong) = (0, Vec::new());
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let Some(schema) = operation["requestBody"]["content"]["application/json"].get("schema") else { continue };
            let good = bodies.iter().find(|(of, at, ..)| of == method && at == path);
            let (.., place, good) = good.unwrap_or_else(|| panic!("{method} {path} has no good body here"));
            let place = &place.replace("CREDENTIAL", &credential);
            let mut cases: Vec<(String, Value)> = Vec::new();
            if path != "/v1/usage" {
                cases.push(("no_such_field".to_owned(), json!(1)));
            }
            for (name, schema) in fields(&document, schema) {
                cases.extend(bad_values(&name, &schema).into_iter().map(|value| (name.clone(), value)));
            }
            if path == "/v1/usage" {
                cases.extend(
                    [
                        ("counts", json!("a")),
                        ("counts", json!([7])),
                        ("keys", json!([{"id": "k-1", "last_used": -1}])),
                        ("keys", json!([{"id": 7, "last_used": 1}])),
                        ("batch", json!("a\u{7}")),
                        ("batch", json!("x".repeat(65))),
                        ("format", json!("1")),
                        ("counts", json!([{"hour": -3600, "outcome": "allowed", "requests": 1}])),
                        ("counts", json!(vec![json!({"hour": 0, "outcome": "allowed", "requests": 1}); 10_001])),
                    ]
                    .map(|(name, value)| (name.to_owned(), value)),
                );
            }
            for (name, value) in cases {
                let mut body = good.clone();
                if path == "/v1/keys/lookup" && name == "key" {
                    body = json!({});
                }
                if path == "/v1/explain" && ["key", "key_id"].contains(&&*name) {
                    body.as_object_mut().unwrap().remove("sha256");
                }
                body[&name] = value.clone();
                let request =
                    service.request(Method::from_bytes(method.to_uppercase().as_bytes()).unwrap(), place).json(&body);
                let request = if path == "/v1/usage" {
                    request.basic_auth("gw", Some("secret"))
                } else {
                    request.bearer_auth(TOKEN)
                };
                let answer = send(request).await;
                let said = format!(
                    "{method} {path}: {name} = {:.60}: {} {:.300}",
                    value.to_string(),
                    answer.status,
                    answer.text
                );
                let field = serde_json::from_str::<Value>(&answer.text).unwrap_or_default()["field"].clone();
                let field = field.as_str().unwrap_or_default();
                let is_named =
                    field == name || field.strip_prefix(name.as_str()).is_some_and(|rest| rest.starts_with(['[', '.']));
                let is_repeated = answer.text.contains(&"x".repeat(100));
                // A revision that is not kept is one thing, a value that is none another.
                let status = if name.ends_with("revision") && value.as_u64().is_some() { 410 } else { 422 };
                if answer.status != status || !is_named || is_repeated || service.revision().await != revision {
                    wrong.push(said);
                }
                tried += 1;
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {tried}:\n{}", wrong.len(), wrong.join("\n"));
    assert!(tried > 250, "{tried}");
    assert_eq!(service.get("/v1/audit").await.expect(200).text, audit, "no entry was made");
}
