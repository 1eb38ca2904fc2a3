//! Databases that fail, of either kind, in one table: what a change is answered, what `/healthz/write` says, and whether
//! the feed is still served. [`start`] has those on which no service starts.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "tests"
)]

#[path = "../support/mod.rs"]
mod support;

mod proxy;
mod start;
mod while_it_runs;
