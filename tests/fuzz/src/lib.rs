//! Properties that hold for every input, whatever its bytes: one module for each parser of bytes that another program
//! wrote.
//!
//! Each module has `check`, which panics if a property does not hold, and `seeds`, its initial inputs. `make fuzz` lets
//! libFuzzer search for inputs that break a property (`targets/`). `cargo test` checks the properties for the seeds,
//! for damaged seeds, and for earlier findings (`saved/<target>/`). None of this shows that a property is the right
//! one; the tables of cases do.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "only test code: a panic is how it reports"
)]

#[path = "../../cases/mod.rs"]
mod cases;
pub mod configuration;
pub mod converted;
pub mod feed;
pub mod head;
mod model;
pub mod page;
mod readings;
pub mod shard;
pub mod stored;
pub mod usage;

/// A parser and its properties.
pub struct Target {
    /// Name of its binary and of its folders.
    pub name: &'static str,
    /// Panics if a property does not hold.
    pub check: fn(&[u8]),
    /// The initial inputs.
    pub seeds: fn() -> Vec<Vec<u8>>,
}

pub const TARGETS: &[Target] = &[
    Target { name: "configuration", check: configuration::check, seeds: configuration::seeds },
    Target { name: "page", check: page::check, seeds: page::seeds },
    Target { name: "feed", check: feed::check, seeds: feed::seeds },
    Target { name: "shard", check: shard::check, seeds: shard::seeds },
    Target { name: "stored", check: stored::check, seeds: stored::seeds },
    Target { name: "usage", check: usage::check, seeds: usage::seeds },
    Target { name: "head", check: head::check, seeds: head::seeds },
    Target { name: "converted", check: converted::check, seeds: converted::seeds },
];

/// Checks a log line: one line of text, and not long, whatever the input was.
fn check_line(line: &str) {
    assert!(!line.contains(char::is_control), "control characters in {line:?}");
    assert!(line.len() <= 1024, "{} bytes in a line of the log", line.len());
}
