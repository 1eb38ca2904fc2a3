//! The rules of the policy service: what may be changed, and what follows from a change.
//!
//! Nothing here knows HTTP or SQL, reads a clock or draws random numbers. The database stands behind the traits of [`port`];
//! a change begins with an [`port::Act`], which says who makes it, when, and with which random numbers.
//!
//! Each of the six kinds of things is a [`resource::Resource`]. [`pipeline`] takes one from the request body to a row.

pub mod accounts;
pub mod apis;
pub mod applications;
pub mod audit;
pub mod block;
pub mod check;
pub mod deny_policies;
pub mod error;
pub mod issue;
pub mod keys;
pub mod limited;
pub mod object;
pub mod pipeline;
pub mod plans;
pub mod port;
pub mod resource;
pub mod review;
pub mod subscriptions;
pub mod tag;
pub mod usage;
