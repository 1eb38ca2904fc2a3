//! Compares what the OpenAPI document says of bodies and queries with what the service accepts.
//!
//! For each body, a valid example is changed at one place at a time: to each bound of the schema and just beyond it. What the
//! schema accepts must not be refused as malformed, and what the schema rejects must be refused. The values come from the
//! document, so a new field is compared without a change here; a new body needs an example.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "tests"
)]

mod support;

use std::sync::atomic::{AtomicU64, Ordering};

use jsonschema::Validator;
use reqwest::Method;
use serde_json::{Map, Value, json};
use support::{Service, TOKEN, digest, send};

/// What depends on the time, or on other rows. The document says these in words.
const IN_WORDS: &[&str] = &[
    "there is no",
    "expected a time in the future",
    "to the year 9999 at most",
    "expected a time after not_before",
    "at most a day ahead",
    "an id cannot be changed",
    "it cannot be changed",
    "name different states",
    "expected a time after from",
    "the time when it begins",
    "because the application is not blocked",
    "the block of an application is BLOCKED",
    // Forms that no pattern describes.
    "(RFC 3339)",
    "expected an IP address",
    "neither an address nor a range",
    "expected a host name",
    // A plugin configuration has rules of its own.
    "line 1, column ",
    "of URL and headers together",
];

/// The number in ids, digests and paths of an example.
const NUMBER: u64 = 1_000_000;

/// `body` for another object: with another number.
fn unique(body: &Value) -> String {
    static NEXT: AtomicU64 = AtomicU64::new(NUMBER + 1);
    body.to_string().replace(&NUMBER.to_string(), &NEXT.fetch_add(1, Ordering::Relaxed).to_string())
}

/// A valid body with all fields that a client may set.
fn example(method: &str, path: &str) -> Value {
    let number = NUMBER;
    let id = format!("x{number}");
    let is_new = method == "post";
    let mut body = match path.trim_end_matches("/{id}") {
        "/v1/apis" => {
            json!({"id": id, "name": "n", "version": "v", "owner": "o", "state": "PUBLISHED", "security": "api_key",
            "subscription_required": true, "endpoints": ["SANDBOX"], "plans": ["p"], "approval": "manual",
            "match": [{"path": format!("/x{number}"), "hosts": ["h.example"]}]})
        }
        "/v1/applications" => {
            json!({"id": id, "name": "n", "owner": "o", "state": "BLOCKED", "plan": "p", "used_up_until": 5,
            "block": {"state": "BLOCKED", "by": "b", "at": 5, "reason": "r", "note": "n"}})
        }
        "/v1/keys" => {
            json!({"id": id, "application": "app-1", "sha256": format!("{number:064}"), "type": "SANDBOX", "state": "ACTIVE",
            "not_before": 5, "expires_at": 4_102_444_800_u64, "apis": ["api-1"], "permitted_ips": ["::1"],
            "permitted_referers": ["a.example/"], "last_used": 5, "replaced_by": "r", "etag": "e"})
        }
        "/v1/subscriptions" => {
            json!({"id": id, "application": "app-1", "api": "api-1", "state": "UNBLOCKED", "plan": "p",
            "used_up_until": 5, "etag": "e", "block": {"state": "BLOCKED", "by": "b", "at": 5, "reason": "r", "note": "n",
            "from": 4_102_444_800_u64, "until": 4_102_448_400_u64, "before": "ON_HOLD"}})
        }
        "/v1/plans" => json!({"id": id, "owner": "o", "limits": [{"requests": 5, "per": "day"}],
            "burst": {"requests": 5, "per": "second"}, "stop_on_quota_reach": true,
            "operations": [{"methods": ["GET"], "path": "/a"}]}),
        "/v1/deny-policies" => {
            json!({"id": id, "type": "USER", "value": format!("v{number}"), "invert": false, "applies": true})
        }
        "/v1/applications/{id}/keys" => json!({"id": id, "type": "SANDBOX", "not_before": 5, "expires_in": 5_000,
            "apis": ["api-1"], "permitted_ips": ["::1"], "permitted_referers": ["a.example/"]}),
        "/v1/keys/{id}/regenerate" => json!({"id": id, "overlap_seconds": 5, "expires_at": 4_102_444_800_u64}),
        "/v1/keys/lookup" => json!({"sha256": digest(1)}),
        "/v1/subscriptions/{id}/block" => json!({"state": "BLOCKED", "reason": "r", "note": "n",
            "from": 4_102_444_800_u64, "until": "2100-01-01T01:00:00Z"}),
        "/v1/applications/{id}/block" => json!({"reason": "r", "note": "n"}),
        "/v1/subscriptions/{id}/unblock" | "/v1/applications/{id}/unblock" => json!({"reason": "r"}),
        "/v1/explain" => json!({"key_id": "k-1", "method": "GET", "url": "/one", "address": "::1", "referer": "r",
            "headers": {"x-a": "b"}, "at_revision": 4, "now": 5}),
        "/v1/subscriptions/{id}/approve" | "/v1/subscriptions/{id}/reject" => json!({"reason": "r"}),
        "/v1/restore" => json!({"revision": 1, "dry_run": true, "lift_blocks": false}),
        "/v1/tokens" => json!({"role": "auditor", "subject": "s", "expires_in": 5_000}),
        "/v1/gateways/credentials" if is_new => json!({"client_id": "c", "apis": ["api-1"], "expires_in": 5_000}),
        "/v1/gateways/credentials" => json!({"apis": ["api-1"]}),
        "/v1/usage" => {
            json!({"format": 1, "batch": id, "counts": [{"hour": 3_600, "application": "app-1", "api": "api-1",
            "plan": "p", "outcome": "allowed", "requests": 5}], "keys": [{"id": "k-1", "last_used": 5}]})
        }
        other => panic!("{method} {other} has no example of its body"),
    };
    if let (false, Some(body)) = (is_new, body.as_object_mut()) {
        // What a row belongs to cannot be changed. Its id is that of the path.
        for field in ["id", "application", "api", "sha256"] {
            body.remove(field);
        }
    }
    body
}

