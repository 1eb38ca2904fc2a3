//! The path of a value in the configuration, as errors show it, and whether errors may show the value.

use crate::naming::shown;

/// Nesting limit of lists and objects. The deepest field, `policy.credentials.client_secret.env`, is at level four.
/// Twice that lets errors name deeper fields, and the stack use is small.
pub(super) const MAX_DEPTH: usize = 8;

/// Values below these paths are secret, or they tell who is let in. Errors give only their kind and length.
const HIDDEN: [&str; 3] = ["policy.headers", "policy.credentials", "emergency"];

/// Field names that keygate defines. Errors show them even below [`HIDDEN`].
const TOLD: [&str; 5] = ["client_id", "client_secret", "env", "deny_keys", "allow_keys"];

/// A path such as `credential_sources[2].scheme`; empty for the whole text.
#[derive(Clone, Debug)]
pub(super) struct Path {
    text: String,
    hidden: bool,
}

impl Path {
    pub fn root() -> Self {
        Self { text: String::new(), hidden: false }
    }

    /// The path of the field `name` in this object.
    pub fn field(&self, name: &str) -> Self {
        let dot = if self.text.is_empty() { "" } else { "." };
        let text = if self.hidden && !TOLD.contains(&name) {
            format!("{}{dot}<{}>", self.text, counted(name.chars().count(), "character"))
        } else if name.is_empty() {
            format!("{}{dot}\"\"", self.text)
        } else {
            format!("{}{dot}{}", self.text, shown(name).escape_debug())
        };
        let hidden = self.hidden || HIDDEN.contains(&text.as_str());
        Self { text, hidden }
    }

    /// The path of the entry `index` in this list.
    pub fn index(&self, index: usize) -> Self {
        Self { text: format!("{}[{index}]", self.text), hidden: self.hidden }
    }

    /// Whether errors give only kind and length of values here.
    pub fn is_hidden(&self) -> bool {
        self.hidden
    }

    /// The path as messages show it.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

/// `1 field`, `2 fields`.
pub(super) fn counted(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}
