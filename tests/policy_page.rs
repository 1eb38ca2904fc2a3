//! Compares `docs/policy-page.md`, its schema and its example with the code that reads pages. Other tests show whether
//! that code is right.
#![cfg(not(target_arch = "wasm32"))]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "only test code: a panic is how it reports"
)]

mod cases;
mod schemas;

use cases::{core::Core, table::Group};
use keygate::{
    digest::Digest,
    policy::{
        MAX_APIS, MAX_DENY_POLICIES, MAX_LIST_ENTRIES, MAX_PLANS, MAX_REVISION, MAX_TEXT_BYTES, MAX_UNIX_SECONDS,
        cursor::MAX_CURSOR_BYTES, page::Page, rows::MAX_LIMIT_REQUESTS, unknown::UnknownFields, wire,
    },
};
use schemas::{definition, read};
use serde_json::{Value, json};

/// Objects of `src/policy/wire.rs`, each with the name of its definition in the schema and of its table in the
/// document.
const OBJECTS: &[(&str, &str)] = &[
    ("PageIn", "page"),
    ("ApiRow", "api"),
    ("MatchRow", "match"),
    ("ApplicationRow", "application"),
    ("KeyRow", "key"),
    ("SubscriptionRow", "subscription"),
    ("PlanRow", "plan"),
    ("LimitRow", "limit"),
    ("OperationRow", "operation"),
    ("DenyPolicyRow", "deny_policy"),
    ("CountsIn", "counts"),
    ("Removed", "removed"),
    ("SubscriptionId", "subscription_id"),
];

/// The value of a keyword in a schema, or in the definition that the schema refers to.
fn keyword<'s>(whole: &'s Value, schema: &'s Value, name: &str) -> &'s Value {
    match (schema.get(name), schema["$ref"].as_str()) {
        (Some(value), _) => value,
        (None, Some(place)) => {
            keyword(whole, whole.pointer(place.trim_start_matches('#')).expect("a definition"), name)
        }
        (None, None) => &Value::Null,
    }
}

/// Whether the core accepts a page with all its rows.
fn is_taken_whole(page: &str) -> bool {
    let Ok(page) = Page::scan(page.as_bytes().to_vec()) else { return false };
    page.rows(0..usize::MAX, &mut UnknownFields::default()).all(|row| row.is_ok())
}

#[test]
fn every_page_of_the_cases_is_valid() {
    let validator = schemas::validator("docs/policy-page");
    let pages: Vec<_> = cases::all_groups()
        .into_iter()
        .filter_map(|(file, group)| Some((file, group.page(cases::core::NOW)?)))
        .collect();
    assert!(pages.len() > 50, "{} pages", pages.len());
    for (file, page) in pages {
        let wrong: Vec<_> =
            validator.iter_errors(&page).map(|error| format!("{}: {error}", error.instance_path())).collect();
        assert!(wrong.is_empty(), "{file}: {wrong:?}");
    }
}

/// Name and type of each field of an object in `wire.rs`, in the order of its declaration.
fn fields(source: &str, name: &str) -> Vec<(String, String)> {
    let find = |begin: &str, end: &str| {
        let rest = source.split(begin).nth(1).unwrap_or_else(|| panic!("wire.rs has no {begin}"));
        rest.split(end).next().unwrap_or_default().to_owned()
    };
    let lifetime = if source.contains(&format!("pub struct {name}<'a> {{")) { "<'a>" } else { "" };
    let body = find(&format!("pub struct {name}{lifetime} {{"), "\n}");
    let read = find(&format!("read_object!({name}{} {{", lifetime.replace("'a", "'de")), "});");
    let names: Vec<_> = read.split(',').map(str::trim).filter(|field| !field.is_empty()).collect();
    let types =
        body.lines().filter_map(|line| line.trim().strip_prefix("pub ")?.trim_end_matches(',').split_once(": "));
    let fields: Vec<_> = types
        .map(|(field, kind)| {
            let renamed = names.iter().find_map(|name| name.strip_prefix(field)?.strip_prefix(" as "));
            assert!(renamed.is_some() || names.contains(&field), "{name}: {field} is not read");
            (renamed.map_or(field, |name| name.trim_matches('"')).to_owned(), kind.to_owned())
        })
        .collect();
    assert_eq!(fields.len(), names.len(), "{name}");
    fields
}

