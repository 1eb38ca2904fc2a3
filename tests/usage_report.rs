//! Compares `docs/usage-report.md` and its schema with the code that writes and checks reports.
#![cfg(not(target_arch = "wasm32"))]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "only test code: a panic is how it reports"
)]

mod schemas;

use keygate::usage::report::{
    Count, HOUR, KeyUse, MAX_AHEAD, MAX_BATCH_BYTES, MAX_COUNTS, MAX_KEYS, MAX_OUTCOME_BYTES, MAX_REQUESTS, Receipt,
    ReceiptIn, UsageReport,
};
use serde_json::{Value, json};

const DOCUMENT: &str = "docs/usage-report";
const NOW: u64 = 1_748_736_123;

/// Whether the core accepts a report.
fn is_taken(report: &Value) -> bool {
    serde_json::from_value::<UsageReport<'_>>(report.clone()).is_ok_and(|report| report.check(NOW).is_ok())
}

/// A report with a row of each kind, in which one field has another value.
fn with(list: &str, field: &str, value: Value) -> Value {
    let mut report = json!({"format": 1, "batch": "b-1",
        "counts": [{"hour": NOW / HOUR * HOUR, "application": "a", "api": "b", "plan": "p", "outcome": "allowed", "requests": 1}],
        "keys": [{"id": "k", "last_used": NOW}]});
    match list {
        "" => report[field] = value,
        list => report[list][0][field] = value,
    }
    report
}

#[test]
fn the_schema_and_the_tables_have_the_fields_of_the_code() {
    let schema = schemas::schema(DOCUMENT);
    let values = [
        ("report", serde_json::to_value(UsageReport::default()), "src/usage/report.rs UsageReport"),
        ("count", serde_json::to_value(Count::default()), "src/usage/report.rs Count"),
        ("key_use", serde_json::to_value(KeyUse::default()), "src/usage/report.rs KeyUse"),
        ("receipt", serde_json::to_value(Receipt::default()), "src/usage/report.rs Receipt"),
    ];
    let orders = [
        &["format", "batch", "counts", "keys"][..],
        &["hour", "application", "api", "plan", "outcome", "requests"],
        &["id", "last_used"],
        &["batch", "repeated", "rejected"],
    ];
    for ((name, value, place), order) in values.into_iter().zip(orders) {
        let value = value.unwrap();
        let properties = schemas::definition(&schema, name)["properties"].as_object().unwrap();
        assert_eq!(
            properties.keys().collect::<Vec<_>>(),
            value.as_object().unwrap().keys().collect::<Vec<_>>(),
            "{place}"
        );
        assert_eq!(order.len(), properties.len(), "{place}");
        schemas::hold_table(DOCUMENT, name, order.iter().copied());
    }
}

#[test]
fn a_field_is_required_where_the_code_requires_it() {
    let (schema, validator) = (schemas::schema(DOCUMENT), schemas::validator(DOCUMENT));
    for (list, name) in [("", "report"), ("counts", "count"), ("keys", "key_use")] {
        let definition = schemas::definition(&schema, name);
        for field in definition["properties"].as_object().unwrap().keys() {
            let mut report = with("", "format", json!(1));
            let row = if list.is_empty() { &mut report } else { &mut report[list][0] };
            row.as_object_mut().unwrap().remove(field);
            assert_eq!(validator.is_valid(&report), is_taken(&report), "{name} without {field}");
            let required = definition["required"].as_array().unwrap().contains(&json!(field));
            // One of them alone is refused, and both may be absent.
            let is_pair = field == "application" || field == "api";
            assert_eq!(is_taken(&report), !required && !is_pair, "{name} without {field}");
        }
    }
}

