//! Usage: how much of which API each application used, counted here and reported to the policy service.
//!
//! Each VM counts in its own memory ([`count`]) and at its tick adds to slots of shared data ([`slot`]), as packed rows
//! ([`row`]). One VM at a time gathers some slots into a batch, noted in a [`ledger`] before it is sent, and sends it until
//! it has arrived ([`reporter`]). [`report`] is the shape in which it travels; the policy service compiles the same type.
//!
//! Nothing is counted twice, since a batch keeps its id and its rows until it has arrived, and nothing is lost while the
//! process lives, but for what a VM that traps had not added yet. There are bounds to what is kept: where they are met, rows
//! of older hours become one, then applications and APIs are no longer told apart; requests are never dropped.
//!
//! Nothing here limits anybody: a limit inside one Envoy is the affair of the decision, one across Envoys comes back from
//! the policy service as a mark in the policy.

pub mod count;
pub mod ledger;
pub mod report;
pub mod reporter;
pub mod row;
pub mod slot;

#[cfg(test)]
mod tests;

use crate::{
    config::{PolicySource, UsageReports},
    decision::Decision,
    outcome::Outcome,
    refresh::{
        Level,
        answer::{Answer, Failure},
    },
    shared::{Shared, key::Source},
};
use count::Counting;
use reporter::{Post, Reporter};

/// What happened, for the metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UsageEvent {
    /// A batch has arrived.
    Reported,
    /// A batch could not be sent, or was not taken.
    Failed,
    /// So many requests were counted without application and API, for want of room.
    Unattributed(u64),
}

/// What is to be said.
#[derive(Debug, Default)]
pub struct Report {
    /// Lines for the log.
    pub lines: Vec<(Level, String)>,
    /// Events for the metrics.
    pub events: Vec<UsageEvent>,
}

impl Report {
    fn event(&mut self, event: UsageEvent) {
        self.events.push(event);
    }

    fn line(&mut self, level: Level, line: impl Into<String>) {
        self.lines.push((level, line.into()));
    }

    fn damaged(&mut self) {
        self.line(Level::Error, "a part of the usage counted in shared data is damaged; what it held is not reported");
    }
}

/// What a call works on: the time, shared data, and what is to be said.
pub struct Around<'a, S> {
    /// Now, in milliseconds of Unix time.
    pub now_ms: u64,
    /// Shared data.
    pub shared: &'a S,
    /// Whose usage it is.
    pub source: &'a Source,
    /// What is to be said.
    pub report: &'a mut Report,
}

/// Usage in one VM: what it counts, and its part in reporting.
#[derive(Debug)]
pub struct Usage {
    counting: Counting,
    reporter: Reporter,
}

impl Usage {
    /// Reports to where the policy comes from.
    pub fn new(policy: &PolicySource, reports: &UsageReports) -> Self {
        Self { counting: Counting::default(), reporter: Reporter::new(policy, reports) }
    }

    /// A request was decided. It is counted if it is known who asked for what; what was let through counts as allowed,
    /// whatever the mode.
    pub fn count(&mut self, decision: &Decision<'_>, outcome: &Outcome<'_>) {
        if let (Some(subject), Some(api)) = (&decision.subject, decision.api) {
            let refused = outcome.reason.filter(|_| outcome.reply.is_some());
            self.counting.count(subject, api.id.as_str(), refused);
        }
    }

    /// Time has passed. `random` may be any number, `yields` says whether this VM leaves what is due to
    /// another for a while: it serves requests, or another refreshes the policy.
    pub fn tick<S: Shared>(&mut self, random: u64, yields: bool, around: &mut Around<'_, S>) -> Option<Post> {
        let crowded = self.counting.tick(around.now_ms, around.shared, around.source, around.report);
        self.reporter.tick(random, yields, crowded, around)
    }

    /// Whether the answer with this token is to a report.
    pub fn waits_for(&self, token: u32) -> bool {
        self.reporter.waits_for(token)
    }

    /// The callout of the last post has this token.
    pub fn sent(&mut self, token: u32) {
        self.reporter.sent(token);
    }

    /// The callout of the last post could not be made.
    pub fn not_sent<S: Shared>(&mut self, failure: Failure, around: &mut Around<'_, S>) {
        self.reporter.not_sent(failure, around);
    }

    /// The last post was answered.
    pub fn answered<S: Shared>(&mut self, answer: &Answer, around: &mut Around<'_, S>) -> Option<Post> {
        self.reporter.answered(answer, around)
    }
}
