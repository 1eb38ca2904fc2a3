//! A pasted plugin configuration as it is shown again: the same text, with a star for each character of a secret.
//!
//! Lines and columns stay, so an error still leads to its place. A text that is no JSON is not shown again, because
//! nobody can tell what in it is a secret.

use serde::de::IgnoredAny;

use super::super::key_text::has_key;

/// Fields whose values are no secrets.
const FIELDS: [&str; 11] = [
    "credential_sources",
    "ambiguous_credentials",
    "api",
    "unknown_api",
    "allow_preflight",
    "forward",
    "annotate",
    "replies",
    "mode",
    "on_policy_unavailable",
    "usage",
];
/// Texts below `policy` that are no secrets.
const TEXTS_OF_POLICY: [&str; 5] = ["cluster", "authority", "name", "instance", "path"];

/// The configuration without secrets.
pub fn masked(text: &str) -> String {
    if serde_json::from_str::<IgnoredAny>(text).is_err() {
        return String::new();
    }
    let (mut shown, mut around, mut chars) = (String::with_capacity(text.len()), Vec::<Around>::new(), text.chars());
    while let Some(char) = chars.next() {
        match char {
            '"' => {
                let raw = rest_of_string(&mut chars);
                shown.push('"');
                shown.push_str(&string(&raw, &mut around));
                shown.push('"');
                continue;
            }
            '{' => around.push(Around { is_object: true, is_name_next: true, name: String::new() }),
            '[' => around.push(Around { is_object: false, is_name_next: false, name: String::new() }),
            '}' | ']' => drop(around.pop()),
            ',' => around.last_mut().into_iter().for_each(|inner| inner.is_name_next = inner.is_object),
            _ => {}
        }
        let is_hidden = char.is_ascii_digit() && !is_open(&path(&around), None);
        shown.push(if is_hidden { '1' } else { char });
    }
    shown
}

/// An object or a list around a place in the text.
#[derive(Debug)]
struct Around {
    is_object: bool,
    /// The next string is the name of a field.
    is_name_next: bool,
    /// The name of the field that the place is in.
    name: String,
}

/// The characters up to the quote that ends a string, as they are written.
fn rest_of_string(chars: &mut std::str::Chars<'_>) -> String {
    let mut raw = String::new();
    while let Some(char) = chars.next().filter(|char| *char != '"') {
        raw.push(char);
        if char == '\\' {
            raw.extend(chars.next());
        }
    }
    raw
}

/// A string as it is shown. A name is kept as the place of what follows.
fn string(raw: &str, around: &mut [Around]) -> String {
    let value: String = serde_json::from_str(&format!("\"{raw}\"")).unwrap_or_default();
    let mut is_shown = !has_key(&value);
    match around.last_mut().filter(|inner| inner.is_name_next) {
        Some(inner) => {
            inner.is_name_next = false;
            inner.name = value;
        }
        None => is_shown = is_shown && is_open(&path(around), Some(&value)),
    }
    if is_shown { raw.to_owned() } else { "*".repeat(raw.chars().count()) }
}

/// The names of the fields that lead to a place.
fn path(around: &[Around]) -> Vec<&str> {
    around.iter().filter(|outer| outer.is_object).map(|outer| outer.name.as_str()).collect()
}

/// Whether a value at this path is no secret. `text` is `None` for a number.
fn is_open(path: &[&str], text: Option<&str>) -> bool {
    match path {
        ["policy", "credentials", "client_id"] | ["policy", "credentials" | "headers", _, "env"] => true,
        ["policy", "credentials" | "headers", ..] => false,
        ["policy", name] => text.is_none() || TEXTS_OF_POLICY.contains(name),
        ["emergency", "deny_keys" | "allow_keys"] => text.is_some_and(is_digest),
        [first, ..] => FIELDS.contains(first),
        [] => text.is_none(),
    }
}

fn is_digest(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_become_stars_and_the_rest_stays_in_its_place() {
        let digest = "0".repeat(64);
        let [kept, digests] = [
            r#"{"policy": {"cluster": "c", "timeout_ms": 500, "credentials": {"client_id": "g", "client_secret": {"env": "S"}}}}"#.to_owned(),
            format!(r#"{{"emergency": {{"deny_keys": ["{digest}"]}}, "mode": "shadow", "replies": {{"overrides": {{"a": {{"status": 403}}}}}}}}"#),
        ];
        for (text, shown) in [
            (kept.as_str(), kept.as_str()),
            (digests.as_str(), digests.as_str()),
            (
                r#"{"policy": {"credentials": {"client_secret": "S\"1"}}}"#,
                r#"{"policy": {"credentials": {"client_secret": "****"}}}"#,
            ),
            (
                r#"{"policy": {"credentials": {"client_secret": 907}}}"#,
                r#"{"policy": {"credentials": {"client_secret": 111}}}"#,
            ),
            (
                r#"{"policy": {"headers": {"x": "S"}, "path": "/p", "other": "S"}}"#,
                r#"{"policy": {"headers": {"x": "*"}, "path": "/p", "other": "*"}}"#,
            ),
            (
                r#"{"zz": "S", "mode": "kg_live_x", "emergency": {"deny_keys": ["S"]}}"#,
                r#"{"zz": "*", "mode": "*********", "emergency": {"deny_keys": ["*"]}}"#,
            ),
            (
                r#"{"credential_sources": [{"query": "k"}], "kg_live_x": 1}"#,
                r#"{"credential_sources": [{"query": "k"}], "*********": 1}"#,
            ),
            (
                "{\n  \"policy\": {\n    \"credentials\": {\"client_secret\": \"\u{1f511}\"}}}",
                "{\n  \"policy\": {\n    \"credentials\": {\"client_secret\": \"*\"}}}",
            ),
            (r#""S""#, r#""*""#),
            (r#"{"policy": {"credentials": {"client_secret": "S""#, ""),
            ("client_secret: S", ""),
            ("", ""),
        ] {
            assert_eq!(masked(text), shown, "{text}");
        }
    }
}
