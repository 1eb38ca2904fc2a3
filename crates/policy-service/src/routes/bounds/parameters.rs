//! What the OpenAPI document says about parameters in queries and headers: words, lengths and ranges.

use keygate::policy::{MAX_REVISION, MAX_TEXT_BYTES, MAX_UNIX_SECONDS};
use management::{
    apis::Api,
    applications::Application,
    deny_policies::DenyPolicy,
    gateways::State,
    keys::Key,
    plans::Plan,
    port::audit::{Action, Subject},
    resource::Resource,
    subscriptions::Subscription,
};
use serde_json::{Value, json};

use super::{merge, patterns};
use crate::routes::{
    gateways::SORTS as GATEWAY_SORTS,
    history::MAX_DIFF_CURSOR_BYTES,
    list::{MAX_CURSOR_BYTES, MAX_LIMIT, MAX_VALUE_BYTES, SORTS},
    once::{IDEMPOTENCY_KEY, MAX_IDEMPOTENCY_KEY_BYTES},
};

/// Adds the limits of all parameters.
pub fn say(document: &mut Value) {
    let limits = of_parameters();
    let key = json!({"minLength": 1, "maxLength": MAX_IDEMPOTENCY_KEY_BYTES, "pattern": patterns::VISIBLE});
    for (path, operations) in document.pointer_mut("/paths").and_then(Value::as_object_mut).into_iter().flatten() {
        for (_, operation) in operations.as_object_mut().into_iter().flatten() {
            let parameters = operation.get_mut("parameters").and_then(Value::as_array_mut);
            for parameter in parameters.into_iter().flatten() {
                if parameter["name"] == IDEMPOTENCY_KEY.as_str() {
                    merge(&mut parameter["schema"], key.clone());
                }
                for (_, name, keywords) in limits.iter().filter(|(of, ..)| of == path) {
                    if parameter["name"] == *name && parameter["in"] == "query" {
                        merge(&mut parameter["schema"], keywords.clone());
                    }
                }
            }
        }
    }
}

/// The limits: path, parameter, keywords of JSON Schema.
fn of_parameters() -> Vec<(&'static str, &'static str, Value)> {
    let mut all = Vec::new();
    of_list::<Api>(&mut all);
    of_list::<Application>(&mut all);
    of_list::<Key>(&mut all);
    of_list::<Subscription>(&mut all);
    of_list::<Plan>(&mut all);
    of_list::<DenyPolicy>(&mut all);
    let (limit, time) = (|| range(1, MAX_LIMIT.into()), || range(0, MAX_UNIX_SECONDS.unsigned_abs()));
    let revision = || range(0, MAX_REVISION);
    all.extend([
        ("/v1/audit", "kind", words(Subject::ALL.map(Subject::word))),
        ("/v1/audit", "action", words(Action::ALL.map(Action::word))),
        ("/v1/audit", "sort", words(both_ways("seq"))),
        ("/v1/audit", "id", value()),
        ("/v1/audit", "actor", value()),
        ("/v1/audit", "from", time()),
        ("/v1/audit", "to", time()),
        ("/v1/audit", "limit", limit()),
        ("/v1/audit", "cursor", json!({"pattern": patterns::DIGITS})),
        ("/v1/revisions", "sort", words(both_ways("revision"))),
        ("/v1/revisions", "limit", limit()),
        ("/v1/revisions", "cursor", json!({"pattern": patterns::DIGITS})),
        ("/v1/diff", "from", revision()),
        ("/v1/diff", "to", revision()),
        ("/v1/diff", "limit", limit()),
        ("/v1/diff", "cursor", cursor(MAX_DIFF_CURSOR_BYTES)),
        ("/v1/usage", "application", value()),
        ("/v1/usage", "api", value()),
        ("/v1/usage", "from", time()),
        ("/v1/usage", "to", time()),
        ("/v1/usage", "limit", limit()),
        ("/v1/usage", "cursor", json!({"pattern": patterns::BASE64})),
        ("/v1/tokens", "limit", limit()),
        ("/v1/tokens", "cursor", json!({"pattern": patterns::BASE64})),
        ("/v1/gateways", "state", words(State::ALL.map(State::word))),
        ("/v1/gateways", "client_id", value()),
        ("/v1/gateways", "instance", value()),
        ("/v1/gateways", "q", json!({"minLength": 1, "maxLength": MAX_VALUE_BYTES})),
        ("/v1/gateways", "sort", words(GATEWAY_SORTS.into_iter().flat_map(both_ways))),
        ("/v1/gateways", "limit", limit()),
        ("/v1/gateways", "cursor", cursor(MAX_CURSOR_BYTES)),
        ("/v1/gateways/credentials", "limit", limit()),
        ("/v1/gateways/credentials", "cursor", json!({"pattern": patterns::BASE64})),
        ("/v1/import", "label", json!({"minLength": 1, "maxLength": MAX_TEXT_BYTES, "pattern": patterns::TEXT})),
        ("/v1/policy", "since", revision()),
        ("/v1/policy", "revision", revision()),
        ("/v1/policy", "after", revision()),
    ]);
    all
}

/// The limits of the list of one kind.
fn of_list<R: Resource>(all: &mut Vec<(&'static str, &'static str, Value)>) {
    let sorts = SORTS.iter().chain(R::SORTS).flat_map(|(name, _)| both_ways(name));
    all.extend([
        (R::PATH, "limit", range(1, MAX_LIMIT.into())),
        (R::PATH, "cursor", cursor(MAX_CURSOR_BYTES)),
        (R::PATH, "q", json!({"minLength": 1, "maxLength": MAX_VALUE_BYTES})),
        (R::PATH, "sort", words(sorts)),
    ]);
    all.extend(R::FILTERS.iter().map(|&name| {
        let keywords = match name {
            "state" => words(R::STATES.iter().copied()),
            "type" => words(R::TYPES.iter().copied()),
            "sha256" => json!({"pattern": patterns::DIGEST}),
            "planned" => json!({}),
            "last_used_before" => range(0, MAX_UNIX_SECONDS.unsigned_abs()),
            _ => value(),
        };
        (R::PATH, name, keywords)
    }));
}

/// An order, ascending and descending.
fn both_ways(name: &str) -> [String; 2] {
    [name.to_owned(), format!("-{name}")]
}

fn words(words: impl IntoIterator<Item = impl Into<Value>>) -> Value {
    let words: Vec<Value> = words.into_iter().map(Into::into).collect();
    json!({"enum": words})
}

/// A cursor has the form that the service gave it.
fn cursor(most: usize) -> Value {
    json!({"minLength": 1, "maxLength": most, "pattern": patterns::BASE64})
}

fn value() -> Value {
    json!({"maxLength": MAX_VALUE_BYTES})
}

fn range(least: u64, most: u64) -> Value {
    json!({"minimum": least, "maximum": most})
}
