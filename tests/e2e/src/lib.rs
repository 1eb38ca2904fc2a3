//! The running stack: policy service, Envoy with the filter, two upstreams; and what tests need to look at it.
//!
//! Everything here runs the real programs as they are shipped: `target/keygate.wasm`, `target/release/policy-service`
//! and `envoy/standalone/envoy.yaml`, in which only addresses, ports and paths are replaced. Traffic stays on loopback.
//! All that is started dies with the [`Stack`] or, at the latest, with the process. Nothing in here decides anything:
//! what must be true stands in [`story`] and in the tests.
//!
//! In reading order: [`stack`] puts together [`policy_service`], [`envoy`] and [`upstream`]; [`feed`] is a policy
//! service that answers whatever a test wants, [`cutter`] a proxy that ends answers which take too long; [`http`] and [`workers`] are the client.

pub mod artifacts;
pub mod config;
pub mod cutter;
pub mod envoy;
pub mod feed;
pub mod policy_service;
pub mod stack;
pub mod story;
pub mod threads;
pub mod upstream;
pub mod variables;
pub mod workers;

pub use stack::{Options, Stack};
pub use testkit::{Error, Result, deadline, error, http, ports, process};
