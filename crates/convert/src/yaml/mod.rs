//! YAML as a tree whose nodes know their line and column.
//!
//! A tree of a library's own values would not do: a loss names the place of each field that has no row. Aliases are
//! expanded within [`MAX_NODES`], so a small file cannot become a large tree. Tags that give a value a meaning of its
//! own, and keys that are no text, are refused. A field with Envoy's tag `!ignore` before its name is left out; what it
//! anchors can be used. No error holds a text of the file, because it could be a key.

mod object;

use std::collections::HashMap;

use granit_parser::{Event, Options, Parser, ScalarStyle, Span, Tag};

pub use self::object::{At, Object};
use crate::{
    draft::Draft,
    finding::{Error, Spot},
};

/// Nodes of a file, those of expanded aliases included. At some 100 bytes each, 400 MB; a consumer with a key has 10.
pub const MAX_NODES: usize = 4_000_000;
/// Lists and maps inside each other. An Envoy configuration has 25.
pub const MAX_DEPTH: usize = 100;

/// A value and its place.
#[derive(Clone, PartialEq, Eq)]
pub struct Node {
    /// From 1.
    pub line: u64,
    /// In characters, from 1.
    pub column: u64,
    /// The value.
    pub value: Value,
}

/// A value.
#[derive(Clone, PartialEq, Eq)]
pub enum Value {
    /// A scalar.
    Text {
        /// Its text, without quotes and escapes.
        text: String,
        /// Whether it has no quotes, so that it may stand for a number, a truth value or nothing.
        is_plain: bool,
    },
    /// A list.
    List(Vec<Node>),
    /// A map, in the order of the file. No name is there twice.
    Map(Vec<Entry>),
}

/// An entry of a map.
#[derive(Clone, PartialEq, Eq)]
pub struct Entry {
    /// The name.
    pub name: String,
    /// The line of the name, from 1.
    pub line: u64,
    /// The column of the name, from 1.
    pub column: u64,
    /// The value.
    pub value: Node,
}

/// Why a file is not read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// From 1.
    pub line: u64,
    /// In characters, from 1.
    pub column: u64,
    /// What was found.
    pub found: String,
    /// What would be right.
    pub expected: String,
}

impl Fault {
    fn new(span: Span, found: impl Into<String>, expected: impl Into<String>) -> Self {
        let (line, column) = place(span);
        Self { line, column, found: found.into(), expected: expected.into() }
    }
}

impl Node {
    /// What it is, for people. The text itself is not shown.
    pub fn noun(&self) -> String {
        match &self.value {
            Value::Text { text, is_plain: true } if is_null(text) => "nothing".to_owned(),
            Value::Text { text, .. } => format!("a text of {} bytes", text.len()),
            Value::List(items) => format!("a list of {}", items.len()),
            Value::Map(entries) => format!("an object of {} fields", entries.len()),
        }
    }

    /// Whether nothing stands there.
    pub fn is_null(&self) -> bool {
        matches!(&self.value, Value::Text { text, is_plain: true } if is_null(text))
    }
}

impl Node {
    /// Whether it is a list or an object without entries.
    pub fn is_empty(&self) -> bool {
        match &self.value {
            Value::Text { .. } => false,
            Value::List(items) => items.is_empty(),
            Value::Map(entries) => entries.is_empty(),
        }
    }
}

/// Whether a plain scalar stands for nothing (YAML 1.2, 10.3.2).
fn is_null(text: &str) -> bool {
    matches!(text, "" | "~" | "null" | "Null" | "NULL")
}

/// Reads all documents of an input.
pub fn documents(draft: &Draft<'_>, file: usize, bytes: &[u8]) -> Result<Vec<Node>, Vec<Error>> {
    let text = crate::text::read(draft, file, bytes)?;
    parse(text).map_err(|Fault { line, column, found, expected }| {
        vec![draft.error_at(Spot { file, line, column }, "", &found, &expected)]
    })
}

