//! The files of the open database, compared with the files that are at their paths now.
//!
//! SQLite goes on with a file that was removed or replaced: it writes to a file that no path names any more, and with the
//! program's end all of that is lost. So changes are refused as soon as a path names another file. Nothing is opened
//! here, since closing a file would drop the locks of SQLite.

use std::{
    ffi::OsString,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use management::port::Error;

/// The database and the files that SQLite keeps beside it while it is open. Without the second, the latest changes are
/// lost; without the third, two programs do not see each other's locks.
const ENDS: [&str; 3] = ["", "-wal", "-shm"];

/// Which file it is, wherever it is: the device and the number on it.
type Identity = (u64, u64);

/// The files of an open database.
#[derive(Clone, Debug)]
pub struct Place {
    file: PathBuf,
    opened: [Option<Identity>; ENDS.len()],
}

impl Place {
    /// The files that were just opened: a connection to `file` has read from it.
    pub fn of(file: &Path) -> Self {
        // A service that changes its directory, or gets another one mounted over it, still means the same path.
        let file = std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
        Self { opened: ENDS.map(|end| identity(&beside(&file, end))), file }
    }

    /// The database itself.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// Fails if a path no longer names the file that is open.
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
