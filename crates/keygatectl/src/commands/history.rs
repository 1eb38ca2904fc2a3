//! `audit`, `history` and `restore`.

use serde_json::{Value, json};

use super::{get, receipt};
use crate::{
    cli::{
        changes::Restore,
        reads::{Audit, History},
    },
    client::{Client, PAGE_ROWS, Pair},
    documents::changes,
    failure::{Done, Failure, Outcome},
    kinds,
    output::{Screen, confirm, details, note, plain},
    times,
};

/// Shows audit entries, the latest first.
pub fn audit(client: &Client, screen: &mut Screen, asked: &Audit) -> Outcome {
    let now = times::now();
    let mut query: Vec<Pair> = vec![("sort", "-seq".to_owned())];
    let texts = [("kind", &asked.kind), ("id", &asked.id), ("actor", &asked.actor), ("action", &asked.action)];
    query.extend(texts.into_iter().filter_map(|(name, value)| Some((name, value.clone()?))));
    let at = [("from", asked.from), ("to", asked.to)];
    query.extend(at.into_iter().filter_map(|(name, time)| Some((name, time?.past(now).to_string()))));
    get::list(screen, client.pages("/v1/audit", &query), kinds::AUDIT, Some(asked.limit), "audit entries")
}

/// Shows revisions, the latest first, or what differs between two.
pub fn history(client: &Client, screen: &mut Screen, asked: &History) -> Outcome {
    match asked.diff.as_deref() {
        None => {
            let pages = client.pages("/v1/revisions", &[("sort", "-revision".to_owned())]);
            get::list(screen, pages, kinds::REVISIONS, Some(asked.limit), "revisions")
        }
        Some(between) => difference(client, screen, between.first().copied(), between.get(1).copied()),
    }
}

/// Shows what differs between two revisions.
fn difference(client: &Client, screen: &mut Screen, from: Option<i64>, to: Option<i64>) -> Outcome {
    let (mut cursor, mut whole, mut is_same) = (None, json!({}), true);
    loop {
        let mut query: Vec<Pair> = vec![("limit", PAGE_ROWS.to_string())];
        query.extend(from.map(|from| ("from", from.to_string())));
        // The pages after the first one speak of the same revisions.
        let to = whole.get("to").and_then(Value::as_i64).or(to);
        query.extend(to.map(|to| ("to", to.to_string())));
        query.extend(cursor.map(|cursor| ("cursor", cursor)));
        let page = client.get("/v1/diff", &query)?.body;
        cursor = page.get("next").and_then(Value::as_str).map(str::to_owned);
        if screen.is_json {
            join(&mut whole, page);
        } else {
            is_same &= print(screen, &page)? == 0;
            join(&mut whole, json!({ "to": page.get("to") }));
        }
        if cursor.is_none() {
            break;
        }
    }
    if screen.is_json {
        screen.json(&whole)?;
    } else if is_same {
        note("There is no difference.");
    }
    Ok(Done::Well)
}

/// Adds the lists of a page to those of the pages before it.
fn join(whole: &mut Value, page: Value) {
    let (Some(whole), Value::Object(page)) = (whole.as_object_mut(), page) else { return };
    for (name, value) in page {
        match (whole.get_mut(&name), value) {
            (Some(Value::Array(before)), Value::Array(more)) => before.extend(more),
            (_, Value::Null) if name == "next" => {}
            (_, value) => {
                whole.insert(name, value);
            }
        }
    }
}

/// Prints a page, and returns its number of rows.
fn print(screen: &mut Screen, page: &Value) -> Result<usize, Failure> {
    let mut shown = 0_usize;
    let rows = |name: &str| page.get(name).and_then(Value::as_array).cloned().unwrap_or_default();
    let text = |row: &Value, name: &str| row.get(name).and_then(Value::as_str).unwrap_or("?").to_owned();
    for (list, before, after) in
        [("made", None, Some("after")), ("changed", Some("before"), Some("after")), ("removed", Some("before"), None)]
    {
        for row in rows(list) {
            let side = |name: Option<&str>| name.and_then(|name| row.get(name)).filter(|value| !value.is_null());
            changes::print(screen, &text(&row, "kind"), &text(&row, "id"), side(before), side(after))?;
            shown = shown.saturating_add(1);
        }
    }
    Ok(shown)
}

/// Restores the rows of a revision: first the preview, then a question.
pub fn restore(client: &Client, screen: &mut Screen, asked: &Restore) -> Outcome {
    receipt::check(asked.wait)?;
    let body =
        |dry_run: bool| json!({ "revision": asked.revision, "dry_run": dry_run, "lift_blocks": asked.lift_blocks });
    if asked.dry_run || !asked.yes.yes {
        let preview = client.post("/v1/restore", &[], &body(true))?.body;
        if screen.is_json && asked.dry_run {
            screen.json(&preview)?;
        } else if !screen.is_json {
            screen.line(&format!("Restoring revision {} would do this:", asked.revision))?;
            show_restored(screen, &preview)?;
            screen.flush()?;
            note(&format!("`keygatectl history --diff {}` shows what was changed since then.", asked.revision));
        }
        if asked.dry_run {
            note("Nothing was changed.");
            return Ok(Done::Well);
        }
    }
    if !confirm(&format!("Restore revision {}?", asked.revision), asked.yes.yes)? {
        return Err(Failure::Other("nothing was restored".to_owned()));
    }
    let answer = client.post("/v1/restore", &[], &body(false))?;
    if !screen.is_json {
        let revision = answer.body.get("revision").and_then(Value::as_i64).unwrap_or_default();
        screen.line(&format!("Revision {revision} has the rows of revision {}:", asked.revision))?;
        show_restored(screen, &answer.body)?;
        screen.flush()?;
    }
    let receipt = receipt::wait(client, asked.wait, &answer);
    receipt::end(screen, &answer.body, receipt, Done::Well)
}

fn show_restored(screen: &mut Screen, restored: &Value) -> Result<(), Failure> {
    let counts = restored.get("counts").and_then(Value::as_object).cloned().unwrap_or_default();
    details::counts(screen, &counts)?;
    for row in restored.get("kept").and_then(Value::as_array).into_iter().flatten() {
        let text = |name: &str| plain(row.get(name).and_then(Value::as_str).unwrap_or("?")).into_owned();
        // The service names the field of its API.
        let because = text("because").replace("lift_blocks lets", "--lift-blocks lets");
        screen.line(&format!("  {} {} stays as it is: {because}", text("kind"), text("id")))?;
    }
    Ok(())
}
