//! A row of an import, as it arrives, and what the import may do with it.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{Error as _, MapAccess, Visitor},
};
use serde_json::{Map, Value, value::RawValue};

use crate::{
    block::Block,
    port::{Kind, audit::Subject},
    tag::Expected,
};

/// Rows in one change. At some 10 µs a row, the import holds the writer for 0.2 s. A service on the same database waits up
/// to 4 s for the writer.
pub const ROWS_PER_CHANGE: usize = 20_000;
/// Seconds after which a change ends with fewer rows, on a slow database: half of what others wait for the writer, so that
/// none of them is refused. Rows are written a thousand at a time in between.
pub const MAX_HELD_SECONDS: i64 = 2;

/// Where a row stood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// In a page of a file: the page's number, and the place in its list.
    Page(u64, usize),
    /// On a line.
    Line(u64),
}

impl Place {
    /// In words; `kind` is that of the row.
    pub fn describe(self, kind: Kind) -> String {
        match self {
            Self::Page(page, place) => format!("page {page}, {}[{place}]", kind.list()),
            Self::Line(line) => format!("line {line}"),
        }
    }
}

/// A row, not read yet.
#[derive(Debug)]
pub struct Row {
    /// Where it stood.
    pub place: Place,
    /// What it is.
    pub kind: Kind,
    /// The row as JSON.
    pub text: Box<RawValue>,
    /// It is the kept block of something that was deleted.
    pub kept: bool,
    /// Whom a kept block concerns, if the row says so.
    pub kept_owner: Option<String>,
    /// The object with this id is to be removed.
    pub removed: Option<String>,
}

/// An object that was written as a blocked one, and is to be deleted at the end, so that its block stays.
#[derive(Debug)]
pub struct KeptBlock {
    pub kind: Kind,
    pub id: String,
    /// Whom the block concerns, if the row says so.
    pub owner: Option<String>,
}

/// A row on a line: its kind, and all other fields as they stand there.
struct Line {
    kind: Kind,
    kept: bool,
    is_removed: bool,
    text: String,
}

/// What a line says of an object that is to be removed.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Named {
    id: String,
}

impl<'de> Deserialize<'de> for Line {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Members)
    }
}

struct Members;

impl<'de> Visitor<'de> for Members {
    type Value = Line;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a row: an object with the field kind")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Line, A::Error> {
        let (mut kind, mut kept, mut is_removed, mut text) = (None, false, false, String::from("{"));
        while let Some(name) = members.next_key::<String>()? {
            match name.as_str() {
                "kind" if kind.is_some() => return Err(A::Error::duplicate_field("kind")),
                "kind" => kind = Some(members.next_value::<String>()?),
                "deleted" => kept = members.next_value()?,
                "remove" => is_removed = members.next_value()?,
                _ => {
                    // Both are JSON again; whether a field stands there twice is found out when the row is read.
                    let separator = if text.len() > 1 { "," } else { "" };
                    let name = serde_json::Value::from(name);
                    text.push_str(&format!("{separator}{name}:{}", members.next_value::<Box<RawValue>>()?));
                }
            }
        }
        text.push('}');
        let word = kind.ok_or_else(|| A::Error::missing_field("kind"))?;
        let kind = Kind::ALL.into_iter().find(|kind| Subject::Row(*kind).word() == word);
        let words = || Kind::ALL.map(|kind| Subject::Row(kind).word()).join(", ");
        let kind = kind.ok_or_else(|| A::Error::custom(format!("the kind is not one of {}", words())))?;
        Ok(Line { kind, kept, is_removed, text })
    }
}

impl Row {
    /// A row of a policy page, as the feed has it.
    pub fn of_page(place: Place, kind: Kind, text: Box<RawValue>) -> Self {
        let text = with_record(kind, text.get()).unwrap_or(text);
        Self { place, kind, text, kept: false, kept_owner: None, removed: None }
    }

    /// Reads a line: a JSON object, the row with a further field `kind`. `deleted` makes it a kept block. `remove` removes
    /// the object, and stands beside its kind and id alone.
    pub fn of_line(number: u64, text: &str) -> Result<Self, String> {
        let Line { kind, kept, is_removed, text } = serde_json::from_str(text).map_err(|error| error.to_string())?;
        let named = |text: &str| serde_json::from_str::<Named>(text).map(|Named { id }| id);
        let removed = match is_removed {
            true if kept => return Err("remove and deleted do not go together; expected one of them".to_owned()),
            true => Some(named(&text).map_err(|error| format!("beside remove: {error}"))?),
            false => None,
        };
        let text = RawValue::from_string(text).map_err(|error| error.to_string())?;
        Ok(Self { place: Place::Line(number), kind, text, kept, kept_owner: None, removed })
    }
}

/// The fields by which a row of the feed says more of a block than its state, and the fields of a record.
const OF_THE_FEED: [(&str, &str); 4] =
    [("blocked_state", "state"), ("blocked_from", "from"), ("blocked_until", "until"), ("block_note", "note")];

/// A row of the feed as clients send it: what it says of a block stands in `block`. `None` if it says nothing of one.
fn with_record(kind: Kind, text: &str) -> Option<Box<RawValue>> {
    // Nearly all rows have none of the fields, and need not be read twice.
    if kind != Kind::Subscription || !OF_THE_FEED.iter().any(|(field, _)| text.contains(field)) {
        return None;
    }
    let mut row: Map<String, Value> = serde_json::from_str(text).ok()?;
    let mut record = Map::new();
    for (field, name) in OF_THE_FEED {
        record.extend(row.remove(field).map(|value| (name.to_owned(), value)));
    }
    let is_blocked = row.get("state").and_then(Value::as_str).is_some_and(|state| Block::parse(state).is_some());
    let is_planned = record.get("from").is_some_and(|from| !from.is_null());
    if is_blocked && !is_planned {
        record.remove("state");
    }
    // The end or the note of no block says nothing.
    if is_blocked || is_planned {
        row.insert("block".to_owned(), record.into());
    }
    serde_json::value::to_raw_value(&row).ok()
}

/// What an import may do beside writing rows.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Change nothing, and tell what would be changed. All is one transaction, which is dropped: other changes wait for it.
    pub dry_run: bool,
    /// Remove what the import does not name, unless a row is refused.
    pub replace: bool,
    /// Lift and weaken blocks, and remove deny policies, where the rows say so.
    pub lift_blocks: bool,
    /// A word for the audit log.
    pub label: Option<String>,
    /// The revisions that the import may begin at.
    pub expected: Expected,
    /// The import's name in the turn of imports.
    pub holder: Option<String>,
}
