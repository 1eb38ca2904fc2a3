//! What the OpenAPI document says about values: lengths, ranges, words, required fields.
//!
//! The handlers describe types. This folder adds the limits, each from the constant by which the code checks it, so none is
//! written twice. [`parameters`] does it for queries. Nothing here checks a request. `tests/accepted.rs` compares the
//! document with the service.

mod parameters;
mod patterns;

use explain::request::{MAX_HEAD_BYTES, MAX_HEADERS, MAX_METHOD_BYTES as MAX_SENT_METHOD};
use keygate::{
    policy::{MAX_APIS, MAX_LIST_ENTRIES, MAX_REVISION, MAX_TEXT_BYTES, MAX_UNIX_SECONDS, rows},
    request::path::MAX_PREFIX_BYTES,
};
use management::{check::MAX_METHOD_BYTES, issue::MAX_OVERLAP_SECONDS, port::Actor};
use serde_json::{Value, json};

use super::{blocks::MAX_TIME_BYTES, lookup::MAX_KEY_BYTES};
use crate::http::body::MAX_BODY_BYTES;

/// Length of the longest address: IPv6 with an IPv4 address at its end.
const LONGEST_ADDRESS: usize = 45;

/// The schema of a usage report, which stands among the documents for authors of gateways.
const USAGE_REPORT: &str = include_str!("../../../../../docs/usage-report.schema.json");

const TEXT: &str = "1 to 256 bytes of UTF-8 without control characters, and no white space at its ends; `maxLength` counts \
                    characters, the service counts bytes.";

const COUNTED: &str = "`maxLength` counts characters, the service bytes.";

const TOGETHER: &str = "URL and headers have at most 61440 bytes together.";

