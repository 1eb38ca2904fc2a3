//! The policy service behind a proxy: one that ends answers which it finds too long, one that strips a path prefix, one
//! that finds the service by its authority.

mod authority;
mod held;
mod prefix;
