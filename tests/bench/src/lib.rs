//! Measures the cost of keygate in a real Envoy, beside that of alternatives.
//!
//! One Envoy with one worker has a listener for each variant. The cost of a variant is the CPU time of the Envoy
//! process per request, minus that of the listener without a filter. [`measure`] describes the method and its reasons.
//! The benchmark is run by hand only. It proves nothing about correctness, except that each variant is first checked to
//! do what its name says.
//!
//! In reading order: [`population`] defines keys and APIs, [`feed`] sends them to keygate, [`listeners`] and [`envoy`]
//! are the server, [`authz`] is the server for ext_authz. [`variants`] are compared, [`proof`] checks that they work,
//! and [`load`], [`cpu`], [`measure`] and [`figures`] measure them. [`worst`] is the most expensive policy. [`goals`],
//! [`report`] and [`chart`] present the results.
//!
//! With a million keys, [`scale`]: [`service`] is the real policy service behind a [`gate`], [`stream`] sends the
//! requests that a load must not delay, and [`blocks`] measures how quickly a block reaches the last worker.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    reason = "a panic here is a benchmark that has failed"
)]

pub mod authz;
pub mod blocks;
pub mod chart;
pub mod cpu;
pub mod envoy;
pub mod feed;
pub mod figures;
pub mod filters;
pub mod gate;
pub mod goals;
pub mod listeners;
pub mod load;
pub mod measure;
pub mod population;
pub mod proof;
pub mod report;
pub mod scale;
pub mod service;
pub mod stream;
pub mod variants;
pub mod worst;

pub use keygate_e2e::{Error, Result};
