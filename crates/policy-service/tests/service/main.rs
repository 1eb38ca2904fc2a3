//! The tests of the service as one program: each file has a module. Tests that need the machine or the process for
//! themselves (many descriptors, long turns, a million bytes) are programs of their own beside it.
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

mod audit;
mod audit_replay;
mod backup;
mod bad_input;
mod bad_query;
mod blocks_and_keys;
mod blocks_imported;
mod blocks_with_a_time;
mod credentials;
mod dry_runs;
mod due;
mod explain;
mod feed;
mod files;
mod find;
mod gateways;
mod import;
mod import_removals;
mod import_turns;
mod listeners;
mod log;
mod lost_updates;
mod management;
mod media_types;
mod metrics;
mod moved;
mod no_way_round;
mod once;
mod owners;
mod permissions;
mod problems;
mod process;
mod receipts;
mod requests;
mod restored;
mod roles;
mod secret_files;
mod sessions;
mod sign_in;
mod stored;
mod tls;
mod together;
mod tokens;
mod upgrade;
mod usage;
mod way_back;
