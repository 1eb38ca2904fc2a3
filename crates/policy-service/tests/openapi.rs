//! Compares the OpenAPI document with the service: each operation must answer as described.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "tests"
)]

mod support;

use std::collections::{BTreeSet, HashSet};

use reqwest::Method;
use serde_json::{Value, json};
use support::{Answer, Options, Service, TOKEN, digest, send};

/// The differences between `value` and `schema`.
fn wrong(document: &Value, schema: &Value, value: &Value) -> Vec<String> {
    let mut schema = schema.clone();
    schema["components"] = document["components"].clone();
    close(&mut schema);
    let validator = jsonschema::options().build(&schema).unwrap();
    validator.iter_errors(value).map(|error| format!("body{}: {error}", error.instance_path())).collect()
}

/// Forbids undescribed properties where a schema would allow them.
fn close(schema: &mut Value) {
    match schema {
        Value::Object(keywords) => {
            // A part of a schema has properties, but no type.
            if keywords.get("properties").is_some_and(Value::is_object) && keywords.contains_key("type") {
                keywords.entry("additionalProperties").or_insert(json!(false));
            }
            keywords.values_mut().for_each(close);
        }
        Value::Array(values) => values.iter_mut().for_each(close),
        _ => {}
    }
}

#[test]
fn what_differs_from_its_description_is_noticed() {
    let api = json!({"type": "object", "required": ["id"], "properties": {"id": {"type": "string"}, "hosts":
        {"type": ["array", "null"], "items": {"$ref": "#/components/schemas/Host"}}}});
    let host = json!({"type": "object", "properties": {"port": {"type": "integer", "minimum": 1}}});
    let document = json!({"components": {"schemas": {"Api": api, "Host": host}}});
    let schema = json!({"$ref": "#/components/schemas/Api"});
    let found = |value: Value| wrong(&document, &schema, &value).len();
    assert_eq!(found(json!({"id": "a", "hosts": [{"port": 1}, {}]})), 0);
    for value in [
        json!(["a"]),
        json!({}),
        json!({"id": 1}),
        json!({"id": "a", "more": 1}),
        json!({"id": "a", "hosts": {}}),
        json!({"id": "a", "hosts": [{"port": 0}]}),
        json!({"id": "a", "hosts": [{"name": "h"}]}),
    ] {
        assert_eq!(found(value.clone()), 1, "{value}");
    }
}

fn rules_or_one(rule: &Value) -> Vec<&str> {
    rule.as_array()
        .map_or_else(|| vec![rule.as_str().unwrap()], |rules| rules.iter().map(|rule| rule.as_str().unwrap()).collect())
}

/// The operations of a document: path, method and description.
fn operations(document: &Value) -> Vec<(&str, &str, &Value)> {
    let paths = document["paths"].as_object().unwrap().iter();
    paths
        .flat_map(|(path, item)| item.as_object().unwrap().iter().map(move |(method, it)| (&**path, &**method, it)))
        .collect()
}

async fn document(service: &Service) -> Value {
    send(service.request(Method::GET, "/openapi.json")).await.expect(200).json()
}

