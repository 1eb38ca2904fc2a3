//! Limits of plans, counted inside one Envoy process without a host call per request.
//!
//! In reading order: [`window`] says when a count starts anew, [`quota`] which limits apply to a request, [`counter`]
//! is the state of a count in one VM, [`slot`] is the form of counts in shared data, and [`limiter`] combines them.
//!
//! All workers share one count. A worker takes tokens from it in batches, by compare-and-swap, and then lets requests
//! pass without looking again. It takes a token before it uses it, so never more requests pass than the limit allows. A
//! batch is a small share of what is left and at most twice the previous one, and unused tokens are returned at the
//! next tick. So hardly fewer requests pass either. If the host or other workers prevent a count, a limit that refuses
//! refuses the request. If a count is lost, it continues from the state that the VM knows, at worst from zero; then
//! more requests may pass.
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

/// The owner of a limit, in the order in which limits are checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LimitOwner {
    Burst,
    Subscription,
    Application,
}

/// How far a limit is used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Remaining {
    /// Requests per window.
    pub limit: u64,
    /// Requests that are left in this window, as far as this VM knows.
    pub remaining: u64,
    /// Seconds until the next window. At least one.
    pub reset: u64,
}

impl Remaining {
    /// The one with the smaller share left. If the shares are equal, the one with the later reset.
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

/// The result of checking a request against its limits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Taking {
    /// The request is over a limit.
    pub refusal: Option<Refusal>,
    /// State of the limit with the smallest share left. `None` if there is no limit.
    pub remaining: Option<Remaining>,
}

/// A request over a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    pub level: LimitOwner,
    /// Seconds until the last of the used-up windows ends. No request passes before.
    pub retry_after: u64,
}
