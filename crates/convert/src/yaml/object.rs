//! A map of which each field is taken once, so that what nobody took can be told of.

use super::{Entry, Node, Value, is_null};
use crate::{
    draft::Draft,
    finding::{Spot, shown},
};

/// A node with its place in the file's structure.
#[derive(Clone)]
pub struct At<'n> {
    /// The node.
    pub node: &'n Node,
    /// Its path, such as `services[0].name`.
    pub path: String,
    /// The number of its file.
    pub file: usize,
    /// The line of its name, or its own.
    line: u64,
    column: u64,
}

impl<'n> At<'n> {
    /// The root of a document.
    pub fn root(node: &'n Node, file: usize) -> Self {
        Self { node, path: String::new(), file, line: node.line, column: node.column }
    }

    /// An item of this list.
    pub fn item(&self, number: usize, node: &'n Node) -> Self {
        let path = format!("{}[{number}]", self.path);
        Self { node, path, file: self.file, line: node.line, column: node.column }
    }

    /// Its place.
    pub fn spot(&self) -> Spot {
        Spot { file: self.file, line: self.line, column: self.column }
    }

    /// Whether it is a list.
    pub fn is_list(&self) -> bool {
        matches!(self.node.value, Value::List(_))
    }

    /// Tells that something else is expected here.
    pub fn refuse(&self, draft: &mut Draft<'_>, expected: &str) {
        let spot = Spot { line: self.node.line, column: self.node.column, ..self.spot() };
        draft.refuse(spot, &self.path, &self.node.noun(), expected);
    }

    /// Tells that this has no row.
    pub fn lose(&self, draft: &mut Draft<'_>, what: impl Into<String>, why: &str, instead: &str) {
        draft.lose(self.spot(), &self.path, what, why, instead);
    }

    /// A text. A plain number or truth value is none: its text may be written in several ways.
    pub fn text(&self, draft: &mut Draft<'_>) -> Option<&'n str> {
        match &self.node.value {
            Value::Text { text, is_plain } if !*is_plain || is_plain_text(text) => Some(text),
            Value::Text { is_plain: true, .. } => {
                self.refuse(draft, "a text; put a number or a truth value that is meant as one in quotes");
                None
            }
            _ => {
                self.refuse(draft, "a text");
                None
            }
        }
    }

    /// A whole number.
    pub fn number(&self, draft: &mut Draft<'_>) -> Option<u64> {
        let number = match &self.node.value {
            Value::Text { text, is_plain: true } => text.parse().ok(),
            _ => None,
        };
        if number.is_none() {
            self.refuse(draft, "a whole number");
        }
        number
    }

    /// A truth value.
    pub fn truth(&self, draft: &mut Draft<'_>) -> Option<bool> {
        let truth = match &self.node.value {
            Value::Text { text, is_plain: true } => match text.as_str() {
                "true" | "True" | "TRUE" => Some(true),
                "false" | "False" | "FALSE" => Some(false),
                _ => None,
            },
            _ => None,
        };
        if truth.is_none() {
            self.refuse(draft, "true or false");
        }
        truth
    }

    /// The items of a list.
    pub fn list(&self, draft: &mut Draft<'_>) -> Vec<At<'n>> {
        match &self.node.value {
            Value::List(items) => items.iter().enumerate().map(|(number, node)| self.item(number, node)).collect(),
            _ => {
                self.refuse(draft, "a list");
                Vec::new()
            }
        }
    }

    /// The texts of a list.
    pub fn texts(&self, draft: &mut Draft<'_>) -> Vec<&'n str> {
        let items = self.list(draft);
        items.iter().filter_map(|item| item.text(draft)).collect()
    }

    /// The fields of an object.
    pub fn object(&self, draft: &mut Draft<'_>) -> Option<Object<'n>> {
        match &self.node.value {
            Value::Map(entries) => Some(Object { at: self.clone(), left: entries.iter().collect() }),
            _ => {
                self.refuse(draft, "an object");
                None
            }
        }
    }

    /// The fields of an object, if it is one.
    pub fn fields(&self) -> Option<Object<'n>> {
        match &self.node.value {
            Value::Map(entries) => Some(Object { at: self.clone(), left: entries.iter().collect() }),
            _ => None,
        }
    }
}

/// Whether a plain scalar is a text in YAML 1.1 as well as in 1.2, and not a number, a truth value or nothing.
fn is_plain_text(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    let is_truth = matches!(lower.as_str(), "true" | "false" | "yes" | "no" | "on" | "off");
    let digits = text.trim_start_matches(['+', '-', '.']);
    let begins = digits.bytes().next().is_some_and(|byte| byte.is_ascii_digit());
    let of_number =
        |byte: u8| byte.is_ascii_hexdigit() || matches!(byte, b'.' | b'_' | b'+' | b'-' | b'x' | b'o' | b':');
    let is_number = begins && digits.bytes().all(of_number) && {
        // A UUID and a version such as 1.0.0 have the letters of numbers.
        let plain = digits.replace('_', "");
        plain.parse::<f64>().is_ok() || plain.starts_with("0x") || plain.starts_with("0o") || is_sexagesimal(&plain)
    };
    !(is_null(text) || is_truth || is_number || matches!(lower.as_str(), ".inf" | "-.inf" | "+.inf" | ".nan"))
}

/// `12:30` is 750 for readers of YAML 1.1.
fn is_sexagesimal(text: &str) -> bool {
    text.contains(':') && text.split(':').all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()))
}

/// An object and the fields of it that were not taken yet.
pub struct Object<'n> {
    at: At<'n>,
    left: Vec<&'n Entry>,
}

