//! A policy in a folder: export, diff, apply and prune, through the real program against real policy services.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "only tests"
)]

mod applied;
mod converted;
mod pruned;
mod round_trip;
#[path = "../support/mod.rs"]
mod support;

use std::{collections::BTreeMap, fs, path::Path};

/// The files of a folder, without the record of what was applied.
fn files(folder: &Path) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(&next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if !path.ends_with("keygate.lock") {
                let name = path.strip_prefix(folder).unwrap().display().to_string();
                found.insert(name, fs::read_to_string(&path).unwrap());
            }
        }
    }
    found
}
