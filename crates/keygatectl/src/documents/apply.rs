//! `apply` and `diff`: documents reach the service as one import, or are compared with what it has.
//!
//! One import at a time runs in a service, so two commands at once do not mix their rows. A row that is there costs
//! nothing, so a command that broke off is simply run again.

use std::io::{self, Read};

use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    changes,
    compare::{Verdict, compare},
    fetch::{Rows, fetch},
    lock::{self, Lock},
    prune::{Pruned, candidates, remove},
    read::{Documents, Place, read, told},
    row::Row,
};
use crate::{
    cli::apply::{Apply, Diff},
    client::{self, Client, Pair},
    failure::{Done, Failure, Outcome},
    kinds,
    output::{self, Screen, confirm, details, note, plain, progress::{self, Progress}},
    times,
};

/// What an import did, as far as this program reads it.
#[derive(Debug, Deserialize)]
pub struct Imported {
    revision: i64,
    counts: serde_json::Map<String, Value>,
    refused_total: u64,
    refused: Vec<Refused>,
}

#[derive(Debug, Deserialize)]
struct Refused {
    line: u64,
    field: Option<String>,
    detail: String,
}

/// Shows what `apply` would change.
pub fn diff(client: &Client, screen: &mut Screen, asked: &Diff) -> Outcome {
    let documents = documents(&asked.folder)?;
    let lock = match asked.prune {
        true => lock_for(client, &lock::place(&asked.folder, asked.lock.as_ref()))?,
        false => None,
    };
    let is_different = show_difference(client, screen, &documents, lock.as_ref(), asked.lift_blocks)?;
    Ok(if is_different { Done::Different } else { Done::Well })
}

/// Writes the documents of a folder to the service.
pub fn apply(client: &Client, screen: &mut Screen, asked: &Apply) -> Outcome {
    let place = lock::place(&asked.folder, asked.lock.as_ref());
    let documents = documents(&asked.folder)?;
    let lock = lock_for(client, &place)?;
    if asked.prune && lock.is_none() {
        note(&format!("{} is not there yet, so nothing is known to have been applied before.", place.display()));
    }
    let mut lock = lock.unwrap_or_else(|| Lock { service: client.url().to_string(), ..Lock::default() });
    let gone = if asked.prune { candidates(&lock, &documents) } else { Vec::new() };
    if asked.dry_run {
        let of_prune = asked.prune.then_some(&lock);
        show_difference(client, screen, &documents, of_prune, asked.lift_blocks)?;
        note("Nothing was changed.");
        return Ok(Done::Well);
    }
    if !gone.is_empty() && !asked.yes.yes {
        for (kind, id) in gone.iter().take(20) {
            note(&format!("- {} {}", kind.noun(), plain(id)));
        }
        if !confirm(&format!("Remove {} objects that are in no document any more?", gone.len()), false)? {
            return Err(Failure::Other("nothing was applied".to_owned()));
        }
    }
    // Noted before it is sent, so that the record has it also if the command breaks off.
    lock.objects.extend(documents.rows.iter().map(|row| lock::key(row.kind, &row.id)));
    lock.write(&place)?;
    let (places, imported, sent) = import(client, documents, asked)?;
    let errors: Vec<String> = imported.refused.iter().map(|refused| places.error(refused)).collect();
    let mut removed = Vec::new();
    if errors.is_empty() {
        removed = prune(client, &gone, &mut lock, asked.lift_blocks)?;
        lock.write(&place)?;
    }
    if screen.is_json {
        let removed: Vec<Value> = removed.iter().map(|(kind, id, pruned)| pruned_json(*kind, id, pruned)).collect();
        screen.json(&with(sent, "pruned", removed.into()))?;
    } else {
        screen.line(&format!("applied to {}, now at revision {}:", client.url(), imported.revision))?;
        details::counts(screen, &imported.counts)?;
        for (kind, id, pruned) in &removed {
            let what = match pruned {
                Pruned::Removed => "is removed".to_owned(),
                Pruned::BlockStays => "is removed; its block stays".to_owned(),
                Pruned::Kept(because) => format!("stays: {}", plain(because)),
            };
            screen.line(&format!("  {} {} {what}", kind.noun(), plain(id)))?;
        }
    }
    screen.flush()?;
    if errors.is_empty() {
        return Ok(Done::Well);
    }
    let total = imported.refused_total;
    let mut lines = vec![format!("{total} objects were refused, the others are applied:")];
    lines.extend(errors);
    if asked.prune {
        lines.push("nothing was removed, because objects were refused".to_owned());
    }
    Err(told(lines))
}

