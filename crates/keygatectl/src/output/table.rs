//! Tables that are printed while their rows arrive, page by page.
//!
//! The first page decides how wide each column is. On a terminal that is too narrow, columns that matter least are left
//! out, and long texts are cut. Ids are cut only after that, because people copy them, and states, times and numbers last
//! of all. Without a terminal nothing is left out or cut.

use serde_json::Value;
use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use super::{Screen, heading, plain, style_of};
use crate::{failure::Failure, times};

/// How a value is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// A text or a number.
    Text,
    /// An id, which people copy.
    Id,
    /// A kind and an id, such as `subscription sub-7`.
    What,
    /// A number, on the right.
    Number,
    /// A state, with its colour.
    State,
    /// Unix time, to the minute.
    Time,
    /// Unix time, to the second.
    Second,
    /// How long ago it is, or in how long.
    Away,
    /// A list of texts.
    List,
    /// What an API matches.
    Match,
    /// The limits of a plan.
    Limits,
    /// A state that may hold only in part or that has an end: `state` with the end of its block.
    Blocked,
}

impl Shape {
    /// The width at which it can still be read. A state, a time or a number is never cut while anything else can be.
    const fn readable(self) -> usize {
        match self {
            Self::Text | Self::List | Self::Match | Self::Limits => READABLE,
            Self::Id | Self::What => WHOLE_ID,
            Self::Number | Self::State | Self::Time | Self::Second | Self::Away | Self::Blocked => MOST,
        }
    }

    const fn cut_before_ids(self) -> usize {
        match self {
            Self::Text | Self::List | Self::Match | Self::Limits => LEAST,
            other => other.readable(),
        }
    }

    const fn cut_before_states(self) -> usize {
        match self {
            Self::Id | Self::What => LEAST,
            other => other.cut_before_ids(),
        }
    }

    const fn cut_last(self) -> usize {
        LEAST
    }
}

/// A column.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    /// The title.
    pub title: &'static str,
    /// Where the value is, as a JSON pointer.
    pub at: &'static str,
    pub shape: Shape,
    /// On a narrow terminal, columns with larger numbers go first. 0 always stays.
    pub rank: u8,
}

impl Column {
    /// A column.
    pub const fn new(title: &'static str, at: &'static str, shape: Shape, rank: u8) -> Self {
        Self { title, at, shape, rank }
    }
}

/// Columns of this rank and above are only nice to have.
const NICE: u8 = 3;
/// Between two columns.
const GAP: usize = 2;
/// A column is never narrower than this.
const LEAST: usize = 6;
/// A text of this width can still be read.
const READABLE: usize = 12;
/// Ids that the service makes have 28 letters.
const WHOLE_ID: usize = 30;
/// Without a terminal a column is as wide as its widest value, up to this.
const MOST: usize = 256;

/// A table under way.
pub struct Table<'c> {
    columns: Vec<&'c Column>,
    widths: Vec<usize>,
    width: Option<usize>,
    now: i64,
    has_begun: bool,
}

impl<'c> Table<'c> {
    /// A table with these columns.
    pub fn new(columns: &'c [Column], screen: &Screen, now: i64) -> Self {
        Self { columns: columns.iter().collect(), widths: Vec::new(), width: screen.width, now, has_begun: false }
    }

    /// Prints the rows of a page.
    pub fn page(&mut self, screen: &mut Screen, rows: &[Value]) -> Result<(), Failure> {
        if !self.has_begun {
            self.begin(rows);
            self.has_begun = true;
            let titles: Vec<String> = self.columns.iter().map(|column| column.title.to_owned()).collect();
            let line = self.line(&titles, |_, text| text);
            screen.line(&heading(&line))?;
        }
        for row in rows {
            let cells: Vec<String> = self.columns.iter().map(|column| cell(column, row, self.now)).collect();
            let line = self.line(&cells, |column, text| match column.shape {
                Shape::State | Shape::Blocked => {
                    let style = style_of(text.split([' ', ',', '…']).next().unwrap_or_default());
                    format!("{style}{text}{style:#}")
                }
                _ => text,
            });
            screen.line(&line)?;
        }
        screen.flush()
    }

