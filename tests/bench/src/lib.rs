//! What keygate costs, measured in a real Envoy beside what else one could do.
//!
//! One Envoy with one worker has a listener for each thing that is compared; the cost of one is the CPU time of the
//! Envoy process for a request, less that of the listener without a filter. [`measure`] says how it is taken and why so.
//! Everything here is only ever run by hand or by CI's slow lane: it proves nothing about correctness, except that each
//! variant is asked first whether it does what its name says.
//!
//! In reading order: [`population`] is who asks for what, [`feed`] tells keygate, [`listeners`] and [`envoy`] are the
//! server, [`authz`] is what ext_authz asks; [`variants`] are the things compared; [`proof`] makes sure that they do what they should; [`load`], [`cpu`], [`measure`] and
//! [`figures`] measure them; [`worst`] is the policy that costs most; [`goals`], [`report`] and [`chart`] say what came out.
//!
//! At a million keys, [`scale`]: [`service`] is the real policy service behind a [`gate`], [`stream`] the requests that a load must not
//! delay, [`blocks`] the way of a block to the last worker.

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
