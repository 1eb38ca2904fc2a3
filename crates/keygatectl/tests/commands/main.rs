//! Every command through the real program, against a real policy service: stdout, stderr and exit code.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "only tests"
)]

mod everyday;
mod explained;
mod help;
mod hostile;
mod secrets;
#[path = "../support/mod.rs"]
mod support;
mod tables;
mod validated;
