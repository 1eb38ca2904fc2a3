//! All rows of a service, as of one revision.
//!
//! Lists come in pages, and others go on making changes meanwhile. So the rows that changed since the first page are
//! fetched again, until nothing changed in between.

use std::collections::BTreeMap;

use management::port::Kind;
use serde_json::Value;

use super::row::Row;
use crate::{
    client::{Client, PAGE_ROWS, Pair, path_of},
    failure::Failure,
    kinds,
    output::progress::Progress,
};

/// How often rows that changed are fetched again. Each time takes less long, because fewer have changed. At a few
/// milliseconds each, it is some seconds of a policy that never rests.
const MOST_ROUNDS: usize = 500;
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

/// Fetches all rows.
pub fn fetch(client: &Client) -> Result<Rows, Failure> {
    let mut rows = Rows::default();
    let mut revision = revision(client)?;
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
    for _ in 0..MOST_ROUNDS {
        let latest = self::revision(client)?;
        if latest == revision {
            bar.end();
            return Ok(rows);
        }
        for (kind, id) in changed(client, revision, latest)? {
            match client.get(&path_of(kinds::path(kind), &id), &[]) {
                Ok(answer) => rows.put(kind, &answer.body)?,
                Err(failure) if failure.status() == Some(404) => rows.remove(kind, &id),
                Err(failure) => return Err(failure),
            }
        }
        revision = latest;
    }
    Err(Failure::Other("the policy changes faster than it can be fetched; try again later".to_owned()))
}

/// The latest revision; 0 if there is none.
fn revision(client: &Client) -> Result<i64, Failure> {
    let newest = client.pages("/v1/revisions", &[("sort", "-revision".to_owned())]).next(1)?.unwrap_or_default();
    Ok(newest.first().and_then(|row| row.get("revision")).and_then(Value::as_i64).unwrap_or(0))
}

/// What changed between two revisions.
fn changed(client: &Client, from: i64, to: i64) -> Result<Vec<(Kind, String)>, Failure> {
    let (mut found, mut cursor) = (Vec::new(), None);
    loop {
        let mut query: Vec<Pair> =
            vec![("from", from.to_string()), ("to", to.to_string()), ("limit", PAGE_ROWS.to_string())];
        query.extend(cursor.map(|cursor: String| ("cursor", cursor)));
        let page = client.get("/v1/diff", &query)?.body;
        for list in ["made", "changed", "removed"] {
            for row in page.get(list).and_then(Value::as_array).into_iter().flatten() {
                let text = |name: &str| row.get(name).and_then(Value::as_str);
                let kind = text("kind").and_then(|word| Kind::ALL.into_iter().find(|kind| kinds::word(*kind) == word));
                found.extend(kind.zip(text("id").map(str::to_owned)));
            }
        }
        cursor = page.get("next").and_then(Value::as_str).map(str::to_owned);
        if cursor.is_none() {
            return Ok(found);
        }
    }
}
