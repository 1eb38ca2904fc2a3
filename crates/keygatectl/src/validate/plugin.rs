//! Plugin configurations, by the filter's own reader: in JSON files, and where they stand in YAML.
//!
//! Envoy and Istio's EnvoyFilter hold them as a text, WasmPlugin and EnvoyExtensionPolicy as YAML. An error has its place
//! in the file either way.

use std::path::{Path, PathBuf};

use convert::yaml::{self, Entry, Node, Value};
use keygate::config;

use crate::{documents::read::Misplaced, failure::Failure};

/// A line and a column of a file, from 1.
type Place = (usize, usize);

/// A plugin configuration in a file.
#[derive(Debug)]
pub struct Plugin {
    file: PathBuf,
    /// The configuration as the filter gets it.
    pub json: String,
    place: Where,
}

/// How places in the configuration become places in the file.
#[derive(Debug)]
enum Where {
    /// It is the file.
    Whole,
    /// It is a text that begins at this line, with so many columns before each line.
    Text { line: usize, indent: usize },
    /// The place of each of its lines.
    Lines(Vec<Place>),
}

impl Plugin {
    /// Reads it as the filter does. Variables that it names are not looked up.
    pub fn check(&self) -> Result<(), Misplaced> {
        let read = config::parse(self.json.as_bytes(), &|_| Some(b"not looked up".to_vec()));
        read.map(drop).map_err(|error| {
            let (line, column) = (error.position.line, error.position.column);
            let (line, column) = match &self.place {
                Where::Whole => (line, column),
                Where::Text { line: first, indent } => {
                    (first.saturating_add(line.saturating_sub(1)), indent.saturating_add(column))
                }
                Where::Lines(places) => places.get(line.saturating_sub(1)).copied().unwrap_or((1, 1)),
            };
            // The place that it names is that in the configuration alone.
            let own = format!(", line {}, column {}: ", error.position.line, error.position.column);
            let detail = error.to_string().replacen(&own, ": ", 1);
            Misplaced { file: self.file.clone(), line, column, field: None, detail }
        })
    }
}

fn place(node: &Node) -> Place {
    at(node.line, node.column)
}

fn at(line: u64, column: u64) -> Place {
    (usize::try_from(line).unwrap_or(usize::MAX), usize::try_from(column).unwrap_or(usize::MAX))
}

/// The plugin configurations of a file.
pub fn find(file: &Path, text: &str) -> Result<Vec<Plugin>, Failure> {
    if text.trim_start().starts_with('{') {
        return Ok(vec![Plugin { file: file.to_owned(), json: text.to_owned(), place: Where::Whole }]);
    }
    let documents = yaml::parse(text).map_err(|yaml::Fault { line, column, found, expected }| {
        Failure::Other(format!("{}:{line}:{column}: found {found}; expected {expected}", file.display()))
    })?;
    let mut search = Search { file, lines: text.lines().collect(), found: Vec::new() };
    for document in &documents {
        search.node(document);
    }
    Ok(search.found)
}

struct Search<'t> {
    file: &'t Path,
    lines: Vec<&'t str>,
    found: Vec<Plugin>,
}

impl Search<'_> {
    fn node(&mut self, node: &Node) {
        match &node.value {
            Value::Text { .. } => {}
            Value::List(items) => items.iter().for_each(|item| self.node(item)),
            Value::Map(entries) => {
                for entry in entries {
                    self.entry(entry);
                }
            }
        }
    }

    /// `configuration` holds the text of an Envoy plugin, `pluginConfig` the YAML of a WasmPlugin, `config` that of an
    /// EnvoyExtensionPolicy. Other plugins have such fields as well; a `policy` with a `cluster` tells keygate's.
    fn entry(&mut self, entry: &Entry) {
        let text = (entry.name == "configuration").then(|| text_of(&entry.value)).flatten();
        if let Some((node, text)) = text.filter(|(_, text)| text.contains("\"policy\"")) {
            let place = self.place_of(node, text);
            self.found.push(Plugin { file: self.file.to_owned(), json: text.to_owned(), place });
            return;
        }
        let is_tree = matches!(entry.name.as_str(), "pluginConfig" | "config");
        let policy = is_tree.then(|| field(&entry.value, "policy")).flatten();
        if policy.is_some_and(|policy| field(policy, "cluster").is_some()) {
            let mut json = Json::default();
            json.node(&entry.value);
            self.found.push(Plugin { file: self.file.to_owned(), json: json.text, place: Where::Lines(json.places) });
            return;
        }
        self.node(&entry.value);
    }

    /// Where a text begins in the file. A block scalar begins on the line after its mark.
    fn place_of(&self, node: &Node, text: &str) -> Where {
        let (line, column) = place(node);
        let from = line.saturating_sub(1);
        let first = text.lines().next().unwrap_or_default();
        let lines = self.lines.iter().enumerate().skip(from).take(3);
        let found = lines.filter_map(|(number, line)| Some((number, line.find(first)?))).next();
        match found {
            Some((number, column)) => {
                let indent = self.lines.get(number).and_then(|line| line.get(..column)).unwrap_or_default();
                Where::Text { line: number.saturating_add(1), indent: indent.chars().count() }
            }
            None => Where::Text { line, indent: column.saturating_sub(1) },
        }
    }
}