/// The documents of a folder. An empty folder is an error: more likely it is the wrong one.
fn documents(folder: &std::path::Path) -> Result<Documents, Failure> {
    let documents = read(folder)?;
    match documents.rows.is_empty() {
        true => Err(Failure::Usage(format!("{} has no documents", folder.display()))),
        false => Ok(documents),
    }
}

/// The record of what was applied, if it is that of this service.
fn lock_for(client: &Client, place: &std::path::Path) -> Result<Option<Lock>, Failure> {
    let Some(lock) = Lock::read(place)? else { return Ok(None) };
    match lock.service == client.url().as_str() {
        true => Ok(Some(lock)),
        false => Err(Failure::Usage(format!(
            "{} is the record of {}, and this is {}; name another record with --lock",
            place.display(),
            plain(&lock.service),
            client.url()
        ))),
    }
}

/// Where each line of an import came from.
struct Places {
    documents: Documents,
    places: Vec<Place>,
}

impl Places {
    fn error(&self, refused: &Refused) -> String {
        let place = usize::try_from(refused.line).ok().and_then(|line| self.places.get(line.checked_sub(1)?));
        let place = place.map(|place| self.documents.place(*place)).unwrap_or_default();
        // The service begins some sentences with the field.
        let field = refused.field.as_ref().map(|field| format!("{field}: "));
        let field = field.filter(|field| !refused.detail.starts_with(field.as_str())).unwrap_or_default();
        format!("{place}: {}", plain(&format!("{field}{}", refused.detail)))
    }
}

fn import(client: &Client, mut documents: Documents, asked: &Apply) -> Result<(Places, Imported, Value), Failure> {
    let rows = std::mem::take(&mut documents.rows);
    let places = Places { documents, places: rows.iter().map(|row| row.place).collect() };
    let bar = progress::of(rows.len(), "applying");
    let lines: Vec<Box<str>> = rows.into_iter().map(|row| row.line).collect();
    let mut query: Vec<Pair> = vec![("label", asked.label.clone())];
    query.extend(asked.lift_blocks.then(|| ("lift_blocks", "true".to_owned())));
    let sent = client.import(&query, Lines { lines: lines.into_iter(), rest: Vec::new(), begun: 0, bar: bar.clone() });
    bar.end();
    let sent = sent.map_err(|failure| match failure {
        Failure::Unreachable(because) => Failure::Unreachable(format!(
            "{because}\n  what was written until then stays; run the command again, rows that are there cost nothing"
        )),
        failure => failure,
    })?;
    let imported = client::read(&sent.body)?;
    Ok((places, imported, sent.body))
}

/// The lines of an import, while they are sent.
struct Lines {
    lines: std::vec::IntoIter<Box<str>>,
    rest: Vec<u8>,
    begun: usize,
    bar: Progress,
}

impl Read for Lines {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.begun >= self.rest.len() {
            self.rest.clear();
            self.begun = 0;
            // As many lines as fit into one write.
            while self.rest.len() < buffer.len()
                && let Some(line) = self.lines.next()
            {
                self.rest.extend_from_slice(line.as_bytes());
                self.rest.push(b'\n');
                self.bar.add(1);
            }
        }
        let rest = self.rest.get(self.begun..).unwrap_or_default();
        let most = rest.len().min(buffer.len());
        if let (Some(to), Some(from)) = (buffer.get_mut(..most), rest.get(..most)) {
            to.copy_from_slice(from);
        }
        self.begun = self.begun.saturating_add(most);
        Ok(most)
    }
}

type Removed = (management::port::Kind, Box<str>, Pruned);

fn prune(client: &Client, gone: &[(management::port::Kind, Box<str>)], lock: &mut Lock, lifts: bool) -> Result<Vec<Removed>, Failure> {
    let bar = progress::of(gone.len(), "removing");
    let mut removed = Vec::with_capacity(gone.len());
    for (kind, id) in gone {
        let pruned = remove(client, *kind, id, lifts, lock)?;
        if !matches!(pruned, Pruned::Kept(_)) {
            lock.objects.remove(&lock::key(*kind, id));
        }
        removed.push((*kind, id.clone(), pruned));
        bar.add(1);
    }
    bar.end();
    Ok(removed)
}

