//! The policy service behind a proxy that ends long answers, behind one that strips a path prefix, and behind one that
//! finds the service by its authority.

mod authority;
mod held;
mod prefix;
