//! The rules of the policy service: what may be changed, and what follows from a change.
//!
//! Nothing here knows HTTP or SQL, reads a clock or draws random numbers. The database stands behind the traits of [`port`];
//! who makes a change, when, and with which random numbers is an [`port::Act`], which a change is begun with.
//!
//! The six kinds of things are [`resource::Resource`]s, and [`pipeline`] is the way of each from what was sent to a row.

pub mod apis;
pub mod applications;
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