/// Reads all documents of a file. An empty document is left out.
pub fn parse(text: &str) -> Result<Vec<Node>, Fault> {
    let mut options = Options::default();
    options.emit_comments = false;
    let mut builder = Builder { documents: Vec::new(), open: Vec::new(), anchors: HashMap::new(), nodes: 0 };
    for event in Parser::new_from_str_with_options(text, options) {
        match event {
            Ok((event, span)) => builder.take(event, span)?,
            Err(error) => {
                let mark = error.marker();
                let (line, column) = (number(mark.line()), number(mark.col()).saturating_add(1));
                // The text of its kind holds no more of the file than a bracket.
                let found = format!("no YAML: {}", error.kind());
                return Err(Fault { line, column, found, expected: "valid YAML 1.2".to_owned() });
            }
        }
    }
    Ok(builder.documents)
}

fn number(value: usize) -> u64 {
    u64::try_from(value).unwrap_or(u64::MAX)
}

fn place(span: Span) -> (u64, u64) {
    (number(span.start.line()), number(span.start.col()).saturating_add(1))
}

/// A list or map that has not ended yet.
struct Open {
    node: Node,
    anchor: usize,
    /// The name of the entry whose value comes next.
    name: Option<(String, u64, u64)>,
    /// Whether that entry is left out.
    is_ignored: bool,
    /// Where the entries of a map stand.
    known: HashMap<String, usize>,
}

impl Open {
    /// Whether the name of an entry comes next.
    fn awaits_name(&self) -> bool {
        matches!(self.node.value, Value::Map(_)) && self.name.is_none()
    }
}

struct Builder {
    documents: Vec<Node>,
    open: Vec<Open>,
    anchors: HashMap<usize, Node>,
    nodes: usize,
}

