//! The whole filter, natively, against a fake Envoy: configuration and policy in, requests in, verdicts out.
//!
//! [`host`] is the fake Envoy. The other modules are scenarios, one subject each. What must hold after every one of them
//! (no secret leaves the filter, names come from finite sets, a stream is answered once) is checked by the host itself.
//! What it does not cover: WebAssembly's sizes and limits, and what real Envoys do; other rings of tests do.

// This crate is only ever test code: a panic is how it reports.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::missing_safety_doc,
    missing_docs
)]

mod decisions;
mod feed;
mod host;
mod hostile;
mod large;
mod lease;
mod limits;
mod load;
mod memory;
mod pages;
mod policy;
mod random;
mod rotation;
mod shared;
mod sharing;
mod startup;
mod story;
mod upstream;
mod usage;
