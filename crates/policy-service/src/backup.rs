//! `backup` and `restore`: copy the database to a file and back while the service runs.
//!
//! Each file is written under another name in the same directory. It gets its own name when it is complete and on the
//! disk. [`store::copy`] knows what is copied, and what a running service notices of it.

use std::{
    error::Error,
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use crate::{
    cli::{Backup, Restore},
    clock::act,
    stderr,
};
use management::port::{Actor, Error as Failure, Upkeep as _};
use store::{Settings, SqliteStore, beside, copy, file_of};

/// Only the owner may read a copy, as for the database itself.
const OWNER_ALONE: u32 = 0o600;

/// A file that is being written. Dropping it removes it, with the files that SQLite puts beside it.
struct Part(PathBuf);

impl Part {
    /// Creates an empty file beside `place`.
    fn beside(place: &Path) -> io::Result<Self> {
        let part = beside(place, &format!(".{}.part", std::process::id()));
        OpenOptions::new().write(true).create_new(true).mode(OWNER_ALONE).open(&part)?;
        Ok(Self(part))
    }

    /// Flushes the file to the disk and gives it its name.
    fn keep(self, place: &Path) -> io::Result<()> {
        File::open(&self.0)?.sync_all()?;
        fs::rename(&self.0, place)?;
        let folder = place.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(folder)?.sync_all()
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        for end in ["", "-wal", "-shm", "-journal"] {
            // Most of these files do not exist.
            let _ = fs::remove_file(beside(&self.0, end));
        }
    }
}

/// Writes the database to a file.
pub async fn backup(arguments: &Backup) -> Result<(), Box<dyn Error>> {
    let url = arguments.database.file_url()?;
    let (from, to) = (Path::new(file_of(url)?), arguments.file.as_path());
    let named = |error: Failure| arguments.database.named(error);
    if !from.exists() {
        return Err(named_file(url, from).into());
    }
    check_target(from, to).await?;
    let part = Part::beside(to).map_err(|error| format!("{} cannot be written: {error}", to.display()))?;
    copy::copy(from, &part.0).await.map_err(named)?;
    part.keep(to).map_err(|error| format!("{} cannot be written: {error}", to.display()))?;
    stderr::say(format_args!("the database was written to {}", to.display()));
    Ok(())
}

/// The error for a database file that does not exist.
fn named_file(url: &str, file: &Path) -> String {
    format!("--database (POLICY_DATABASE) {url}: there is no file {}", file.display())
}

/// Rejects a target that is a database in use, and a file that is not a backup.
async fn check_target(from: &Path, to: &Path) -> Result<(), String> {
    if !to.exists() {
        return Ok(());
    }
    let is_same = fs::canonicalize(from).ok() == fs::canonicalize(to).ok();
    if is_same || beside(to, "-wal").exists() || beside(to, "-shm").exists() {
        return Err(format!("{} is a database that may be in use; expected another file", to.display()));
    }
    match copy::holds_policy(to).await {
        Ok(true) => Ok(()),
        _ => Err(format!("{} exists and is not a backup; expected a new file or an earlier backup", to.display())),
    }
}

/// Replaces the content of the database by a backup.
pub async fn restore(arguments: &Restore) -> Result<(), Box<dyn Error>> {
    let url = arguments.database.file_url()?;
    let (file, place) = (arguments.file.as_path(), Path::new(file_of(url)?));
    let named = |error: Failure| match error {
        Failure::Later(_) => {
            format!("{} was written by a later version of policy-service; nothing was changed", file.display())
        }
        error => format!("{}: {error}; nothing was changed", file.display()),
    };
    if !file.is_file() {
        return Err(format!("{} is not a file; nothing was changed", file.display()).into());
    }
    let part = Part::beside(place).map_err(|error| format!("no file can be written beside the database: {error}"))?;
    copy::copy(file, &part.0).await.map_err(named)?;
    // Migrate the copy to this version's schema. The backup stays as it is.
    let copied = format!("sqlite:{}", part.0.display());
    let settings = Settings { bulk: true, must_exist: true, ..Settings::default() };
    SqliteStore::open(&copied, settings).await.map_err(named)?.close().await;
    let settings = Settings { bulk: true, ..Settings::default() };
    let store = SqliteStore::open(url, settings).await.map_err(|error| arguments.database.named(error))?;
    let restored = store.restore(&part.0, &act(Actor::administrator())).await;
    store.close().await;
    let state = restored.map_err(|error| format!("{url}: {error}; nothing was changed"))?;
    stderr::say(format_args!(
        "the database now has the content of {}, at revision {}; its new epoch is {}; gateways will fetch the full policy",
        file.display(),
        state.revision,
        state.epoch
    ));
    Ok(())
}
