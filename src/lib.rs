//! keygate: a proxy-wasm filter for Envoy that checks API keys and subscription blocks from memory.
//!
//! In reading order. The core is pure: it calls no host, reads no clock and writes no log, and builds without the feature
//! `plugin`.
//!
//! - [`policy`]: what a policy consists of, and how its pages are read
//! - [`config`]: the plugin configuration
//! - [`digest`]: all that is known of a key
//! - [`equal`]: whether two slices are the same
//! - [`shared`]: shared data of the process: its port, its keys, packed bytes, the lease
//! - [`naming`]: names that others wrote, as messages repeat them
//! - [`head`], [`path`], [`hostname`], [`referer`], [`template`]: parts of a request, and the patterns they are held against
//! - [`credential`]: where a request carries its key
//! - [`catalogue`]: which API a request belongs to, and the other small lists
//! - [`limit`]: how much of their plans is used up
//! - [`subject`]: what a policy says of a key, its application and a subscription
//! - [`reason`], [`decision`]: permit or denial, and why
//! - [`reply`], [`edit`], [`annotation`], [`outcome`]: what follows from it
//! - [`open`]: streams that are open, to be decided anew
//! - [`store`]: the policy in shared data
//! - [`refresh`]: how it is kept fresh
//! - [`usage`]: what was used, counted and reported
//!
//! The shell, `plugin`, turns Envoy's callbacks into calls of the core.

#![deny(unsafe_code)]

pub mod annotation;
pub mod catalogue;
pub mod config;
pub mod credential;
pub mod decision;
pub mod digest;
pub mod edit;
pub mod equal;
pub mod head;
pub mod hostname;
pub mod index;
pub mod limit;
pub mod naming;
pub mod open;
pub mod outcome;
pub mod path;
pub mod policy;
pub mod reason;
pub mod referer;
pub mod refresh;
pub mod reply;
pub mod shared;
pub mod store;
pub mod subject;
pub mod template;
pub mod usage;

// The unit tests are those of the core: without the shell they link without a host.
#[cfg(all(feature = "plugin", not(test)))]
mod plugin;
