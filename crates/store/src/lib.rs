//! Databases of the policy service: implementations of the port ([`management::port`]), one folder each.
//!
//! To add a database, add a folder beside [`sqlite`] and a line in `tests/conformance.rs`, which tests every database.

pub mod sqlite;

pub use self::sqlite::{Settings, SqliteStore, beside, copy, file_of};
