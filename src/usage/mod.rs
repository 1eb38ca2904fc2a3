//! Usage: how much of which API each application used, counted here and reported to the policy service.
//!
//! [`report`] is the shape in which it travels; the policy service compiles the same type. Nothing here limits anybody:
//! a limit inside one Envoy is the affair of the decision, one across Envoys comes back from the policy service as a mark
//! in the policy.

pub mod report;
