//! Pages about gateways: the list that changes by itself, and the removal of one that is gone.

mod list;
mod remove;
mod row;

use axum::{Router, routing::get};

use super::Console;

pub fn router() -> Router<Console> {
    Router::new()
        .route("/console/gateways", get(list::page))
        .route("/console/gateways/{id}/remove", get(remove::ask).post(remove::remove))
}
