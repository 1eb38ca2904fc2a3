//! Checks the properties without a fuzzer: on the seeds, on damaged seeds, and on all earlier findings.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "only test code: a panic is how it reports"
)]

use std::{fs, panic, path::Path};

use keygate::{
    policy::{page::Page, unknown::UnknownFields},
    usage::report::UsageReport,
};
use keygate_fuzz::{TARGETS, Target};
use serde_json::Value;

fn target(name: &str) -> &'static Target {
    TARGETS.iter().find(|target| target.name == name).expect("a target")
}

fn hold(target: &Target, what: &str, input: &[u8]) {
    if panic::catch_unwind(|| (target.check)(input)).is_err() {
        panic!("{}: {what}: {}", target.name, input.escape_ascii());
    }
}

/// Cuts, flips and splices. They are the same each time.
fn damaged(seeds: &[Vec<u8>]) -> impl Iterator<Item = Vec<u8>> {
    seeds.iter().enumerate().flat_map(move |(number, seed)| {
        let other = &seeds[(number + 1) % seeds.len()];
        // If there are many seeds, each is damaged in fewer places.
        let step = (seeds.len() / 16).clamp(1, 7);
        (1 + number % step..8).step_by(step).flat_map(move |part| {
            let at = seed.len() * part / 8;
            let mut flipped = seed.clone();
            if let Some(byte) = flipped.get_mut(at) {
                *byte ^= 1 << part;
            }
            let spliced = [&seed[..at], &other[other.len() * part / 8..]].concat();
            [seed[..at].to_vec(), seed[at..].to_vec(), flipped, spliced]
        })
    })
}

fn check(name: &str) {
    let target = target(name);
    let seeds = (target.seeds)();
    assert!(seeds.len() >= 10, "{name} has {} seeds", seeds.len());
    seeds.iter().for_each(|seed| hold(target, "a seed", seed));
    damaged(&seeds).for_each(|input| hold(target, "a damaged seed", &input));
    let saved = Path::new(env!("CARGO_MANIFEST_DIR")).join("saved").join(name);
    for entry in fs::read_dir(saved).into_iter().flatten() {
        let path = entry.unwrap().path();
        hold(target, &path.display().to_string(), &fs::read(&path).unwrap());
    }
}

macro_rules! targets {
    ($($name:ident),* $(,)?) => {
        $(#[test] fn $name() { check(stringify!($name)); })*

        #[test]
        fn every_target_is_here_and_has_its_binary() {
            let manifest = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")).unwrap();
            assert_eq!([$(stringify!($name)),*].to_vec(), TARGETS.iter().map(|target| target.name).collect::<Vec<_>>());
            for target in TARGETS {
                assert!(manifest.contains(&format!("name = \"{}\"", target.name)), "{}", target.name);
            }
        }
    };
}

targets!(configuration, page, feed, shard, stored, usage, head, converted);

fn schema(document: &str) -> jsonschema::Validator {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../../docs/{document}.schema.json"));
    jsonschema::options().build(&serde_json::from_slice(&fs::read(path).unwrap()).unwrap()).unwrap()
}

/// All inputs of a target.
fn inputs(name: &str) -> Vec<Vec<u8>> {
    let saved = Path::new(env!("CARGO_MANIFEST_DIR")).join("saved").join(name);
    let saved = fs::read_dir(saved).into_iter().flatten().map(|entry| fs::read(entry.unwrap().path()).unwrap());
    let seeds = (target(name).seeds)();
    damaged(&seeds).chain(saved).chain(seeds.iter().cloned()).collect()
}

/// Whether the filter accepts a page with all its rows.
fn is_taken_whole(bytes: &[u8]) -> bool {
    let Ok(page) = Page::scan(bytes.to_vec()) else { return false };
    page.rows(0..usize::MAX, &mut UnknownFields::default()).all(|row| row.is_ok())
}

#[test]
fn a_page_that_the_filter_accepts_is_valid_by_the_documented_schema() {
    let validator = schema("policy-page");
    let inputs = inputs("page");
    let mut taken = 0;
    for input in inputs.iter().filter(|input| is_taken_whole(input)) {
        // Some parsers refuse JSON with a number beyond all bounds, even in a field that keygate does not read.
        let Ok(page) = serde_json::from_slice::<Value>(input) else { continue };
        let wrong: Vec<_> = validator.iter_errors(&page).map(|error| error.to_string()).collect();
        assert!(wrong.is_empty(), "{wrong:?}: {page}");
        taken += 1;
    }
    assert!(taken > 100, "{taken} of {} pages were taken", inputs.len());
}

#[test]
fn a_report_that_is_accepted_is_valid_by_the_documented_schema() {
    let validator = schema("usage-report");
    let inputs = inputs("usage");
    let mut taken = 0;
    // The first byte is the kind of the input.
    for input in inputs.iter().filter_map(|input| input.split_first().filter(|(kind, _)| *kind % 3 == 2)) {
        let Ok(report) = serde_json::from_slice::<UsageReport<'_>>(input.1) else { continue };
        let Ok(json) = serde_json::from_slice::<Value>(input.1) else { continue };
        if report.check(1_748_736_123).is_ok() {
            assert!(validator.is_valid(&json), "{json}");
            taken += 1;
        }
    }
    assert!(taken > 0, "none of {} was taken", inputs.len());
}
