//! Whether the disk and the file size limit leave room for the database, and whether it may be written at all. This is only an estimate. [`super::health`]
//! finds out by writing when there is little room.

use std::path::Path;

use rustix::{
    fs::{Access, access, statvfs},
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

/// Why SQLite cannot write `file` or its log, which stands beside it. `None` if it can, or if there is no such folder.
pub fn why_not_writable(file: &Path) -> Option<String> {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    [(file, "the file"), (folder, "its folder")].into_iter().filter(|(path, _)| path.exists()).find_map(
        |(path, what)| {
            access(path, Access::WRITE_OK)
                .err()
                .map(|error| format!("{what} cannot be written: {}", std::io::Error::from(error)))
        },
    )
}
