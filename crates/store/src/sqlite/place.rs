//! Checks that the paths of the database still name the open files.
//!
//! SQLite keeps using a file that was removed or replaced. It writes to a file that no path names any more, and all of
//! that is lost when the program ends. So changes are refused as soon as a path names another file. This code opens no
//! file, because closing a file would drop SQLite's locks.

use std::{
    ffi::OsString,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use management::port::Error;

/// The database and the files that SQLite keeps beside it while it is open. Without the second, the latest changes are
/// lost. Without the third, two programs do not see each other's locks.
const ENDS: [&str; 3] = ["", "-wal", "-shm"];

/// Identifies a file independent of its path: the device and the inode number.
type Identity = (u64, u64);

/// The files of an open database.
#[derive(Clone, Debug)]
pub struct Place {
    file: PathBuf,
    opened: [Option<Identity>; ENDS.len()],
}

impl Place {
    /// Notes the files that were just opened. A connection to `file` must have read from it.
    pub fn of(file: &Path) -> Self {
        // The path stays the same if the service changes its directory or another file system is mounted over it.
        let file = std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
        Self { opened: ENDS.map(|end| identity(&beside(&file, end))), file }
    }

    /// The database file itself.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// Fails if a path no longer names the open file.
    pub fn check(&self) -> Result<(), Error> {
        for (end, opened) in ENDS.iter().zip(&self.opened) {
            let path = beside(&self.file, end);
            let found = identity(&path);
            if found != *opened {
                let found = if found.is_some() { "another file is there" } else { "it is gone" };
                return Err(Error::Moved(format!("{}: {found}", path.display())));
            }
        }
        Ok(())
    }
}

/// The path of a file that SQLite keeps beside the database.
pub fn beside(file: &Path, end: &str) -> PathBuf {
    let mut path = OsString::from(file);
    path.push(end);
    path.into()
}

fn identity(path: &Path) -> Option<Identity> {
    std::fs::metadata(path).ok().map(|metadata| (metadata.dev(), metadata.ino()))
}
