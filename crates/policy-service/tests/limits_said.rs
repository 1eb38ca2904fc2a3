//! Each string, list and number that a client may send has a limit in the OpenAPI document. `accepted.rs` compares the
//! limits with the service, but it cannot see a limit that is missing.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod support;

use serde_json::{Value, json};
use support::{Service, send};

/// One of the keywords in each group limits a value of the type.
const LIMITS: [(&str, &[&[&str]]); 4] = [
    ("string", &[&["maxLength", "pattern", "format", "enum", "const"]]),
    ("array", &[&["maxItems"]]),
    ("integer", &[&["minimum", "enum", "const"], &["maximum", "enum", "const"]]),
    ("number", &[&["minimum", "enum", "const"], &["maximum", "enum", "const"]]),
];

/// The places of values in `schema` that have no limit. A value that the service ignores needs none.
fn unlimited(document: &Value, schema: &Value, place: &str) -> Vec<String> {
    let mut parts = Vec::new();
    collect(document, schema, &mut parts);
    let is = |keyword: &str| parts.iter().any(|part| part.get(keyword).is_some());
    if parts.iter().any(|part| part["readOnly"] == true) {
        return Vec::new();
    }
    let types: Vec<&str> = parts.iter().flat_map(|part| types_of(part)).collect();
    let mut found = Vec::new();
    for (name, groups) in LIMITS {
        if types.contains(&name) && !groups.iter().all(|group| group.iter().any(|keyword| is(keyword))) {
            found.push(format!("{place}: {name}"));
        }
    }
    let alternatives: Vec<&Value> = parts.iter().flat_map(|part| alternatives_of(part)).collect();
    if types.is_empty() && alternatives.is_empty() && !["enum", "const", "properties"].into_iter().any(is) {
        found.push(format!("{place}: a value of any type"));
    }
    for alternative in alternatives {
        found.extend(unlimited(document, alternative, place));
    }
    for part in &parts {
        for (name, value) in part.get("properties").and_then(Value::as_object).into_iter().flatten() {
            found.extend(unlimited(document, value, &format!("{place}.{name}")));
        }
        for (keyword, sign) in [("items", "[]"), ("additionalProperties", "{}")] {
            if let Some(value) = part.get(keyword).filter(|value| value.is_object()) {
                found.extend(unlimited(document, value, &format!("{place}{sign}")));
            }
        }
    }
    found
}

/// The parts of a schema that all hold: itself, what it refers to, and its `allOf`.
fn collect<'d>(document: &'d Value, schema: &'d Value, parts: &mut Vec<&'d Value>) {
    parts.push(schema);
    if let Some(place) = schema["$ref"].as_str() {
        collect(document, document.pointer(place.trim_start_matches('#')).expect(place), parts);
    }
    for part in schema["allOf"].as_array().into_iter().flatten() {
        collect(document, part, parts);
    }
}

fn types_of(part: &Value) -> Vec<&str> {
    match &part["type"] {
        Value::String(name) => vec![name],
        Value::Array(names) => names.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

/// The alternatives of a value. Those that only restrict the described fields of an object are none.
fn alternatives_of(part: &Value) -> Vec<&Value> {
    if part.get("properties").is_some() {
        return Vec::new();
    }
    ["oneOf", "anyOf"].into_iter().flat_map(|keyword| part[keyword].as_array().into_iter().flatten()).collect()
}

#[test]
fn what_has_no_limit_is_noticed() {
    let document = json!({"components": {"schemas": {
        "Short": {"type": "string", "maxLength": 5},
        "Long": {"type": "string"},
        "Object": {"type": "object", "properties": {"a": {"$ref": "#/components/schemas/Long"}}},
    }}});
    let refer = |name: &str| json!({"$ref": format!("#/components/schemas/{name}")});
    for (schema, expected) in [
        (json!({"type": "boolean"}), ""),
        (json!({"type": ["string", "null"], "pattern": "^a$"}), ""),
        (json!({"type": ["string", "null"]}), "x: string"),
        (json!({"type": "string", "minLength": 1}), "x: string"),
        (json!({"type": "string", "readOnly": true}), ""),
        (json!({"type": "string", "enum": ["a"]}), ""),
        (json!({"type": "integer", "format": "int64"}), "x: integer"),
        (json!({"type": "integer", "minimum": 0}), "x: integer"),
        (json!({"type": "integer", "minimum": 0, "maximum": 9}), ""),
        (json!({"type": "integer", "const": 1}), ""),
        (json!({"type": "number"}), "x: number"),
        (json!({"type": "array", "items": {"type": "string", "maxLength": 5}}), "x: array"),
        (json!({"type": "array", "maxItems": 5, "items": {"type": "string"}}), "x[]: string"),
        (json!({"type": "array", "maxItems": 5, "items": {}}), "x[]: a value of any type"),
        (json!({"type": "object", "additionalProperties": {"type": "string"}}), "x{}: string"),
        (refer("Short"), ""),
        (refer("Long"), "x: string"),
        (refer("Object"), "x.a: string"),
        (json!({"allOf": [refer("Long")], "maxLength": 5}), ""),
        (json!({"oneOf": [{"type": "null"}, refer("Short")]}), ""),
        (json!({"oneOf": [{"type": "null"}, refer("Long")]}), "x: string"),
        (
            json!({"type": "object", "properties": {"a": refer("Short")},
                "anyOf": [{"properties": {"a": {"type": "string"}}}]}),
            "",
        ),
        (json!({}), "x: a value of any type"),
    ] {
        assert_eq!(unlimited(&document, &schema, "x").join(", "), expected, "{schema}");
    }
}

#[tokio::test]
async fn each_value_that_a_client_may_send_has_a_limit() {
    let service = Service::start().await;
    let document: Value = send(service.request(reqwest::Method::GET, "/openapi.json")).await.expect(200).whole();
    let (mut found, mut bodies, mut parameters) = (Vec::new(), 0, 0);
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let place = format!("{method} {path}");
            for (media_type, content) in
                operation.pointer("/requestBody/content").and_then(Value::as_object).into_iter().flatten()
            {
                bodies += 1;
                // Lines have limits of their own, which no schema can say.
                if media_type != "application/x-ndjson" {
                    found.extend(unlimited(&document, &content["schema"], &place));
                }
            }
            for parameter in operation["parameters"].as_array().into_iter().flatten() {
                parameters += 1;
                let name = parameter["name"].as_str().unwrap();
                // The server limits the length of a request's line and headers. A path, a header or a link of the feed
                // that is too long names nothing that is there.
                let is_link = path == "/v1/policy" && ["epoch", "mark"].contains(&name);
                if parameter["in"] == "query" && !is_link {
                    found.extend(unlimited(&document, &parameter["schema"], &format!("{place}?{name}")));
                }
            }
        }
    }
    assert!(found.is_empty(), "no limit:\n{}", found.join("\n"));
    assert!(bodies > 20 && parameters > 100, "{bodies} {parameters}");
}
