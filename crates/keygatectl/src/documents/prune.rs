//! `apply --prune`: what was applied from a folder before, and is in no document any more, is removed.
//!
//! The removals are the last lines of the import, so nothing comes between the rows and them. The service decides what
//! stays: an object that something else belongs to, a plan in use, a block, a deny policy.

use std::collections::HashSet;

use management::port::Kind;
use serde::Deserialize;
use serde_json::json;

use super::{
    lock::{self, Lock},
    read::Documents,
};
use crate::kinds;

/// The order in which nothing is removed that others still name.
const ORDER: [Kind; 6] = [Kind::Subscription, Kind::Key, Kind::Application, Kind::DenyPolicy, Kind::Api, Kind::Plan];

/// An object that is to be removed.
pub type Candidate = (Kind, Box<str>);

/// What stays of a candidate, as the service tells it.
#[derive(Clone, Debug, Deserialize)]
pub struct Kept {
    pub kind: String,
    pub id: String,
    /// Whether it is deleted, and only its block stays.
    pub deleted: bool,
    pub because: String,
}

impl Kept {
    /// Whether it is what stays of this candidate.
    pub fn is_of(&self, (kind, id): &Candidate) -> bool {
        self.kind == kinds::word(*kind) && self.id == **id
    }
}

/// What of the record is in no document any more, in the order in which it can be removed.
pub fn candidates(lock: &Lock, documents: &Documents) -> Vec<Candidate> {
    let named: HashSet<(u8, &str)> = documents.rows.iter().map(|row| (row.kind as u8, &*row.id)).collect();
    let gone: Vec<_> = lock.objects.iter().filter(|(number, id)| !named.contains(&(*number, &**id))).collect();
    let of = |kind: Kind| gone.iter().filter(move |(number, _)| lock::kind(*number) == Some(kind));
    ORDER.iter().flat_map(|kind| of(*kind).map(|(_, id)| (*kind, id.clone()))).collect()
}

/// The line of an import that removes an object.
pub fn line((kind, id): &Candidate) -> Box<str> {
    json!({ "kind": kinds::word(*kind), "id": id, "remove": true }).to_string().into()
}

/// Takes off the record what is removed. `stays` says how many stay: if the service did not name all of them, the record
/// keeps everything, and the next `--prune` looks again.
pub fn forget(lock: &mut Lock, gone: &[Candidate], kept: &[Kept], stays: u64) {
    if u64::try_from(kept.len()).is_ok_and(|named| named < stays) {
        return;
    }
    let stays: HashSet<(&str, &str)> =
        kept.iter().filter(|kept| !kept.deleted).map(|kept| (kept.kind.as_str(), kept.id.as_str())).collect();
    for (kind, id) in gone.iter().filter(|(kind, id)| !stays.contains(&(kinds::word(*kind), &**id))) {
        lock.objects.remove(&lock::key(*kind, id));
    }
}
