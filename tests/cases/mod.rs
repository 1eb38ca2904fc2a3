//! One table of cases, as data, for everything that decides: the JSON files beside this one.
//!
//! It is run on the core natively, on the core as wasm32 in Node, and through a real Envoy, so that the three agree.
//! [`table`] is the data, [`text`] the bytes in it, [`core`] runs a case on the core, [`check`] holds what was observed
//! against what is expected. Envoy's runner is with the end-to-end tests.
//!
//! A file is a list of groups: one plugin configuration and one policy page, and the requests that are held against
//! them. In a policy, `{"now": 5}` stands for the time five seconds after now, `{"sha256": "clear"}` for a digest, and a
//! row of `keys` has its `key` in clear. Fields that are not known are refused, so a typing error cannot make a case
//! empty. Beside what a case asks for, much is checked in every one of them: see [`check`].
#![allow(
    dead_code,
    missing_docs,
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

/// All groups of a file.
pub fn groups(file: &str) -> Vec<Group> {
    let (_, text) = FILES.iter().find(|(name, _)| *name == file).expect("a file of the table");
    serde_json::from_str(text).unwrap_or_else(|error| panic!("tests/cases/{file}.json: {error}"))
}

/// Runs every case on the core; all that is wrong, and how many cases there are.
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

/// Takes a subscription from each state to each other on the core; all that is wrong.
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