impl<'n> Object<'n> {
    /// The object itself.
    pub fn at(&self) -> &At<'n> {
        &self.at
    }

    /// Takes a field, under the first of its names that is there. A field that says nothing counts as absent.
    pub fn take(&mut self, names: &[&str]) -> Option<At<'n>> {
        for name in names {
            let Some(place) = self.left.iter().position(|entry| entry.name == *name) else { continue };
            let entry = self.left.remove(place);
            if !entry.value.is_null() {
                return Some(self.at_entry(entry));
            }
        }
        None
    }

    /// Takes a text.
    pub fn text(&mut self, draft: &mut Draft<'_>, names: &[&str]) -> Option<&'n str> {
        self.take(names)?.text(draft)
    }

    /// Takes a truth value.
    pub fn truth(&mut self, draft: &mut Draft<'_>, names: &[&str]) -> Option<bool> {
        self.take(names)?.truth(draft)
    }

    /// Takes the items of a list; none, if it is absent.
    pub fn list(&mut self, draft: &mut Draft<'_>, names: &[&str]) -> Vec<At<'n>> {
        self.take(names).map_or_else(Vec::new, |at| at.list(draft))
    }

    /// Takes the texts of a list.
    pub fn texts(&mut self, draft: &mut Draft<'_>, names: &[&str]) -> Option<Vec<&'n str>> {
        Some(self.take(names)?.texts(draft))
    }

    /// Takes fields that have no meaning for what is converted.
    pub fn ignore(&mut self, names: &[&str]) {
        self.left.retain(|entry| !names.contains(&entry.name.as_str()));
    }

    /// Whether a field was not taken yet.
    pub fn has(&self, name: &str) -> bool {
        self.left.iter().any(|entry| entry.name == name)
    }

    /// Takes all fields that are left and say something.
    pub fn rest(&mut self) -> Vec<(&'n str, At<'n>)> {
        let left = std::mem::take(&mut self.left);
        let says = |entry: &&Entry| !entry.value.is_null() && !entry.value.is_empty();
        let left = left.into_iter().filter(says);
        left.map(|entry| (entry.name.as_str(), self.at_entry(entry))).collect()
    }

    /// Tells of each field that was not taken.
    pub fn lose_rest(mut self, draft: &mut Draft<'_>, why: &str, instead: &str) {
        for (name, at) in self.rest() {
            at.lose(draft, format!("the field {}", name_shown(name)), why, instead);
        }
    }

    fn at_entry(&self, entry: &'n Entry) -> At<'n> {
        let dot = if self.at.path.is_empty() { "" } else { "." };
        let name = name_shown(&entry.name);
        let (line, column) = match entry.line {
            0 => (entry.value.line, entry.value.column),
            line => (line, entry.column),
        };
        At { node: &entry.value, path: format!("{}{dot}{name}", self.at.path), file: self.at.file, line, column }
    }
}

/// Bytes of a name that is shown. The longest field of the products has 31; a longer one may be a key at the wrong place.
const MAX_NAME_BYTES: usize = 40;

/// A name, which can be any text.
fn name_shown(name: &str) -> String {
    let is_word = |character: char| character.is_alphanumeric() || matches!(character, '_' | '-' | '@' | '/' | '.');
    if name.len() > MAX_NAME_BYTES {
        format!("({} bytes)", name.len())
    } else if !name.is_empty() && name.chars().all(is_word) {
        name.to_owned()
    } else {
        shown(name)
    }
}
