//! A request to the policy service and its answer, for policy and usage alike: what is asked, what was answered, when to try
//! again, and what is said of it.
//!
//! Which requests are made, and what follows from an answer, is decided by those who make them. The shell sends them.

pub mod answer;
pub mod lines;
pub mod schedule;

use std::time::Duration;

/// On top of a callout's own time-out, before it counts as never answered.
pub const NEVER: Duration = Duration::from_secs(2);

/// How long a VM that serves requests leaves what is due (a free lease, a report of usage) to the VM that serves none, in
/// milliseconds. The main thread's VM looks every 100 ms.
pub const GRACE_MS: u64 = 1_000;

/// A request for the policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetch {
    /// `:path`.
    pub path: String,
    /// `if-none-match`.
    pub etag: Option<String>,
    /// `prefer: wait=…`, whole seconds.
    pub wait: Option<Duration>,
    /// Bound on the whole callout.
    pub timeout: Duration,
}

/// A report of usage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Post {
    /// `:path`.
    pub path: String,
    /// JSON.
    pub body: Vec<u8>,
    /// Bound on the whole callout.
    pub timeout: Duration,
}
