//! All rows of a service, as of one revision.
//!
//! Lists come in pages, and others go on making changes meanwhile. So the audit entries since the first page are replayed
//! over the rows, up to the newest one. Each entry has the rows that its change touched, as they were after it.

use std::collections::BTreeMap;

use management::port::Kind;
use serde_json::Value;

use super::row::Row;
use crate::{
    client::{Client, PAGE_ROWS, Pair},
    failure::Failure,
    kinds,
    output::progress::Progress,
};

/// Rows of a service. They are held in memory, at some 400 bytes each.
const MOST_ROWS: usize = 5_000_000;

/// Rows by kind and id.
#[derive(Debug, Default)]
pub struct Rows {
    rows: BTreeMap<(i64, Box<str>), Box<str>>,
}

impl Rows {
    /// The row of a kind with this id.
    pub fn find(&self, kind: Kind, id: &str) -> Option<Row> {
        let text = self.rows.get(&(kind.number(), Box::from(id)))?;
        Row::shown(kind, &serde_json::from_str(text).ok()?)
    }

    /// Whether there is such a row.
    pub fn has(&self, kind: Kind, id: &str) -> bool {
        self.rows.contains_key(&(kind.number(), Box::from(id)))
    }

    /// All rows.
    pub fn into_rows(self) -> Vec<Row> {
        let kind = |number: i64| Kind::ALL.into_iter().find(|kind| kind.number() == number);
        let rows = self.rows.into_iter();
        rows.filter_map(|((number, _), text)| Row::shown(kind(number)?, &serde_json::from_str(&text).ok()?)).collect()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    fn put(&mut self, kind: Kind, row: &Value) -> Result<(), Failure> {
        let id = row.get("id").and_then(Value::as_str);
        let id = id.ok_or_else(|| Failure::Unreachable(format!("a {} of the service has no id", kind.noun())))?;
        self.rows.insert((kind.number(), id.into()), row.to_string().into());
        match self.rows.len() > MOST_ROWS {
            true => Err(Failure::Other(format!("the service has more than {MOST_ROWS} rows"))),
            false => Ok(()),
        }
    }

    fn remove(&mut self, kind: Kind, id: &str) {
        self.rows.remove(&(kind.number(), Box::from(id)));
    }
}

/// Fetches all rows, and the revision that they are of.
pub fn fetch(client: &Client) -> Result<(Rows, i64), Failure> {
    let mut rows = Rows::default();
    let begun = Mark::newest(client)?;
    // After the mark, so that what made this revision is among the rows or among the entries that are replayed.
    let latest = latest_revision(client)?;
    let bar = Progress::new(None, "fetching rows");
    for kind in Kind::ALL {
        let mut pages = client.pages(kinds::path(kind), &[]);
        while let Some(page) = pages.next(PAGE_ROWS)? {
            for row in &page {
                rows.put(kind, row)?;
            }
            bar.add(page.len());
        }
    }
    let replayed = replay(client, &mut rows, begun, Mark::newest(client)?)?;
    bar.end();
    Ok((rows, latest.max(replayed)))
}

/// The latest revision; 0 before the first.
fn latest_revision(client: &Client) -> Result<i64, Failure> {
    let rows = client.pages("/v1/revisions", &[("sort", "-revision".to_owned())]).next(1)?.unwrap_or_default();
    Ok(rows.first().map_or(0, revision_of))
}

fn revision_of(entry: &Value) -> i64 {
    entry.get("revision").and_then(Value::as_i64).unwrap_or(0)
}

/// An audit entry: its number, and its time by the clock of the service.
#[derive(Clone, Copy, Debug, Default)]
struct Mark {
    seq: i64,
    at: i64,
}

impl Mark {
    /// The newest entry; zeros if there is none.
    fn newest(client: &Client) -> Result<Self, Failure> {
        let newest = client.pages("/v1/audit", &[("sort", "-seq".to_owned())]).next(1)?.unwrap_or_default();
        Ok(newest.first().map(Self::of).unwrap_or_default())
    }

    fn of(entry: &Value) -> Self {
        let number = |name: &str| entry.get(name).and_then(Value::as_i64).unwrap_or(0);
        Self { seq: number("seq"), at: number("at") }
    }
}

/// Replays the entries behind `begun` up to `newest`. A row may have been fetched after some of its changes; the last of
/// them counts either way. Returns the last revision among them, or 0.
fn replay(client: &Client, rows: &mut Rows, begun: Mark, newest: Mark) -> Result<i64, Failure> {
    let mut revision = 0;
    if newest.seq <= begun.seq {
        return Ok(revision);
    }
    let mut pages = client.pages("/v1/audit", &[("from", begun.at.to_string())]);
    while let Some(entries) = pages.next(PAGE_ROWS)? {
        for entry in entries {
            let mark = Mark::of(&entry);
            if mark.seq > newest.seq {
                return Ok(revision);
            }
            if mark.seq > begun.seq {
                revision = revision.max(revision_of(&entry));
                apply(client, rows, &entry)?;
            }
        }
    }
    Ok(revision)
}

/// Replays an entry. One that does not list all of its rows, such as that of an import, has them in the history.
fn apply(client: &Client, rows: &mut Rows, entry: &Value) -> Result<(), Failure> {
    let is_part = entry.get("also_total").is_some_and(|total| !total.is_null());
    if is_part || entry.get("kind").and_then(Value::as_str) == Some("policy") {
        let revision = entry.get("revision").and_then(Value::as_i64);
        return revision.map_or(Ok(()), |revision| apply_revision(client, rows, revision));
    }
    let also = entry.get("also").and_then(Value::as_array).into_iter().flatten();
    std::iter::once(entry).chain(also).try_for_each(|change| apply_row(rows, change))
}

/// Replays what a revision changed.
fn apply_revision(client: &Client, rows: &mut Rows, revision: i64) -> Result<(), Failure> {
    let mut cursor = None;
    loop {
        let (from, to) = (revision.saturating_sub(1).to_string(), revision.to_string());
        let mut query: Vec<Pair> = vec![("from", from), ("to", to), ("limit", PAGE_ROWS.to_string())];
        query.extend(cursor.map(|cursor: String| ("cursor", cursor)));
        let page = client.get("/v1/diff", &query)?.body;
        for list in ["made", "changed", "removed"] {
            for change in page.get(list).and_then(Value::as_array).into_iter().flatten() {
                apply_row(rows, change)?;
            }
        }
        cursor = page.get("next").and_then(Value::as_str).map(str::to_owned);
        if cursor.is_none() {
            return Ok(());
        }
    }
}

/// Puts the row that a change left, or takes it away. Changes of tokens and credentials are no part of the policy.
fn apply_row(rows: &mut Rows, change: &Value) -> Result<(), Failure> {
    let text = |name: &str| change.get(name).and_then(Value::as_str);
    let kind = text("kind").and_then(|word| Kind::ALL.into_iter().find(|kind| kinds::word(*kind) == word));
    let (Some(kind), Some(id)) = (kind, text("id")) else { return Ok(()) };
    match change.get("after").filter(|after| !after.is_null()) {
        Some(after) => rows.put(kind, after),
        None => {
            rows.remove(kind, id);
            Ok(())
        }
    }
}
