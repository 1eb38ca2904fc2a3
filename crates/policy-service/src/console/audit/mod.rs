//! The audit log: who changed what, when and why; and the same as a file.

mod download;
mod entry;
mod list;

use axum::{Router, routing::get};

use super::Console;

pub fn router() -> Router<Console> {
    Router::new()
        .route("/console/audit", get(list::page))
        .route("/console/audit.csv", get(download::csv))
        .route("/console/audit.ndjson", get(download::lines))
}
