//! Reads a JSON Schema in `docs/` and its document for tests. The tests define what they must say.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "only test code, of which each test uses a part: a panic is how it reports"
)]

use std::{fs, path::Path};

use jsonschema::Validator;
use serde_json::{Value, json};

pub fn read(file: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{file}: {error}"))
}

/// The schema of a document. The document is named without `.md`.
pub fn schema(document: &str) -> Value {
    serde_json::from_str(&read(&format!("{document}.schema.json"))).expect("the schema is JSON")
}

pub fn validator(document: &str) -> Validator {
    jsonschema::options().build(&schema(document)).expect("a JSON Schema")
}

/// A definition of the schema, or the schema itself if it has no such definition.
pub fn definition<'s>(schema: &'s Value, name: &str) -> &'s Value {
    schema["$defs"].get(name).unwrap_or(schema)
}

/// The definition that a schema refers to.
fn referred(schema: &Value) -> Option<&str> {
    schema["$ref"].as_str()?.strip_prefix("#/$defs/")
}

/// The text for the column of types.
fn type_name(property: &Value) -> String {
    if let Some(name) = referred(property) {
        return match name {
            "optional_text" => "text".to_owned(),
            "counts" => "object".to_owned(),
            name => name.to_owned(),
        };
    }
    if let Some(value) = property.get("const") {
        return value.to_string();
    }
    let kind = property["type"].as_str().or_else(|| property["type"][0].as_str());
    match (kind, property["anyOf"].get(0)) {
        (Some("array"), _) => format!("list of {}", referred(&property["items"]).unwrap_or("strings")),
        (Some(kind), _) => kind.to_owned(),
        (None, Some(way)) => type_name(way),
        (None, None) if property["description"].as_str().is_some_and(|text| text.contains("an integer")) => {
            "integer".to_owned()
        }
        (None, None) => "object".to_owned(),
    }
}

/// Checks that the table between `<!-- name -->` and its end marker matches a definition of the schema. The table must
/// have these fields in this order.
pub fn hold_table<'f>(document: &str, name: &str, fields: impl Iterator<Item = &'f str>) {
    let schema = schema(document);
    let definition = definition(&schema, name);
    let mut right = "| field | type | absent | meaning |\n|---|---|---|---|".to_owned();
    for field in fields {
        let property = &definition["properties"][field];
        let required = definition["required"].as_array().is_some_and(|names| names.contains(&json!(field)));
        let absent = match property.get("default") {
            _ if required => "required".to_owned(),
            Some(default) => format!("`{default}`"),
            None => "none".to_owned(),
        };
        let meaning = property["description"].as_str().unwrap_or_else(|| panic!("{name}.{field} has no description"));
        right += &format!("\n| `{field}` | {} | {absent} | {meaning} |", type_name(property));
    }
    let text = read(&format!("{document}.md"));
    let (begin, end) = (format!("<!-- {name} -->"), format!("<!-- /{name} -->"));
    let found = text.split(&begin).nth(1).and_then(|rest| rest.split(&end).next());
    let found = found.unwrap_or_else(|| panic!("{document}.md has no {begin}")).trim();
    assert!(found == right, "{document}.md: between {begin} and {end} should stand\n\n{right}\n\n");
}
