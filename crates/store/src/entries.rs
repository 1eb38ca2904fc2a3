//! How much of the audit log is shown on a page, and how fast old entries go.

use management::port::audit::Entry;

/// Rows of `also` that are shown of one entry; of some 500 bytes each, 5 MB. All of them are stored and found by their ids.
pub const MAX_ALSO_SHOWN: i64 = 10_000;
/// Bytes after which a page ends.
pub const MAX_ENTRIES_BYTES: usize = 8 << 20;
/// Entries that one change deletes because of their age. A change adds one, so what has piled up goes in time.
pub const MAX_FORGOTTEN: i64 = 1_000;
pub const SECONDS_OF_A_DAY: i64 = 86_400;

/// Bytes of what is shown, about.
pub fn size(entry: &Entry) -> usize {
    let length = |text: &Option<String>| text.as_ref().map_or(0, String::len);
    let also =
        entry.also.iter().map(|also| length(&also.before).saturating_add(length(&also.after)).saturating_add(64));
    also.fold(length(&entry.before).saturating_add(length(&entry.after)), usize::saturating_add)
}
