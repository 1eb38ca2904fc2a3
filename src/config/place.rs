//! Where in a configuration something stands, as errors name it, and whether it may be named at all.

use crate::naming::shown;

/// Levels of lists and objects. The deepest that means anything is `policy.credentials.client_secret.env`, four; twice
/// that leaves room to say what is wrong about deeper ones by name, and the stack that it costs is nothing.
pub(super) const MAX_DEPTH: usize = 8;

/// What stands under these is secret, or tells who is let in: errors name it by kind and length only.
const HIDDEN: [&str; 3] = ["policy.headers", "policy.credentials", "emergency"];

/// The names that keygate itself gave, and that are therefore told even under [`HIDDEN`].
const TOLD: [&str; 5] = ["client_id", "client_secret", "env", "deny_keys", "allow_keys"];

/// A path such as `credential_sources[2].scheme`; empty for the whole text.
#[derive(Clone, Debug)]
pub(super) struct Path {
    text: String,
    hidden: bool,
}

impl Path {
    /// The whole text.
    pub fn root() -> Self {
        Self { text: String::new(), hidden: false }
    }

    /// The field `name` of what stands here.
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

    /// The entry `index` of the list that stands here.
    pub fn index(&self, index: usize) -> Self {
        Self { text: format!("{}[{index}]", self.text), hidden: self.hidden }
    }

    /// Whether values here are named by kind and length only.
    pub fn is_hidden(&self) -> bool {
        self.hidden
    }

    /// As in messages.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

/// `1 field`, `2 fields`.
pub(super) fn counted(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}
