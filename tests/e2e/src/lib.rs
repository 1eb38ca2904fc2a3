//! A running stack (policy service, Envoy with the filter, two upstreams) and the tools with which tests observe it.
//!
//! The programs are the real ones as shipped: `target/keygate.wasm`, `target/release/policy-service` and
//! `envoy/standalone/envoy.yaml`, in which only addresses, ports and paths are replaced. The traffic stays on loopback.
//! Everything that is started ends with the [`Stack`] or, at the latest, with the process. This crate decides nothing:
//! the expectations are in [`story`] and in the tests.
//!
//! In reading order: [`stack`] combines [`policy_service`], [`envoy`] and [`upstream`]. [`feed`] is a policy service
//! whose answers a test chooses, and [`cutter`] is a proxy that ends answers which take too long. [`http`],
//! [`workers`] and [`load`] are the clients. [`door`] is what people find in the console, and [`driven`] the stack for the
//! tests in a browser.

pub mod artifacts;
pub mod config;
pub mod cutter;
pub mod door;
pub mod driven;
pub mod envoy;
pub mod feed;
pub mod load;
pub mod mounted;
pub mod policy_service;
pub mod stack;
pub mod story;
pub mod threads;
pub mod upstream;
pub mod variables;
pub mod workers;

pub use stack::{Options, Stack};
pub use testkit::{Error, Result, deadline, error, http, ports, process};
