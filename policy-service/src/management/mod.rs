//! The rules: what may be changed, and what follows from a change. Nothing here knows HTTP.
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
pub mod object;
pub mod pipeline;
pub mod plans;
pub mod quota;
pub mod resource;
pub mod subscriptions;
pub mod tag;
pub mod usage;
