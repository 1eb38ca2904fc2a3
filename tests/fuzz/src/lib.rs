//! What must hold of every input, whatever its bytes: one module for each parser of bytes that somebody else wrote.
//!
//! Each has `check`, which panics where its properties do not hold, and `seeds`, inputs to begin with. `make fuzz` lets
//! libFuzzer look for inputs that break them (`targets/`); `cargo test` holds them on the seeds, on damaged seeds, and on
//! what was found before (`saved/<target>/`). None of it can show that a property is the right one; the tables of cases
//! do that.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    missing_docs,
    reason = "only test code: a panic is how it reports"
)]

#[path = "../../cases/mod.rs"]
mod cases;
pub mod configuration;
pub mod feed;
pub mod head;
mod model;
pub mod page;
mod readings;
pub mod shard;
pub mod stored;
pub mod usage;

/// A parser and what must hold of it.
pub struct Target {
    /// The name of its binary and of its folders.
    pub name: &'static str,
    /// Panics where a property does not hold.
    pub check: fn(&[u8]),
    /// Inputs to begin with.
    pub seeds: fn() -> Vec<Vec<u8>>,
}

/// All of them.
pub const TARGETS: &[Target] = &[
    Target { name: "configuration", check: configuration::check, seeds: configuration::seeds },
    Target { name: "page", check: page::check, seeds: page::seeds },
    Target { name: "feed", check: feed::check, seeds: feed::seeds },
    Target { name: "shard", check: shard::check, seeds: shard::seeds },
    Target { name: "stored", check: stored::check, seeds: stored::seeds },
    Target { name: "usage", check: usage::check, seeds: usage::seeds },
    Target { name: "head", check: head::check, seeds: head::seeds },
];

/// What a line of the log may be: text of one line, and not a long one, whatever the input was.
fn check_line(line: &str) {
    assert!(!line.contains(char::is_control), "control characters in {line:?}");
    assert!(line.len() <= 1024, "{} bytes in a line of the log", line.len());
}
