//! The whole filter, natively, with a fake Envoy: configuration, policy and requests in, verdicts out.
//!
//! [`host`] is the fake Envoy. Each other module has scenarios for one subject. The host itself checks the rules that
//! hold after every scenario (no secret leaves the filter, names come from finite sets, a stream is answered once).
//! These tests do not cover WebAssembly's sizes and limits, or the behaviour of real Envoys; other test suites do.

// This crate contains only test code, which reports errors by panics.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::missing_safety_doc
)]

mod adoption;
#[path = "../cases/mod.rs"]
mod cases;
mod decisions;
mod explained;
mod feed;
mod host;
mod hostile;
mod large;
mod lease;
mod limits;
mod load;
#[path = "manifests.rs"]
mod manifest_configurations;
#[path = "../manifests/mod.rs"]
mod manifests;
mod memory;
mod pages;
mod policy;
mod random;
#[path = "../cases/random.rs"]
mod random_cases;
mod rotation;
#[path = "../../crates/explain/tests/support/sent.rs"]
mod sent;
mod shared;
mod sharing;
mod startup;
mod story;
mod upstream;
mod usage;