    /// Chooses columns and widths by the first page.
    fn begin(&mut self, rows: &[Value]) {
        let now = self.now;
        // A column that no row fills is left out, unless it always stays.
        let is_filled = |column: &Column| rows.iter().any(|row| cell(column, row, now) != NONE);
        self.columns.retain(|column| column.rank == 0 || rows.is_empty() || is_filled(column));
        let widest = |column: &Column| {
            let cells = rows.iter().map(|row| cell(column, row, now).width());
            cells.chain([column.title.width()]).max().unwrap_or(LEAST).min(MOST)
        };
        let mut widths: Vec<usize> = self.columns.iter().map(|column| widest(column)).collect();
        if let Some(room) = self.width {
            // What is only nice to have is left out rather than cut.
            while widths.iter().sum::<usize>().saturating_add(gaps(&widths)) > room
                && let Some(place) = self
                    .least_wanted()
                    .filter(|place| self.columns.get(*place).is_some_and(|column| column.rank >= NICE))
            {
                self.columns.remove(place);
                widths.remove(place);
            }
            let least = |columns: &[&Column], widths: &[usize]| {
                let least = columns.iter().zip(widths).map(|(column, width)| (*width).min(column.shape.readable()));
                least.sum::<usize>().saturating_add(gaps(widths))
            };
            while least(&self.columns, &widths) > room
                && let Some(place) = self.least_wanted()
            {
                self.columns.remove(place);
                widths.remove(place);
            }
            for step in [Shape::readable, Shape::cut_before_ids, Shape::cut_before_states, Shape::cut_last] {
                let bounds: Vec<usize> = self.columns.iter().map(|column| step(column.shape)).collect();
                shrink(&mut widths, &bounds, room);
            }
        }
        self.widths = widths;
    }

    fn least_wanted(&self) -> Option<usize> {
        let ranks = self.columns.iter().enumerate().filter(|(_, column)| column.rank > 0);
        ranks.max_by_key(|(place, column)| (column.rank, *place)).map(|(place, _)| place)
    }

    fn line(&self, cells: &[String], dress: impl Fn(&Column, String) -> String) -> String {
        let mut line = String::new();
        let last = self.columns.len().saturating_sub(1);
        for (place, ((column, width), text)) in self.columns.iter().zip(&self.widths).zip(cells).enumerate() {
            let text = if self.width.is_some() { cut(text, *width) } else { text.clone() };
            let blanks = " ".repeat(width.saturating_sub(text.width()));
            let gap = if place == last { "" } else { "  " };
            let text = dress(column, text);
            line.push_str(&match column.shape {
                Shape::Number => format!("{blanks}{text}{gap}"),
                _ if place == last => text,
                _ => format!("{text}{blanks}{gap}"),
            });
        }
        line
    }
}

fn gaps(widths: &[usize]) -> usize {
    widths.len().saturating_sub(1).saturating_mul(GAP)
}

/// Takes from the widest columns until the table fits, but no column gets narrower than its bound.
fn shrink(widths: &mut [usize], bounds: &[usize], room: usize) {
    let gaps = gaps(widths);
    while widths.iter().sum::<usize>().saturating_add(gaps) > room {
        let more = widths.iter_mut().zip(bounds).filter(|(width, bound)| **width > **bound);
        let Some((widest, _)) = more.max_by_key(|(width, _)| **width) else { return };
        *widest = widest.saturating_sub(1);
    }
}

/// What a cell without a value shows.
const NONE: &str = "-";

/// The text of a cell.
fn cell(column: &Column, row: &Value, now: i64) -> String {
    if column.shape == Shape::What {
        return plain(&what(row)).into_owned();
    }
    let Some(value) = row.pointer(column.at).filter(|value| !value.is_null()) else { return NONE.to_owned() };
    let text = match column.shape {
        Shape::Time => value.as_i64().map(times::local),
        Shape::Second => value.as_i64().map(times::local_second),
        Shape::Away => value.as_i64().map(|time| times::away(time, now)),
        Shape::List => value.as_array().map(|items| list(items, text)),
        Shape::Match => value.as_array().map(|items| list(items, matched)),
        Shape::Limits => value.as_array().map(|items| list(items, limit)),
        Shape::Blocked => Some(blocked(row, value, now)),
        Shape::Text | Shape::Id | Shape::What | Shape::Number | Shape::State => None,
    };
    plain(&text.unwrap_or_else(|| self::text(value))).into_owned()
}

/// A value as a text.
pub fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Bool(true) => "yes".to_owned(),
        Value::Bool(false) => "no".to_owned(),
        value => value.to_string(),
    }
}

fn list(items: &[Value], text: impl Fn(&Value) -> String) -> String {
    match items {
        [] => "none".to_owned(),
        items => items.iter().map(text).collect::<Vec<_>>().join(", "),
    }
}

/// `api.example.com/payments`, or `/payments` for any host.
pub fn matched(value: &Value) -> String {
    let path = value.get("path").map(text).unwrap_or_default();
    let hosts = value.get("hosts").and_then(Value::as_array);
    match hosts {
        Some(hosts) => list(hosts, |host| format!("{}{path}", text(host))),
        None => path,
    }
}

/// `5000/minute`.
pub fn limit(value: &Value) -> String {
    let part = |name: &str| value.get(name).map(text).unwrap_or_default();
    format!("{}/{}", part("requests"), part("per"))
}

/// The kind of a row and its id. An import has no id.
fn what(row: &Value) -> String {
    let part = |name: &str| row.get(name).and_then(Value::as_str).unwrap_or_default();
    format!("{} {}", part("kind").replace('_', " "), part("id")).trim().to_owned()
}