/// The object in a path.
fn object_of(path: &str) -> &'static str {
    match path.split('/').nth(2).unwrap() {
        "apis" => "api-1",
        "applications" => "app-1",
        "keys" => "k-1",
        "subscriptions" => "s-1",
        "plans" => "p",
        "deny-policies" => "d",
        _ => "none",
    }
}

/// A schema without `$ref` at its top, and without the alternative `null`.
fn resolved<'d>(document: &'d Value, schema: &'d Value) -> &'d Value {
    if let Some(place) = schema["$ref"].as_str().or_else(|| schema["allOf"][0]["$ref"].as_str()) {
        return resolved(document, document.pointer(place.trim_start_matches('#')).unwrap());
    }
    let others = schema["oneOf"].as_array().into_iter().flatten().find(|part| part.get("$ref").is_some());
    others.map_or(schema, |part| resolved(document, part))
}

/// Values at the bounds of `schema` and just beyond, made from the valid `value`. A text begins and ends like `value`.
fn around(document: &Value, schema: &Value, value: &Value) -> Vec<Value> {
    let schema = resolved(document, schema);
    let mut found = vec![Value::Null, json!({"unknown": 1}), json!([[]])];
    match value {
        Value::String(text) => {
            found.push(json!(5));
            found.push(json!(""));
            found.extend(schema["enum"].as_array().into_iter().flatten().cloned());
            let first: String = text.chars().take(1).collect();
            let last = text.chars().last().unwrap().to_string();
            found.push(json!(first));
            for change in ["\u{1}", " ", "\u{2003}", ":", "Z", "ä", "?"] {
                found.extend([json!(format!("{text}{change}")), json!(format!("{change}{text}"))]);
            }
            found.push(json!(format!("{text}{last}")));
            for length in ["minLength", "maxLength"].iter().filter_map(|name| schema[*name].as_u64()) {
                for length in [length.saturating_sub(1), length, length + 1] {
                    let more = usize::try_from(length).unwrap().saturating_sub(text.len());
                    found.push(json!(format!("{text}{}", last.repeat(more))));
                }
            }
        }
        Value::Number(_) => {
            found.extend([json!("5"), json!(1.5), json!(-1), json!(0), json!(u64::MAX), json!(1e300), json!(true)]);
            for bound in ["minimum", "maximum"].iter().filter_map(|name| schema[*name].as_i64()) {
                found.extend([bound.saturating_sub(1), bound, bound.saturating_add(1)].map(|number| json!(number)));
            }
        }
        Value::Bool(value) => found.extend([json!(!value), json!("true"), json!(0)]),
        Value::Array(entries) => {
            found.extend([json!([]), json!("a")]);
            if let Some(most) = schema["maxItems"].as_u64() {
                let most = usize::try_from(most).unwrap();
                found.extend([most, most + 1].map(|length| json!(vec![entries[0].clone(); length])));
            }
            found.extend(around(document, &schema["items"], &entries[0]).into_iter().map(|entry| json!([entry])));
        }
        Value::Object(fields) => found.extend(around_fields(document, schema, fields).into_iter().map(Value::Object)),
        Value::Null => {}
    }
    found
}