impl Builder {
    fn take(&mut self, event: Event<'_>, span: Span) -> Result<(), Fault> {
        let (line, column) = place(span);
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let is_text = match self.open.last_mut() {
                    Some(map) if map.awaits_name() && tag.as_deref().is_some_and(is_ignore) => {
                        map.is_ignored = true;
                        true
                    }
                    _ => check_tag(tag.as_deref(), span)?,
                };
                let is_plain = style == ScalarStyle::Plain && !is_text;
                self.count(1, span)?;
                self.close(
                    Node { line, column, value: Value::Text { text: text.into_owned(), is_plain } },
                    anchor,
                    span,
                )
            }
            Event::SequenceStart(_, anchor, tag) => {
                check_tag(tag.as_deref(), span)?;
                self.begin(Node { line, column, value: Value::List(Vec::new()) }, anchor, span)
            }
            Event::MappingStart(_, anchor, tag) => {
                check_tag(tag.as_deref(), span)?;
                self.begin(Node { line, column, value: Value::Map(Vec::new()) }, anchor, span)
            }
            Event::SequenceEnd | Event::MappingEnd => match self.open.pop() {
                Some(Open { node, anchor, .. }) => self.close(node, anchor, span),
                None => Ok(()),
            },
            Event::Alias(anchor) => {
                let Some(node) = self.anchors.get(&anchor) else {
                    let found = "an alias of something that is not complete";
                    return Err(Fault::new(span, found, "an alias of an earlier value"));
                };
                let more = size(node);
                self.count(more, span)?;
                let node = self.anchors.get(&anchor).cloned().map(|node| Node { line, column, ..node });
                node.map_or(Ok(()), |node| self.close(node, 0, span))
            }
            Event::DocumentStart(..) => {
                self.anchors.clear();
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn count(&mut self, more: usize, span: Span) -> Result<(), Fault> {
        self.nodes = self.nodes.saturating_add(more);
        if self.nodes <= MAX_NODES {
            return Ok(());
        }
        let found = format!("more than {MAX_NODES} values, those of aliases included");
        Err(Fault::new(span, found, format!("at most {MAX_NODES}; split the file")))
    }

    fn begin(&mut self, node: Node, anchor: usize, span: Span) -> Result<(), Fault> {
        self.count(1, span)?;
        if self.open.len() >= MAX_DEPTH {
            let found = format!("more than {MAX_DEPTH} lists and objects inside each other");
            return Err(Fault::new(span, found, format!("at most {MAX_DEPTH}")));
        }
        self.open.push(Open { node, anchor, name: None, is_ignored: false, known: HashMap::new() });
        Ok(())
    }

    /// Puts a complete node into the list or map around it.
    fn close(&mut self, node: Node, anchor: usize, span: Span) -> Result<(), Fault> {
        if anchor != 0 {
            // What an anchor holds counts as well, or a chain of anchors would be copied without a limit.
            self.count(size(&node), span)?;
            self.anchors.insert(anchor, node.clone());
        }
        let Some(around) = self.open.last_mut() else {
            if !node.is_null() {
                self.documents.push(node);
            }
            return Ok(());
        };
        match &mut around.node.value {
            Value::List(items) => items.push(node),
            Value::Map(entries) => match (around.name.take(), node.value) {
                (Some(_), _) if std::mem::take(&mut around.is_ignored) => {}
                (Some((name, line, column)), value) => {
                    let value = Node { value, ..node };
                    put(entries, &mut around.known, Entry { name, line, column, value })?;
                }
                (None, Value::Text { text, .. }) => around.name = Some((text, node.line, node.column)),
                (None, _) => {
                    let found = "a list or an object as the name of a field";
                    return Err(Fault::new(span, found, "a text"));
                }
            },
            Value::Text { .. } => {}
        }
        Ok(())
    }
}

/// Adds an entry. `<<` adds those of the maps that it names, unless the map has them.
fn put(entries: &mut Vec<Entry>, known: &mut HashMap<String, usize>, entry: Entry) -> Result<(), Fault> {
    if entry.name == "<<" {
        return merge(entries, known, entry.value);
    }
    match known.get(&entry.name).and_then(|place| entries.get_mut(*place)) {
        // A field of the map's own takes the place of one that was merged.
        Some(merged) if merged.line == 0 => *merged = entry,
        Some(first) => {
            let found = format!("a field of line {} again", first.line);
            let (line, column) = (entry.line, entry.column);
            return Err(Fault { line, column, found, expected: "each field once".to_owned() });
        }
        None => {
            known.insert(entry.name.clone(), entries.len());
            entries.push(entry);
        }
    }
    Ok(())
}

fn merge(entries: &mut Vec<Entry>, known: &mut HashMap<String, usize>, value: Node) -> Result<(), Fault> {
    let maps = match value.value {
        Value::List(items) => items,
        _ => vec![value],
    };
    for map in maps {
        let Value::Map(more) = map.value else {
            let (found, expected) =
                (format!("{} behind <<", map.noun()), "an object whose fields are added".to_owned());
            return Err(Fault { line: map.line, column: map.column, found, expected });
        };
        for entry in more {
            if !known.contains_key(&entry.name) {
                known.insert(entry.name.clone(), entries.len());
                // The line 0 marks it as merged.
                entries.push(Entry { line: 0, ..entry });
            }
        }
    }
    Ok(())
}

/// Whether the tag makes a scalar a text. A tag other than those of YAML's core schema is refused.
fn check_tag(tag: Option<&Tag>, span: Span) -> Result<bool, Fault> {
    match tag.map(Tag::core_suffix) {
        None => Ok(false),
        Some(Some("str")) => Ok(true),
        Some(Some("bool" | "float" | "int" | "map" | "null" | "seq")) => Ok(false),
        Some(_) => Err(Fault::new(span, "a value with a tag", "a value without a tag")),
    }
}

/// Whether it is the tag by which Envoy ignores a field. Files have anchors below such a field.
fn is_ignore(tag: &Tag) -> bool {
    tag.parts() == ("!", "ignore")
}

/// The nodes of a tree. Its depth is limited.
fn size(node: &Node) -> usize {
    let inside = match &node.value {
        Value::Text { .. } => 0,
        Value::List(items) => items.iter().map(size).fold(0, usize::saturating_add),
        Value::Map(entries) => entries.iter().map(|entry| size(&entry.value)).fold(0, usize::saturating_add),
    };
    inside.saturating_add(1)
}