#[tokio::test]
async fn the_description_is_one_that_clients_can_be_made_from() {
    let document = document(&Service::start().await).await;
    let mut ids = HashSet::new();
    for (path, method, operation) in operations(&document) {
        let name = format!("{method} {path}");
        assert!(ids.insert(operation["operationId"].as_str().unwrap()), "{name}: its operationId is another's");
        let parameters: Vec<&Value> = operation["parameters"].as_array().into_iter().flatten().collect();
        let mut names = HashSet::new();
        for parameter in &parameters {
            assert!(names.insert((&parameter["name"], &parameter["in"])), "{name}: {parameter}");
            let is_number = ["limit", "from", "to", "since", "after", "last_used_before", "receipt"]
                .contains(&parameter["name"].as_str().unwrap());
            let types = rules_or_one(&parameter["schema"].get("type").cloned().unwrap_or(json!("string"))).join(" ");
            assert_eq!(types.contains("integer"), is_number || parameter["name"] == "revision", "{name}: {parameter}");
        }
        let in_path = parameters.iter().filter(|parameter| parameter["in"] == "path").count();
        assert_eq!(in_path, path.matches('{').count(), "{name}");
        let filters: Vec<&str> = parameters.iter().filter_map(|it| it["name"].as_str()).collect();
        let filters = (filters.contains(&"application"), filters.contains(&"api"));
        let expected = match (method, path) {
            ("get", "/v1/keys") => (true, false),
            ("get", "/v1/subscriptions" | "/v1/usage") => (true, true),
            _ => (false, false),
        };
        assert_eq!(filters, expected, "{name}");
        // A deleted row has no body, but its receipt or the kept block has.
        let is_beside = ["/v1/tokens", "/v1/gateways"].iter().any(|begin| path.starts_with(begin));
        let deletes = method == "delete" && !is_beside;
        assert_eq!(has_parameter(&parameters, "receipt"), changes_the_policy(method, path), "{name}");
        // These operations answer 201 and need no body.
        let issues = path.ends_with("{id}/keys") || path.ends_with("/regenerate");
        let shows_once = issues || method == "post" && ["/v1/tokens", "/v1/gateways/credentials"].contains(&path);
        assert_eq!(
            operation["responses"].get("200").is_some(),
            (method != "delete" && !shows_once) || deletes,
            "{name}"
        );
        if let Some(body) = operation.get("requestBody") {
            let optional =
                issues || ["/block", "/unblock", "/approve", "/reject"].iter().any(|end| path.ends_with(end));
            assert_eq!(body["required"].as_bool().unwrap_or(false), !optional, "{name}: {body}");
        }
        if path.starts_with("/v1/") {
            let mut statuses = vec!["401", "503"];
            statuses.extend((method != "get").then_some("507"));
            let is_conditional = has_parameter(&parameters, "if-match");
            // An import names the revision that it may begin at.
            assert_eq!(is_conditional, changes_a_row(method, path) || path == "/v1/import", "{name}");
            let is_once = has_parameter(&parameters, "idempotency-key");
            let others = ["/v1/usage", "/v1/keys/lookup", "/v1/explain"];
            assert_eq!(is_once, method == "post" && !others.contains(&path), "{name}");
            statuses.extend(is_once.then_some(["409", "422", "429"]).into_iter().flatten());
            statuses.extend(is_conditional.then_some("412"));
            statuses.extend(
                operation.get("requestBody").map(|_| ["400", "408", "413", "415", "422"]).into_iter().flatten(),
            );
            statuses.extend(path.contains('{').then_some(["400", "404"]).into_iter().flatten());
            for status in statuses {
                let content = &operation["responses"][status]["content"];
                assert!(content["application/problem+json"]["schema"].is_object(), "{name}: {status}");
                assert_eq!(content.as_object().unwrap().len(), 1, "{name}: {status}");
            }
        }
    }
}

fn has_parameter(parameters: &[&Value], name: &str) -> bool {
    parameters.iter().any(|parameter| parameter["name"] == name)
}

/// Whether an operation changes the policy.
fn changes_the_policy(method: &str, path: &str) -> bool {
    let others = ["/v1/tokens", "/v1/gateways", "/v1/usage", "/v1/keys/lookup", "/v1/explain"];
    method != "get" && !others.iter().any(|begin| path.starts_with(begin))
}

/// Whether an operation changes an existing row.
fn changes_a_row(method: &str, path: &str) -> bool {
    let actions = ["/block", "/unblock", "/revoke", "/regenerate", "/approve", "/reject"];
    // The list of gateways is what was heard, and no row.
    path != "/v1/gateways/{id}" && (method == "put" || method == "delete")
        || actions.iter().any(|action| path.ends_with(action))
}

/// The caller of a request.
#[derive(Clone, Copy)]
enum As {
    Nobody,
    Administrator,
    Gateway,
}

