//! The rules of the policy service: which changes are allowed, and what follows from a change.
//!
//! Nothing here knows HTTP or SQL, reads a clock or draws random numbers. The database is behind the traits of
//! [`port`]. A change begins with an [`port::Act`]: who makes it, when, and with which random numbers.
//!
//! Each of the six kinds of objects is a [`resource::Resource`]. [`pipeline`] turns a request body into a row.

pub mod access;
pub mod accounts;
pub mod apis;
pub mod applications;
pub mod approval;
pub mod audit;
pub mod block;
pub mod check;
pub mod concerned;
pub mod deny_policies;
pub mod due;
pub mod error;
pub mod explained;
pub mod gateways;
pub mod import;
pub mod issue;
pub mod key_form;
pub mod keys;
pub mod limited;
pub mod numbers;
pub mod object;
pub mod once;
pub mod pipeline;
pub mod plans;
pub mod port;
pub mod resource;
pub mod restore;
pub mod review;
pub mod sessions;
pub mod stored;
pub mod subscriptions;
pub mod tag;
pub mod usage;
