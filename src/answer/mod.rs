//! What follows from a decision: what is counted, what is answered, which headers change, what is annotated. It decides nothing.

pub mod annotation;
pub mod edit;
pub mod outcome;
pub mod reply;
