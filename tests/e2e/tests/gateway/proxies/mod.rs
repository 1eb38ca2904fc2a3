//! The policy service behind a proxy: one that ends answers which it finds too long, one that finds the service by its
//! authority.

mod authority;
mod held;
