//! Figures for pages that people look at: who subscribes, when a subscription was last used, and usage over time.
//!
//! They are read beside the policy, and no rule depends on them.

use async_trait::async_trait;

use super::{
    Error,
    usage::{Pair, UsageFilter},
};

/// The application of a subscription, and when the subscription was last used.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Subscriber {
    /// The application's name.
    pub name: Option<String>,
    /// The application's owner.
    pub owner: Option<String>,
    /// The last hour with an allowed request of the application to the API: its first second, Unix time.
    pub last_used: Option<i64>,
}

/// Spans of equal length, one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spans {
    /// How long each is, in seconds, at least an hour.
    pub seconds: i64,
    /// How many seconds each begins before a multiple of `seconds` in Unix time. For days of a time zone these are its seconds
    /// east of UTC. An hour of usage counts in the span that it begins in.
    pub ahead: i64,
}

impl Spans {
    /// The first second of the span that `at`, Unix time, lies in.
    pub fn begin_of(self, at: i64) -> i64 {
        at.saturating_add(self.ahead).div_euclid(self.seconds).saturating_mul(self.seconds).saturating_sub(self.ahead)
    }
}

/// Requests in a span of time, with one outcome.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Spent {
    /// The first second of the span, Unix time.
    pub begin: i64,
    /// `allowed`, or the reason of the denial.
    pub outcome: String,
    /// Number of requests, at most 2^63 - 1.
    pub requests: i64,
}

/// Reads the figures.
#[async_trait]
pub trait Overview: Send + Sync {
    /// The subscribers of `pairs`, in their order. An application that is gone has neither name nor owner.
    async fn subscribers(&self, pairs: &[Pair]) -> Result<Vec<Subscriber>, Error>;

    /// The usage that fits the filter, added up for each span and each outcome, in this order.
    async fn spent(&self, filter: &UsageFilter, spans: Spans) -> Result<Vec<Spent>, Error>;
}
