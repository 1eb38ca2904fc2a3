//! Limits of plans, counted inside one Envoy process without a call per request.
//!
//! In reading order: [`window`] says when a count begins anew, [`quota`] which limits concern a request, [`counter`] what a
//! VM holds of a count, [`slot`] how counts lie in shared data, and [`limiter`] puts them together.
//!
//! All workers share one count. A worker takes tokens from it by compare-and-swap, in batches, and then lets requests pass
//! without looking again; a token is taken before it is used, so no more requests pass than the limit says. A batch is a
//! small share of what is left, never more than twice the one before, and what lies unused goes back at the next tick, so
//! hardly fewer pass either. Where something cannot be counted because the host or other workers do not let it, a limit
//! that refuses refuses. Where a count is lost, it goes on from what the VM knows, at worst from nothing: then more may pass.
//!
//! Nothing here knows reasons or replies.

pub mod counter;
pub mod limiter;
pub mod quota;
pub mod slot;
pub mod window;

#[cfg(test)]
mod tests;

use std::cmp::Ordering;

/// Whose limit it is; in the order in which they are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// The burst of either plan.
    Burst,
    /// A limit of the subscription's plan.
    Subscription,
    /// A limit of the application's plan.
    Application,
}

/// How far a limit is used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Requests in one window.
    pub limit: u64,
    /// Requests that are left in this one, as far as this VM knows.
    pub remaining: u64,
    /// Seconds until the next one; at least one.
    pub reset: u64,
}

impl Standing {
    /// Which has the smaller share left; of two that have the same, the one that keeps it longer.
    fn tighter(self, other: Self) -> Self {
        let share = |a: Self, b: Self| u128::from(a.remaining).saturating_mul(b.limit.into());
        match share(self, other).cmp(&share(other, self)) {
            Ordering::Less => self,
            Ordering::Greater => other,
            Ordering::Equal if other.reset > self.reset => other,
            Ordering::Equal => self,
        }
    }
}

/// What became of a request that was held against its limits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Taking {
    /// It is over one of them.
    pub refusal: Option<Refusal>,
    /// How far the one that has the smallest share left is used up; `None` if there is no limit.
    pub standing: Option<Standing>,
}

/// A request that is over a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Whose.
    pub level: Level,
    /// Seconds until the last of the windows that are used up ends: no request passes before.
    pub retry_after: u64,
}
