//! `describe`: all that a person wants to know of one object: the row, what belongs to it, the receipt of its last
//! change, its usage and its history.

use management::port::Kind;
use serde_json::Value;

use super::{receipt, usage};
use crate::{
    cli::reads::Describe,
    client::{Client, Pair, path_of},
    failure::{Done, Failure, Outcome},
    kinds::{self, KindInfo},
    output::{
        self, Screen, details,
        table::{Column, Shape, Table},
    },
    times,
};

/// Rows of a section. `get` lists all of them.
const MOST_ROWS: usize = 10;
/// How far back usage is added up.
const USAGE_SECONDS: i64 = 86_400;

/// Shows one object.
pub fn describe(client: &Client, screen: &mut Screen, asked: &Describe) -> Outcome {
    let kind = KindInfo::named(asked.kind);
    let row = client.get(&path_of(kind.path, &asked.id), &[])?.body;
    let mut found = serde_json::Map::new();
    found.insert(kind.word().to_owned(), row.clone());
    for (name, path, query, _) in below(&kind, &asked.id) {
        found.insert(name.to_owned(), seen(client.pages(path, &query).all(MOST_ROWS))?.into());
    }
    if let Some(query) = usage_of(&kind, &asked.id, &row) {
        // Null if it is not known: the service may have it at another address.
        let sums = seen(usage::sums(client, &query, "outcome").map(Some))?;
        let row = |(outcome, requests)| serde_json::json!({ "outcome": outcome, "requests": requests });
        let rows = sums.map(|sums| sums.into_iter().map(row).collect::<Vec<_>>());
        found.insert("usage_last_day".to_owned(), rows.into());
    }
    let query = [("kind", kind.word().to_owned()), ("id", asked.id.clone()), ("sort", "-seq".to_owned())];
    // Null if the role does not see it.
    let history = seen(client.pages("/v1/audit", &query).all(MOST_ROWS).map(Some))?;
    let entries = history.iter().flatten();
    let revision = entries.filter_map(|entry| entry.get("revision")).find_map(Value::as_i64);
    found.insert("history".to_owned(), history.into());
    let receipt = match revision {
        Some(revision) => seen(receipt::find(client, revision).map(Some))?,
        None => None,
    };
    if screen.is_json {
        let all = receipt::beside(&Value::Object(found), receipt.as_ref());
        screen.json(&all)?;
        return Ok(Done::Well);
    }
    show(screen, &kind, &asked.id, &row, &found)?;
    if let Some(receipt) = &receipt {
        details::section(screen, "last change")?;
        receipt::tell(screen, Some(receipt), Done::Well)?;
    }
    Ok(Done::Well)
}

/// What the caller may not see counts as nothing.
fn seen<T: Default>(found: Result<T, Failure>) -> Result<T, Failure> {
    match found {
        Err(failure) if matches!(failure.status(), Some(403 | 404 | 410)) => Ok(T::default()),
        found => found,
    }
}

type Section = (&'static str, &'static str, Vec<Pair>, &'static [Column]);

/// What belongs to an object.
fn below(kind: &KindInfo, id: &str) -> Vec<Section> {
    let of = |field: &'static str| vec![(field, id.to_owned())];
    let keys = || ("keys", kinds::path(Kind::Key), of("application"), kinds::KEYS);
    let subscriptions = |field| ("subscriptions", kinds::path(Kind::Subscription), of(field), kinds::SUBSCRIPTIONS);
    match kind.kind {
        Kind::Application => vec![keys(), subscriptions("application")],
        Kind::Api => vec![subscriptions("api")],
        Kind::Plan => {
            let applications = ("applications", kinds::path(Kind::Application), of("plan"), kinds::APPLICATIONS);
            vec![applications, subscriptions("plan")]
        }
        Kind::Key | Kind::Subscription | Kind::DenyPolicy => Vec::new(),
    }
}

/// Which usage is that of an object: a subscription has that of its application at its API.
fn usage_of(kind: &KindInfo, id: &str, row: &Value) -> Option<Vec<Pair>> {
    let named = |name: &'static str| Some((name, row.get(name)?.as_str()?.to_owned()));
    let of: Vec<Pair> = match kind.kind {
        Kind::Application => vec![("application", id.to_owned())],
        Kind::Api => vec![("api", id.to_owned())],
        Kind::Subscription => vec![named("application")?, named("api")?],
        Kind::Key | Kind::Plan | Kind::DenyPolicy => return None,
    };
    let from = times::now().saturating_sub(USAGE_SECONDS);
    Some(of.into_iter().chain([("from", from.to_string())]).collect())
}

fn show(
    screen: &mut Screen,
    kind: &KindInfo,
    id: &str,
    row: &Value,
    found: &serde_json::Map<String, Value>,
) -> Result<(), Failure> {
    let now = times::now();
    let rows = |name: &str| found.get(name).and_then(Value::as_array).cloned().unwrap_or_default();
    screen.line(&output::heading(&format!("{} {}", kind.kind.noun(), output::plain(id))))?;
    details::object(screen, row, &["id", "etag", "block"], now)?;
    if let Some(block) = row.get("block").filter(|block| !block.is_null()) {
        details::section(screen, "block")?;
        details::object(screen, block, &[], now)?;
    }
    for (name, _, query, columns) in below(kind, id) {
        let rows = rows(name);
        let more = if rows.len() == MOST_ROWS { format!(" (the first {MOST_ROWS})") } else { String::new() };
        // The column of the object itself would be the same in all rows.
        let is_same = |column: &Column| query.iter().any(|(field, _)| column.at.trim_start_matches('/') == *field);
        table(screen, &format!("{name}{more}"), &without(columns, is_same), &rows)?;
    }
    if found.get("usage_last_day").is_some_and(Value::is_null) {
        details::section(screen, "requests of the last day")?;
        screen.line("not known at this address; see `keygatectl usage`")?;
    } else if found.contains_key("usage_last_day") {
        let columns = without(kinds::USAGE, |column| !matches!(column.at, "/outcome" | "/requests"));
        table(screen, "requests of the last day", &columns, &rows("usage_last_day"))?;
    }
    if found.get("history").is_some_and(Value::is_null) {
        details::section(screen, "history")?;
        return screen.line("your role does not see it");
    }
    table(screen, "history", &without(kinds::AUDIT, |column| column.shape == Shape::What), &rows("history"))
}

fn without(columns: &[Column], is_left_out: impl Fn(&Column) -> bool) -> Vec<Column> {
    columns.iter().copied().filter(|column| !is_left_out(column)).collect()
}

fn table(screen: &mut Screen, title: &str, columns: &[Column], rows: &[Value]) -> Result<(), Failure> {
    details::section(screen, title)?;
    match rows.is_empty() {
        true => screen.line("none"),
        false => Table::new(columns, screen, times::now()).page(screen, rows),
    }
}