/// The JSON types that a type of `wire.rs` accepts. `None` if it accepts any.
fn types(kind: &str) -> Option<Value> {
    let (inner, optional) = match kind.strip_prefix("Option<").and_then(|kind| kind.strip_suffix('>')) {
        Some(inner) => (inner, true),
        None => (kind, kind == "List<'a>"),
    };
    let name = match inner {
        "Str<'a>" => "string",
        "u64" | "i64" => "integer",
        "bool" => "boolean",
        "&'a RawValue" => return None,
        _ if inner == "List<'a>" || inner.starts_with("Vec<") => "array",
        _ => "object",
    };
    Some(if optional { json!([name, "null"]) } else { json!(name) })
}

#[test]
fn the_schema_has_the_fields_that_are_read_with_their_types() {
    let (whole, source) = (schemas::schema("docs/policy-page"), read("src/policy/wire.rs"));
    let objects = source.matches("read_object!(").count();
    assert_eq!(objects, OBJECTS.len(), "an object of wire.rs has no place in the documents");
    assert_eq!(whole["properties"]["format"]["const"], wire::FORMAT);
    for (name, definition_name) in OBJECTS {
        let definition = definition(&whole, definition_name);
        let fields = fields(&source, name);
        let properties = definition["properties"].as_object().unwrap_or_else(|| panic!("{definition_name}"));
        let (mut expected, mut found): (Vec<_>, Vec<_>) =
            (fields.iter().map(|(field, _)| field).collect(), properties.keys().collect());
        expected.sort();
        found.sort();
        assert_eq!(found, expected, "{definition_name}");
        let required: Vec<_> =
            fields.iter().filter(|(_, kind)| !kind.starts_with("Option<") && kind != "List<'a>").collect();
        let required: Vec<_> = required.into_iter().map(|(field, _)| field.as_str()).collect();
        assert_eq!(definition.get("required").cloned().unwrap_or(json!([])), json!(required), "{definition_name}");
        // `counts` is only a hint. Counts that cannot be read are ignored, so the schema does not restrict their
        // fields.
        if *definition_name == "counts" {
            continue;
        }
        for (field, kind) in &fields {
            let property = &properties[field];
            let found = match property.get("anyOf").and_then(Value::as_array) {
                Some(ways) if property.get("type").is_none() => {
                    json!(ways.iter().map(|way| keyword(&whole, way, "type")).collect::<Vec<_>>())
                }
                _ => keyword(&whole, property, "type").clone(),
            };
            assert_eq!(found, types(kind).unwrap_or(Value::Null), "{definition_name}.{field}");
        }
    }
}

#[test]
fn the_limits_of_the_schema_are_those_of_the_code() {
    let whole = schemas::schema("docs/policy-page");
    for (place, limit) in [
        ("/$defs/text/maxLength", MAX_TEXT_BYTES),
        ("/$defs/optional_text/maxLength", MAX_TEXT_BYTES),
        ("/properties/epoch/maxLength", MAX_TEXT_BYTES),
        ("/$defs/time/maximum", usize::try_from(MAX_UNIX_SECONDS).unwrap()),
        ("/$defs/revision/maximum", usize::try_from(MAX_REVISION).unwrap()),
        ("/$defs/cursor/maxLength", MAX_CURSOR_BYTES),
        ("/$defs/limit/properties/requests/maximum", usize::try_from(MAX_LIMIT_REQUESTS).unwrap()),
        ("/properties/apis/maxItems", MAX_APIS),
        ("/properties/plans/maxItems", MAX_PLANS),
        ("/properties/deny_policies/maxItems", MAX_DENY_POLICIES),
        ("/$defs/api/properties/match/maxItems", MAX_LIST_ENTRIES),
        ("/$defs/key/properties/permitted_ips/maxItems", MAX_LIST_ENTRIES),
        ("/$defs/plan/properties/operations/maxItems", MAX_LIST_ENTRIES),
    ] {
        assert_eq!(whole.pointer(place), Some(&json!(limit)), "{place}");
    }
}

/// The lists of a page, each with the definition of its rows in the schema.
const LISTS: [(&str, &str); 6] = [
    ("apis", "api"),
    ("applications", "application"),
    ("keys", "key"),
    ("subscriptions", "subscription"),
    ("plans", "plan"),
    ("deny_policies", "deny_policy"),
];

/// The fields of a row that the schema says are of this type, such as `text`, which may be optional.
fn of_type(row: &str, name: &str) -> Vec<String> {
    let whole = schemas::schema("docs/policy-page");
    let types = [format!("#/$defs/{name}"), format!("#/$defs/optional_{name}")];
    let fields = whole["$defs"][row]["properties"].as_object().expect("an object");
    let has = |field: &Value| field["$ref"].as_str().is_some_and(|place| types.iter().any(|name| name == place));
    fields.iter().filter(|(_, field)| has(field)).map(|(name, _)| name.clone()).collect()
}