#[tokio::test]
async fn each_operation_answers_as_it_is_described() {
    use As::{Administrator, Gateway, Nobody};
    let service = Service::with(Options { page_rows: 3, ..Options::default() }).await;
    service.seed().await;
    let document = document(&service).await;
    let mut left: BTreeSet<(String, String)> =
        operations(&document).iter().map(|(path, method, _)| ((*path).to_owned(), (*method).to_owned())).collect();
    let limits = json!([{"requests": 1, "per": "month"}]);
    let hour = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs() / 3_600 * 3_600;
    let counts = json!([{"hour": hour, "application": "app-1", "api": "api-1", "outcome": "allowed", "requests": 5},
        {"hour": hour, "outcome": "allowed", "requests": 5}]);
    let used = json!([{"id": "k-1", "last_used": hour}]);
    for (who, method, path, at, body, status) in [
        (Nobody, "get", "/healthz", "", Value::Null, 200),
        (Nobody, "get", "/healthz/write", "", Value::Null, 200),
        (Nobody, "get", "/metrics", "", Value::Null, 200),
        (
            Administrator,
            "post",
            "/v1/plans",
            "",
            json!({"id": "x", "limits": limits, "burst": limits[0], "operations": [{"path": "/a", "methods": ["GET"]}]}),
            201,
        ),
        (Administrator, "post", "/v1/plans", "", json!({"id": "y"}), 201),
        (Administrator, "post", "/v1/plans", "", json!({"id": "y"}), 200),
        (Administrator, "post", "/v1/plans", "", json!({"id": "y", "limits": limits}), 409),
        (Administrator, "post", "/v1/plans", "", json!({"id": 5}), 422),
        (
            Administrator,
            "post",
            "/v1/apis",
            "",
            json!({"id": "x", "name": "X", "version": "1", "match": [{"path": "/x", "hosts": ["a.example"]}], "endpoints": ["SANDBOX"]}),
            201,
        ),
        (
            Administrator,
            "post",
            "/v1/applications",
            "",
            json!({"id": "x", "name": "X", "owner": "o", "plan": "x"}),
            201,
        ),
        (
            Administrator,
            "post",
            "/v1/keys",
            "",
            json!({"id": "x", "application": "x", "sha256": digest(9), "not_before": 1, "expires_at": 253_402_300_799_i64, "apis": ["x"], "permitted_ips": ["::1"], "permitted_referers": ["a.example/*"]}),
            201,
        ),
        (Administrator, "post", "/v1/applications/{id}/keys", "x", Value::Null, 201),
        (
            Administrator,
            "post",
            "/v1/applications/{id}/keys",
            "x",
            json!({"id": "issued", "type": "SANDBOX", "expires_in": 5_000, "apis": []}),
            201,
        ),
        (Administrator, "post", "/v1/applications/{id}/keys", "none", json!({}), 404),
        (Administrator, "post", "/v1/keys/{id}/regenerate", "issued", json!({"overlap_seconds": 60}), 201),
        (Administrator, "post", "/v1/keys/{id}/regenerate", "k-1", json!({"overlap_seconds": -1}), 422),
        (Administrator, "post", "/v1/keys/{id}/revoke", "issued", Value::Null, 200),
        (Administrator, "post", "/v1/keys/{id}/regenerate", "issued", Value::Null, 409),
        (Administrator, "put", "/v1/keys/{id}", "issued", json!({"state": "ACTIVE"}), 409),
        (Administrator, "post", "/v1/subscriptions", "", json!({"id": "x", "application": "x", "api": "x"}), 201),
        (Administrator, "put", "/v1/subscriptions/{id}", "s-1", json!({"plan": "x"}), 200),
        (Administrator, "put", "/v1/applications/{id}", "app-1", json!({"plan": "x"}), 200),
        (Gateway, "post", "/v1/usage", "", json!({"format": 1, "batch": "b", "counts": counts, "keys": used}), 200),
        (Gateway, "post", "/v1/usage", "", json!({"format": 2, "batch": "b"}), 422),
        (Administrator, "get", "/v1/usage", "?limit=1", Value::Null, 200),
        (Administrator, "get", "/v1/usage", "?limit=0", Value::Null, 400),
        (Administrator, "get", "/v1/applications", "", Value::Null, 200),
        (Administrator, "get", "/v1/applications", "?limit=1", Value::Null, 200),
        (Administrator, "get", "/v1/applications", "?application=app-1", Value::Null, 400),
        (Administrator, "get", "/v1/apis", "", Value::Null, 200),
        (Administrator, "get", "/v1/plans", "", Value::Null, 200),
        (Administrator, "get", "/v1/keys", "?application=app-1", Value::Null, 200),
        (Administrator, "get", "/v1/keys", "?state=REVOKED", Value::Null, 200),
        (Administrator, "get", "/v1/keys", "?state=BLOCKED", Value::Null, 400),
        (Administrator, "get", "/v1/applications", "?owner=o", Value::Null, 200),
        (Administrator, "post", "/v1/keys/lookup", "", json!({"sha256": digest(1)}), 200),
        (Administrator, "post", "/v1/keys/lookup", "", json!({"key": "kg_unknown"}), 404),
        (Administrator, "post", "/v1/keys/lookup", "", json!({}), 422),
        (
            Administrator,
            "post",
            "/v1/explain",
            "",
            json!({"key_id": "k-1", "method": "GET", "url": "https://a.example/one?x=1", "address": "192.0.2.1",
                "referer": "r", "headers": {"a": "b", "c": ["d", "e"]}, "configuration": {"mode": "shadow"}, "now": 5}),
            200,
        ),
        (Administrator, "post", "/v1/explain", "", json!({"method": "GET", "url": "/one"}), 200),
        (Administrator, "post", "/v1/explain", "", json!({"key_id": "none", "method": "GET", "url": "/one"}), 404),
        (Administrator, "post", "/v1/explain", "", json!({"method": "GET", "url": "/", "at_revision": 900}), 410),
        (Administrator, "post", "/v1/explain", "", json!({"method": "GET"}), 422),
        (Administrator, "get", "/v1/applications/{id}", "app-1", Value::Null, 200),
        (Administrator, "get", "/v1/apis/{id}", "x", Value::Null, 200),
        (Administrator, "get", "/v1/plans/{id}", "x", Value::Null, 200),
        (Administrator, "get", "/v1/keys/{id}", "k-1", Value::Null, 200),
        (Administrator, "get", "/v1/keys/{id}", "%ff", Value::Null, 400),
        (Administrator, "get", "/v1/subscriptions/{id}", "s-1", Value::Null, 200),
        (Administrator, "put", "/v1/apis/{id}", "x", json!({}), 200),
        (Administrator, "put", "/v1/plans/{id}", "y", json!({}), 200),
        (Administrator, "put", "/v1/keys/{id}", "x", json!({}), 200),
        (Administrator, "post", "/v1/subscriptions/{id}/block", "x?state=PROD_ONLY_BLOCKED", Value::Null, 200),
        (Administrator, "post", "/v1/subscriptions/{id}/block", "x?state=OPEN", Value::Null, 400),
        (Administrator, "post", "/v1/subscriptions/{id}/block", "x?dry_run=true", Value::Null, 200),
        (Administrator, "post", "/v1/applications/{id}/block", "x?dry_run=true", Value::Null, 200),
        (Administrator, "delete", "/v1/subscriptions/{id}", "x", Value::Null, 200),
        (Administrator, "get", "/v1/subscriptions", "?api=x", Value::Null, 200),
        (Administrator, "post", "/v1/subscriptions", "", json!({"application": "x", "api": "x"}), 409),
        (Administrator, "get", "/v1/audit", "", Value::Null, 200),
        (Administrator, "get", "/v1/audit", "?limit=2&sort=-seq", Value::Null, 200),
        (Administrator, "get", "/v1/audit", "?kind=x", Value::Null, 400),
        (Administrator, "get", "/v1/revisions", "", Value::Null, 200),
        (Administrator, "get", "/v1/revisions", "?limit=1&sort=-revision", Value::Null, 200),
        (Administrator, "get", "/v1/diff", "?from=1&limit=1", Value::Null, 200),
        (Administrator, "get", "/v1/diff", "?from=0", Value::Null, 200),
        (Administrator, "get", "/v1/diff", "?from=99", Value::Null, 410),
        (Administrator, "get", "/v1/diff", "", Value::Null, 400),
        (Administrator, "post", "/v1/import", "", json!({"kind": "plan", "id": "imported"}), 200),
        (Administrator, "post", "/v1/import", "?label=", json!({"kind": "plan"}), 400),
        (Administrator, "post", "/v1/restore", "", json!({"revision": 1, "dry_run": true}), 200),
        (Administrator, "post", "/v1/restore", "", json!({"revision": 99}), 410),
        (Administrator, "post", "/v1/restore", "", json!({"revision": true}), 422),
        (Gateway, "get", "/v1/policy", "", Value::Null, 200),
        (Gateway, "get", "/v1/policy", "?since=1", Value::Null, 200),
        (Gateway, "get", "/v1/policy", "?since=x", Value::Null, 400),
        (Gateway, "get", "/v1/policy", "?since=99", Value::Null, 410),
        (Administrator, "get", "/v1/policy", "", Value::Null, 401),
        (Administrator, "post", "/v1/subscriptions/{id}/unblock", "x", Value::Null, 200),
        (Administrator, "post", "/v1/applications/{id}/block", "x", Value::Null, 200),
        (Administrator, "post", "/v1/applications/{id}/block", "x", json!({"until": 5}), 422),
        (Administrator, "put", "/v1/applications/{id}", "x", json!({"state": "ACTIVE"}), 409),
        (Administrator, "post", "/v1/applications/{id}/unblock", "x", Value::Null, 200),
        (Administrator, "delete", "/v1/subscriptions/{id}", "s-1", Value::Null, 204),
        (Administrator, "delete", "/v1/subscriptions/{id}", "s-1", Value::Null, 404),
        (Administrator, "delete", "/v1/plans/{id}", "x", Value::Null, 409),
        (Administrator, "delete", "/v1/plans/{id}", "y", Value::Null, 204),
        (Administrator, "delete", "/v1/keys/{id}", "x", Value::Null, 204),
        (Administrator, "delete", "/v1/applications/{id}", "x", Value::Null, 204),
        (Administrator, "delete", "/v1/apis/{id}", "x", Value::Null, 204),
        (Administrator, "post", "/v1/deny-policies", "", json!({"id": "x", "type": "IP", "value": "::1"}), 201),
        (Administrator, "get", "/v1/deny-policies", "", Value::Null, 200),
        (Administrator, "get", "/v1/deny-policies/{id}", "x", Value::Null, 200),
        (Administrator, "put", "/v1/deny-policies/{id}", "x", json!({"type": "USER", "value": "u"}), 200),
        (Administrator, "delete", "/v1/deny-policies/{id}", "x", Value::Null, 204),
        (
            Administrator,
            "post",
            "/v1/apis",
            "",
            json!({"id": "m", "owner": "pub", "approval": "manual", "plans": []}),
            201,
        ),
        (Administrator, "post", "/v1/applications", "", json!({"id": "m"}), 201),
        (Administrator, "post", "/v1/subscriptions", "", json!({"id": "m", "application": "m", "api": "m"}), 201),
        (Administrator, "post", "/v1/subscriptions/{id}/reject", "m", json!({"reason": "no"}), 200),
        (Administrator, "post", "/v1/subscriptions/{id}/approve", "m", Value::Null, 200),
        (Administrator, "post", "/v1/subscriptions/{id}/approve", "none", Value::Null, 404),
        (Administrator, "post", "/v1/subscriptions/{id}/reject", "m", Value::Null, 409),
        (Administrator, "get", "/v1/apis", "?owner=pub", Value::Null, 200),
        (Administrator, "get", "/v1/me", "", Value::Null, 200),
        (Administrator, "post", "/v1/tokens", "", json!({"role": "auditor", "subject": "a", "expires_in": 5}), 201),
        (Administrator, "post", "/v1/tokens", "", json!({"role": "auditor"}), 422),
        (Administrator, "get", "/v1/tokens", "?limit=1", Value::Null, 200),
        (Administrator, "get", "/v1/tokens", "?limit=0", Value::Null, 400),
        (Administrator, "delete", "/v1/tokens/{id}", "none", Value::Null, 404),
        (
            Administrator,
            "post",
            "/v1/gateways/credentials",
            "",
            json!({"client_id": "g", "apis": [], "expires_in": 5}),
            201,
        ),
        (Administrator, "post", "/v1/gateways/credentials", "", json!({"client_id": "g:h"}), 422),
        (Administrator, "get", "/v1/gateways/credentials", "?limit=1", Value::Null, 200),
        (Administrator, "put", "/v1/gateways/credentials/{id}", "none", json!({"apis": null}), 404),
        (Administrator, "delete", "/v1/gateways/credentials/{id}", "none", Value::Null, 404),
        (Administrator, "get", "/v1/gateways", "?state=live&sort=-revision", Value::Null, 200),
        (Administrator, "get", "/v1/gateways", "?state=dead", Value::Null, 400),
        (Administrator, "delete", "/v1/gateways/{id}", "none", Value::Null, 404),
        (Administrator, "get", "/v1/receipts/{revision}", "1", Value::Null, 200),
        (Administrator, "get", "/v1/receipts/{revision}", "x", Value::Null, 400),
        (Administrator, "get", "/v1/receipts/{revision}", "999", Value::Null, 404),
        (Administrator, "post", "/v1/plans", "?receipt=1", json!({"id": "r"}), 201),
        (Administrator, "post", "/v1/plans", "?receipt=0", json!({"id": "r"}), 400),
        (Administrator, "put", "/v1/plans/{id}", "r?receipt=1", json!({"limits": limits}), 200),
        (Administrator, "delete", "/v1/plans/{id}", "r?receipt=1", Value::Null, 200),
        (
            Administrator,
            "post",
            "/v1/subscriptions",
            "?receipt=1",
            json!({"id": "r", "application": "m", "api": "api-1"}),
            201,
        ),
        (Administrator, "post", "/v1/import", "?receipt=1", json!({"kind": "plan", "id": "r"}), 200),
        (Administrator, "post", "/v1/restore", "?receipt=1", json!({"revision": 1, "dry_run": true}), 200),
    ] {
        let target =
            if path.contains('{') { path.replace("{id}", at).replace("{revision}", at) } else { format!("{path}{at}") };
        // The query comes after the action in the path.
        let target = match target.split_once('?').and_then(|(before, rest)| Some((before, rest.split_once('/')?))) {
            Some((before, (query, action))) => format!("{before}/{action}?{query}"),
            None => target,
        };
        let request = service.request(Method::from_bytes(method.to_uppercase().as_bytes()).unwrap(), &target);
        let request = match who {
            Nobody => request,
            Administrator => request.bearer_auth(TOKEN),
            Gateway => request.bearer_auth("secret"),
        };
        let answer = send(if body.is_null() { request } else { request.json(&body) }).await;
        assert_eq!(answer.status, status, "{method} {target} {body}: {}", answer.text);
        check(&document, method, path, &answer);
        if !body.is_null() && status < 300 {
            let content = &document["paths"][path][method]["requestBody"]["content"];
            let found = wrong(&document, &content["application/json"]["schema"], &body);
            assert!(found.is_empty(), "{method} {path}: {found:?}");
        }
        left.remove(&(path.to_owned(), method.to_owned()));
    }
    assert!(left.is_empty(), "not tried: {left:?}");
}

