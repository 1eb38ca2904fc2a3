//! What differs between two states of a row, field by field.

use maud::{Markup, html};
use serde_json::{Map, Value};

use super::parts::{
    table::{name, table},
    time::second,
};

/// Characters that are shown of one value.
const SHOWN: usize = 400;
/// Fields that are shown of one row.
const FIELDS: usize = 60;

/// A value as a page shows it.
#[derive(Debug, PartialEq, Eq)]
enum Shown {
    Text(String),
    /// Unix seconds.
    Time(i64),
}

/// A field with its values; `None` where the row does not have it.
type Change = (String, Option<Shown>, Option<Shown>);

/// The fields that differ, by their names.
fn changes(before: Option<&Value>, after: Option<&Value>) -> Vec<Change> {
    let none = Map::new();
    let fields = |row: Option<&'_ Value>| flat(row.and_then(Value::as_object).unwrap_or(&none));
    let (before, after) = (fields(before), fields(after));
    let mut names: Vec<&String> = before.keys().chain(after.keys()).collect();
    names.sort();
    names.dedup();
    let changed = names.into_iter().filter(|name| before.get(*name) != after.get(*name));
    let told = |row: &Map<String, Value>, name: &str| row.get(name).map(|value| shown(name, value));
    changed.map(|name| (name.clone(), told(&before, name), told(&after, name))).collect()
}

/// A row whose objects are fields of their own, as `block.note`. Deeper ones stay as they are.
fn flat(row: &Map<String, Value>) -> Map<String, Value> {
    let mut flat = Map::new();
    for (name, value) in row {
        match value {
            Value::Object(inner) => {
                flat.extend(inner.iter().map(|(field, value)| (format!("{name}.{field}"), value.clone())));
            }
            value => {
                flat.insert(name.clone(), value.clone());
            }
        }
    }
    flat
}

/// Fields with a time in Unix seconds.
const TIMES: [&str; 10] = [
    "at",
    "from",
    "until",
    "created_at",
    "expires_at",
    "not_before",
    "last_used",
    "used_up_until",
    "blocked_from",
    "blocked_until",
];

fn shown(field: &str, value: &Value) -> Shown {
    let is_time = TIMES.contains(&field.rsplit('.').next().unwrap_or_default());
    match value.as_i64().filter(|_| is_time) {
        Some(seconds) => Shown::Time(seconds),
        None => Shown::Text(words(value)),
    }
}

/// A value as people read it.
fn words(value: &Value) -> String {
    let text = match value {
        Value::Null => "none".to_owned(),
        Value::Bool(true) => "yes".to_owned(),
        Value::Bool(false) => "no".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(values) if values.iter().all(|value| value.is_string() || value.is_number()) => {
            values.iter().map(words).collect::<Vec<_>>().join(", ")
        }
        value => value.to_string(),
    };
    if text.chars().count() <= SHOWN { text } else { text.chars().take(SHOWN).chain(['…']).collect() }
}

/// A table of what differs. Of a row that was made or removed, it has all fields.
pub fn table_of(caption: &str, before: Option<&Value>, after: Option<&Value>) -> Markup {
    let changes = changes(before, after);
    let value = |value: &Option<Shown>| {
        html! { @match value {
            Some(Shown::Text(text)) => (name(text)),
            Some(Shown::Time(seconds)) => (second(*seconds)),
            None => span.none { "–" },
        } }
    };
    let rows: Vec<Vec<Markup>> = changes
        .iter()
        .take(FIELDS)
        .map(|(field, before, after)| vec![html! { code { (name(field)) } }, value(before), value(after)])
        .collect();
    html! {
        @if rows.is_empty() { p.hint { "No field differs." } } @else {
            (table(caption, &["Field", "Before", "After"], &rows))
            @if changes.len() > FIELDS { p.hint { (changes.len().saturating_sub(FIELDS)) " more fields" } }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_fields_that_differ_are_told() {
        let (before, after) =
            (json!({"a": 1, "b": "x", "c": null, "d": [1, "y"]}), json!({"a": 1, "b": "z", "e": true}));
        let some = |text: &str| Some(Shown::Text(text.to_owned()));
        assert_eq!(
            changes(Some(&before), Some(&after)),
            [
                ("b".to_owned(), some("x"), some("z")),
                ("c".to_owned(), some("none"), None),
                ("d".to_owned(), some("1, y"), None),
                ("e".to_owned(), None, some("yes")),
            ]
        );
        assert_eq!(changes(None, Some(&json!({"a": {"b": 1}}))), [("a.b".to_owned(), None, some("1"))]);
        let end = json!({"block": {"until": 4_102_444_800_i64}});
        assert_eq!(changes(Some(&end), None), [("block.until".to_owned(), Some(Shown::Time(4_102_444_800)), None)]);
        assert_eq!(changes(Some(&Value::Null), None), []);
        assert_eq!(words(&json!("x".repeat(500))).chars().count(), SHOWN + 1);
    }
}
