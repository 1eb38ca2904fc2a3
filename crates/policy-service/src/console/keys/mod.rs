//! Pages about keys: one is made and shown once, looked at, replaced with an overlap, and revoked.
//!
//! No page but the answer to the form that makes a key has the key, and no address, log line or cache has it.

mod kept;
mod make;
mod one;
mod revoke;
mod rotate;
mod row;
mod table;

use axum::{Router, routing::get};

pub use self::{
    row::Key,
    table::{ends_soon, state, table},
};
use super::Console;
use crate::web::place::below;

pub fn router() -> Router<Console> {
    Router::new()
        .route("/console/applications/{id}/new-key", get(make::ask).post(make::make))
        .route("/console/keys/{id}", get(one::page))
        .route("/console/keys/{id}/kept", get(kept::ask).post(kept::check))
        .route("/console/keys/{id}/rotate", get(rotate::ask).post(rotate::rotate))
        .route("/console/keys/{id}/revoke", get(revoke::ask).post(revoke::revoke))
}

/// The path of a key in `/v1`.
pub fn path(id: &str) -> String {
    below("/v1/keys", &[id])
}

/// The routes, as the table of permissions names them.
const ISSUE: &str = "/v1/applications/{id}/keys";
const REGENERATE: &str = "/v1/keys/{id}/regenerate";
const REVOKE: &str = "/v1/keys/{id}/revoke";
