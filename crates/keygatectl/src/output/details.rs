//! One object as a person reads it: a line for each field, with nested objects below their names.

use serde_json::Value;
use unicode_width::UnicodeWidthStr as _;

use super::{Screen, dim, heading, plain, styled, table};
use crate::{failure::Failure, fields, times};

/// Fields whose values are Unix times.
const TIMES: &[&str] = &[
    "at",
    "blocked_from",
    "blocked_until",
    "created_at",
    "expires_at",
    "from",
    "last_seen",
    "last_used",
    "not_before",
    "until",
    "used_up_until",
];

/// Prints a section's heading.
pub fn section(screen: &mut Screen, title: &str) -> Result<(), Failure> {
    screen.line("")?;
    screen.line(&heading(title))
}

/// Prints the fields of an object, without those in `hidden`.
pub fn object(screen: &mut Screen, object: &Value, hidden: &[&str], now: i64) -> Result<(), Failure> {
    let Some(named) = object.as_object() else { return Ok(()) };
    let shown =
        fields::ordered(named).into_iter().filter(|(name, value)| !value.is_null() && !hidden.contains(&name.as_str()));
    let shown: Vec<(String, &Value)> = shown.map(|(name, value)| (name.replace('_', " "), value)).collect();
    let width = shown.iter().map(|(name, _)| name.width()).max().unwrap_or_default();
    for (name, value) in shown {
        let blanks = " ".repeat(width.saturating_sub(name.width()));
        let columns = width.saturating_add(4);
        screen.wrapped(&format!("  {}{blanks}  ", plain(&name)), columns, &field(&name, value, now))?;
    }
    Ok(())
}

/// The value of a field.
pub fn field(name: &str, value: &Value, now: i64) -> String {
    if let Some(time) = value.as_i64().filter(|_| TIMES.contains(&name.replace(' ', "_").as_str())) {
        return format!("{} {}", times::local_exact(time), dim(&format!("({})", times::away(time, now))));
    }
    match value {
        Value::String(text) => styled(text),
        Value::Array(items) if items.is_empty() => dim("none"),
        value => plain_field(name, value),
    }
}

/// The value of a field without a style.
pub fn plain_field(name: &str, value: &Value) -> String {
    let joined = |items: &[Value], text: fn(&Value) -> String| items.iter().map(text).collect::<Vec<_>>().join(", ");
    let text = match value {
        Value::Array(items) if items.is_empty() => "none".to_owned(),
        Value::Array(items) if items.iter().all(Value::is_string) => joined(items, table::text),
        Value::Array(items) if name == "match" => joined(items, table::matched),
        Value::Array(items) if name == "limits" => joined(items, table::limit),
        Value::Object(_) if name == "burst" => table::limit(value),
        value => table::text(value),
    };
    plain(&text).into_owned()
}

/// A line for each kind with numbers other than 0.
pub fn counts(screen: &mut Screen, counts: &serde_json::Map<String, Value>) -> Result<(), Failure> {
    let mut is_empty = true;
    for (kind, count) in counts {
        let numbers = count.as_object().into_iter().flatten();
        let numbers: Vec<String> = numbers
            .filter(|(_, number)| number.as_u64() != Some(0))
            .map(|(what, number)| format!("{number} {}", word(what)))
            .collect();
        if !numbers.is_empty() {
            is_empty = false;
            screen.line(&format!("  {}: {}", kind.replace('_', " "), numbers.join(", ")))?;
        }
    }
    if is_empty {
        screen.line("  nothing")?;
    }
    Ok(())
}

fn word(what: &str) -> String {
    match what {
        "refused" => styled("refused"),
        "held_back" => "held back by a block of the owner".to_owned(),
        what => plain(what).into_owned(),
    }
}