#[test]
fn the_schema_and_the_code_agree_on_reports() {
    let validator = schemas::validator(DOCUMENT);
    let long = |bytes: usize| json!("x".repeat(bytes));
    let count = with("", "format", json!(1))["counts"][0].clone();
    let key = json!({"id": "k", "last_used": 1});
    for (report, is_good) in [
        (with("", "something", json!("new")), true),
        (with("", "format", json!(2)), false),
        (with("", "format", json!("1")), false),
        (with("", "batch", json!("")), false),
        (with("", "batch", json!("a b")), false),
        (with("", "batch", json!("\u{e9}")), false),
        (with("", "batch", json!("b\n")), false),
        (with("", "batch", long(MAX_BATCH_BYTES)), true),
        (with("", "batch", long(MAX_BATCH_BYTES + 1)), false),
        (with("", "counts", json!({})), false),
        (with("", "counts", json!([])), true),
        (with("", "counts", json!(vec![count.clone(); MAX_COUNTS])), true),
        (with("", "counts", json!(vec![count; MAX_COUNTS + 1])), false),
        (with("", "keys", json!(vec![key.clone(); MAX_KEYS])), true),
        (with("", "keys", json!(vec![key; MAX_KEYS + 1])), false),
        (with("counts", "hour", json!(0)), true),
        (with("counts", "hour", json!(1)), false),
        (with("counts", "hour", json!(-3600)), false),
        (with("counts", "application", json!(null)), false),
        (with("counts", "api", json!(null)), false),
        (with("counts", "plan", json!(null)), true),
        (with("counts", "plan", json!("")), false),
        (with("counts", "plan", json!(" p")), false),
        (with("counts", "api", json!("a\u{1f}b")), false),
        (with("counts", "application", long(257)), false),
        (with("counts", "application", long(256)), true),
        (with("counts", "outcome", json!("Allowed")), false),
        (with("counts", "outcome", json!("")), false),
        (with("counts", "outcome", long(MAX_OUTCOME_BYTES)), true),
        (with("counts", "outcome", long(MAX_OUTCOME_BYTES + 1)), false),
        (with("counts", "requests", json!(0)), false),
        (with("counts", "requests", json!(MAX_REQUESTS)), true),
        (with("counts", "requests", json!(MAX_REQUESTS + 1)), false),
        (with("counts", "requests", json!(1.5)), false),
        (with("keys", "id", json!(null)), false),
        (with("keys", "id", json!("k ")), false),
        (with("keys", "last_used", json!(-1)), false),
        (with("keys", "last_used", json!("now")), false),
        (json!([]), false),
    ] {
        let shown: String = report.to_string().chars().take(300).collect();
        assert_eq!(is_taken(&report), is_good, "the code: {shown}");
        assert_eq!(validator.is_valid(&report), is_good, "the schema: {shown}");
    }
    // A schema knows no clock.
    let ahead = with("keys", "last_used", json!(NOW + MAX_AHEAD + 1));
    assert!(!is_taken(&ahead) && validator.is_valid(&ahead));
}

#[test]
fn the_example_is_a_report_and_the_least_answer_is_understood() {
    let text = schemas::read("docs/usage-report.md");
    let example = text.split("```json\n").nth(1).and_then(|rest| rest.split("```").next()).expect("an example");
    let report: Value = serde_json::from_str(example).expect("JSON");
    assert!(is_taken(&report) && schemas::validator(DOCUMENT).is_valid(&report));
    let mut schema = schemas::schema(DOCUMENT);
    let answers = json!({"$ref": "#/$defs/receipt", "$defs": schema["$defs"].take()});
    let validator = jsonschema::options().build(&answers).unwrap();
    for (answer, is_good) in [
        (json!({"batch": report["batch"]}), true),
        (json!({"batch": "b", "repeated": true, "rejected": 2, "something": "new"}), true),
        (json!({"batch": "b", "rejected": null}), true),
        (json!({"batch": "b", "rejected": -1}), false),
        (json!({"batch": 5}), false),
        (json!({"repeated": false}), false),
    ] {
        assert_eq!(serde_json::from_str::<ReceiptIn<'_>>(&answer.to_string()).is_ok(), is_good, "{answer}");
        assert_eq!(validator.is_valid(&answer), is_good, "{answer}");
    }
}
