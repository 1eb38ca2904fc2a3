//! Pages about keys: one is made and shown once, looked at, replaced with an overlap, and revoked.
//!
//! No page but the answer to the form that makes a key has the key, and no address, log line or cache has it.

mod kept;
mod make;
mod one;
mod revoke;
mod rotate;
pub mod route;
pub mod row;
pub mod table;

use axum::{Router, routing::get};

pub use self::{
    route::path,
    row::Key,
    table::{ends_soon, state},
};
use super::Console;

pub fn router() -> Router<Console> {
    Router::new()
        .route("/console/applications/{id}/new-key", get(make::ask).post(make::make))
        .route("/console/keys/{id}", get(one::page))
        .route("/console/keys/{id}/kept", get(kept::ask).post(kept::check))
        .route("/console/keys/{id}/rotate", get(rotate::ask).post(rotate::rotate))
        .route("/console/keys/{id}/revoke", get(revoke::ask).post(revoke::revoke))
}
