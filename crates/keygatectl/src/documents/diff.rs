//! `diff`: what `apply` would change, and what the service would refuse.

use serde_json::{Value, json};

use super::{
    changes,
    compare::{Verdict, compare},
    fetch::{Rows, fetch},
    lock::{self, Lock},
    prune::{Candidate, candidates},
    read::{Documents, read_some},
    row::Row,
    sent::preview,
};
use crate::{
    cli::apply::Diff,
    client::Client,
    failure::{Done, Failure, Outcome},
    kinds,
    output::{self, Screen, note, plain, progress},
    times,
};

/// Shows what `apply` would change.
pub fn diff(client: &Client, screen: &mut Screen, asked: &Diff) -> Outcome {
    let documents = read_some(&asked.folder)?;
    let lock = match asked.prune {
        true => Lock::of(client.url().as_str(), &lock::place(&asked.folder, asked.lock.as_ref()))?,
        false => None,
    };
    let is_different = show_difference(client, screen, &documents, lock.as_ref(), asked.lift_blocks)?;
    Ok(if is_different { Done::Different } else { Done::Well })
}

/// Shows what `apply` would change, and what it would refuse. Returns whether there is anything.
pub fn show_difference(
    client: &Client,
    screen: &mut Screen,
    documents: &Documents,
    lock: Option<&Lock>,
    lifts: bool,
) -> Result<bool, Failure> {
    let (rows, revision) = fetch(client)?;
    let mut shown = Shown { revision, ..Shown::default() };
    let named: std::collections::HashSet<(u8, &str)> =
        documents.rows.iter().map(|row| (row.kind as u8, &*row.id)).collect();
    let has = |kind: management::port::Kind, id: &str| named.contains(&(kind as u8, id)) || rows.has(kind, id);
    let bar = progress::of(documents.rows.len(), "comparing");
    let now = times::now();
    // Nothing is printed while the bar is on the terminal: each line would draw it again.
    let mut different = Vec::new();
    for found in &documents.rows {
        bar.add(1);
        let row = Row::of(serde_json::from_str(&found.line).unwrap_or_default());
        let Ok(row) = row else { continue };
        match compare(&row, &rows, &has, lifts, now) {
            Verdict::Same => {}
            verdict => different.push((row, found.place, verdict)),
        }
    }
    bar.end();
    for (row, place, verdict) in different {
        shown.add(screen, &row, documents.place(place), verdict)?;
    }
    let gone = lock.map(|lock| candidates(lock, documents)).unwrap_or_default();
    show_removals(client, screen, &mut shown, &rows, &gone, lifts)?;
    let others = rows.len().saturating_sub(documents.rows.iter().filter(|row| rows.has(row.kind, &row.id)).count());
    shown.end(screen, &rows, others)
}

/// Shows what `--prune` would remove. The service says by a preview what would stay.
fn show_removals(
    client: &Client,
    screen: &mut Screen,
    shown: &mut Shown,
    rows: &Rows,
    gone: &[Candidate],
    lifts: bool,
) -> Result<(), Failure> {
    let there: Vec<(&Candidate, Row)> =
        gone.iter().filter_map(|one| Some((one, rows.find(one.0, &one.1).filter(|row| !row.kept)?))).collect();
    if there.is_empty() {
        return Ok(());
    }
    let candidates: Vec<&Candidate> = there.iter().map(|(one, _)| *one).collect();
    let kept = preview(client, &candidates, lifts)?;
    for (one, row) in &there {
        match kept.iter().find(|kept| kept.is_of(one)) {
            Some(kept) if !kept.deleted => shown.stay(screen, row, &kept.because)?,
            kept => shown.remove(screen, row, kept.map(|kept| kept.because.as_str()))?,
        }
    }
    Ok(())
}

/// The differences that were shown.
#[derive(Default)]
struct Shown {
    /// The revision that the documents are compared with.
    revision: i64,
    made: Vec<Value>,
    changed: Vec<Value>,
    removed: Vec<Value>,
    refused: Vec<Value>,
    /// What is in no document any more, and stays.
    kept: Vec<Value>,
}

