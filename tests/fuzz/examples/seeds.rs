//! Writes the initial inputs for fuzzing: `seeds FOLDER` makes `FOLDER/<target>/`. Does not fuzz.
#![allow(clippy::expect_used, reason = "a tool of the tests: a panic is how it reports")]

use std::{env, fs, path::PathBuf};

use keygate_fuzz::TARGETS;

fn main() {
    let root = PathBuf::from(env::args_os().nth(1).expect("usage: seeds FOLDER"));
    for target in TARGETS {
        let folder = root.join(target.name);
        fs::create_dir_all(&folder).expect("a folder for the seeds");
        for (number, seed) in (target.seeds)().iter().enumerate() {
            fs::write(folder.join(format!("seed-{number}")), seed).expect("a seed");
        }
    }
}