/// Checks that the status, the media type and the body of an answer are described.
fn check(document: &Value, method: &str, path: &str, answer: &Answer) {
    let name = format!("{method} {path}: {}", answer.status);
    let response = &document["paths"][path][method]["responses"][answer.status.to_string()];
    assert!(response.is_object(), "{name} is not described");
    if answer.text.is_empty() {
        return assert!(response.get("content").is_none(), "{name} is described with a body");
    }
    let media_type = answer.header("content-type").split(';').next().unwrap();
    let schema = &response["content"][media_type]["schema"];
    assert!(schema.is_object(), "{name} is described as {response}, and is {media_type}");
    let body = if media_type == "text/plain" { json!(answer.text) } else { answer.whole() };
    let found = wrong(document, schema, &body);
    assert!(found.is_empty(), "{name}: {found:?} in {body}");
}

/// An answer always contains the id, because gateways need it. A request may leave it out.
#[tokio::test]
async fn an_id_is_optional_only_in_what_is_sent() {
    let document = document(&Service::start().await).await;
    for name in ["Api", "Application", "Key", "Subscription", "Plan", "DenyPolicy", "IssuedKey"] {
        let shown = &document["components"]["schemas"][name];
        assert!(shown["required"].as_array().unwrap().contains(&json!("id")), "{name}: {shown}");
        assert_eq!(shown["properties"]["id"]["type"], "string", "{name}");
        if name == "IssuedKey" {
            continue;
        }
        let sent = &document["components"]["schemas"][format!("New{name}")];
        let required = sent.get("required").and_then(Value::as_array);
        assert!(required.is_none_or(|required| !required.contains(&json!("id"))), "{name}: {sent}");
        let places = ["New", "Replaced"].map(|begin| json!(format!("#/components/schemas/{begin}{name}")));
        let bodies = operations(&document).into_iter().filter(|(_, _, operation)| {
            places.contains(&operation["requestBody"]["content"]["application/json"]["schema"]["$ref"])
        });
        assert_eq!(bodies.count(), 2, "{name}: POST and PUT");
    }
}