/// `fields` with one field changed, left out, or added.
fn around_fields(document: &Value, schema: &Value, fields: &Map<String, Value>) -> Vec<Map<String, Value>> {
    let mut found = vec![fields.clone()];
    let with = |name: &str, value: Value| {
        let mut changed = fields.clone();
        changed.insert(name.to_owned(), value);
        changed
    };
    found.push(with("no_such_field", json!(1)));
    for (name, value) in fields {
        let mut without = fields.clone();
        without.remove(name);
        found.push(without);
        // A map describes all its values alike.
        let described = schema["properties"].get(name).unwrap_or(&schema["additionalProperties"]);
        assert!(described.is_object(), "{name} is not described");
        found.extend(around(document, described, value).into_iter().map(|value| with(name, value)));
    }
    let named = schema["properties"].as_object().into_iter().flatten().map(|(name, _)| name);
    for name in named.filter(|name| !fields.contains_key(*name)) {
        found.extend([Value::Null, json!("a"), json!(5), json!([])].map(|value| with(name, value)));
    }
    found
}

fn validator(document: &Value, schema: &Value) -> Validator {
    let mut schema = schema.clone();
    schema["components"] = document["components"].clone();
    jsonschema::options().build(&schema).unwrap()
}

/// A service with an object of each kind.
async fn filled() -> Service {
    let service = Service::start().await;
    service.post("/v1/plans", json!({"id": "p"})).await.expect(201);
    service.seed().await;
    service.post("/v1/deny-policies", json!({"id": "d", "type": "USER", "value": "nobody"})).await.expect(201);
    service
}

async fn document(service: &Service) -> Value {
    send(service.request(Method::GET, "/openapi.json")).await.expect(200).json()
}

/// Sends `body` as it stands.
async fn ask(service: &Service, method: &str, path: &str, body: String) -> (u16, String) {
    let path = path.replace("{id}", object_of(path));
    let request = service.request(Method::from_bytes(method.to_uppercase().as_bytes()).unwrap(), &path);
    let request = match path.as_str() {
        "/v1/usage" => request.basic_auth("gw", Some("secret")),
        _ => request.bearer_auth(TOKEN),
    };
    let answer = send(request.header("content-type", "application/json").body(body)).await;
    (answer.status, answer.text)
}

/// The operations with a JSON body: method, path and schema.
fn bodies(document: &Value) -> Vec<(&str, &str, &Value)> {
    let paths = document["paths"].as_object().unwrap().iter();
    let operations = paths
        .flat_map(|(path, item)| item.as_object().unwrap().iter().map(move |(method, it)| (&**method, &**path, it)));
    operations
        .filter_map(|(method, path, operation)| {
            let schema = operation.pointer("/requestBody/content/application~1json/schema")?;
            Some((method, path, schema))
        })
        .collect()
}