fn field<'n>(node: &'n Node, name: &str) -> Option<&'n Node> {
    let Value::Map(entries) = &node.value else { return None };
    entries.iter().find(|entry| entry.name == name).map(|entry| &entry.value)
}

/// The text of a `StringValue`, or the text itself.
fn text_of(node: &Node) -> Option<(&Node, &str)> {
    match &node.value {
        Value::Text { text, .. } => Some((node, text)),
        Value::Map(_) => {
            let inner = field(node, "value")?;
            match &inner.value {
                Value::Text { text, .. } => Some((inner, text)),
                _ => None,
            }
        }
        Value::List(_) => None,
    }
}

/// YAML as JSON, with one name or value on a line, so that a line tells the place.
#[derive(Default)]
struct Json {
    text: String,
    places: Vec<Place>,
}

impl Json {
    fn line(&mut self, text: &str, place: Place) {
        self.text.push_str(text);
        self.text.push('\n');
        self.places.push(place);
    }

    fn node(&mut self, node: &Node) {
        let place = place(node);
        match &node.value {
            Value::Text { text, is_plain } => self.line(&scalar(text, *is_plain), place),
            Value::List(items) => {
                self.line("[", place);
                for (number, item) in items.iter().enumerate() {
                    if number > 0 {
                        self.line(",", self::place(item));
                    }
                    self.node(item);
                }
                self.line("]", place);
            }
            Value::Map(entries) => {
                self.line("{", place);
                for (number, entry) in entries.iter().enumerate() {
                    let name = serde_json::Value::from(entry.name.as_str());
                    let comma = if number > 0 { "," } else { "" };
                    // A field that was merged has the place of its value.
                    let of_name =
                        if entry.line == 0 { self::place(&entry.value) } else { at(entry.line, entry.column) };
                    self.line(&format!("{comma}{name}:"), of_name);
                    self.node(&entry.value);
                }
                self.line("}", place);
            }
        }
    }
}

/// A scalar as JSON. A plain one may be a number, a truth value or nothing (YAML 1.2, 10.3.2).
fn scalar(text: &str, is_plain: bool) -> String {
    let quoted = || serde_json::Value::from(text).to_string();
    match text {
        _ if !is_plain => quoted(),
        "" | "~" | "null" | "Null" | "NULL" => "null".to_owned(),
        "true" | "True" | "TRUE" => "true".to_owned(),
        "false" | "False" | "FALSE" => "false".to_owned(),
        _ if serde_json::from_str::<serde_json::Number>(text).is_ok() => text.to_owned(),
        _ => quoted(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn errors(text: &str) -> Vec<String> {
        let found = find(Path::new("e.yaml"), text).unwrap();
        assert!(!found.is_empty(), "{text}");
        found.iter().filter_map(|plugin| plugin.check().err()).map(|error| error.to_string()).collect()
    }

    #[test]
    fn an_error_has_its_place_in_yaml() {
        for (text, place, part) in [
            ("{\"policy\": {\"cluster\": \"c\"},\n \"mod\": 1}", "e.yaml:2:2: ", "mode"),
            (
                "spec:\n  pluginConfig:\n    policy:\n      cluster: c\n      refresh_intervall_ms: 5000\n",
                "e.yaml:5:7: ",
                "refresh_interval_ms",
            ),
            (
                "spec:\n  wasm:\n  - config:\n      policy: {cluster: c, timeout_ms: \"5\"}\n",
                "e.yaml:4:40: ",
                "timeout_ms",
            ),
            (
                "configuration:\n  \"@type\": type.googleapis.com/google.protobuf.StringValue\n  value: |\n    {\n      \"policy\": {\"cluster\": \"c\"},\n      \"mode\": \"shadows\"\n    }\n",
                "e.yaml:6:15: ",
                "shadow",
            ),
            ("configuration: '{\"policy\": {\"cluster\": 7}}'\n", "e.yaml:1:40: ", "cluster"),
        ] {
            let found = errors(text);
            assert!(found.len() == 1 && found[0].starts_with(place) && found[0].contains(part), "{text} {found:?}");
        }
        for good in [
            "spec:\n  pluginConfig:\n    policy:\n      cluster: c\n      refresh_interval_ms: 5000\n    forward:\n      owner: null\n",
            "a:\n- configuration: {value: '{\"policy\": {\"cluster\": \"c\"}}'}\n",
        ] {
            assert_eq!(errors(good), Vec::<String>::new());
        }
    }

    #[test]
    fn configurations_of_other_plugins_are_left_alone() {
        for text in [
            "spec:\n  pluginConfig:\n    rules: []\n",
            "config:\n  policy: strict\n",
            "configuration: '{\"rules\": 1}'\n",
            "[]\n",
        ] {
            assert_eq!(find(Path::new("e.yaml"), text).unwrap().len(), 0, "{text}");
        }
    }
}
