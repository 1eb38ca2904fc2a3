//! `apply --prune`: what was applied from a folder before, and is in no document any more, is removed.
//!
//! An object stays if something belongs to it that was not applied from the folder, because that would go with it.

use std::collections::HashSet;

use management::port::Kind;
use serde_json::Value;

use super::{
    lock::{self, Lock},
    read::Documents,
};
use crate::{
    client::{Client, PAGE_ROWS, path_of},
    failure::Failure,
    kinds, output,
};

/// The order in which nothing is removed that others still name.
const ORDER: [Kind; 6] = [Kind::Subscription, Kind::Key, Kind::Application, Kind::DenyPolicy, Kind::Api, Kind::Plan];

/// What of the record is in no document any more, in the order in which it can be removed.
pub fn candidates(lock: &Lock, documents: &Documents) -> Vec<(Kind, Box<str>)> {
    let named: HashSet<(u8, &str)> = documents.rows.iter().map(|row| (row.kind as u8, &*row.id)).collect();
    let gone: Vec<_> = lock.objects.iter().filter(|(number, id)| !named.contains(&(*number, &**id))).collect();
    let of = |kind: Kind| gone.iter().filter(move |(number, _)| lock::kind(*number) == Some(kind));
    ORDER.iter().flat_map(|kind| of(*kind).map(|(_, id)| (*kind, id.clone()))).collect()
}

/// What became of a candidate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pruned {
    /// It was removed, or was gone already.
    Removed,
    /// It was removed, and its block stays.
    BlockStays,
    /// It stays, for this reason.
    Kept(String),
}

/// Removes a candidate. `removed` says what goes as well.
pub fn remove(client: &Client, kind: Kind, id: &str, lifts: bool, lock: &Lock) -> Result<Pruned, Failure> {
    if kind == Kind::DenyPolicy && !lifts {
        return Ok(Pruned::Kept("a deny policy stays; --lift-blocks removes it".to_owned()));
    }
    if let Some(other) = foreign(client, kind, id, lock)? {
        return Ok(Pruned::Kept(format!("{other} belongs to it and was not applied from this folder")));
    }
    match client.delete(&path_of(kinds::path(kind), id), &[]) {
        Ok(answer) if answer.body.get("deleted").and_then(Value::as_bool) == Some(true) => Ok(Pruned::BlockStays),
        Ok(_) => Ok(Pruned::Removed),
        Err(failure) if failure.status() == Some(404) => Ok(Pruned::Removed),
        Err(Failure::Refused(refusal)) if refusal.status == 409 => Ok(Pruned::Kept(refusal.detail)),
        Err(failure) => Err(failure),
    }
}

/// Something that would go with an object, and was not applied from the folder.
fn foreign(client: &Client, kind: Kind, id: &str, lock: &Lock) -> Result<Option<String>, Failure> {
    let (field, below): (&'static str, &[Kind]) = match kind {
        Kind::Application => ("application", &[Kind::Key, Kind::Subscription]),
        Kind::Api => ("api", &[Kind::Subscription]),
        Kind::Key | Kind::Subscription | Kind::Plan | Kind::DenyPolicy => return Ok(None),
    };
    for kind in below {
        let mut pages = client.pages(kinds::path(*kind), &[(field, id.to_owned())]);
        while let Some(rows) = pages.next(PAGE_ROWS)? {
            for row in rows {
                let is_kept = row.get("deleted").and_then(Value::as_bool) == Some(true);
                let other = row.get("id").and_then(Value::as_str).unwrap_or_default();
                if !is_kept && !lock.objects.contains(&lock::key(*kind, other)) {
                    return Ok(Some(format!("{} {}", kind.noun(), output::plain(other))));
                }
            }
        }
    }
    Ok(None)
}
