//! The consequences of a decision: counters, the reply, header edits, and annotations. It decides nothing.

pub mod annotation;
pub mod edit;
pub mod outcome;
pub mod reply;
