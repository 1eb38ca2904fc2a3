//! What happens in a refresh, for the metrics.

use std::time::Duration;

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