fn pruned_json(kind: management::port::Kind, id: &str, pruned: &Pruned) -> Value {
    let kept = match pruned {
        Pruned::Kept(because) => Value::from(because.as_str()),
        Pruned::Removed | Pruned::BlockStays => Value::Null,
    };
    json!({ "kind": kinds::word(kind), "id": id, "kept": kept })
}

fn with(mut object: Value, name: &str, value: Value) -> Value {
    if let Some(fields) = object.as_object_mut() {
        fields.insert(name.to_owned(), value);
    }
    object
}

/// Shows what `apply` would change, and what it would refuse. Returns whether there is anything.
fn show_difference(
    client: &Client,
    screen: &mut Screen,
    documents: &Documents,
    lock: Option<&Lock>,
    lifts: bool,
) -> Result<bool, Failure> {
    let rows = fetch(client)?;
    let mut shown = Shown::default();
    let named: std::collections::HashSet<(u8, &str)> =
        documents.rows.iter().map(|row| (row.kind as u8, &*row.id)).collect();
    let has = |kind: management::port::Kind, id: &str| named.contains(&(kind as u8, id)) || rows.has(kind, id);
    let bar = progress::of(documents.rows.len(), "comparing");
    let now = times::now();
    for found in &documents.rows {
        bar.add(1);
        let row = Row::of(serde_json::from_str(&found.line).unwrap_or_default());
        let Ok(row) = row else { continue };
        let verdict = compare(&row, &rows, &has, lifts, now);
        bar.aside(|| shown.add(screen, &row, documents.place(found.place), verdict))?;
    }
    bar.end();
    for (kind, id) in lock.map(|lock| candidates(lock, documents)).unwrap_or_default() {
        if let Some(row) = rows.find(kind, &id).filter(|row| !row.kept) {
            shown.remove(screen, &row)?;
        }
    }
    let others = rows.len().saturating_sub(documents.rows.iter().filter(|row| rows.has(row.kind, &row.id)).count());
    shown.end(screen, &rows, others)
}

/// The differences that were shown.
#[derive(Default)]
struct Shown {
    made: Vec<Value>,
    changed: Vec<Value>,
    removed: Vec<Value>,
    refused: Vec<Value>,
}

impl Shown {
    fn add(&mut self, screen: &mut Screen, row: &Row, place: String, verdict: Verdict) -> Result<(), Failure> {
        let fields = |row: &Row| Value::Object(row.fields.clone());
        let (kind, id) = (kinds::word(row.kind), row.id.as_str());
        let (before, after, list) = match verdict {
            Verdict::Same => return Ok(()),
            Verdict::Refused(invalid) => {
                let field = invalid.field.as_ref().map(|field| format!("{field}: ")).unwrap_or_default();
                self.refused.push(json!({ "kind": kind, "id": id, "at": place, "detail": format!("{field}{}", invalid.detail) }));
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

    fn remove(&mut self, screen: &mut Screen, row: &Row) -> Result<(), Failure> {
        let before = Value::Object(row.fields.clone());
        self.removed.push(json!({ "kind": kinds::word(row.kind), "id": row.id, "before": before }));
        match screen.is_json {
            true => Ok(()),
            false => changes::print(screen, kinds::word(row.kind), &row.id, Some(&before), None),
        }
    }

    fn end(self, screen: &mut Screen, rows: &Rows, others: usize) -> Result<bool, Failure> {
        let Self { made, changed, removed, refused } = self;
        let numbers =
            [(made.len(), "to make"), (changed.len(), "to change"), (removed.len(), "to remove"), (refused.len(), "refused")];
        let is_different = numbers.iter().any(|(number, _)| *number > 0);
        if screen.is_json {
            screen.json(&json!({ "made": made, "changed": changed, "removed": removed, "refused": refused }))?;
            return Ok(is_different);
        }
        let told: Vec<String> =
            numbers.iter().filter(|(number, _)| *number > 0).map(|(number, what)| format!("{number} {what}")).collect();
        screen.flush()?;
        note(&if told.is_empty() { "There is no difference.".to_owned() } else { told.join(", ") });
        if others > 0 {
            note(&format!("{others} of {} objects of the service are in no document, and stay.", rows.len()));
        }
        Ok(is_different)
    }
}
