//! How much room the disk and the limit on the size of files leave for the database. It only looks: whether a change can be
//! written is known by writing, and [`super::health`] does so where the room is little.

use std::path::Path;

use rustix::{
    fs::statvfs,
    process::{Resource, getrlimit},
};

use super::beside;

/// Less than this is little: sixteen times what a change writes.
const LITTLE_BYTES: u64 = 1 << 20;

/// Whether there is little room for `file` and the log of its latest changes. If that cannot be found out, the answer is yes.
pub fn is_little(file: &Path) -> bool {
    let free = statvfs(file).map_or(0, |disk| disk.f_bavail.saturating_mul(disk.f_frsize));
    let Some(limit) = getrlimit(Resource::Fsize).current else { return free < LITTLE_BYTES };
    let largest = ["", "-wal"].map(|end| std::fs::metadata(beside(file, end)).map_or(0, |held| held.len()));
    let largest = largest.into_iter().max().unwrap_or_default();
    free.min(limit.saturating_sub(largest)) < LITTLE_BYTES
}
