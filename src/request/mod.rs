//! Parts of a request, in the one form in which they are compared, and the patterns that they are held against.
//!
//! Nothing here knows a policy or decides anything.

pub mod head;
pub mod hostname;
pub mod path;
pub mod referer;
pub mod template;
