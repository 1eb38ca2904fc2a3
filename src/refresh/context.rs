//! The inputs and outputs that the shell passes to each call of the state machine.

use super::event::RefreshEvent;
use crate::{callout::lines::Lines, held::PolicyView};

/// The time, the current policy, shared data, and the lines to log.
pub struct RefreshContext<'a, S> {
    /// Now, in milliseconds of Unix time.
    pub now_ms: u64,
    /// The policy as this VM holds it.
    pub held: &'a mut PolicyView,
    pub shared: &'a S,
    /// The lines to log and the events to count.
    pub report: &'a mut Lines<RefreshEvent>,
}