/// A state, with what is known of the time of its block.
fn blocked(row: &Value, state: &Value, now: i64) -> String {
    let mut text = text(state);
    let time = |at: &str| row.pointer(at).and_then(Value::as_i64);
    if let Some(from) = time("/block/from").filter(|from| *from > now) {
        text.push_str(&format!(", blocked {}", times::away(from, now)));
    } else if let Some(until) = time("/block/until").filter(|until| *until > now) {
        text.push_str(&format!(", ends {}", times::away(until, now)));
    }
    if row.pointer("/deleted").and_then(Value::as_bool) == Some(true) {
        text.push_str(" (deleted)");
    }
    text
}

/// A text that is no wider than this.
pub fn cut(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let (mut short, mut used) = (String::new(), 1_usize);
    for letter in text.chars() {
        used = used.saturating_add(letter.width().unwrap_or(0));
        if used > width {
            break;
        }
        short.push(letter);
    }
    short.push('…');
    short
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const COLUMNS: &[Column] = &[
        Column::new("ID", "/id", Shape::Id, 0),
        Column::new("NAME", "/name", Shape::Text, 2),
        Column::new("OWNER", "/owner", Shape::Text, 1),
        Column::new("COUNT", "/count", Shape::Number, 0),
    ];

    fn lines(width: Option<usize>, rows: &[Value]) -> Vec<String> {
        lines_of(COLUMNS, width, rows)
    }

    fn lines_of(columns: &[Column], width: Option<usize>, rows: &[Value]) -> Vec<String> {
        let mut table =
            Table { columns: columns.iter().collect(), widths: Vec::new(), width, now: 1_000, has_begun: false };
        table.begin(rows);
        let cells = |row: &Value| table.columns.iter().map(|column| cell(column, row, 1_000)).collect::<Vec<_>>();
        rows.iter().map(|row| table.line(&cells(row), |_, text| text)).collect()
    }

    #[test]
    fn a_table_fits_the_terminal_and_keeps_what_matters() {
        let rows = [
            json!({"id": "app-1", "name": "x".repeat(60), "owner": "alice", "count": 7}),
            json!({"id": "app-22", "name": "y", "owner": "bob", "count": 12}),
        ];
        for width in 10..120 {
            let lines = lines(Some(width), &rows);
            assert!(lines.iter().all(|line| line.width() <= width.max(2 * LEAST + GAP)), "{width}: {lines:?}");
            assert!(lines[0].contains("app-1") && lines[0].ends_with('7'), "{width}: {lines:?}");
        }
        assert!(!lines(Some(20), &rows)[0].contains('x'));
        assert!(lines(Some(50), &rows)[0].contains("x…"));
        assert!(lines(None, &rows)[0].contains(&"x".repeat(60)));
    }

    #[test]
    fn states_times_and_ids_are_cut_after_everything_else() {
        let id = "k-291a72800ae3686ae718cd32";
        let row = json!({"kind": "subscription", "id": id, "application": id, "api": "payments-1.0", "state": "BLOCKED",
            "actor": "x".repeat(40), "reason": "y".repeat(90), "at": 0, "plan": "gold", "revision": 123_456,
            "block": {"until": 8_200, "reason": "y".repeat(90)}});
        let state = "BLOCKED, ends in 2 h";
        for (columns, width, whole) in [
            (crate::kinds::SUBSCRIPTIONS, 100, vec![id, "payments-1.0", state]),
            (crate::kinds::SUBSCRIPTIONS, 80, vec![state, "payments-1.0"]),
            (crate::kinds::SUBSCRIPTIONS, 60, vec![state]),
            (crate::kinds::SUBSCRIPTIONS, 44, vec![state]),
            (crate::kinds::KEYS, 80, vec![id, "BLOCKED"]),
            (crate::kinds::AUDIT, 80, vec!["1970-01-01 ", "subscription k-291a"]),
            (crate::kinds::REVISIONS, 90, vec!["1970-01-01 ", "subscription k-291a72800ae36"]),
            (crate::kinds::TOKENS, 80, vec![id]),
        ] {
            let line = &lines_of(columns, Some(width), std::slice::from_ref(&row))[0];
            assert!(line.width() <= width, "{width} {line}");
            assert!(whole.iter().all(|whole| line.contains(whole)), "{width} {line} {whole:?}");
        }
    }

    #[test]
    fn columns_that_no_row_fills_are_left_out() {
        assert_eq!(lines(None, &[json!({"id": "app-1", "count": 1})]), ["app-1      1"]);
    }

    #[test]
    fn wide_letters_count_twice() {
        assert_eq!(cut("日本語テスト", 7), "日本語…");
        assert_eq!(cut("abc", 3), "abc");
    }
}
