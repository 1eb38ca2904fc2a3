//! What is made of the files of other products, held against files in `tests/golden/` and against the real import.
//!
//! The inputs in `tests/inputs/` are written after the products' public documents. Write the golden files again with
//! `GOLDEN=write cargo test -p convert`, and review the difference.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "tests"
)]

mod csv;
mod envoy;
mod gateway;
mod hostile;
mod kong;
mod support;
mod wso2;
mod yaml;