/// A page with one row, which is valid except for `field`.
fn with(list: &str, field: &str, value: Value) -> Value {
    let mut row = match list {
        "apis" => json!({"id": "a", "match": [{"path": "/a"}]}),
        "applications" => json!({"id": "app"}),
        "keys" => json!({"sha256": Digest::of(b"key").to_hex(), "id": "k", "application": "app"}),
        "subscriptions" => json!({"application": "app", "api": "a"}),
        "plans" => json!({"id": "p", "limits": [{"requests": 1, "per": "day"}]}),
        "deny_policies" => json!({"id": "d", "type": "USER", "value": "u"}),
        _ => panic!("{list}"),
    };
    row[field] = value;
    json!({"format": 1, list: [row]})
}

/// A page whose header is valid except for `field`.
fn header(field: &str, value: Value) -> Value {
    let mut page = json!({"format": 1, "revision": 5});
    page[field] = value;
    page
}

fn delta(removed: Value) -> Value {
    json!({"format": 1, "revision": 5, "base": 4, "removed": removed})
}

fn bad_pages() -> Vec<Value> {
    let long = "x".repeat(MAX_TEXT_BYTES + 1);
    let mut pages = vec![
        json!([]),
        json!({}),
        json!({"format": "1"}),
        json!({"format": 2}),
        json!({"format": 1, "base": 4}),
        json!({"format": 1, "base": 4, "revision": null}),
        header("epoch", json!(long)),
        header("epoch", json!("a\u{7f}")),
        header("epoch", json!(1)),
        header("revision", json!(-1)),
        header("revision", json!("5")),
        header("revision", json!(1u64 << 53)),
        header("confirm_removal", json!("yes")),
        header("keys", json!({})),
        header("apis", json!([1])),
        header("plans", json!(vec![json!({"id": "p"}); MAX_PLANS + 1])),
    ];
    for cursor in
        ["", "x", "//elsewhere/p", "https://elsewhere/p", "/a b", "/a\u{e9}", "/a#b", "/a\\b", "/a\r\nx: y", "?a\n"]
    {
        pages.extend(["next", "poll"].map(|field| header(field, json!(cursor))));
    }
    pages.push(header("next", json!(format!("?{}", "x".repeat(MAX_CURSOR_BYTES)))));
    for (list, row) in LISTS {
        let mut texts = of_type(row, "text");
        // The schema says with the type of a deny policy what its value is.
        texts.extend((list == "deny_policies").then(|| "value".to_owned()));
        for field in &texts {
            for text in ["", " a", "a\u{a0}", "\u{3000}", "a\nb", "a\u{9f}", &*long] {
                pages.push(with(list, field, json!(text)));
            }
            pages.extend([json!(7), json!(["a"]), json!({"a": 1}), json!(true)].map(|value| with(list, field, value)));
        }
    }
    for (list, field) in [("apis", "id"), ("keys", "sha256"), ("subscriptions", "api"), ("deny_policies", "type")] {
        pages.push(with(list, field, Value::Null));
    }
    for time in [json!(-1), json!(MAX_UNIX_SECONDS + 1), json!("2026-01-01"), json!(1.5)] {
        for (list, row) in LISTS {
            pages.extend(of_type(row, "time").iter().map(|field| with(list, field, time.clone())));
        }
    }
    let digest = Digest::of(b"key").to_hex();
    for wrong in [&digest[1..], &format!("{digest}0"), &format!("{}g", &digest[1..]), ""] {
        pages.push(with("keys", "sha256", json!(wrong)));
        pages.push(delta(json!({"keys": [wrong]})));
    }
    let many = json!(vec!["a"; MAX_LIST_ENTRIES + 1]);
    pages.extend([
        with("keys", "apis", many.clone()),
        with("keys", "permitted_ips", many.clone()),
        with("keys", "permitted_referers", many.clone()),
        with("keys", "apis", json!("a")),
        with("keys", "type", json!(1)),
        with("keys", "state", json!(false)),
        with("subscriptions", "state", json!(["BLOCKED"])),
        with("apis", "endpoints", many),
        with("apis", "match", json!(vec![json!({"path": "/a"}); MAX_LIST_ENTRIES + 1])),
        with("apis", "match", json!([{}])),
        with("apis", "match", json!([["*", "/a"]])),
        with("apis", "match", json!([{"path": ""}])),
        with("apis", "match", json!([{"path": "a"}])),
        with("apis", "match", json!([{"path": format!("/{}", "x".repeat(1024))}])),
        with("apis", "match", json!([{"path": "/a", "hosts": "a.example"}])),
        with("apis", "security", json!(0)),
        with("apis", "subscription_required", json!("false")),
        with("plans", "limits", json!([{"requests": 0, "per": "day"}])),
        with("plans", "limits", json!([{"requests": (1u64 << 40) + 1, "per": "day"}])),
        with("plans", "limits", json!([{"requests": "5", "per": "day"}])),
        with("plans", "limits", json!([{"requests": 5, "per": "week"}])),
        with("plans", "limits", json!([{"requests": 5}])),
        with("plans", "limits", json!([[5, "day"]])),
        with("plans", "burst", json!({"requests": 0, "per": "second"})),
        with("plans", "burst", json!([])),
        with("plans", "stop_on_quota_reach", json!(0)),
        with("plans", "operations", json!([{}])),
        with("plans", "operations", json!([{"path": 1}])),
        with("plans", "operations", json!([{"path": "/", "methods": "GET"}])),
        with("plans", "operations", json!(vec![json!({"path": "/a"}); MAX_LIST_ENTRIES + 1])),
        with("deny_policies", "type", json!("HOST")),
        with("deny_policies", "type", json!("IP")),
        with("deny_policies", "invert", json!("no")),
        json!({"format": 1, "deny_policies": [{"id": "d", "type": "IP_RANGE", "value": "10.0.0.0/x"}]}),
        delta(json!([])),
        delta(json!({"apis": [""]})),
        delta(json!({"applications": [" a"]})),
        delta(json!({"plans": [1]})),
        delta(json!({"deny_policies": ["a\n"]})),
        delta(json!({"subscriptions": [{"application": "a"}]})),
        delta(json!({"subscriptions": [["a", "b"]]})),
    ]);
    pages
}

