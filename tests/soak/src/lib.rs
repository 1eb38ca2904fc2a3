//! `make soak`: a real Envoy with four workers under load, while the policy changes all the time and everything around the
//! filter fails; every single answer is held against what the policy allowed at that time.
//!
//! **Pure**, each with its tables of tests: [`policy`] says who may do what, [`history`] what was right when, [`verdict`]
//! judges one answer, [`slope`] the memory, [`report`] the whole.
//!
//! **Around it**: [`gateway`] is Envoy with its upstreams, [`between`] what stands between it and the policy service,
//! [`changes`] and [`faults`] what happens to them, [`load`] who asks, [`book`] what all of them write down, [`run`] the
//! whole from beginning to end, [`bill`] what was billed for it. [`arm`] puts a trap into the filter's module.
//!
//! Nothing here knows how the filter works: only what is promised.

pub mod arm;
pub mod between;
pub mod bill;
pub mod book;
pub mod changes;
pub mod faults;
pub mod gateway;
pub mod history;
pub mod load;
pub mod policy;
pub mod report;
pub mod run;
pub mod slope;
pub mod verdict;
