//! The console, as a browser without scripts sees it: pages, forms, and what each role may open and do.
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

mod after_session;
mod audited;
mod bare;
mod blocking;
mod choices;
mod demo;
mod dom;
mod empty;
mod finding;
mod foundation;
mod keys;
mod late;
mod making;
mod names;
mod operating;
mod person;
mod roles;
mod secrets;
mod strange;
mod subscribing;
mod truth;
mod twice;
mod untouched;
