//! `make soak`: a real Envoy with four workers under load, while the policy changes continuously and everything around
//! the filter fails. Every single answer is compared with what the policy allowed at that time.
//!
//! **Pure**, each with its tables of tests: [`policy`] says who may do what, [`history`] what was right when,
//! [`verdict`] judges one answer, [`slope`] the memory, [`report`] the whole soak.
//!
//! **Around it**: [`gateway`] is Envoy with its upstreams, [`between`] is the proxy between it and the policy service,
//! [`changes`] and [`faults`] disturb them, [`load`] sends requests, [`book`] records everything, [`run`] is a soak
//! from beginning to end, [`bill`] checks the bill. [`arm`] installs a trap in the filter's module.
//!
//! Nothing here knows how the filter works, only its promises.

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
