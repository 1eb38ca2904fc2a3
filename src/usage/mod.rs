//! Usage: the filter counts how much of which API each application used and reports it to the policy service.
//!
//! Each VM counts in its own memory ([`count`]). At its tick it adds the counts to slots of shared data ([`slot`]), as
//! packed rows ([`row`]). One VM at a time collects some slots into a batch, records it in a [`ledger`] before it sends
//! it, and sends it until it has arrived ([`reporter`]). [`report`] is the wire format; the policy service compiles the
//! same type.
//!
//! Nothing is counted twice, because a batch keeps its id and its rows until it has arrived. Nothing is lost while the
//! process lives, except counts that a trapping VM had not yet added. Storage is bounded. At the bounds, rows of older
//! hours are merged, then applications and APIs are no longer distinguished. Requests are never dropped.
//!
//! Nothing here enforces limits. The decision enforces limits inside one Envoy. A limit across Envoys comes back from
//! the policy service as a mark in the policy.

mod context;
pub mod count;
pub mod ledger;
pub mod report;
pub mod reporter;
pub mod row;
pub mod slot;

#[cfg(test)]
mod tests;

use crate::{
    answer::outcome::Outcome,
    callout::{
        Post,
        answer::{Answer, Failure},
    },
    config::{PolicySource, UsageReports},
    decision::Decision,
    shared::Shared,
};
pub use context::{UsageContext, UsageEvent};
use count::Counting;
use reporter::Reporter;

/// Usage in one VM: its counts, and its part in reporting.
#[derive(Debug)]
pub struct Usage {
    counting: Counting,
    reporter: Reporter,
}

impl Usage {
    /// Sends reports to the cluster of the policy.
    pub fn new(policy: &PolicySource, reports: &UsageReports) -> Self {
        Self { counting: Counting::default(), reporter: Reporter::new(policy, reports) }
    }

    /// Counts a decided request if its subject and API are known. A request that passes counts as allowed, whatever the
    /// mode.
    pub fn count(&mut self, decision: &Decision<'_>, outcome: &Outcome<'_>) {
        if let (Some(subject), Some(api)) = (&decision.subject, decision.api) {
            let refused = outcome.reason.filter(|_| outcome.reply.is_some());
            self.counting.count(subject, api.id.as_str(), refused);
        }
    }

    /// Moves counts to shared data and does the reporting that is due. `random` may be any number. `yields`: this VM
    /// leaves due work to other VMs for a while, because it serves requests or because another VM refreshes the policy.
    pub fn tick<S: Shared>(&mut self, random: u64, yields: bool, context: &mut UsageContext<'_, S>) -> Option<Post> {
        let crowded = self.counting.tick(context.now_ms, context.shared, context.source, context.report);
        self.reporter.tick(random, yields, crowded, context)
    }

    /// Whether the answer with this token is for a report.
    pub fn waits_for(&self, token: u32) -> bool {
        self.reporter.waits_for(token)
    }

    /// Stores the token of the last post's callout.
    pub fn sent(&mut self, token: u32) {
        self.reporter.sent(token);
    }

    /// The callout of the last post could not be made.
    pub fn not_sent<S: Shared>(&mut self, failure: Failure, context: &mut UsageContext<'_, S>) {
        self.reporter.not_sent(failure, context);
    }

    /// Handles the answer to the last post.
    pub fn answered<S: Shared>(&mut self, answer: &Answer, context: &mut UsageContext<'_, S>) -> Option<Post> {
        self.reporter.answered(answer, context)
    }
}
