//! A change of a row as a person reads it: what is made, what goes, and of the rest the fields that differ.

use serde_json::{Map, Value};

use crate::{
    failure::Failure,
    output::{Screen, details, plain},
    times,
};

/// Prints a change. Without `before` the row is made, without `after` it goes.
pub fn print(
    screen: &mut Screen,
    kind: &str,
    id: &str,
    before: Option<&Value>,
    after: Option<&Value>,
) -> Result<(), Failure> {
    let name = format!("{} {}", kind.replace('_', " "), plain(id));
    let none = Map::new();
    let fields = |side: Option<&Value>| side.and_then(Value::as_object).cloned().unwrap_or_else(|| none.clone());
    match (before, after) {
        (None, _) => {
            let lines = rows(&fields(after), "");
            screen.line(&green(&format!("+ {name}")))?;
            for (field, value) in lines {
                screen.line(&green(&format!("+   {field}: {value}")))?;
            }
        }
        (Some(_), None) => screen.line(&red(&format!("- {name}")))?,
        (Some(_), Some(_)) => {
            screen.line(&format!("~ {name}"))?;
            let (before, after) = (rows(&fields(before), ""), rows(&fields(after), ""));
            for (field, old) in &before {
                match after.iter().find(|(other, _)| other == field) {
                    Some((_, new)) if new == old => {}
                    Some((_, new)) => {
                        screen.line(&red(&format!("-   {field}: {old}")))?;
                        screen.line(&green(&format!("+   {field}: {new}")))?;
                    }
                    None => screen.line(&red(&format!("-   {field}: {old}")))?,
                }
            }
            for (field, new) in after.iter().filter(|(field, _)| !before.iter().any(|(other, _)| other == field)) {
                screen.line(&green(&format!("+   {field}: {new}")))?;
            }
        }
    }
    Ok(())
}

fn green(text: &str) -> String {
    let style = anstyle::AnsiColor::Green.on_default();
    format!("{style}{text}{style:#}")
}

fn red(text: &str) -> String {
    let style = anstyle::AnsiColor::Red.on_default();
    format!("{style}{text}{style:#}")
}

/// The fields of a row, those of nested objects with the names before them.
fn rows(fields: &Map<String, Value>, before: &str) -> Vec<(String, String)> {
    let mut rows = Vec::new();
    for (name, value) in crate::fields::ordered(fields) {
        let path = format!("{before}{name}");
        match value {
            Value::Null => {}
            _ if before.is_empty() && (name == "id" || crate::fields::DERIVED.contains(&name.as_str())) => {}
            Value::Object(nested) => rows.extend(self::rows(nested, &format!("{path}."))),
            Value::Number(number) if crate::fields::TIMES.contains(&name.as_str()) => {
                rows.push((path, number.as_i64().and_then(times::rfc3339).unwrap_or_else(|| number.to_string())));
            }
            value => rows.push((path, details::plain_field(name, value))),
        }
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn fields_are_told_by_their_paths() {
        let row = json!({"id": "s", "state": "BLOCKED", "etag": "x", "block": {"until": 0, "reason": null, "note": "a\u{1b}b"}});
        assert_eq!(
            rows(row.as_object().unwrap(), ""),
            [
                ("state".to_owned(), "BLOCKED".to_owned()),
                ("block.note".to_owned(), "a\\u{1b}b".to_owned()),
                ("block.until".to_owned(), "1970-01-01T00:00:00Z".to_owned())
            ]
        );
    }
}
