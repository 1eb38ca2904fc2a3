//! The fields of a form, as a person sent them, and of a page's query.

use std::borrow::Cow;

use openidconnect::url::form_urlencoded;
use serde_json::{Map, Value};

use super::key_text::has_key;

/// What stands in a line for an empty list of methods or hosts, which permits nothing.
pub const NONE_OF_THEM: &str = "(none)";

/// The fields, in their order.
#[derive(Clone, Debug, Default)]
pub struct Form(Vec<(String, String)>);

impl Form {
    /// Reads a form or a query.
    pub fn parse(text: &[u8]) -> Self {
        let pairs = form_urlencoded::parse(text);
        Self(pairs.map(|(name, value)| (name.into_owned(), value.into_owned())).collect())
    }

    /// The value of a field, without blanks at its ends; empty if it is missing. Of several the first counts.
    pub fn get(&self, name: &str) -> &str {
        self.as_typed(name).trim()
    }

    /// The value of a field as it was typed; empty if it is missing.
    pub fn as_typed(&self, name: &str) -> &str {
        self.0.iter().find(|(other, _)| other == name).map_or("", |(_, value)| value)
    }

    /// The value of a field for a page: as it was typed, without lines into which somebody pasted a key or a token.
    pub fn without_keys(&self, name: &str) -> Cow<'_, str> {
        let typed = self.as_typed(name);
        if !has_key(typed) {
            return typed.into();
        }
        let lines: Vec<&str> = typed.lines().filter(|line| !has_key(line)).collect();
        lines.join("\n").into()
    }

    /// The lines of a field that are not empty.
    pub fn lines<'f>(&'f self, name: &'f str) -> impl Iterator<Item = &'f str> {
        self.as_typed(name).lines().map(str::trim).filter(|line| !line.is_empty())
    }

    /// Whether a box is ticked.
    pub fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(other, _)| other == name)
    }

    /// All fields with their values.
    pub fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The form with another value for a field.
    pub fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.0.retain(|(other, _)| other != name);
        self.0.push((name.to_owned(), value.into()));
        self
    }

    /// The value of a field as JSON; null if it is empty.
    pub fn json(&self, name: &str) -> Value {
        text(self.get(name))
    }
}

/// The row as a form asks for it, by the function that writes what a form says. `before` is the row that is there, and `shown`
/// the form as it was for it. What nobody touched stays as the row says it: an untouched form changes nothing, and a new row,
/// which has nothing before, gets only what was typed.
pub fn asked(
    form: &Form,
    before: &Map<String, Value>,
    shown: &Form,
    write: impl Fn(&Form, &mut Map<String, Value>),
) -> Map<String, Value> {
    let (mut row, mut untouched) = (before.clone(), Map::new());
    write(form, &mut row);
    write(shown, &mut untouched);
    for (name, value) in untouched {
        if row.get(&name) != Some(&value) {
            continue;
        }
        match before.get(&name) {
            Some(before) => drop(row.insert(name, before.clone())),
            None => drop(row.remove(&name)),
        }
    }
    row
}

/// A text as JSON; null if it is empty.
pub fn text(text: &str) -> Value {
    if text.is_empty() { Value::Null } else { Value::from(text) }
}

/// A number as JSON; null if it is empty.
pub fn number(typed: &str) -> Value {
    let is_number = !typed.is_empty() && typed.bytes().all(|byte| byte.is_ascii_digit());
    match typed.parse::<u64>() {
        Ok(number) if is_number => Value::from(number),
        _ => text(typed),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_form_is_read_as_it_was_typed() {
        let form = Form::parse(b"a=+x+&b=1&b=&b=3&c=%F0%9F%94%91%0D%0A%0D%0A+two+&n=007&m=1e3&box");
        assert_eq!((form.get("a"), form.as_typed("a"), form.get("missing")), ("x", " x ", ""));
        assert_eq!(form.get("b"), "1");
        assert_eq!(form.lines("c").collect::<Vec<_>>(), ["🔑", "two"]);
        assert_eq!((form.json("a"), form.json("missing")), (json!("x"), Value::Null));
        assert_eq!(["1", "007", "1e3", ""].map(number), [json!(1), json!(7), json!("1e3"), Value::Null]);
        let pasted = Form::parse(b"a=one%0Akg_live_x%0Atwo&b=kgt_x&c=one%0A");
        assert_eq!(["a", "b", "c"].map(|name| pasted.without_keys(name)), ["one\ntwo", "", "one\n"]);
        assert!(form.has("box") && !form.has("other"));
        assert_eq!(form.with("b", "9").get("b"), "9");
    }
}
