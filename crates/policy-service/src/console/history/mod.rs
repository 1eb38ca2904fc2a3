//! History: the revisions, what changed between two of them, and going back to one.

mod diff;
mod list;
mod restore;
mod route;

use axum::{Router, routing::get};

use super::Console;

pub fn router() -> Router<Console> {
    Router::new()
        .route("/console/history", get(list::page))
        .route("/console/history/{revision}", get(diff::of_one))
        .route("/console/diff", get(diff::page))
        .route("/console/restore", get(restore::ask).post(restore::restore))
}
