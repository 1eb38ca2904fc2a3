//! keygate: a proxy-wasm filter for Envoy that checks API keys and subscription blocks from memory.
//!
//! In reading order. The core is pure: it calls no host, reads no clock and writes no log, and builds without the feature
//! `plugin`.
//!
//! - [`policy`]: what a policy consists of, and how its pages are read
//! - [`config`]: the plugin configuration
//! - [`digest`]: all that is known of a key
//! - [`fingerprint`]: how a VM knows a key again
//! - [`equal`]: whether two slices are the same
//! - [`shared`]: shared data of the process: its port, its keys, packed bytes, the lease
//! - [`naming`]: names that others wrote, as messages repeat them
//! - [`request`]: parts of a request, and the patterns they are held against
//! - [`credential`]: where a request carries its key
//! - [`catalogue`]: which API a request belongs to, and the other small lists
//! - [`limit`]: how much of their plans is used up
//! - [`subject`]: what a policy says of a key, its application and a subscription
//! - [`reason`], [`decision`]: permit or denial, and why
//! - [`answer`]: what follows from it
//! - [`open`]: streams that are open, to be decided anew
//! - [`store`]: the policy in shared data
//! - [`held`]: the policy as one VM holds it
//! - [`callout`]: a request to the policy service and its answer
//! - [`refresh`]: how it is kept fresh
//! - [`usage`]: what was used, counted and reported
//!
//! The shell, `plugin`, turns Envoy's callbacks into calls of the core.

#![deny(unsafe_code)]

pub mod answer;
pub mod callout;
pub mod catalogue;
pub mod config;
pub mod credential;
pub mod decision;
pub mod digest;
pub mod equal;
pub mod fingerprint;
pub mod held;
pub mod index;
pub mod limit;
pub mod naming;
pub mod open;
pub mod policy;
pub mod reason;
pub mod refresh;
pub mod request;
pub mod shared;
pub mod store;
pub mod subject;
pub mod usage;

// The unit tests are those of the core: without the shell they link without a host.
#[cfg(all(feature = "plugin", not(test)))]
mod plugin;
