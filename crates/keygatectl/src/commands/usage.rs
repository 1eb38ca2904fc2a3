//! `usage`: requests by hour, or added up by a field.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::get;
use crate::{
    cli::reads::Usage,
    client::{Client, PAGE_ROWS, Pair},
    failure::{Done, Failure, Outcome, Refusal},
    kinds,
    output::{
        self, Screen,
        progress::Progress,
        table::{Column, Shape, Table, text},
    },
    times,
};

/// Rows that are added up: a month of hours of a thousand pairs of application and API.
const MOST_ROWS: u64 = 1_000_000;

/// Shows usage.
pub fn usage(client: &Client, screen: &mut Screen, asked: &Usage) -> Outcome {
    let query = query(asked, times::now());
    match &asked.by {
        None => get::list(screen, client.pages("/v1/usage", &query), kinds::USAGE, None, "hours with usage"),
        Some(field) => sums(client, &query, field).and_then(|sums| show(screen, field, &sums)),
    }
    .map_err(at_its_place)
}

/// Each role sees usage, so a service without it has it at the listener of the gateways.
fn at_its_place(failure: Failure) -> Failure {
    match failure {
        Failure::Refused(refusal) if refusal.status == 404 => Failure::Refused(Refusal {
            advice: Some("`keygatectl --url ADDRESS usage` asks at the address that gateways have"),
            ..refusal
        }),
        other => other,
    }
}

fn query(asked: &Usage, now: i64) -> Vec<Pair> {
    let mut query: Vec<Pair> = vec![("from", asked.from.past(now).to_string())];
    query.extend(asked.to.map(|time| ("to", time.past(now).to_string())));
    query.extend(asked.application.clone().map(|id| ("application", id)));
    query.extend(asked.api.clone().map(|id| ("api", id)));
    query
}

/// Requests by the values of a field, the most first.
pub fn sums(client: &Client, query: &[Pair], field: &str) -> Result<Vec<(Value, u64)>, Failure> {
    let mut pages = client.pages("/v1/usage", query);
    let bar = Progress::new(None, "hours of usage");
    let mut sums: BTreeMap<String, (Value, u64)> = BTreeMap::new();
    let mut read = 0_u64;
    while let Some(rows) = pages.next(PAGE_ROWS)? {
        for row in rows {
            let value = row.get(field).cloned().unwrap_or_default();
            let (_, sum) = sums.entry(text(&value)).or_insert((value, 0));
            *sum = sum.saturating_add(row.get("requests").and_then(Value::as_u64).unwrap_or_default());
            read = read.saturating_add(1);
            bar.add(1);
        }
        if read > MOST_ROWS {
            return Err(Failure::Other(format!(
                "there are more than {MOST_ROWS} rows of usage; ask for a shorter time"
            )));
        }
    }
    bar.end();
    let mut sums: Vec<(Value, u64)> = sums.into_values().collect();
    if field != "hour" {
        sums.sort_by_key(|(_, sum)| std::cmp::Reverse(*sum));
    }
    Ok(sums)
}

fn show(screen: &mut Screen, field: &str, sums: &[(Value, u64)]) -> Outcome {
    let rows: Vec<Value> = sums.iter().map(|(value, sum)| json!({ field: value, "requests": sum })).collect();
    if screen.is_json {
        screen.json(&json!({ "items": rows }))?;
        return Ok(Done::Well);
    }
    if rows.is_empty() {
        output::note("There are no requests.");
        return Ok(Done::Well);
    }
    // The columns of the field and of the number, as the full table has them.
    let at = format!("/{field}");
    let columns: Vec<Column> =
        kinds::USAGE.iter().copied().filter(|column| column.at == at || column.shape == Shape::Number).collect();
    Table::new(&columns, screen, times::now()).page(screen, &rows)?;
    Ok(Done::Well)
}
