//! `get` and `delete`: objects of all kinds. Lists are shown while their pages arrive.

use serde_json::Value;

use super::receipt;
use crate::{
    cli::{
        args::word,
        changes::Delete,
        reads::{Filters, Get},
    },
    client::{Client, PAGE_ROWS, Pages, Pair, path_of},
    failure::{Done, Failure, Outcome},
    kinds::KindInfo,
    output::{
        self, Screen, confirm, details, note,
        table::{Column, Table},
    },
    times,
};

/// Lists objects, or shows one.
pub fn get(client: &Client, screen: &mut Screen, asked: &Get) -> Outcome {
    let kind = KindInfo::named(asked.kind);
    let mut query = filters(&kind, &asked.filters)?;
    if let Some(id) = &asked.id {
        if !query.is_empty() || asked.limit.is_some() || asked.sort.is_some() {
            return Err(Failure::Usage("an id and filters do not go together; leave one of them out".to_owned()));
        }
        let row = client.get(&path_of(kind.path, id), &[])?.body;
        if screen.is_json {
            screen.json(&row)?;
        } else {
            Table::new(kind.columns, screen, times::now()).page(screen, &[row])?;
        }
        return Ok(Done::Well);
    }
    query.extend(asked.sort.clone().map(|sort| ("sort", sort)));
    list(screen, client.pages(kind.path, &query), kind.columns, asked.limit, kind.kind.list())
}

/// The filters that were given. The list of the kind must have them.
fn filters(kind: &KindInfo, asked: &Filters) -> Result<Vec<Pair>, Failure> {
    let given = [
        ("state", asked.state.as_ref().map(|state| state.to_uppercase())),
        ("type", asked.of_type.as_ref().map(|of_type| of_type.to_uppercase())),
        ("owner", asked.owner.clone()),
        ("application", asked.application.clone()),
        ("api", asked.api.clone()),
        ("plan", asked.plan.clone()),
        ("sha256", asked.sha256.clone()),
        ("planned", asked.planned.map(|planned| planned.to_string())),
        ("last_used_before", asked.last_used_before.map(|time| time.past(times::now()).to_string())),
    ];
    let mut query: Vec<Pair> = Vec::new();
    for (name, value) in given {
        let Some(value) = value else { continue };
        let option = name.replace('_', "-");
        if !kind.filters.contains(&name) {
            let known: Vec<String> = kind.filters.iter().map(|name| format!("--{}", name.replace('_', "-"))).collect();
            return Err(Failure::Usage(format!(
                "{} have no --{option}; they have --q {}",
                kind.kind.list().replace('_', " "),
                known.join(" ")
            )));
        }
        let words = match name {
            "state" => kind.states,
            "type" => kind.types,
            _ => &[],
        };
        if !words.is_empty() && !words.contains(&value.as_str()) {
            return Err(Failure::Usage(format!("--{option}: expected one of {}", words.join(", "))));
        }
        query.push((name, value));
    }
    query.extend(asked.q.clone().map(|text| ("q", text)));
    Ok(query)
}

/// Shows a list while its pages arrive: as a table, or as one JSON object with `items`.
pub fn list(screen: &mut Screen, mut pages: Pages<'_>, columns: &[Column], limit: Option<u64>, what: &str) -> Outcome {
    let most = limit.unwrap_or(u64::MAX);
    let mut table = Table::new(columns, screen, times::now());
    let mut shown = 0_u64;
    let mut opening = "{\"items\":[";
    while shown < most
        && let Some(mut rows) = pages.next(PAGE_ROWS.min(most.saturating_sub(shown)))?
    {
        rows.truncate(usize::try_from(most.saturating_sub(shown)).unwrap_or(usize::MAX));
        if screen.is_json {
            // Only now, so that an error of the first page leaves stdout empty.
            screen.raw(std::mem::take(&mut opening))?;
            for (place, row) in rows.iter().enumerate() {
                screen.raw(if shown == 0 && place == 0 { "\n" } else { ",\n" })?;
                screen.raw(&row.to_string())?;
            }
        } else if !rows.is_empty() {
            table.page(screen, &rows)?;
        }
        shown = shown.saturating_add(u64::try_from(rows.len()).unwrap_or_default());
    }
    if screen.is_json {
        let total = pages.total.map(|total| format!(",\"total\":{total}")).unwrap_or_default();
        screen.raw(&format!("{opening}\n]{total}}}\n"))?;
        return Ok(Done::Well);
    }
    screen.flush()?;
    let what = what.replace('_', " ");
    match pages.total {
        _ if shown == 0 => note(&format!("There are no {what}.")),
        Some(total) if total > shown => note(&format!("{shown} of {total} {what}")),
        _ => {}
    }
    Ok(Done::Well)
}

/// Deletes objects.
pub fn delete(client: &Client, screen: &mut Screen, asked: &Delete) -> Outcome {
    let kind = KindInfo::named(asked.kind);
    let ids = asked.ids.join(", ");
    let question = format!("Delete {} {ids}?", word(&asked.kind));
    if !confirm(&question, asked.yes.yes)? {
        return Err(Failure::Other("nothing was deleted".to_owned()));
    }
    let mut done = Done::Well;
    for id in &asked.ids {
        let answer = client.delete(&path_of(kind.path, id), &[])?;
        if !screen.is_json {
            show_deleted(screen, &kind, id, &answer.body)?;
            screen.flush()?;
        }
        let receipt = receipt::wait(client, asked.wait, &answer);
        done = receipt::end(screen, &answer.body, receipt, done)?;
    }
    Ok(done)
}

fn show_deleted(screen: &mut Screen, kind: &KindInfo, id: &str, row: &Value) -> Result<(), Failure> {
    let name = format!("{} {}", kind.kind.noun(), output::plain(id));
    if row.get("deleted").and_then(Value::as_bool) != Some(true) {
        return screen.line(&format!("{name} is deleted"));
    }
    screen.line(&format!("{name} is deleted; its block stays:"))?;
    details::object(screen, row, &["etag", "id"], times::now())
}