/// Limits of a value, as keywords of JSON Schema, and what those cannot say, in words.
struct Bound(Value, &'static str);

fn text() -> Bound {
    Bound(json!({"minLength": 1, "maxLength": MAX_TEXT_BYTES, "pattern": patterns::TEXT}), TEXT)
}

/// A text that is none of these words.
fn text_but(words: &[&str]) -> Bound {
    let Bound(mut keywords, said) = text();
    merge(&mut keywords, json!({"not": {"enum": words}}));
    Bound(keywords, said)
}

fn list(most: usize, Bound(entry, said): Bound) -> Bound {
    Bound(json!({"maxItems": most, "items": entry}), said)
}

fn entries(entry: Bound) -> Bound {
    list(MAX_LIST_ENTRIES, entry)
}

fn like(pattern: &str, said: &'static str) -> Bound {
    Bound(json!({"pattern": pattern}), said)
}

fn one_of(words: &[&str]) -> Bound {
    Bound(json!({"enum": words}), "")
}

fn any(said: &'static str) -> Bound {
    Bound(json!({}), said)
}

fn digest() -> Bound {
    Bound(json!({"pattern": patterns::DIGEST}), "")
}

fn path(pattern: &str, said: &'static str) -> Bound {
    Bound(json!({"minLength": 1, "maxLength": MAX_PREFIX_BYTES, "pattern": pattern}), said)
}

fn number(least: i64, most: i64) -> Bound {
    Bound(json!({"minimum": least, "maximum": most}), "")
}

fn time() -> Bound {
    number(0, MAX_UNIX_SECONDS)
}

fn seconds() -> Bound {
    Bound(json!({"minimum": 1, "maximum": MAX_UNIX_SECONDS}), "It ends in the year 9999 at the latest.")
}

fn future() -> Bound {
    Bound(json!({"minimum": 1, "maximum": MAX_UNIX_SECONDS}), "It must be in the future.")
}

/// A time of a block, in Unix seconds or as a text.
fn either_time(said: &'static str) -> Bound {
    let Bound(mut keywords, _) = time();
    let text =
        json!({"type": ["integer", "string", "null"], "pattern": patterns::RFC_3339, "maxLength": MAX_TIME_BYTES});
    merge(&mut keywords, text);
    Bound(keywords, said)
}

/// A number that the service reads and ignores.
fn ignored() -> Bound {
    number(i64::MIN, i64::MAX)
}

/// The limits of the fields of bodies: schema, field, limits.
fn of_fields() -> Vec<(&'static str, &'static str, Bound)> {
    // No path can name these (`management::check::addressable`).
    let id = || text_but(&[".", ".."]);
    let key_id = || text_but(&[".", "..", "lookup"]);
    let address = || like(patterns::ADDRESS, "Each is an IPv4 or IPv6 address, or a range in CIDR notation.");
    let referer = || {
        like(
            patterns::REFERER,
            "Each is a host and a path, with `*` for any text; at most 512 bytes, 8 stars, and 6 patterns with text between two stars.",
        )
    };
    let addressed = "It is absolute and can be read in one way only: no `*`, braces, blank, query, dot segment, doubled slash, or character that looks like a dot or a slash; at most \
                     64 segments.";
    vec![
        ("NewApi", "id", id()),
        ("NewApi", "name", text()),
        ("NewApi", "version", text()),
        ("NewApi", "owner", text()),
        ("NewApi", "match", entries(any(""))),
        ("NewApi", "endpoints", entries(any(""))),
        ("NewApi", "plans", entries(text())),
        ("Match", "path", path(patterns::PREFIX, addressed)),
        (
            "Match",
            "hosts",
            entries(like(
                patterns::HOST,
                "Each is a host name or an address, with a port if needed, or `*.` and a name of at most 32 labels.",
            )),
        ),
        ("NewApplication", "id", id()),
        ("NewApplication", "name", text()),
        ("NewApplication", "owner", text()),
        ("NewApplication", "plan", text()),
        ("NewApplication", "used_up_until", ignored()),
        ("NewKey", "id", key_id()),
        ("NewKey", "sha256", digest()),
        ("NewKey", "application", text()),
        ("NewKey", "not_before", time()),
        ("NewKey", "expires_at", Bound(time().0, "It must be after `not_before`.")),
        ("NewKey", "last_used", ignored()),
        ("NewKey", "apis", entries(text())),
        ("NewKey", "permitted_ips", entries(address())),
        ("NewKey", "permitted_referers", entries(referer())),
        ("NewSubscription", "id", id()),
        ("NewSubscription", "application", text()),
        ("NewSubscription", "api", text()),
        ("NewSubscription", "plan", text()),
        ("NewSubscription", "used_up_until", ignored()),
        ("NewPlan", "id", id()),
        ("NewPlan", "owner", text()),
        ("NewPlan", "limits", entries(any(""))),
        ("NewPlan", "operations", entries(any("They have at most 12,000 segments and methods in all."))),
        ("Limit", "requests", number(1, i64::try_from(rows::MAX_LIMIT_REQUESTS).unwrap_or(i64::MAX))),
        (
            "Operation",
            "methods",
            list(
                rows::MAX_METHODS,
                Bound(json!({"minLength": 1, "maxLength": MAX_METHOD_BYTES, "pattern": patterns::METHOD}), ""),
            ),
        ),
        (
            "Operation",
            "path",
            path(patterns::TEMPLATE, "It has no blank and no query, at most 64 segments, and `**` only at its end."),
        ),
        ("NewDenyPolicy", "id", id()),
        ("NewDenyPolicy", "value", text()),
        ("Issue", "id", key_id()),
        ("Issue", "not_before", time()),
        ("Issue", "expires_in", seconds()),
        ("Issue", "expires_at", future()),
        ("Issue", "apis", entries(text())),
        ("Issue", "permitted_ips", entries(address())),
        ("Issue", "permitted_referers", entries(referer())),
        ("Regenerate", "id", key_id()),
        ("Regenerate", "overlap_seconds", number(0, MAX_OVERLAP_SECONDS)),
        ("Regenerate", "expires_in", seconds()),
        ("Regenerate", "expires_at", future()),
        ("Decision", "reason", text()),
        ("Unblocking", "reason", text()),
        ("ApplicationBlocking", "reason", text()),
        ("ApplicationBlocking", "note", text()),
        ("BlockingBody", "reason", text()),
        ("BlockingBody", "note", text()),
        ("BlockingBody", "from", either_time("It must be in the future.")),
        ("BlockingBody", "until", either_time("It must be in the future, and after `from`.")),
        ("BlockRecord", "by", text()),
        ("BlockRecord", "reason", text()),
        ("BlockRecord", "note", text()),
        ("BlockRecord", "at", time()),
        ("BlockRecord", "from", time()),
        ("BlockRecord", "until", Bound(time().0, "It must be after `from`.")),
        ("AskedRestore", "revision", number(0, i64::try_from(MAX_REVISION).unwrap_or(i64::MAX))),
        ("Lookup", "sha256", digest()),
        ("Lookup", "key", Bound(json!({"minLength": 1, "maxLength": MAX_KEY_BYTES}), COUNTED)),
        ("AskedExplanation", "key", Bound(json!({"minLength": 1, "maxLength": MAX_KEY_BYTES}), COUNTED)),
        ("AskedExplanation", "sha256", digest()),
        ("AskedExplanation", "key_id", text()),
        (
            "AskedExplanation",
            "method",
            Bound(json!({"minLength": 1, "maxLength": MAX_SENT_METHOD, "pattern": patterns::TOKEN}), ""),
        ),
        (
            "AskedExplanation",
            "url",
            Bound(json!({"minLength": 1, "maxLength": MAX_HEAD_BYTES, "pattern": patterns::URL}), TOGETHER),
        ),
        ("AskedExplanation", "address", Bound(json!({"maxLength": LONGEST_ADDRESS}), "It is an IP address.")),
        (
            "AskedExplanation",
            "referer",
            Bound(json!({"minLength": 1, "maxLength": MAX_HEAD_BYTES, "pattern": patterns::HEADER_VALUE}), TOGETHER),
        ),
        ("AskedExplanation", "at_revision", number(0, i64::try_from(MAX_REVISION).unwrap_or(i64::MAX))),
        ("AskedExplanation", "now", time()),
        ("ExplainedRequest", "verdict", one_of(&["allow", "deny"])),
        ("ExplainedStep", "outcome", one_of(&["passed", "skipped", "unknown", "refused", "allowed"])),
        ("NewToken", "subject", text_but(&[Actor::Service.subject(), Actor::Import.subject()])),
        ("NewToken", "expires_in", seconds()),
        (
            "NewGatewayCredential",
            "client_id",
            Bound(
                json!({"minLength": 1, "maxLength": MAX_TEXT_BYTES, "allOf": [{"pattern": patterns::TEXT}, {"pattern": patterns::NO_COLON}]}),
                TEXT,
            ),
        ),
        ("NewGatewayCredential", "apis", list(MAX_APIS, text())),
        ("NewGatewayCredential", "expires_in", seconds()),
        ("GatewayScope", "apis", list(MAX_APIS, text())),
    ]
}

/// Adds all limits to the document.
pub fn say(document: &mut Value) {
    for (schema, field, bound) in of_fields() {
        if let Some(described) = document.pointer_mut(&format!("/components/schemas/{schema}/properties/{field}")) {
            add(described, bound);
        }
    }
    let is_one = |one: &str, other: &str| json!({"required": [one], "properties": {one: {"type": "string"}, other: {"type": "null"}}});
    merge_at(
        document,
        "/components/schemas/Lookup",
        json!({"oneOf": [is_one("key", "sha256"), is_one("sha256", "key")]}),
    );
    for schema in ["Issue", "Regenerate"] {
        let both = json!({"required": ["expires_in", "expires_at"],
            "properties": {"expires_in": {"type": "integer"}, "expires_at": {"type": "integer"}}});
        merge_at(document, &format!("/components/schemas/{schema}"), json!({"not": both}));
    }
    let range = json!({"if": {"properties": {"type": {"enum": ["IP", "IP_RANGE"]}}},
        "then": {"properties": {"value": {"pattern": patterns::ADDRESS}}}});
    merge_at(document, "/components/schemas/NewDenyPolicy", range);
    for (name, required) in [("Key", ["application", "sha256"]), ("Subscription", ["application", "api"])] {
        tell_new_from_replaced(document, name, &required);
    }
    describe_usage(document);
    describe_explanation(document);
    parameters::say(document);
}

/// Describes what the types of an explanation cannot say.
fn describe_explanation(document: &mut Value) {
    let asked = "/components/schemas/AskedExplanation";
    let both = |one: &str, other: &str| json!({"required": [one, other], "properties": {one: {"type": "string"}, other: {"type": "string"}}});
    let any = [both("key", "sha256"), both("key", "key_id"), both("sha256", "key_id")];
    merge_at(document, asked, json!({"not": {"anyOf": any}}));
    let value = json!({"type": "string", "pattern": patterns::HEADER_VALUE});
    let values = json!({"propertyNames": {"pattern": patterns::TOKEN},
        "additionalProperties": {"oneOf": [value, {"type": "array", "maxItems": MAX_HEADERS, "items": value}]}});
    merge_at(document, &format!("{asked}/properties/headers"), values);
    let configuration = json!({"type": ["object", "string", "null"], "maxLength": MAX_BODY_BYTES});
    merge_at(document, &format!("{asked}/properties/configuration"), configuration);
}

/// Adds the limits to the description of a value.
fn add(described: &mut Value, Bound(keywords, said): Bound) {
    merge(described, keywords);
    if let (Some(described), false) = (described.as_object_mut(), said.is_empty()) {
        let before = described.get("description").and_then(Value::as_str).unwrap_or_default();
        let all = format!("{before} {said}").trim_start().to_owned();
        described.insert("description".to_owned(), all.into());
    }
}

/// A new row names what it belongs to. A row that replaces another keeps it, and may leave it out.
fn tell_new_from_replaced(document: &mut Value, name: &str, required: &[&str]) {
    let place = format!("/components/schemas/New{name}");
    let Some(sent) = document.pointer(&place).cloned() else { return };
    merge_at(document, "/components/schemas", json!({ format!("Replaced{name}"): sent }));
    for field in required {
        merge_at(document, &format!("{place}/properties/{field}"), json!({"type": "string"}));
    }
    merge_at(document, &place, json!({"required": required}));
    let schema = "requestBody/content/application~1json/schema";
    for operation in document.pointer_mut("/paths").and_then(Value::as_object_mut).into_iter().flatten() {
        let schema = operation.1.pointer_mut(&format!("/put/{schema}"));
        if let Some(schema) = schema.filter(|schema| schema["$ref"] == json!(format!("#{place}"))) {
            *schema = json!({"$ref": format!("#/components/schemas/Replaced{name}")});
        }
    }
}

/// Puts the schema of a usage report in the place of an unknown object.
fn describe_usage(document: &mut Value) {
    let text = USAGE_REPORT.replace("#/$defs/", "#/components/schemas/Usage_");
    // The file is part of the program, and a test reads it.
    let mut report: Value = serde_json::from_str(&text).unwrap_or_default();
    let parts = report.as_object_mut().and_then(|report| {
        report.remove("$schema");
        report.remove("$defs")
    });
    for (name, part) in parts.as_ref().and_then(Value::as_object).into_iter().flatten() {
        merge_at(document, "/components/schemas", json!({ format!("Usage_{name}"): part }));
    }
    merge_at(document, "/components/schemas", json!({"UsageReport": report}));
    let place = "/paths/~1v1~1usage/post/requestBody/content/application~1json";
    if let Some(content) = document.pointer_mut(place) {
        content["schema"] = json!({"$ref": "#/components/schemas/UsageReport"});
    }
}

fn merge_at(document: &mut Value, place: &str, keywords: Value) {
    if let Some(described) = document.pointer_mut(place) {
        merge(described, keywords);
    }
}

/// Adds `more` to `value`. Objects are merged; of anything else, the new value counts.
fn merge(value: &mut Value, more: Value) {
    match (value, more) {
        (Value::Object(object), Value::Object(more)) => {
            for (name, part) in more {
                merge(object.entry(name).or_insert(Value::Null), part);
            }
        }
        (value, more) => *value = more,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    /// The words say the number that the keyword says.
    #[test]
    fn words_have_the_limits_of_the_code() {
        use keygate::request::{
            hostname::MAX_SUFFIX_LABELS, path::MAX_PREFIX_SEGMENTS, referer, template::MAX_SEGMENTS,
        };
        assert!(TEXT.starts_with(&format!("1 to {MAX_TEXT_BYTES} bytes")));
        let said = |schema: &str, field: &str| {
            let fields = of_fields().into_iter();
            fields
                .filter(|(one, two, _)| (*one, *two) == (schema, field))
                .map(|(_, _, bound)| bound.1)
                .collect::<String>()
        };
        let thousands = |number: usize| format!("{},{:03}", number / 1_000, number % 1_000);
        for (schema, field, expected) in [
            (
                "NewKey",
                "permitted_referers",
                format!(
                    "at most {} bytes, {} stars, and {} patterns",
                    referer::MAX_PATTERN_BYTES,
                    referer::MAX_STARS,
                    referer::MAX_SEARCHED
                ),
            ),
            ("Match", "path", format!("at most {MAX_PREFIX_SEGMENTS} segments")),
            ("Match", "hosts", format!("at most {MAX_SUFFIX_LABELS} labels")),
            ("Operation", "path", format!("at most {MAX_SEGMENTS} segments")),
            ("NewPlan", "operations", format!("at most {} segments", thousands(rows::MAX_OPERATION_PARTS))),
        ] {
            assert!(said(schema, field).contains(&expected), "{schema}.{field}: {expected}");
        }
    }

    #[test]
    fn each_field_with_a_limit_is_one_field_once() {
        let mut fields: Vec<_> = of_fields().into_iter().map(|(schema, field, _)| (schema, field)).collect();
        let all = fields.len();
        fields.sort_unstable();
        fields.dedup();
        assert_eq!(fields.len(), all);
    }
}