fn differs(is_valid: bool, status: u16, text: &str) -> bool {
    let is_malformed = [400, 422].contains(&status) && !IN_WORDS.iter().any(|words| text.contains(words));
    status >= 500 || if is_valid { is_malformed } else { !(400..500).contains(&status) }
}

#[tokio::test]
async fn the_service_accepts_the_bodies_that_are_described() {
    let document = document(&Service::start().await).await;
    let (mut wrong, mut tried) = (Vec::new(), 0_u32);
    for (method, path, schema) in bodies(&document) {
        // A restore may remove what the next bodies name.
        let service = filled().await;
        let validator = validator(&document, schema);
        let base = example(method, path);
        assert!(validator.is_valid(&base), "{method} {path}: the example is not described: {base}");
        let (status, text) = ask(&service, method, path, unique(&base)).await;
        assert!(![400, 422].contains(&status) && status < 500, "{method} {path} {base}: {text}");
        for body in around(&document, schema, &base) {
            let is_valid = validator.is_valid(&body);
            let (status, text) = ask(&service, method, path, unique(&body)).await;
            tried += 1;
            if differs(is_valid, status, &text) {
                let body: String = body.to_string().chars().take(300).collect();
                wrong.push(format!(
                    "{method} {path}, {}: {status} {text}\n  {body}",
                    if is_valid { "valid" } else { "invalid" }
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {tried}:\n{}", wrong.len(), wrong.join("\n"));
    assert!(tried > 1_000, "{tried}");
}

/// `5`, `5.0` and `50e-1` are one integer for JSON Schema.
#[tokio::test]
async fn a_whole_number_is_an_integer_in_each_spelling() {
    let service = filled().await;
    let document = document(&service).await;
    let mut wrong = Vec::new();
    for (method, path, _) in bodies(&document) {
        let plain = example(method, path).to_string();
        for (number, spelt) in [(":5,", ":5.0,"), (":5}", ":50e-1}"), (":5000", ":5.0E+3"), (":3600", ":36e2")] {
            let body = unique(&example(method, path)).replace(number, spelt);
            if !plain.contains(number) {
                continue;
            }
            let (status, text) = ask(&service, method, path, body.clone()).await;
            if [400, 422].contains(&status) {
                wrong.push(format!("{method} {path} {body}: {text}"));
            }
        }
    }
    let lines = "{\"kind\":\"plan\",\"id\":\"spelt\",\"limits\":[{\"requests\":1.0e1,\"per\":\"day\"}]}\n";
    let (_, text) = ask(&service, "post", "/v1/import", lines.to_owned()).await;
    assert!(text.contains("\"refused_total\":0"), "{text}");
    let plan = service.get("/v1/plans/spelt").await.expect(200).json();
    assert_eq!(plan["limits"], json!([{"requests": 10, "per": "day"}]));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn the_examples_of_the_document_are_accepted() {
    let service = filled().await;
    let document = document(&service).await;
    let mut tried = 0;
    for (method, path, _) in bodies(&document) {
        let place =
            format!("/paths/{}/{method}/requestBody/content/application~1json/example", path.replace('/', "~1"));
        if let Some(example) = document.pointer(&place) {
            let (status, text) = ask(&service, method, path, example.to_string()).await;
            assert_eq!(status, 200, "{method} {path}: {text}");
            tried += 1;
        }
    }
    assert_eq!(tried, 1);
}

/// Each word and bound of a query's parameter, and one beside it.
#[tokio::test]
async fn the_service_accepts_the_queries_that_are_described() {
    let service = filled().await;
    let document = document(&service).await;
    let (mut wrong, mut tried) = (Vec::new(), 0_u32);
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            for parameter in operation["parameters"].as_array().into_iter().flatten() {
                let (name, schema) = (parameter["name"].as_str().unwrap(), &parameter["schema"]);
                // Links of the feed have more than one part.
                if parameter["in"] != "query" || path == "/v1/policy" {
                    continue;
                }
                // Without its body a change is refused in any case.
                if name == "receipt" && operation["requestBody"]["required"] == true {
                    continue;
                }
                let words = schema["enum"].as_array().cloned().unwrap_or_default();
                let is_word = !words.is_empty();
                let mut values: Vec<Value> = words;
                if schema["type"].to_string().contains("integer") {
                    for bound in ["minimum", "maximum"].iter().filter_map(|name| schema[*name].as_i64()) {
                        values.extend([bound - 1, bound, bound + 1].map(|number| json!(number)));
                    }
                } else if !is_word && schema["pattern"].as_str().is_some_and(|pattern| pattern.contains("{64}")) {
                    values.extend([json!(digest(1)), json!("0"), json!(format!("{}0", digest(1)))]);
                } else if name == "cursor" {
                    // What a cursor is, only the service knows. So none of these is one.
                    values.extend(["", "!", "a b"].map(|text| json!(text)));
                } else if !is_word {
                    for length in ["minLength", "maxLength"].iter().filter_map(|name| schema[*name].as_u64()) {
                        let length = usize::try_from(length).unwrap();
                        values.extend([length - 1, length, length + 1].map(|length| json!("a".repeat(length))));
                    }
                }
                if is_word {
                    values.push(json!("no_such_word"));
                }
                let validator = validator(&document, schema);
                for value in values {
                    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                    let other = if path == "/v1/diff" && name != "from" { "from=1&" } else { "" };
                    let target = format!("{}?{other}{name}={text}", path.replace("{id}", object_of(path)));
                    let method = Method::from_bytes(method.to_uppercase().as_bytes()).unwrap();
                    let answer = service.admin(method.clone(), &target, Value::Null).await;
                    tried += 1;
                    if differs(validator.is_valid(&value), answer.status, &answer.text) {
                        wrong.push(format!("{method} {target}: {} {}", answer.status, answer.text));
                    }
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(tried > 200, "{tried}");
}

/// The bounds of a header's parameter, and characters beside its pattern.
#[tokio::test]
async fn the_service_accepts_the_headers_that_are_described() {
    let service = filled().await;
    let document = document(&service).await;
    let (mut wrong, mut tried) = (Vec::new(), 0_u32);
    for (method, path, schema) in headers(&document, "idempotency-key") {
        let validator = validator(&document, schema);
        let most = usize::try_from(schema["maxLength"].as_u64().unwrap_or(300)).unwrap();
        let lengths = [1, most, most + 1].map(|length| "a".repeat(length));
        let others = ["", "a b", "!~", "a\u{e4}", "\u{e4}"].map(str::to_owned);
        for value in lengths.into_iter().chain(others) {
            let target = path.replace("{id}", object_of(path));
            let request = service.request(Method::from_bytes(method.to_uppercase().as_bytes()).unwrap(), &target);
            let answer = send(request.bearer_auth(TOKEN).header("idempotency-key", &value)).await;
            tried += 1;
            let is_refused = answer.status == 400 && answer.whole()["field"] == "idempotency-key";
            if is_refused == validator.is_valid(&json!(value)) {
                wrong.push(format!("{method} {target} {value:?}: {} {}", answer.status, answer.text));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(tried > 100, "{tried}");
}

/// The operations with this header: method, path and schema.
fn headers<'d>(document: &'d Value, name: &str) -> Vec<(&'d str, &'d str, &'d Value)> {
    let paths = document["paths"].as_object().unwrap().iter();
    let operations = paths
        .flat_map(|(path, item)| item.as_object().unwrap().iter().map(move |(method, it)| (&**method, &**path, it)));
    operations
        .filter_map(|(method, path, operation)| {
            let mut parameters = operation["parameters"].as_array().into_iter().flatten();
            let found = parameters.find(|parameter| parameter["in"] == "header" && parameter["name"] == name)?;
            Some((method, path, &found["schema"]))
        })
        .collect()
}
