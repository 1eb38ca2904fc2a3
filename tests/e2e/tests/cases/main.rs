//! Runs the table of cases (`tests/cases`) through a real Envoy, and tests what only a real Envoy can show: forged
//! addresses, protocols, and Envoy's own filter for API keys beside keygate.
//!
//! Every group of the table is a listener of its own. All are in one Envoy, and each fetches its own policy from
//! [`servers`]. Requests are written byte by byte ([`wire`]), so they arrive exactly as in the table. The results are
//! read from the answer, from the head that the upstream received, from the access log and from the statistics.
#![allow(
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "only test code: a panic is how it reports, and a test's name says what it checks"
)]

mod addresses;
mod around;
#[path = "../../../cases/mod.rs"]
mod cases;
mod converted;
mod differential;
mod explained;
mod gateway;
mod protocols;
#[path = "../../../cases/random.rs"]
mod random;
#[path = "../../../../crates/explain/tests/support/sent.rs"]
mod sent;
mod servers;
mod table;
mod transitions;
mod wire;
