//! A policy as YAML documents in a folder: `export`, `diff`, `apply`.
//!
//! A document is a row of the management API with its `kind` before it. A file may have any number of them, and a folder
//! any number of files, so people may arrange them as they like; `export` has an arrangement of its own ([`layout`]).
//! Keys stand in them as digests, so all of it may lie in a repository.
//!
//! - [`read`]: the documents of a folder, each with its place
//! - [`row`]: what a document means, by the rules of the service
//! - [`write`]: a row as a document
//! - [`fetch`]: all rows of a service, as of one revision
//! - [`compare`]: what `apply` would change, by the rules of the service
//! - [`lock`]: the record of what was applied from a folder

mod apply;
pub mod changes;
pub mod compare;
mod diff;
mod export;
pub mod fetch;
pub mod layout;
pub mod lock;
mod prune;
pub mod read;
pub mod row;
mod sent;
pub mod write;

pub use self::{
    apply::apply,
    diff::diff,
    export::{Written, export, prepare, write as write_rows},
};
