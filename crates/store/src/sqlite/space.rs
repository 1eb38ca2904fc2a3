//! Whether the disk and the file size limit leave room for the database. This is only an estimate. [`super::health`]
//! finds out by writing when there is little room.

use std::path::Path;

use rustix::{
    fs::statvfs,
    process::{Resource, getrlimit},
};

use super::beside;

/// Less room than this counts as little: sixteen times what a change writes.
const LITTLE_BYTES: u64 = 1 << 20;

/// Whether there is little room for `file` and its write-ahead log. Returns `true` if it cannot be determined.
pub fn is_little(file: &Path) -> bool {
    let free = statvfs(file).map_or(0, |disk| disk.f_bavail.saturating_mul(disk.f_frsize));
    let Some(limit) = getrlimit(Resource::Fsize).current else { return free < LITTLE_BYTES };
    let largest = ["", "-wal"].map(|end| std::fs::metadata(beside(file, end)).map_or(0, |held| held.len()));
    let largest = largest.into_iter().max().unwrap_or_default();
    free.min(limit.saturating_sub(largest)) < LITTLE_BYTES
}
