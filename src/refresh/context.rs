//! What a call of the state machine works on. It decides nothing.

use super::event::RefreshEvent;
use crate::{callout::lines::Lines, held::PolicyView};

/// What a call of the state machine works on: the time, the policy held, shared data, and what is to be said.
pub struct RefreshContext<'a, S> {
    /// Now, in milliseconds of Unix time.
    pub now_ms: u64,
    /// The policy as this VM holds it.
    pub held: &'a mut PolicyView,
    /// Shared data.
    pub shared: &'a S,
    /// What is to be said.
    pub report: &'a mut Lines<RefreshEvent>,
}
