//! How much of the audit log is shown on a page, and how fast old entries go.

use management::port::audit::Entry;

/// Maximum number of rows of `also` that one entry shows: 5 MB at some 500 bytes each. All rows are stored, and their
/// ids can be searched.
pub const MAX_ALSO_SHOWN: i64 = 10_000;
/// Length in bytes after which a page ends.
pub const MAX_ENTRIES_BYTES: usize = 8 << 20;
/// Maximum number of old entries that one change deletes. A change adds one entry, so a backlog shrinks.
pub const MAX_FORGOTTEN: i64 = 1_000;
pub const SECONDS_OF_A_DAY: i64 = 86_400;

/// The approximate length of the shown parts, in bytes.
pub fn size(entry: &Entry) -> usize {
    let length = |text: &Option<String>| text.as_ref().map_or(0, String::len);
    let also =
        entry.also.iter().map(|also| length(&also.before).saturating_add(length(&also.after)).saturating_add(64));
    also.fold(length(&entry.before).saturating_add(length(&entry.after)), usize::saturating_add)
}
