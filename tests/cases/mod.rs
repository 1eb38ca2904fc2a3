//! One table of cases as data, for every runner that decides: the JSON files in this folder.
//!
//! The table runs on the core natively, on the core as wasm32 in Node, and through a real Envoy, so that all three
//! agree. [`table`] defines the data and [`text`] the bytes in it. [`core`] runs a case on the core, and [`check`]
//! compares the result with the expectation. Envoy's runner is part of the end-to-end tests.
//!
//! A file is a list of groups. A group has one plugin configuration, one policy page, and requests. In a policy,
//! `{"now": 5}` stands for the time five seconds from now, `{"sha256": "clear"}` for a digest, and a row of `keys` has
//! its `key` in clear. Unknown fields are refused, so that a typing error cannot make a case empty. Every case has
//! further checks beside its own expectation: see [`check`].
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "only test code, of which each runner uses a part: a panic is how it reports"
)]

pub mod check;
pub mod core;
pub mod table;
pub mod text;
pub mod transitions;

use table::Group;

macro_rules! files {
    ($($name:literal),* $(,)?) => {
        /// Name and text of every file of the table.
        pub const FILES: &[(&str, &str)] = &[$(($name, include_str!(concat!($name, ".json")))),*];
    };
}

files! {
    "apis",
    "blocks",
    "identifiers",
    "modes",
    "plans",
    "quotas",
    "replies",
    "restrictions",
    "rows",
    "sources",
    "states",
}

pub fn groups(file: &str) -> Vec<Group> {
    let (_, text) = FILES.iter().find(|(name, _)| *name == file).expect("a file of the table");
    serde_json::from_str(text).unwrap_or_else(|error| panic!("tests/cases/{file}.json: {error}"))
}

/// Runs every case on the core. Returns all differences, and the number of cases.
pub fn wrong_on_core() -> (Vec<String>, usize) {
    let (mut wrong, mut count) = (Vec::new(), 0);
    for (file, group) in all_groups() {
        let core = core::Core::new(&group);
        for case in &group.cases {
            count += 1;
            let problems = check::check(&group, case, &core.observe(&group, case));
            wrong.extend(problems.iter().map(|problem| format!("{file}: {}: {}: {problem}", group.name, case.name)));
        }
    }
    (wrong, count)
}

/// On the core, changes a subscription from each state to each other state. Returns all differences.
pub fn wrong_transitions_on_core() -> Vec<String> {
    let group = transitions::group();
    let mut core = core::Core::new(&group);
    let mut wrong = Vec::new();
    let walk = transitions::walk();
    for (index, state) in walk.iter().enumerate() {
        if let Some(base) = index.checked_sub(1) {
            core.refresh(&transitions::delta(base + 1, state));
        }
        for (sent, expected) in transitions::requests(&group, state) {
            let found = core.send(&sent).annotations.remove("reason").unwrap_or_default();
            if found != expected {
                let before = index.checked_sub(1).map_or("nothing", |before| walk[before]);
                wrong.push(format!("{before} to {state}: expected {expected}, found {found}"));
            }
        }
    }
    wrong
}

/// All groups, each with the name of its file.
pub fn all_groups() -> Vec<(&'static str, Group)> {
    FILES.iter().flat_map(|(file, _)| groups(file).into_iter().map(|group| (*file, group))).collect()
}
