//! What a call of usage works on, and what it says. It counts nothing.

use crate::{
    callout::lines::{Lines, Severity},
    shared::key::SourceId,
};

/// Events for the metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UsageEvent {
    Reported,
    /// A batch could not be sent, or the service did not accept it.
    Failed,
    /// This many requests were counted without application and API, because there was no room.
    Unattributed(u64),
}

/// Part of what was counted is lost.
pub(super) fn say_damaged(lines: &mut Lines<UsageEvent>) {
    lines.line(Severity::Error, "a part of the usage counted in shared data is damaged; its counts are not reported");
}

/// Context of a call: the time, shared data, and the output.
pub struct UsageContext<'a, S> {
    /// In milliseconds of Unix time.
    pub now_ms: u64,
    pub shared: &'a S,
    /// The policy whose usage is counted.
    pub source: &'a SourceId,
    pub report: &'a mut Lines<UsageEvent>,
}
