//! The inputs and outputs that the shell passes to each call of the state machine.

use super::event::RefreshEvent;
use crate::{callout::lines::Lines, held::Held};

/// The time, the current policy, shared data, and the lines to log.
pub struct Around<'a, S> {
    /// Now, in milliseconds of Unix time.
    pub now_ms: u64,
    /// The policy as this VM holds it.
    pub held: &'a mut Held,
    pub shared: &'a S,
    /// The lines to log and the events to count.
    pub report: &'a mut Lines<RefreshEvent>,
}
