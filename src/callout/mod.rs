//! Requests to the policy service and their answers, for the policy and for usage: the request, the answer, the time of
//! the next attempt, and the log lines.
//!
//! The callers decide which requests to make and how to react to an answer. The shell sends the requests.

pub mod answer;
pub mod lines;
pub mod schedule;

use std::time::Duration;

/// Time after a callout's own timeout until the callout counts as never answered.
pub const NEVER: Duration = Duration::from_secs(2);

/// How long a VM that serves requests leaves work (a free lease, a due usage report) to the VM that serves none, in
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
    /// Time limit of the whole callout.
    pub timeout: Duration,
    /// Number of VMs that serve requests.
    pub workers: usize,
    /// Number of plugin configurations that may still decide by an older policy than the request's cursor names.
    pub lagging: usize,
    /// Seconds after which the last plugin with this policy allows nothing; 0 if one goes on for ever. `None` if no plugin
    /// has said so yet.
    pub expires_after: Option<u64>,
    /// The revision that was not taken, 0 if it is not known, and why.
    pub refused: Option<(u64, &'static str)>,
}

/// A report of usage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Post {
    /// `:path`.
    pub path: String,
    /// JSON.
    pub body: Vec<u8>,
    /// Time limit of the whole callout.
    pub timeout: Duration,
}

/// A callout without an answer yet.
#[derive(Debug)]
pub(crate) struct Pending {
    sent_ms: u64,
    timeout: Duration,
    /// The host's number of the callout, once it was made.
    token: Option<u32>,
}

impl Pending {
    pub fn new(timeout: Duration, now_ms: u64) -> Self {
        Self { sent_ms: now_ms, timeout, token: None }
    }

    pub fn sent(&mut self, token: u32) {
        self.token = Some(token);
    }

    pub fn is_answered_by(&self, token: u32) -> bool {
        self.token == Some(token)
    }

    /// How long it has waited.
    pub fn took(&self, now_ms: u64) -> Duration {
        Duration::from_millis(now_ms.saturating_sub(self.sent_ms))
    }

    /// How long it has waited, if no answer can come any more. If the clock was set back, the wait begins again.
    pub fn never_answered(&mut self, now_ms: u64) -> Option<Duration> {
        self.sent_ms = self.sent_ms.min(now_ms);
        let took = self.took(now_ms);
        (took > self.timeout.saturating_add(NEVER)).then_some(took)
    }
}
