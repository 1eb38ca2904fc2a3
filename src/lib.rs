//! keygate: a proxy-wasm filter for Envoy that checks API keys and subscription blocks from memory.
//!
//! The core is pure: it calls no host, reads no clock and writes no log, and builds without the feature `plugin`. Its
//! modules in reading order:
//!
//! - [`policy`]: the rows of a policy, and the parser of its pages
//! - [`config`]: the plugin configuration
//! - [`digest`]: the SHA-256 of a key
//! - [`fingerprint`]: keyed hashes of keys and ids, with secrets of one VM
//! - [`equal`]: the comparison of two slices
//! - [`index`]: a map from names to places in a list
//! - [`shared`]: shared data of the process: its port, its keys, packed bytes, the lease
//! - [`naming`]: names in messages
//! - [`request`]: the parts of a request, and the patterns that they are matched with
//! - [`credential`]: the sources of a request's key
//! - [`catalogue`]: the APIs and the other small lists of a policy
//! - [`limit`]: the limits of plans
//! - [`subject`]: a key with its application and a subscription
//! - [`reason`], [`decision`]: the decision and its reason
//! - [`answer`]: the consequences of a decision
//! - [`open`]: open streams, which are decided again
//! - [`store`]: the policy in shared data
//! - [`held`]: the policy as one VM holds it
//! - [`callout`]: requests to the policy service, and their answers
//! - [`refresh`]: the refresh of the policy
//! - [`usage`]: the counts of usage and their reports
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

// The unit tests test only the core. Without the shell they link without a host.
#[cfg(all(feature = "plugin", not(test)))]
mod plugin;
