//! The parts of a request in the form in which they are compared, and the patterns that they are matched with.
//!
//! It knows no policy and decides nothing.

pub mod head;
pub mod hostname;
pub mod path;
pub mod referer;
pub mod template;
