//! Which revisions can be compared, what differs between two versions of an object, and how much of it a page shows. It
//! reads no database.

use std::collections::HashMap;

use management::port::{Error, State, Version, past::Difference};

/// Number of objects that are compared together.
pub const CHUNK: usize = 100;
/// From so many versions on that a range of revisions made or ended, their objects are read in the order of their ids.
/// Fewer are read by revision, and sorted in some 20 ms.
pub const MANY: i64 = 10_000;
/// Length of documents in bytes after which a page of differences ends.
pub const MAX_DIFFERENCES_BYTES: usize = 8 << 20;

/// Checks that a revision can be read.
pub fn check(state: &State, revision: i64) -> Result<(), Error> {
    let readable = state.horizon..=state.revision;
    if readable.contains(&revision) { Ok(()) } else { Err(Error::Gone(revision)) }
}

/// The versions by their ids.
pub fn by_id(versions: Vec<Version>) -> HashMap<String, Version> {
    versions.into_iter().map(|version| (version.id.clone(), version)).collect()
}

/// Whether clients see a difference, as against another revision alone.
pub fn is_other(difference: &Difference) -> bool {
    fn content(version: &Version) -> (&str, [Option<&str>; 3]) {
        let Version { document, kept_block, state_before, beside, .. } = version;
        (document, [kept_block, state_before, beside].map(Option::as_deref))
    }
    difference.before.as_ref().map(content) != difference.after.as_ref().map(content)
}

/// The approximate length of the shown rows, in bytes.
pub fn size(difference: &Difference) -> usize {
    let length = |version: &Option<Version>| version.as_ref().map_or(0, |version| version.document.len());
    length(&difference.before).saturating_add(length(&difference.after)).saturating_add(difference.id.len())
}
