//! What the refresh tells the shell to say: lines of the log, and events for the metrics. How they are written is the shell's
//! business.

use std::time::Duration;

use crate::callout::lines::Level;

/// What happened, for the metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefreshEvent {
    /// A newer policy decides.
    Applied,
    /// The policy held was confirmed.
    NotModified,
    /// Nothing usable was answered.
    Failed,
    /// What was answered was refused: a rollback, a shrunken policy, pages that do not belong together.
    Refused,
    /// So many rows were left out.
    RowsRejected(u64),
    /// A page has fields that keygate does not know.
    UnknownFields,
    /// A lower revision was refused.
    RefusedRollback,
    /// A policy that drops too many keys was refused.
    RefusedShrink,
    /// A refresh took so long, from its first request to the policy that decides, without the wait of a long poll.
    Took(Duration),
}

/// What the shell is to say.
#[derive(Debug, Default)]
pub struct Report {
    /// Lines of the log.
    pub lines: Vec<(Level, String)>,
    /// For the metrics.
    pub events: Vec<RefreshEvent>,
}

impl Report {
    pub(super) fn event(&mut self, event: RefreshEvent) {
        self.events.push(event);
    }

    pub(super) fn warn(&mut self, line: String) {
        self.lines.push((Level::Warn, line));
    }
}