#[test]
fn the_schema_refuses_every_page_that_the_filter_refuses_in_whole_or_part() {
    let validator = schemas::validator("docs/policy-page");
    for page in bad_pages() {
        let text = page.to_string();
        let shown: String = text.chars().take(200).collect();
        assert!(!is_taken_whole(&text), "the filter takes {shown}");
        assert!(!validator.is_valid(&page), "the schema takes {shown}");
    }
}

/// The nearest valid neighbours of the bad pages.
#[test]
fn a_page_whose_faults_only_permit_less_is_valid() {
    let validator = schemas::validator("docs/policy-page");
    let entries = json!(["a", 5, null, ["b"], {"c": 1}, true, ""]);
    let full = "x".repeat(MAX_TEXT_BYTES);
    for page in [
        json!({"format": 1}),
        json!({"format": 1, "epoch": "", "revision": 0, "base": null, "next": null, "poll": "?", "removed": 5}),
        json!({"format": 1, "apis": null, "keys": null, "counts": {"keys": "many"}, "confirm_removal": null}),
        json!({"format": 1, "counts": 7, "something": "new"}),
        json!({"format": 1, "revision": MAX_REVISION, "base": MAX_REVISION, "next": "/"}),
        header("next", json!(format!("?{}", "x".repeat(MAX_CURSOR_BYTES - 1)))),
        header("poll", json!("/v1/policy?since=4&epoch=e%20f[]!\"$")),
        with("apis", "id", json!(full)),
        with("apis", "name", json!("\u{feff}name")),
        with("apis", "state", json!("SUNSET")),
        with("apis", "security", json!("oauth2")),
        with("apis", "endpoints", entries.clone()),
        with("apis", "match", json!([{"path": "/{x}"}, {"path": ""}])),
        with("apis", "match", json!([{"path": "/a", "hosts": entries}])),
        with("keys", "type", json!("TEST")),
        with("keys", "expires_at", json!(MAX_UNIX_SECONDS)),
        with("keys", "permitted_ips", json!(["10.0.0.0/99"])),
        with("keys", "sha256", json!(Digest::of(b"key").to_hex().to_uppercase())),
        with("subscriptions", "state", json!("PAUSED")),
        with("subscriptions", "expires", json!(5)),
        with("plans", "operations", json!([{"path": "no path"}])),
        with("plans", "limits", json!([{"requests": MAX_LIMIT_REQUESTS, "per": "month"}])),
        delta(json!({"keys": null, "apis": ["a"]})),
        delta(Value::Null),
    ] {
        let taken = is_taken_whole(&page.to_string());
        assert_eq!(taken, validator.is_valid(&page), "{page}");
        // Only the row with an empty path is refused. A match that can never apply costs its row nothing.
        assert_eq!(taken, !page.to_string().contains(r#"{"path":""}"#), "{page}");
    }
}

#[test]
fn the_tables_of_the_document_are_those_of_the_schema() {
    let source = read("src/policy/wire.rs");
    for (object, name) in OBJECTS {
        let fields = fields(&source, object);
        schemas::hold_table("docs/policy-page", name, fields.iter().map(|(field, _)| field.as_str()));
    }
}

#[test]
fn the_example_is_a_policy_and_decides() {
    let text = read("docs/policy-page.example.json");
    assert!(is_taken_whole(&text), "{:?}", Page::scan(text.clone().into_bytes()));
    let scanned = Page::scan(text.clone().into_bytes()).expect("a page");
    assert!(scanned.unknown.fields().is_empty() && scanned.left_out.is_empty());
    let page: Value = serde_json::from_str(&text).expect("JSON");
    assert!(schemas::validator("docs/policy-page").is_valid(&page));
    for (row, key) in page["keys"].as_array().unwrap().iter().zip(["production", "sandbox", "old", "crawler"]) {
        assert_eq!(row["sha256"], Digest::of(format!("example-{key}-key").as_bytes()).to_hex());
    }
    let case = |key: &str, method: &str, path: &str, address: &str, expect: &str| {
        json!({"name": format!("{key} {method} {path} from {address}"), "expect": expect, "request": {
            "key": format!("example-{key}-key"), "method": method, "path": path, "address": address,
            "authority": "api.example.com"}})
    };
    let cases = [
        case("production", "GET", "/books/1.0/list", "192.0.2.1", "allowed"),
        case("production", "POST", "/books/1.0/list", "192.0.2.1", "operation_not_permitted"),
        case("production", "GET", "/orders/1.0/list", "192.0.2.1", "subscription_blocked"),
        case("sandbox", "GET", "/orders/1.0/list", "192.0.2.1", "allowed"),
        case("old", "GET", "/books/1.0/list", "192.0.2.1", "key_revoked"),
        case("crawler", "GET", "/books/1.0/list", "192.0.2.1", "denied_by_policy"),
        case("production", "GET", "/books/1.0/list", "203.0.113.9", "denied_by_policy"),
        case("nobody", "GET", "/books/1.0/list", "192.0.2.1", "key_unknown"),
        case("production", "GET", "/elsewhere", "192.0.2.1", "api_not_found"),
    ];
    let group: Group = serde_json::from_value(json!({"name": "the example", "cases": cases})).expect("a group");
    let mut core = Core::new(&group);
    core.refresh(&page);
    for case in &group.cases {
        let reason = core.send(&group.sent(case)).annotations.remove("reason").unwrap_or_default();
        assert_eq!(reason, case.expectation().reason, "{}", case.name);
    }
}

/// The `curl` commands of the document, each with what its comment says of the answer.
fn tried() -> Vec<(String, String)> {
    let text = read("docs/policy-page.md");
    let lines = text.lines().filter_map(|line| line.trim_start().strip_prefix("curl -si http://127.0.0.1:10000"));
    let commands = lines.map(|line| line.split_once('#').expect("a comment that says what is answered"));
    commands.map(|(command, answer)| (command.trim().to_owned(), answer.trim().to_owned())).collect()
}

#[test]
fn the_example_answers_as_the_document_says() {
    let page: Value = serde_json::from_str(&read("docs/policy-page.example.json")).unwrap();
    let group = json!({"name": "the example", "policy": page, "cases": []});
    let group: Group = serde_json::from_value(group).unwrap();
    let core = Core::new(&group);
    let tried = tried();
    assert_eq!(tried.len(), 3, "{tried:?}");
    for (command, answer) in tried {
        let (path, headers) = command.split_once(' ').expect("headers");
        let header = |name: &str| Some(headers.split_once(&format!("-H '{name}: "))?.1.split('\'').next()?.to_owned());
        let mut request = json!({"path": path, "key": header("x-api-key").expect("a key")});
        if let Some(host) = header("host") {
            request["authority"] = json!(host);
        }
        let case = json!({"name": command, "request": request, "expect": "allowed"});
        let seen = core.observe(&group, &serde_json::from_value(case).unwrap());
        let found = match seen.reply {
            None => "passes".to_owned(),
            Some(reply) if reply.status == 404 => "404".to_owned(),
            Some(reply) => {
                let body: Value = serde_json::from_slice(&reply.body).unwrap();
                format!("{}, {}", reply.status, body["code"].as_str().unwrap_or_default())
            }
        };
        assert_eq!(found, answer, "{command}");
    }
}
