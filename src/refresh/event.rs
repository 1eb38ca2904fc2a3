//! Events of a refresh for the metrics.

use std::time::Duration;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefreshEvent {
    /// A newer policy decides.
    Applied,
    /// The current policy was confirmed.
    NotModified,
    /// No usable answer.
    Failed,
    /// The answer was refused: a rollback, a shrunken policy, or pages that do not fit together.
    Refused,
    /// This many rows were left out.
    RowsRejected(u64),
    /// A page has fields that keygate does not know.
    UnknownFields,
    /// A lower revision was refused.
    RefusedRollback,
    /// A policy that drops too many keys was refused.
    RefusedShrink,
    /// Duration of a refresh, from its first request to the policy that decides, without the wait of a long poll.
    Took(Duration),
}
