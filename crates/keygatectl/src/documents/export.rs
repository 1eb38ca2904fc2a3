//! `export`: everything that a service has, as documents in a folder. And the writing of any rows into a folder.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde_json::json;

use super::{fetch::fetch, layout, lock, read, row::Row, write};
use crate::{
    cli::apply::Export,
    client::Client,
    failure::{Done, Failure, Outcome},
    output::{Screen, note, progress},
};

/// What was written into a folder.
#[derive(Debug)]
pub struct Written {
    /// Rows.
    pub rows: usize,
    /// Files, relative to the folder.
    pub files: Vec<PathBuf>,
    /// Files of the folder that are not of `export`, and stay as they are.
    pub others: usize,
}

/// Writes all rows of a service.
pub fn export(client: &Client, screen: &mut Screen, asked: &Export) -> Outcome {
    let folder = asked.folder.as_path();
    prepare(folder, asked.force)?;
    let written = write(folder, fetch(client)?.0.into_rows())?;
    if screen.is_json {
        screen.json(&json!({ "rows": written.rows, "files": written.files }))?;
    } else {
        screen.line(&written.to_string())?;
        if written.others > 0 {
            let others = if written.others == 1 { "1 file".to_owned() } else { format!("{} files", written.others) };
            note(&format!("{others} of the folder: not of `export`, left as it is."));
        }
    }
    Ok(Done::Well)
}

impl std::fmt::Display for Written {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let files = if self.files.len() == 1 { "1 file".to_owned() } else { format!("{} files", self.files.len()) };
        write!(f, "{} objects in {files}", self.rows)
    }
}

/// Makes the folder. One with documents is refused, unless they may be replaced.
pub fn prepare(folder: &Path, force: bool) -> Result<(), Failure> {
    fs::create_dir_all(folder).map_err(|error| Failure::file(folder, &error))?;
    match force || read::files(folder)?.is_empty() {
        true => Ok(()),
        false => Err(Failure::Usage(format!(
            "{} has documents already; --force replaces those that `export` has written",
            folder.display()
        ))),
    }
}

/// Writes rows. Files that `export` writes are replaced, or removed if they have nothing more; others stay.
pub fn write(folder: &Path, rows: Vec<Row>) -> Result<Written, Failure> {
    let before = read::files(folder)?;
    let number = rows.len();
    let files = layout::files(rows);
    let bar = progress::of(number, "writing documents");
    for (name, rows) in &files {
        let mut text = String::new();
        for row in rows {
            text.push_str(&write::document(row)?);
            bar.add(1);
        }
        lock::replace(&folder.join(name), text.as_bytes())?;
    }
    bar.end();
    for file in before.iter().filter(|file| lock::is_own(folder, file)) {
        let is_left = file.strip_prefix(folder).is_ok_and(|name| !files.contains_key(name));
        if is_left {
            fs::remove_file(file).map_err(|error| Failure::file(file, &error))?;
        }
    }
    let others = before.iter().filter(|file| !lock::is_own(folder, file)).count();
    Ok(Written { rows: number, files: files.into_keys().collect(), others })
}
