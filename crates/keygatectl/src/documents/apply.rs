//! `apply`: documents reach the service as one import.
//!
//! One import at a time has the turn in all services on a database, and the removals of `--prune` are part of it. So two
//! commands at once do not mix. A row that is there costs nothing, so a command that broke off is simply run again.

use serde_json::{Value, json};

use super::{
    diff::{show_difference, with},
    lock::{self, Lock},
    prune::{Candidate, Kept, candidates, forget},
    read::{read_some, told},
    sent::{Imported, send},
};
use crate::{
    cli::apply::Apply,
    client::{self, Client},
    failure::{Done, Failure, Outcome},
    kinds,
    output::{Screen, confirm, details, note, plain},
};

/// Objects that `--prune` names each.
const MOST_NAMED: usize = 20;

/// Writes the documents of a folder to the service.
pub fn apply(client: &Client, screen: &mut Screen, asked: &Apply) -> Outcome {
    if asked.folder.is_file() && asked.lock.is_none() {
        return Err(Failure::Usage(format!(
            "{} is a file; expected a folder of documents, or --lock with a place for the record",
            asked.folder.display()
        )));
    }
    let place = lock::place(&asked.folder, asked.lock.as_ref());
    let documents = read_some(&asked.folder)?;
    let lock = Lock::of(client.url().as_str(), &place)?;
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
        for (kind, id) in gone.iter().take(MOST_NAMED) {
            note(&format!("- {} {}", kind.noun(), plain(id)));
        }
        if gone.len() > MOST_NAMED {
            note(&format!("and {} more", gone.len().saturating_sub(MOST_NAMED)));
        }
        if !confirm(&format!("Remove what is in no document any more ({})?", gone.len()), false)? {
            return Err(Failure::Other("nothing was applied".to_owned()));
        }
    }
    // Noted before it is sent, so that the record has it also if the command breaks off.
    lock.objects.extend(documents.rows.iter().map(|row| lock::key(row.kind, &row.id)));
    lock.write(&place)?;
    let (places, sent) = send(client, documents, &gone, asked)?;
    let imported: Imported = client::read(&sent)?;
    let errors: Vec<String> = imported.refused.iter().map(|refused| places.error(refused)).collect();
    if errors.is_empty() {
        let stays = imported.counts.values().filter_map(|count| count.get("kept")?.as_u64()).sum();
        forget(&mut lock, &gone, &imported.kept, stays);
        lock.write(&place)?;
    }
    // Of a refused import nothing is removed.
    let gone: &[Candidate] = if errors.is_empty() { &gone } else { &[] };
    if screen.is_json {
        let pruned: Vec<Value> = gone.iter().map(|one| pruned_json(one, &imported.kept)).collect();
        screen.json(&with(sent, "pruned", pruned.into()))?;
    } else {
        screen.line(&format!("applied to {}, now at revision {}:", client.url(), imported.revision))?;
        details::counts(screen, &imported.counts)?;
        show_pruned(screen, gone, &imported.kept)?;
    }
    screen.flush()?;
    if errors.is_empty() {
        return Ok(Done::Well);
    }
    let total = imported.refused_total;
    let were = if total == 1 { "object was" } else { "objects were" };
    let mut lines = vec![format!("{total} {were} refused, the others are applied:")];
    lines.extend(errors);
    if asked.prune {
        lines.push("nothing was removed, because objects were refused".to_owned());
    }
    Err(told(lines))
}

fn pruned_json(one: &Candidate, kept: &[Kept]) -> Value {
    let kept = kept.iter().find(|kept| kept.is_of(one));
    let (deleted, because) = (kept.is_none_or(|kept| kept.deleted), kept.map(|kept| kept.because.as_str()));
    json!({ "kind": kinds::word(one.0), "id": one.1, "deleted": deleted, "kept": because })
}

/// What became of objects that were to be removed: first those of which something stays.
fn show_pruned(screen: &mut Screen, gone: &[Candidate], kept: &[Kept]) -> Result<(), Failure> {
    let is_kept = |one: &&Candidate| kept.iter().any(|kept| kept.is_of(one));
    for Kept { kind, id, deleted, because } in kept {
        let what = if *deleted { "is removed" } else { "stays" };
        screen.line(&format!("  {} {} {what}: {}", plain(&kind.replace('_', " ")), plain(id), plain(because)))?;
    }
    // A prune of many objects has its numbers above.
    for (kind, id) in gone.iter().take(MOST_NAMED).filter(|one| !is_kept(one)) {
        screen.line(&format!("  {} {} is gone", kind.noun(), plain(id)))?;
    }
    match gone.len().saturating_sub(MOST_NAMED) {
        0 => Ok(()),
        more => screen.line(&format!("  and {more} more")),
    }
}
