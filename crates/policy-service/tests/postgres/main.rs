//! The program with a real PostgreSQL: several services on one database, and databases that are away, read-only or
//! unusable.
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

mod accounts;
mod away;
mod due;
mod nul;
mod pooler;
mod receipts;
mod replicas;
mod service;
mod start;
