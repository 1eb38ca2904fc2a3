//! The databases of the policy service: implementations of the port ([`management::port`]), one folder each.
//!
//! A second database is a folder beside [`sqlite`] and a line in `tests/conformance.rs`, which says what each must do.

pub mod sqlite;
mod times;

pub use self::sqlite::{Settings, SqliteStore, beside, copy, file_of};
