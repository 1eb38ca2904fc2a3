//! `export`: everything that a service has, as documents in a folder.

use std::fs;

use serde_json::json;

use super::{fetch::fetch, layout, lock, read, write};
use crate::{
    cli::apply::Export,
    client::Client,
    failure::{Done, Failure, Outcome},
    output::{self, Screen, note},
};

/// Writes all rows. Files that `export` writes are replaced, or removed if they have nothing more; others stay.
pub fn export(client: &Client, screen: &mut Screen, asked: &Export) -> Outcome {
    let folder = asked.folder.as_path();
    fs::create_dir_all(folder).map_err(|error| Failure::file(folder, &error))?;
    let before = read::files(folder)?;
    if !before.is_empty() && !asked.force {
        return Err(Failure::Usage(format!(
            "{} has documents already; --force replaces those that `export` has written",
            folder.display()
        )));
    }
    let rows = fetch(client)?;
    let number = rows.len();
    let files = layout::files(rows.into_rows());
    let bar = output::progress(Some(u64::try_from(number).unwrap_or_default()), "writing documents");
    for (name, rows) in &files {
        let mut text = String::new();
        for row in rows {
            text.push_str(&write::document(row)?);
            bar.inc(1);
        }
        lock::replace(&folder.join(name), text.as_bytes())?;
    }
    bar.finish_and_clear();
    for file in before.iter().filter(|file| lock::is_own(folder, file)) {
        let is_left = file.strip_prefix(folder).is_ok_and(|name| !files.contains_key(name));
        if is_left {
            fs::remove_file(file).map_err(|error| Failure::file(file, &error))?;
        }
    }
    if screen.is_json {
        screen.json(&json!({ "rows": number, "files": files.keys().collect::<Vec<_>>() }))?;
    } else {
        let files = if files.len() == 1 { "1 file".to_owned() } else { format!("{} files", files.len()) };
        screen.line(&format!("{number} objects in {files} of {}", folder.display()))?;
        let others = before.iter().filter(|file| !lock::is_own(folder, file)).count();
        if others > 0 {
            note(&format!("{others} files of the folder are not of `export`, and stay as they are."));
        }
    }
    Ok(Done::Well)
}