impl Shown {
    fn add(&mut self, screen: &mut Screen, row: &Row, place: String, verdict: Verdict) -> Result<(), Failure> {
        let fields = |row: &Row| Value::Object(row.fields.clone());
        let (kind, id) = (kinds::word(row.kind), row.id.as_str());
        let (before, after, list) = match verdict {
            Verdict::Same => return Ok(()),
            Verdict::Refused(invalid) => {
                let field = invalid.field.as_ref().map(|field| format!("{field}: ")).unwrap_or_default();
                self.refused.push(
                    json!({ "kind": kind, "id": id, "at": place, "detail": format!("{field}{}", invalid.detail) }),
                );
                if !screen.is_json {
                    let name = format!("{} {}", row.kind.noun(), plain(id));
                    screen.line(&format!("! {name} would be refused: {field}{}", plain(&invalid.detail)))?;
                    screen.line(&output::dim(&format!("    {place}")))?;
                }
                return Ok(());
            }
            Verdict::Made => (None, Some(fields(row)), &mut self.made),
            Verdict::Changed { before, after } => {
                let kept = |row: &Row| with(fields(row), "deleted", row.kept.then_some(true).into());
                (Some(kept(&before)), Some(kept(&after)), &mut self.changed)
            }
        };
        list.push(json!({ "kind": kind, "id": id, "before": before, "after": after }));
        match screen.is_json {
            true => Ok(()),
            false => changes::print(screen, kind, id, before.as_ref(), after.as_ref()),
        }
    }

    fn remove(&mut self, screen: &mut Screen, row: &Row, rest: Option<&str>) -> Result<(), Failure> {
        let before = Value::Object(row.fields.clone());
        self.removed.push(json!({ "kind": kinds::word(row.kind), "id": row.id, "before": before, "rest": rest }));
        if screen.is_json {
            return Ok(());
        }
        changes::print(screen, kinds::word(row.kind), &row.id, Some(&before), None)?;
        match rest {
            Some(rest) => screen.line(&output::dim(&format!("    {}", plain(rest)))),
            None => Ok(()),
        }
    }

    /// Something that is in no document any more, and stays nevertheless. It is no difference, because `apply` leaves it.
    fn stay(&mut self, screen: &mut Screen, row: &Row, because: &str) -> Result<(), Failure> {
        self.kept.push(json!({ "kind": kinds::word(row.kind), "id": row.id, "because": because }));
        match screen.is_json {
            true => Ok(()),
            false => {
                let name = format!("{} {}", row.kind.noun(), plain(&row.id));
                screen.line(&output::dim(&format!("= {name} stays: {}", plain(because))))
            }
        }
    }

    fn end(self, screen: &mut Screen, rows: &Rows, others: usize) -> Result<bool, Failure> {
        let Self { revision, made, changed, removed, refused, kept } = self;
        let numbers = [
            (made.len(), "to make"),
            (changed.len(), "to change"),
            (removed.len(), "to remove"),
            (refused.len(), "refused"),
        ];
        let is_different = numbers.iter().any(|(number, _)| *number > 0);
        if screen.is_json {
            screen.json(&json!({
                "revision": revision, "made": made, "changed": changed, "removed": removed, "refused": refused, "kept": kept
            }))?;
            return Ok(is_different);
        }
        let told: Vec<String> =
            numbers.iter().filter(|(number, _)| *number > 0).map(|(number, what)| format!("{number} {what}")).collect();
        screen.flush()?;
        let told = if told.is_empty() { "There is no difference".to_owned() } else { told.join(", ") };
        note(&format!("{told}, at revision {revision}."));
        if others > 0 {
            note(&format!("{others} of {} objects of the service are in no document, and stay.", rows.len()));
        }
        Ok(is_different)
    }
}

/// The object with a further field.
pub fn with(mut object: Value, name: &str, value: Value) -> Value {
    if let Some(fields) = object.as_object_mut() {
        fields.insert(name.to_owned(), value);
    }
    object
}
