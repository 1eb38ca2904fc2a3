//! YAML as a tree whose nodes know their line and column, for errors inside a manifest. Aliases are expanded within
//! [`MAX_NODES`]; tags are ignored, and merge keys are left as they are, because manifests have neither.

use std::collections::{HashMap, HashSet};

use granit_parser::{Event, Options, Parser, ScalarStyle, Span};

/// Nodes of a file, those of aliases included. An Envoy configuration has some thousand.
const MAX_NODES: usize = 1_000_000;
/// Lists and maps inside each other. An Envoy configuration has 25.
const MAX_DEPTH: usize = 100;

/// A value and its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// From 1.
    pub line: usize,
    /// In characters, from 1.
    pub column: usize,
    pub value: Value,
}

/// A value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// A scalar: its text, and whether it has no quotes and so may be a number, a truth value or nothing.
    Text(String, bool),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

/// An entry of a map.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub name: String,
    /// Of the name.
    pub line: usize,
    /// Of the name.
    pub column: usize,
    pub value: Node,
}

/// Why a file cannot be read, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    pub line: usize,
    pub column: usize,
    pub detail: String,
}

/// Reads all documents of a file.
pub fn parse(text: &str) -> Result<Vec<Node>, Fault> {
    let mut options = Options::default();
    options.emit_comments = false;
    let mut builder = Builder::default();
    for event in Parser::new_from_str_with_options(text, options) {
        let (event, span) = event.map_err(|error| {
            let mark = error.marker();
            Fault { line: mark.line(), column: mark.col().saturating_add(1), detail: format!("no YAML: {}", error.kind()) }
        })?;
        builder.take(event, span)?;
    }
    Ok(builder.documents)
}

/// A list or map that has not ended yet.
struct Open {
    node: Node,
    anchor: usize,
    /// The name of the entry whose value comes next.
    name: Option<Node>,
    /// The names of a map.
    known: HashSet<String>,
}

#[derive(Default)]
struct Builder {
    documents: Vec<Node>,
    open: Vec<Open>,
    anchors: HashMap<usize, Node>,
    nodes: usize,
}

impl Builder {
    fn take(&mut self, event: Event<'_>, span: Span) -> Result<(), Fault> {
        let (line, column) = (span.start.line(), span.start.col().saturating_add(1));
        let fault = |detail: String| Fault { line, column, detail };
        let node = |value| Node { line, column, value };
        match event {
            Event::Scalar(text, style, anchor, _) => {
                let value = Value::Text(text.into_owned(), style == ScalarStyle::Plain);
                self.close(node(value), anchor)
            }
            Event::SequenceStart(_, anchor, _) => {
                self.open.push(Open { node: node(Value::List(Vec::new())), anchor, name: None, known: HashSet::new() });
                Ok(())
            }
            Event::MappingStart(_, anchor, _) => {
                self.open.push(Open { node: node(Value::Map(Vec::new())), anchor, name: None, known: HashSet::new() });
                Ok(())
            }
            Event::SequenceEnd | Event::MappingEnd => match self.open.pop() {
                Some(Open { node, anchor, .. }) => self.close(node, anchor),
                None => Ok(()),
            },
            Event::Alias(anchor) => {
                let found = self.anchors.get(&anchor).cloned();
                let found = found.ok_or_else(|| fault("an alias of something that is not there".to_owned()))?;
                self.close(Node { line, column, ..found }, 0)
            }
            Event::DocumentStart(..) => {
                self.anchors.clear();
                Ok(())
            }
            _ => Ok(()),
        }?;
        match self.open.len() > MAX_DEPTH {
            true => Err(fault(format!("more than {MAX_DEPTH} lists and objects inside each other"))),
            false => Ok(()),
        }
    }

    /// Puts a complete node into the list or map around it.
    fn close(&mut self, node: Node, anchor: usize) -> Result<(), Fault> {
        self.nodes = self.nodes.saturating_add(if anchor == 0 { size(&node, 1) } else { size(&node, 2) });
        if self.nodes > MAX_NODES {
            let detail = format!("more than {MAX_NODES} values, those of aliases included");
            return Err(Fault { line: node.line, column: node.column, detail });
        }
        if anchor != 0 {
            self.anchors.insert(anchor, node.clone());
        }
        let Some(around) = self.open.last_mut() else {
            self.documents.push(node);
            return Ok(());
        };
        match &mut around.node.value {
            Value::List(items) => items.push(node),
            Value::Map(entries) => match around.name.take() {
                None => around.name = Some(node),
                Some(Node { line, column, value: Value::Text(name, _) }) => {
                    if !around.known.insert(name.clone()) {
                        return Err(Fault { line, column, detail: "this field stands there twice".to_owned() });
                    }
                    entries.push(Entry { name, line, column, value: node });
                }
                Some(Node { line, column, .. }) => {
                    return Err(Fault { line, column, detail: "the name of a field is no text".to_owned() });
                }
            },
            Value::Text(..) => {}
        }
        Ok(())
    }
}

/// The nodes of an alias or an anchor count each time that they are copied; a leaf counts once.
fn size(node: &Node, copies: usize) -> usize {
    let below: usize = match &node.value {
        Value::Text(..) => 0,
        Value::List(items) => items.iter().map(|item| size(item, 1)).sum(),
        Value::Map(entries) => entries.iter().map(|entry| size(&entry.value, 1)).sum(),
    };
    below.saturating_add(1).saturating_mul(copies)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_node_knows_its_place() {
        let found = parse("a:\n  - b: &x 1\n    c: *x\n--- \n\"d\": 'é'\n").unwrap();
        assert_eq!(found.len(), 2);
        let Value::Map(entries) = &found[0].value else { panic!() };
        let Value::List(items) = &entries[0].value.value else { panic!() };
        let Value::Map(inner) = &items[0].value else { panic!() };
        assert_eq!((inner[0].line, inner[0].column, inner[0].value.line, inner[1].value.column), (2, 5, 2, 8));
        assert_eq!(inner[1].value.value, Value::Text("1".to_owned(), true));
        let Value::Map(entries) = &found[1].value else { panic!() };
        assert_eq!((entries[0].line, &entries[0].value.value), (5, &Value::Text("é".to_owned(), false)));
    }

    #[test]
    fn what_is_wrong_or_without_an_end_is_refused() {
        for (text, line) in [("a: [1\n", 2), ("a: 1\na: 2\n", 2), ("? [1]\n: 2\n", 1), ("a: *b\n", 1)] {
            let fault = parse(text).unwrap_err();
            assert_eq!(fault.line, line, "{text} {fault:?}");
        }
        assert!(parse(&"[".repeat(1_000)).is_err());
        let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x]\n".to_owned();
        for number in 1..20 {
            let before = format!("*a{},", number - 1).repeat(8);
            bomb.push_str(&format!("a{number}: &a{number} [{before}]\n"));
        }
        assert!(parse(&bomb).is_err());
    }
}
