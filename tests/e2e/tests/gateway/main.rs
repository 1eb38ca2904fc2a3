//! Tests of a real Envoy with two workers, the real policy service and a real client together. Each test has a stack of
//! its own, whose files stay in `target/stack/<name>`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "only test code: a panic is how it reports, and a test's name says what it checks"
)]

mod backup;
mod bad_feeds;
mod bad_requests;
mod configurations;
mod cors;
mod crowd;
mod documents;
mod envoys_ratelimit;
mod front;
mod gauges;
mod global_ratelimit;
mod guard;
mod keys;
mod limits;
mod listed;
mod listeners;
mod main_thread;
mod observability;
mod outages;
mod proxies;
mod ratelimit_server;
mod redis;
mod replaced;
mod replies;
mod rotation;
mod run;
mod runbook;
mod secret_file;
mod secrets;
mod shipped;
mod story;
mod streams;
mod usage;
mod wasm_service;
